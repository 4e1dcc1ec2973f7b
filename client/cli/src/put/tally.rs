//! What became of the records of a put, and the first one that went wrong.

use std::io::Write;
use std::time::Duration;

use rheos_client::Outcome;
use serde_json::json;

use super::settle::Place;
use crate::arguments::Output;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::units::show_bytes;

pub(super) struct Tally {
    stream: String,
    /// How places in the sources are called: `flights.csv line`.
    sources: Vec<String>,
    acked: u64,
    acked_bytes: u64,
    refused: u64,
    indeterminate: u64,
    first_failure: Option<(Exit, String)>,
}

impl Tally {
    pub(super) fn new(stream: String, sources: Vec<String>) -> Tally {
        Tally { stream, sources, acked: 0, acked_bytes: 0, refused: 0, indeterminate: 0, first_failure: None }
    }

    /// Counts a record that was put.
    pub(super) fn settled(&mut self, place: Place, bytes: u64, outcome: Outcome) {
        match outcome {
            Outcome::Acked { .. } => {
                self.acked += 1;
                self.acked_bytes += bytes;
            }
            Outcome::Refused(why) => self.refused(place, Failure::from(why)),
            Outcome::Indeterminate(why) => {
                self.indeterminate += 1;
                self.note(place, Exit::NotKnown, &format!("it may or may not be stored: {why}"));
            }
        }
    }

    /// Counts a record that is not stored.
    pub(super) fn refused(&mut self, place: Place, why: Failure) {
        self.refused += 1;
        self.note(place, why.exit(), why.message());
    }

    fn note(&mut self, place: Place, exit: Exit, why: &str) {
        self.first_failure
            .get_or_insert_with(|| (exit, format!("{} {}: {why}", self.sources[place.source], place.line)));
    }

    /// The summary: for people on standard error, for programs on standard output. `late_max` is how late
    /// the latest record was that had a time.
    pub(super) fn report(&self, elapsed: Duration, late_max: Option<Duration>, how: Output) -> Result<(), Failure> {
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
                "late_ms_max": late_max.map(|late| late.as_secs_f64() * 1e3),
            }));
        }
        let stored = output::count(self.acked, "record");
        let bytes = show_bytes(self.acked_bytes);
        let (refused, indeterminate) = (self.refused, self.indeterminate);
        let late =
            late_max.map_or_else(String::new, |late| format!(", at most {:.0} ms late", late.as_secs_f64() * 1e3));
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "{stored} ({bytes}) put into {} in {seconds:.2} s, {rate:.0} records/s{late}; {refused} refused, \
             {indeterminate} indeterminate",
            self.stream,
        );
        Ok(())
    }

    /// An error unless everything is stored.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let Some((exit, first)) = &self.first_failure else { return Ok(()) };
        // What is not known weighs more than why something else was refused.
        let exit = if self.indeterminate > 0 { Exit::NotKnown } else { *exit };
        let said = match self.refused + self.indeterminate {
            1 => format!("1 record is not known to be stored: {first}"),
            failed => format!("{failed} records are not known to be stored; the first is {first}"),
        };
        Err(Failure::Told(exit, said))
    }
}
