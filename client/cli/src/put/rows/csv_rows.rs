//! Rows of a CSV input. The key is parsed out of a row; its data is the row's own text.
//!
//! The csv crate says where a row begins and ends, in bytes of the input; the bytes themselves are kept
//! from the moment they are read until their row is done.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};
use rheos_client::protocol::limits::RECORD_BYTES_MAX;

use super::{Content, Pending, READ_BYTES, Row};
use crate::near::suggestion_or;

/// Most bytes of a row, quotes included. Beyond it a quote is missing.
const ROW_BYTES_MAX: usize = RECORD_BYTES_MAX as usize + (1 << 20);

pub(super) fn read(input: impl Read, key_from: Option<&str>, source: usize, pending: &Pending) -> Result<(), String> {
    let kept = Rc::new(RefCell::new(Kept::default()));
    let input = Keeping { input, kept: Rc::clone(&kept) };
    let mut reader = ReaderBuilder::new().flexible(true).buffer_capacity(READ_BYTES).from_reader(input);
    let header = reader.byte_headers().map_err(|error| format!("line 1: {error}"))?.clone();
    let column = key_from.map(|field| column_of(&header, field)).transpose()?;
    let mut row = ByteRecord::new();
    let mut begin = reader.position().byte();
    while reader.read_byte_record(&mut row).map_err(|error| error.to_string())? {
        let (end, line) = (reader.position().byte(), row.position().map_or(0, csv::Position::line));
        let text = kept.borrow_mut().take(begin, end);
        let (skipped, data) = without_line_ends(text);
        let content = match column {
            Some(column) => {
                csv_key(&row, &header, column).map(|key| Content { key: Some(key), data, ..Content::default() })
            }
            None => Ok(Content { data, ..Content::default() }),
        };
        pending.add(Row { source, line: line + skipped, read_bytes: end - begin, content });
        begin = end;
    }
    Ok(())
}

fn column_of(header: &ByteRecord, field: &str) -> Result<usize, String> {
    header.iter().position(|name| name == field.as_bytes()).ok_or_else(|| {
        let names: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        let all = || format!("; it has: {}", names.join(", "));
        let hint = suggestion_or(field, names.iter().map(AsRef::as_ref), all);
        format!("line 1: the header has no column {field:?} to take the key from{hint}")
    })
}

fn csv_key(row: &ByteRecord, header: &ByteRecord, column: usize) -> Result<String, String> {
    let name = String::from_utf8_lossy(&header[column]);
    let field = row.get(column).ok_or_else(|| format!("it has no column {name:?} to take the key from"))?;
    let key = str::from_utf8(field).map_err(|_| format!("its column {name:?} is not UTF-8"))?;
    Ok(key.to_owned())
}

/// The row alone, and how many lines of the ends before it belong to the rows before.
fn without_line_ends(text: Bytes) -> (u64, Bytes) {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let first = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
    let last = text.iter().rposition(|byte| !is_end(byte)).map_or(first, |last| last + 1);
    let skipped = text[..first].iter().filter(|byte| **byte == b'\n').count() as u64;
    (skipped, text.slice(first..last))
}

/// Bytes of the input from `start` on.
#[derive(Default)]
struct Kept {
    start: u64,
    bytes: Vec<u8>,
}

impl Kept {
    /// The bytes from `begin` to `end`; those before them are not needed any more.
    fn take(&mut self, begin: u64, end: u64) -> Bytes {
        let place = |offset: u64| usize::try_from(offset - self.start).expect("what is kept fits memory");
        let text = Bytes::copy_from_slice(&self.bytes[place(begin)..place(end)]);
        // Moving the rest down costs its length: it is done once it is no longer than what goes.
        if place(end) >= self.bytes.len() / 2 {
            self.bytes.drain(..place(end));
            self.start = end;
        }
        text
    }
}

/// An input whose bytes are kept as they are read.
struct Keeping<R> {
    input: R,
    kept: Rc<RefCell<Kept>>,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.kept.borrow().bytes.len() > ROW_BYTES_MAX {
            let why = format!("a row is longer than {ROW_BYTES_MAX} bytes; a closing quote may be missing");
            return Err(io::Error::other(why));
        }
        let read = self.input.read(buffer)?;
        self.kept.borrow_mut().bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use super::*;
    use crate::put::Format;

    #[test]
    fn rows_are_records_as_they_stand() {
        let text = "id,note\n1,plain\n2,\"two\nlines, \"\"quoted\"\"\"\n\n3,\n\"4\", spaced \n";
        let (rows, end) = rows_of(text, Format::Csv, Some("id"));
        assert_eq!(end, None);
        assert_eq!(
            rows,
            [r#"2 1 "1,plain""#, r#"3 2 "2,\"two\nlines, \"\"quoted\"\"\"""#, r#"6 3 "3,""#, r#"7 4 "\"4\", spaced ""#,]
        );
    }

    #[test]
    fn line_ends_of_windows_are_no_data() {
        let (rows, _) = rows_of("id,note\r\n1,a\r\n2,\"b\r\nc\"\r\n3,d", Format::Csv, Some("note"));
        assert_eq!(rows, [r#"2 a "1,a""#, "3 b\r\nc \"2,\\\"b\\r\\nc\\\"\"", r#"5 d "3,d""#]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (rows, end) = rows_of("id,note\n1,a\n", Format::Csv, Some("key"));
        assert_eq!(
            (rows.len(), end.unwrap()),
            (0, "input line 1: the header has no column \"key\" to take the key from; it has: id, note".to_owned())
        );
        let (rows, _) = rows_of("id,note\n1,a\n2\n3,c\n", Format::Csv, Some("note"));
        assert_eq!(rows[1], "3: it has no column \"note\" to take the key from");
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn a_missing_quote_ends_the_input() {
        let text = format!("id\n1\n\"{}", "x\n".repeat(ROW_BYTES_MAX));
        let (rows, end) = rows_of(&text, Format::Csv, Some("id"));
        assert_eq!(rows, ["2 1 \"1\""]);
        assert!(end.is_some_and(|why| why.contains("closing quote")));
    }

    #[test]
    fn many_rows_keep_their_places() {
        let rows: String = (0..50_000).map(|i| format!("{i},\"{}\"\n", "y".repeat(i % 97))).collect();
        let (read, end) = rows_of(format!("id,data\n{rows}"), Format::Csv, Some("id"));
        assert_eq!((read.len(), end), (50_000, None));
        for (i, row) in read.iter().enumerate() {
            assert_eq!(*row, format!("{} {i} {:?}", i + 2, format!("{i},\"{}\"", "y".repeat(i % 97))));
        }
    }
}
