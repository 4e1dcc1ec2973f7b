//! Rows of the input: lines, JSON lines and CSV rows, with their keys.
//!
//! What must hold: a record's data is the row as it stands in the file, without the line's end; rows
//! are handed on before the input is waited for, so that a slow pipe is not held up; a row that is
//! longer than any record ends the input instead of filling memory.

mod csv_rows;

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use bytes::Bytes;
use rheos_client::protocol::limits::RECORD_BYTES_MAX;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Format;
use super::source::Source;

/// What is read at once.
const READ_BYTES: usize = 64 << 10;

/// A row of an input.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which input it is from.
    pub(super) source: usize,
    /// Where it begins in that input, from 1.
    pub(crate) line: u64,
    /// Bytes of input that it took.
    pub(super) read_bytes: u64,
    /// What to put, or why it cannot be put.
    pub(crate) content: Result<Content, String>,
}

/// What to put.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The key, when it is in the row.
    pub(crate) key: Option<String>,
    pub(crate) data: Bytes,
}

/// Reads all inputs, one after the other. An input that cannot be read ends it.
pub(super) fn read_all(sources: Vec<Source>, key_from: Option<&str>, chunks: &mpsc::Sender<Result<Vec<Row>, String>>) {
    let pending = Pending { rows: RefCell::default(), chunks: chunks.clone() };
    let pending = Rc::new(pending);
    for (index, source) in sources.into_iter().enumerate() {
        let input = HandingOn { input: source.input, pending: Rc::clone(&pending) };
        let read = match source.format {
            Format::Lines => read_lines(input, |line| Ok(Content { key: None, data: line }), index, &pending),
            Format::Json => read_lines(input, |line| json_content(line, key_from), index, &pending),
            Format::Csv => csv_rows::read(input, key_from, index, &pending),
        };
        if let Err(why) = read.and_then(|()| pending.hand_on().map_err(|error| error.to_string())) {
            // What was read before is put; nobody listens when the put has ended.
            let _ = pending.hand_on();
            let _ = chunks.blocking_send(Err(format!("{} {why}", source.name)));
            return;
        }
    }
}

/// Rows that were read and not handed on yet.
struct Pending {
    rows: RefCell<Vec<Row>>,
    chunks: mpsc::Sender<Result<Vec<Row>, String>>,
}

impl Pending {
    fn add(&self, row: Row) {
        self.rows.borrow_mut().push(row);
    }

    fn hand_on(&self) -> io::Result<()> {
        let rows = std::mem::take(&mut *self.rows.borrow_mut());
        if rows.is_empty() {
            return Ok(());
        }
        self.chunks.blocking_send(Ok(rows)).map_err(|_| io::Error::other("the put has ended"))
    }
}

/// An input that hands on the rows read so far before it is read, as that may have to wait.
struct HandingOn<R> {
    input: R,
    pending: Rc<Pending>,
}

impl<R: Read> Read for HandingOn<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pending.hand_on()?;
        self.input.read(buffer)
    }
}

fn read_lines(
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

/// A JSON line with the key in one of its fields.
fn json_content(line: Bytes, key_from: Option<&str>) -> Result<Content, String> {
    let key = key_from.map(|field| json_key(&line, field)).transpose()?;
    Ok(Content { key, data: line })
}

fn json_key(line: &[u8], field: &str) -> Result<String, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    match value.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(scalar.to_string()),
        Some(Value::Null) | None => Err(format!("it has no field {field:?} to take the key from")),
        Some(_) => Err(format!("its field {field:?} is no text or number, so it cannot be the key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an input is read as: line, key and data of each row, and what ended it.
    pub(super) fn rows_of(text: &str, format: Format, key_from: Option<&str>) -> (Vec<String>, Option<String>) {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let source = Source { name: "input".to_owned(), format, bytes: None, input };
        let (chunks, mut received) = mpsc::channel(1_000);
        read_all(vec![source], key_from, &chunks);
        drop(chunks);
        let (mut rows, mut end, mut read_bytes) = (Vec::new(), None, 0);
        while let Some(chunk) = received.blocking_recv() {
            match chunk {
                Ok(chunk) => rows.extend(chunk.into_iter().map(|row| {
                    read_bytes += row.read_bytes;
                    let line = row.line;
                    match row.content {
                        Ok(Content { key, data }) => {
                            format!("{line} {} {:?}", key.as_deref().unwrap_or("-"), str::from_utf8(&data).unwrap())
                        }
                        Err(why) => format!("{line}: {why}"),
                    }
                })),
                Err(why) => end = Some(why),
            }
        }
        assert!(read_bytes <= text.len() as u64);
        (rows, end)
    }

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
