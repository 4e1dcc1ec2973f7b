//! Rows that are lines: plain ones, and JSON with the key in one of its fields.

use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;
use rheos_client::protocol::limits::RECORD_BYTES_MAX;
use serde_json::Value;

use super::{Content, Pending, READ_BYTES, Row};
use crate::near::suggestion;

/// Each line is a record.
pub(super) fn read_plain(input: impl Read, source: usize, pending: &Pending) -> Result<(), String> {
    read(input, |line| Ok(Content { data: line, ..Content::default() }), source, pending)
}

/// Each line is a record and, where a key is to be taken from it, a JSON object.
pub(super) fn read_json(
    input: impl Read,
    key_from: Option<&str>,
    source: usize,
    pending: &Pending,
) -> Result<(), String> {
    read(input, |line| json_content(line, key_from), source, pending)
}

fn read(
    input: impl Read,
    content: impl Fn(Bytes) -> Result<Content, String>,
    source: usize,
    pending: &Pending,
) -> Result<(), String> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    for number in 1.. {
        let mut line = Vec::new();
        let limit = u64::from(RECORD_BYTES_MAX) + 1;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
        let read_bytes = read.map_err(|error| format!("line {number}: {error}"))? as u64;
        if read_bytes == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read_bytes == limit {
            return Err(format!("line {number} is longer than a record can be, {RECORD_BYTES_MAX} bytes"));
        }
        pending.add(Row { source, line: number, read_bytes, content: content(line.into()) });
    }
    Ok(())
}

fn json_content(line: Bytes, key_from: Option<&str>) -> Result<Content, String> {
    let key = key_from.map(|field| json_key(&line, field)).transpose()?;
    Ok(Content { key, data: line, ..Content::default() })
}

fn json_key(line: &[u8], field: &str) -> Result<String, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    match value.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(scalar.to_string()),
        Some(Value::Null) | None => {
            let names = value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str));
            Err(format!("it has no field {field:?} to take the key from{}", suggestion(field, names)))
        }
        Some(_) => Err(format!("its field {field:?} is no text or number, so it cannot be the key")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use super::*;
    use crate::put::Format;

    #[test]
    fn each_line_is_a_record() {
        let (rows, end) = rows_of("one\n\ntwo\r\n\nlast", Format::Lines, None);
        assert_eq!(rows, ["1 - \"one\"", "2 - \"\"", "3 - \"two\\r\"", "4 - \"\"", "5 - \"last\""]);
        assert_eq!(end, None);
        assert_eq!(rows_of("", Format::Lines, None), (vec![], None));
    }

    #[test]
    fn a_line_that_is_too_long_ends_the_input() {
        let text = format!("short\n{}", "x".repeat(RECORD_BYTES_MAX as usize + 1));
        let (rows, end) = rows_of(&text, Format::Lines, None);
        assert_eq!(rows, ["1 - \"short\""]);
        assert!(end.is_some_and(|why| why.starts_with("input line 2 is longer")));
        let longest = "x".repeat(RECORD_BYTES_MAX as usize);
        assert_eq!(rows_of(&longest, Format::Lines, None).1, None);
    }

    #[test]
    fn a_key_comes_from_a_json_field() {
        let text = "{\"id\": 7, \"a\":\"x\"}\n{\"a\": null}\n[1]\n{\"id\": [1]}\noops\n{\"id\": \"é\"}";
        let (rows, _) = rows_of(text, Format::Json, Some("id"));
        assert_eq!(rows[0], "1 7 \"{\\\"id\\\": 7, \\\"a\\\":\\\"x\\\"}\"");
        assert_eq!(rows[1], "2: it has no field \"id\" to take the key from");
        assert_eq!(rows[2], rows[1].replace("2:", "3:"));
        assert!(rows[3].starts_with("4: its field \"id\" is no text"));
        assert!(rows[4].starts_with("5: it is not JSON"));
        assert!(rows[5].starts_with("6 é"));
        let (rows, _) = rows_of("oops", Format::Json, None);
        assert_eq!(rows, ["1 - \"oops\""]);
    }
}
