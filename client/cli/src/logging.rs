//! The broker's log, on standard error: a line for people or a JSON object for each event.
//!
//! What must hold: an event is one line, whatever a peer has put into it; a flood of the same event is bounded and
//! counted; only the broker's own events are shown below warnings, because what libraries say is not ours to
//! vouch for.

mod limit;
mod line;

use std::io;
use std::os::linux::fs::MetadataExt;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, JsonFields, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::failure::is_coloured;
use crate::settings::{LogFormat, LogLevel};

pub(crate) use limit::Limit;

use line::{Line, journal_priority};

/// Begins to log. What is given bounds floods, once it is told to.
pub(crate) fn begin(level: LogLevel, format: LogFormat) -> Limit {
    let limit = Limit::default();
    let lines = in_format(format, is_journal()).with_filter(limit.clone());
    tracing_subscriber::registry().with(lines).with(shown(level)).init();
    limit
}

/// Whether standard error goes to systemd's journal, which has a clock and levels of its own.
pub(crate) fn is_journal() -> bool {
    let Some((device, inode)) = std::env::var("JOURNAL_STREAM").ok().and_then(|told| {
        let (device, inode) = told.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    }) else {
        return false;
    };
    // The variable is inherited also by those whose standard error was then sent elsewhere.
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| (stderr.st_dev(), stderr.st_ino()) == (device, inode))
}

fn in_format(shape: LogFormat, journal: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = fmt::layer().with_writer(io::stderr);
    let priority = journal.then_some(journal_priority as line::Prefix);
    let text = format().with_target(false).with_ansi(!journal && is_coloured());
    match (shape, journal) {
        (LogFormat::Json, _) => {
            let json = format().json().flatten_event(true);
            layer.fmt_fields(JsonFields::new()).event_format(Line::new(json, priority)).boxed()
        }
        (LogFormat::Text, true) => layer
            .fmt_fields(DefaultFields::new())
            .event_format(Line::new(text.without_time().with_level(false), priority))
            .boxed(),
        (LogFormat::Text, false) => {
            layer.fmt_fields(DefaultFields::new()).event_format(Line::new(text, priority)).boxed()
        }
    }
}

fn shown(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("rheos", ours)
}
