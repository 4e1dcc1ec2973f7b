//! The page: which families there are, each kind of thing with a table of its own.

mod broker;
mod consumers;
mod kinesis;
mod lanes;
mod process;
mod shards;
mod streams;

use super::snapshot::Snapshot;
use super::text::{self, Value};

/// The text of a page.
pub(super) fn write(snapshot: Snapshot) -> String {
    text::page(move |text| {
        broker::write(text, &snapshot)?;
        let Some(everything) = &snapshot.served else { return Ok(()) };
        lanes::write(text, &everything.lanes)?;
        streams::write(text, &everything.streams)?;
        shards::write(text, &everything.shards)?;
        consumers::write(text, &everything.consumers)?;
        kinesis::write(text, &everything.kinesis)
    })
}

/// Milliseconds as a page says them.
fn seconds(ms: u64) -> Value {
    Value::Seconds(ms as f64 / 1e3)
}
