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
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{DefaultFields, JsonFields, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::colours::is_coloured;
use crate::settings::{LogFormat, LogLevel};

pub(crate) use limit::Limit;

use line::{Line, journal_priority};

/// Begins to log. What is given bounds floods, once it is told to.
pub(crate) fn begin(level: LogLevel, format: LogFormat) -> Limit {
    let limit = Limit::default();
    let journal = is_journal();
    let lines = lines(format, journal, !journal && is_coloured(&io::stderr()), io::stderr).with_filter(limit.clone());
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

fn lines<W>(shape: LogFormat, journal: bool, coloured: bool, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    let priority = journal.then_some(journal_priority as line::Prefix);
    let text = format().with_target(false).with_ansi(coloured);
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::{debug, error, info, subscriber::with_default, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of what is logged meanwhile.
    fn logged(shape: LogFormat, journal: bool, limit: &Limit, say: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = lines(shape, journal, false, move || writer.clone()).with_filter(limit.clone());
        with_default(tracing_subscriber::registry().with(lines).with(shown(LogLevel::Info)), say);
        let bytes = kept.0.lock().expect("nobody panics").clone();
        String::from_utf8(bytes).expect("it is text").lines().map(str::to_owned).collect()
    }

    fn say_things() {
        error!(log = "4/0", "a write failed: input/output error");
        warn!("no client has\nmore lines \x1b[31mthan\r one");
        info!(lanes = 2, "serves");
        debug!("nobody wanted to know");
        warn!(target: "quinn", "others are heard when they warn");
        info!(target: "quinn", "and else not");
    }

    #[test]
    fn an_event_is_one_line_for_people() {
        let lines = logged(LogFormat::Text, false, &Limit::default(), say_things);
        let after_time: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
        assert_eq!(
            after_time,
            [
                "ERROR a write failed: input/output error log=\"4/0\"",
                " WARN no client has more lines \\x1b[31mthan  one",
                " INFO serves lanes=2",
                " WARN others are heard when they warn"
            ]
        );
        assert_eq!(lines.len(), 4, "{lines:?}");
    }

    #[test]
    fn an_event_is_one_object_for_machines() {
        let lines = logged(LogFormat::Json, false, &Limit::default(), say_things);
        let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        assert_eq!(objects.len(), 4);
        assert_eq!((&objects[0]["level"], &objects[0]["log"]), (&"ERROR".into(), &"4/0".into()));
        assert_eq!(objects[1]["message"], "no client has\nmore lines \x1b[31mthan\r one");
        assert_eq!((&objects[2]["lanes"], &objects[2]["message"]), (&2.into(), &"serves".into()));
        assert!(objects.iter().all(|object| object["timestamp"].as_str().is_some_and(|at| at.ends_with('Z'))));
    }

    #[test]
    fn the_journal_has_its_own_clock_and_levels() {
        let lines = logged(LogFormat::Text, true, &Limit::default(), say_things);
        let begins = ["<3>a write failed: ", "<4>no client has more", "<6>serves lanes=2", "<4>others"];
        assert_eq!(lines.len(), begins.len());
        assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{lines:?}");
        let json = logged(LogFormat::Json, true, &Limit::default(), say_things);
        assert!(json[0].starts_with("<3>{"), "{json:?}");
    }

    #[test]
    fn a_flood_is_left_out_and_counted() {
        let limit = Limit::default();
        let flood = |count: u64| (0..count).for_each(|at| warn!(at, "the same again"));
        let before = logged(LogFormat::Text, false, &limit, || flood(100));
        assert_eq!(before.len(), 100, "a start says everything");
        limit.begin_by_hand();
        let lines = logged(LogFormat::Text, false, &limit, || {
            flood(1_000);
            warn!("another place has its say");
            limit.say_left_out();
            limit.say_left_out();
        });
        assert_eq!(lines.len(), 12, "{lines:?}");
        assert!(lines[10].ends_with("another place has its say"), "{lines:?}");
        let said = "and more such lines, which were left out: the same again left_out=990";
        assert!(lines[11].ends_with(said), "{lines:?}");
    }
}
