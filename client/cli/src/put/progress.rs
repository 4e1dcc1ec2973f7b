//! How far a put is, on a terminal alone: a pipe or a log sees nothing of it.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two looks at the bar, which is not free.
const EVERY: Duration = Duration::from_millis(50);

pub(super) struct Progress {
    bar: ProgressBar,
    records: Cell<u64>,
    /// Bytes of input, or records where they are made.
    position: Cell<u64>,
    shown: Cell<Instant>,
}

impl Progress {
    /// Of an input that is read; `bytes` is its length, if it is known.
    pub(super) fn of_bytes(bytes: Option<u64>) -> Progress {
        match bytes {
            Some(_) => Progress::new(bytes, "{bar:30} {percent}%  {msg}  {bytes_per_sec}  {eta} left"),
            None => Progress::new(None, "{spinner} {msg}  {bytes}  {bytes_per_sec}"),
        }
    }

    /// Of so many records that are made.
    pub(super) fn of_records(records: u64) -> Progress {
        Progress::new(Some(records), "{bar:30} {percent}%  {msg}  {eta} left")
    }

    fn new(length: Option<u64>, template: &str) -> Progress {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(length, target);
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        Progress { bar, records: Cell::new(0), position: Cell::new(0), shown: Cell::new(Instant::now()) }
    }

    /// A record is settled that took so much of the input.
    pub(super) fn advance(&self, by: u64) {
        self.records.set(self.records.get() + 1);
        self.position.set(self.position.get() + by);
        if !self.bar.is_hidden() && self.shown.get().elapsed() >= EVERY {
            self.shown.set(Instant::now());
            self.show();
        }
    }

    /// Says something without tearing the bar.
    pub(super) fn aside(&self, tell: impl FnOnce()) {
        self.bar.suspend(tell);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let records = self.records.get();
        self.bar.set_position(self.position.get());
        self.bar.set_message(format!("{records} records  {:.0}/s", records as f64 / seconds));
    }
}
