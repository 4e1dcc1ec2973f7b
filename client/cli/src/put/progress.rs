//! How far a put is, on a terminal alone: a pipe or a log sees nothing of it.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Records between two looks at the bar, which is not free.
const RECORDS_EACH: u64 = 256;

pub(super) struct Progress {
    bar: ProgressBar,
    records: Cell<u64>,
    bytes: Cell<u64>,
}

impl Progress {
    /// `bytes` is the length of the whole input, if it is known.
    pub(super) fn new(bytes: Option<u64>) -> Progress {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::with_draw_target(Some(bytes), target),
                "{bar:30} {percent}%  {msg}  {bytes_per_sec}  {eta} left",
            ),
            None => (ProgressBar::with_draw_target(None, target), "{spinner} {msg}  {bytes}  {bytes_per_sec}"),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        Progress { bar, records: Cell::new(0), bytes: Cell::new(0) }
    }

    /// A record of so many bytes of input is settled.
    pub(super) fn advance(&self, bytes: u64) {
        let records = self.records.get() + 1;
        self.records.set(records);
        self.bytes.set(self.bytes.get() + bytes);
        if records.is_multiple_of(RECORDS_EACH) {
            let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
            self.bar.set_position(self.bytes.get());
            self.bar.set_message(format!("{records} records  {:.0}/s", records as f64 / seconds));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
