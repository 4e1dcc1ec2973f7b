//! What the demo puts: stock trades, or the rows of a file, read again and again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rheos_client::Record;
use tokio::sync::mpsc;

use super::trades::Trades;
use crate::failure::Failure;
use crate::put::{self, Format, Row};

/// Gives records without end.
#[derive(Debug)]
pub(super) enum Records {
    Trades(Trades),
    Rows(Rows),
}

/// The rows of a file, from the first again after the last.
#[derive(Debug)]
pub(super) struct Rows {
    file: PathBuf,
    format: Option<Format>,
    key_from: Option<String>,
    chunks: mpsc::Receiver<Result<Vec<Row>, String>>,
    rows: VecDeque<Row>,
    /// How many rows were given, and of those how many before the file was last begun.
    given: u64,
    given_before: u64,
}

impl Records {
    /// Opens `file`; without one, trades are made up.
    pub(super) fn open(
        file: Option<&Path>,
        format: Option<Format>,
        key_from: Option<&str>,
    ) -> Result<Records, Failure> {
        let Some(file) = file else { return Ok(Records::Trades(Trades::new())) };
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            let why = "it is not a regular file, and the demo reads its input from the beginning again at its end";
            return Err(Failure::new(format!("{}: {why}", file.display())));
        }
        let chunks = put::rows_of(file, format, key_from)?;
        let (file, key_from) = (file.to_owned(), key_from.map(str::to_owned));
        Ok(Records::Rows(Rows { file, format, key_from, chunks, rows: VecDeque::new(), given: 0, given_before: 0 }))
    }

    /// What the records are, for people.
    pub(super) fn what(&self) -> String {
        match self {
            Records::Trades(_) => format!("stock trades of {} tickers", Trades::tickers()),
            Records::Rows(rows) => format!("rows of {}", rows.file.display()),
        }
    }

    /// The next record. Waits for the file; not to be called on a runtime.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, holds no record, or has a row that cannot be put.
    pub(super) fn next(&mut self) -> Result<Record, Failure> {
        match self {
            Records::Trades(trades) => Ok(trades.next()),
            Records::Rows(rows) => rows.next(),
        }
    }
}

impl Rows {
    fn next(&mut self) -> Result<Record, Failure> {
        let row = loop {
            if let Some(row) = self.rows.pop_front() {
                break row;
            }
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rows.extend(chunk.map_err(Failure::new)?),
                None => self.begin_again()?,
            }
        };
        self.given += 1;
        let content = row.content.map_err(|why| self.wrong(row.line, &why))?;
        // Rows without a key of their own are spread over the shards.
        let record = Record::new(content.key.unwrap_or_else(|| self.given.to_string()), content.data);
        match record.view().check(RECORD_BYTES_MAX) {
            Ok(()) => Ok(record),
            Err(bad) => Err(self.wrong(row.line, &bad.to_string())),
        }
    }

    fn begin_again(&mut self) -> Result<(), Failure> {
        if self.given == self.given_before {
            return Err(Failure::new(format!("{} holds no records", self.file.display())));
        }
        self.given_before = self.given;
        self.chunks = put::rows_of(&self.file, self.format, self.key_from.as_deref())?;
        Ok(())
    }

    fn wrong(&self, line: u64, why: &str) -> Failure {
        Failure::new(format!("{} line {line}: {why}", self.file.display()))
    }
}

/// Largest record of a stream that is made with the broker's defaults.
const RECORD_BYTES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, key_from: Option<&str>) -> (tempfile::TempDir, Records) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rows.csv");
        std::fs::write(&file, text).unwrap();
        let records = Records::open(Some(&file), None, key_from).unwrap();
        (directory, records)
    }

    #[test]
    fn a_file_is_read_again_and_again() {
        let (_directory, mut records) = rows("id,note\n7,a\n8,b\n", Some("id"));
        let next = |records: &mut Records| {
            let record = records.next().unwrap();
            (record.partition_key, String::from_utf8(record.data.to_vec()).unwrap())
        };
        for _ in 0..3 {
            assert_eq!(next(&mut records), ("7".to_owned(), "7,a".to_owned()));
            assert_eq!(next(&mut records), ("8".to_owned(), "8,b".to_owned()));
        }
    }

    #[test]
    fn rows_without_a_key_are_spread() {
        let (_directory, mut records) = rows("id\n7\n7\n", None);
        let keys: Vec<String> = (0..4).map(|_| records.next().unwrap().partition_key).collect();
        assert_eq!(keys, ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_cannot_be_put_is_named() {
        for (text, key_from, why) in [
            ("id\n", None, "rows.csv holds no records"),
            ("id,note\n7,a\n8\n", Some("note"), "rows.csv line 3: it has no column"),
            ("id,note\n,a\n", Some("id"), "rows.csv line 2: the partition key is empty"),
            ("id\n7\n", Some("key"), "rows.csv line 1: the header has no column"),
        ] {
            let (_directory, mut records) = rows(text, key_from);
            let failure = (0..3).find_map(|_| records.next().err()).expect("it cannot be put");
            assert!(failure.message().contains(why), "{}", failure.message());
        }
        let missing = Records::open(Some(Path::new("nowhere.csv")), None, None).unwrap_err();
        assert!(missing.message().starts_with("nowhere.csv: "), "{}", missing.message());
    }
}
