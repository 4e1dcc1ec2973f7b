//! Rows of the input, each of them a record, with their keys: lines, JSON lines, CSV rows, the raw format.
//!
//! What must hold: a record's data is the row as it stands in the file, without the line's end; rows
//! are handed on before the input is waited for, so that a slow pipe is not held up; a row that is
//! longer than any record ends the input instead of filling memory.

mod csv_rows;
mod lines;
mod raw_rows;

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::Bytes;
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
    /// Where it begins in that input, from 1: a line, or a record where there are no lines.
    pub(crate) line: u64,
    /// Bytes of input that it took.
    pub(super) read_bytes: u64,
    /// What to put, or why it cannot be put.
    pub(crate) content: Result<Content, String>,
}

/// What to put.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The key, when it is in the row.
    pub(crate) key: Option<String>,
    /// The explicit hash key, when it is in the row.
    pub(super) explicit_hash_key: Option<u128>,
    pub(crate) data: Bytes,
}

/// Reads all inputs, one after the other. An input that cannot be read ends it.
pub(super) fn read_all(sources: Vec<Source>, key_from: Option<&str>, chunks: &mpsc::Sender<Result<Vec<Row>, String>>) {
    let pending = Pending { rows: RefCell::default(), chunks: chunks.clone() };
    let pending = Rc::new(pending);
    for (index, source) in sources.into_iter().enumerate() {
        let input = HandingOn { input: source.input, pending: Rc::clone(&pending) };
        let read = match source.format {
            Format::Lines => lines::read_plain(input, index, &pending),
            Format::Json => lines::read_json(input, key_from, index, &pending),
            Format::Csv => csv_rows::read(input, key_from, index, &pending),
            Format::Raw => raw_rows::read(input, index, &pending),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What an input is read as: line, key and data of each row, and what ended it.
    pub(super) fn rows_of(
        bytes: impl AsRef<[u8]>,
        format: Format,
        key_from: Option<&str>,
    ) -> (Vec<String>, Option<String>) {
        let bytes = bytes.as_ref();
        let input = Box::new(io::Cursor::new(bytes.to_vec()));
        let source = Source { name: "input".to_owned(), format, bytes: None, input };
        let (chunks, mut received) = mpsc::channel(1_000);
        read_all(vec![source], key_from, &chunks);
        drop(chunks);
        let (mut rows, mut end, mut read_bytes) = (Vec::new(), None, 0);
        while let Some(chunk) = received.blocking_recv() {
            match chunk {
                Ok(chunk) => rows.extend(chunk.into_iter().map(|row| {
                    read_bytes += row.read_bytes;
                    shown(row)
                })),
                Err(why) => end = Some(why),
            }
        }
        assert!(read_bytes <= bytes.len() as u64);
        (rows, end)
    }

    fn shown(Row { line, content, .. }: Row) -> String {
        match content {
            Ok(Content { key, data, .. }) => {
                format!("{line} {} {:?}", key.as_deref().unwrap_or("-"), str::from_utf8(&data).unwrap())
            }
            Err(why) => format!("{line}: {why}"),
        }
    }
}
