//! One event, one line; with systemd's priority before it where that is wanted.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What stands before an event of a level.
pub(super) type Prefix = fn(&Level) -> &'static str;

/// A format whose events are one line each.
pub(super) struct Line<F> {
    format: F,
    prefix: Option<Prefix>,
}

impl<F> Line<F> {
    pub(super) fn new(format: F, prefix: Option<Prefix>) -> Line<F> {
        Line { format, prefix }
    }
}

impl<S, N, F> FormatEvent<S, N> for Line<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        self.format.format_event(ctx, Writer::new(&mut text), event)?;
        if let Some(prefix) = self.prefix {
            writer.write_str(prefix(event.metadata().level()))?;
        }
        for part in text.trim().split_inclusive(['\n', '\r']) {
            match part.strip_suffix(['\n', '\r']) {
                Some(part) => write!(writer, "{part} ")?,
                None => writer.write_str(part)?,
            }
        }
        writer.write_char('\n')
    }
}

/// The level as sd-daemon(3) writes it.
pub(super) fn journal_priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}
