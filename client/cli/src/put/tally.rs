//! What became of the records of a put, and the first one that went wrong.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::units::show_bytes;

pub(super) struct Tally {
    stream: String,
    sources: Vec<String>,
    acked: u64,
    acked_bytes: u64,
    refused: u64,
    indeterminate: u64,
    first_failure: Option<String>,
}

impl Tally {
    pub(super) fn new(stream: String, sources: Vec<String>) -> Tally {
        Tally { stream, sources, acked: 0, acked_bytes: 0, refused: 0, indeterminate: 0, first_failure: None }
    }

    pub(super) fn acked(&mut self, bytes: u64) {
        self.acked += 1;
        self.acked_bytes += bytes;
    }

    pub(super) fn refused(&mut self, source: usize, line: u64, why: &str) {
        self.refused += 1;
        self.note(source, line, why);
    }

    pub(super) fn indeterminate(&mut self, source: usize, line: u64, why: &str) {
        self.indeterminate += 1;
        self.note(source, line, &format!("it may or may not be stored: {why}"));
    }

    fn note(&mut self, source: usize, line: u64, why: &str) {
        self.first_failure.get_or_insert_with(|| format!("{} line {line}: {why}", self.sources[source]));
    }

    /// The summary: for people on standard error, for programs on standard output.
    pub(super) fn report(&self, elapsed: Duration, how: Output) -> Result<(), Failure> {
        let seconds = elapsed.as_secs_f64();
        let rate = self.acked as f64 / seconds.max(1e-6);
        if !how.is_text() {
            return output::json(&json!({
                "stream": self.stream,
                "records": self.acked,
                "bytes": self.acked_bytes,
                "seconds": seconds,
                "records_per_second": rate,
                "refused": self.refused,
                "indeterminate": self.indeterminate,
            }));
        }
        let stored = output::count(self.acked, "record");
        let bytes = show_bytes(self.acked_bytes);
        let (refused, indeterminate) = (self.refused, self.indeterminate);
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "{stored} ({bytes}) put into {} in {seconds:.2} s, {rate:.0} records/s; {refused} refused, {indeterminate} indeterminate",
            self.stream,
        );
        Ok(())
    }

    /// An error unless everything is stored.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let failed = self.refused + self.indeterminate;
        match &self.first_failure {
            None => Ok(()),
            Some(first) if failed == 1 => Err(Failure::new(format!("1 record is not known to be stored: {first}"))),
            Some(first) => {
                Err(Failure::new(format!("{failed} records are not known to be stored; the first is {first}")))
            }
        }
    }
}
