//! Records on standard output, as data or as JSON objects, up to a limit.

use std::io::{self, BufWriter, Stdout, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rheos_client::{ReadBatches, RecordAt};
use serde_json::{Value, json};

use crate::arguments::Output;
use crate::failure::{Failure, not_written};
use crate::units::show_arrival_ms;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

pub(crate) struct Printer {
    how: Output,
    left: u64,
    out: BufWriter<Stdout>,
}

impl Printer {
    pub(crate) fn new(how: Output, limit: Option<u64>) -> Printer {
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        Printer { how, left: limit.unwrap_or(u64::MAX), out }
    }

    /// Whether the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Prints the records before sequence `end`.
    pub(crate) fn print(&mut self, read: &ReadBatches, end: u64) -> Result<(), Failure> {
        read.records().take_while(|at| at.sequence < end).try_for_each(|at| self.print_one(read.shard, &at))
    }

    /// Prints a record, unless the limit is reached.
    pub(crate) fn print_one(&mut self, shard: u32, at: &RecordAt<'_>) -> Result<(), Failure> {
        if self.is_full() {
            return Ok(());
        }
        self.left -= 1;
        match self.how.is_text() {
            true => self.out.write_all(at.record.data).and_then(|()| self.out.write_all(b"\n")),
            false => writeln!(self.out, "{}", as_json(shard, at)),
        }
        .map_err(not_written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(not_written)
    }
}

fn as_json(shard: u32, at: &RecordAt<'_>) -> Value {
    let mut object = json!({
        "shard": shard,
        "sequence": at.sequence,
        "partition_key": at.record.partition_key,
        "arrival": show_arrival_ms(at.arrival_ms),
        "arrival_ms": at.arrival_ms,
    });
    match str::from_utf8(at.record.data) {
        Ok(text) => object["data"] = text.into(),
        Err(_) => object["data_base64"] = STANDARD.encode(at.record.data).into(),
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use rheos_client::RecordView;

    #[test]
    fn data_that_is_no_text_is_encoded() {
        let at = |data| {
            let record = RecordView { partition_key: "k", explicit_hash_key: None, data };
            as_json(2, &RecordAt { sequence: 5, arrival_ms: 7, record })
        };
        let head = json!({ "shard": 2, "sequence": 5, "partition_key": "k", "arrival": "1970-01-01T00:00:00.007Z", "arrival_ms": 7 });
        let mut text = head.clone();
        text["data"] = "é\n".into();
        assert_eq!(at("é\n".as_bytes()), text);
        let mut bytes = head;
        bytes["data_base64"] = "/wA=".into();
        assert_eq!(at(&[0xff, 0]), bytes);
    }
}
