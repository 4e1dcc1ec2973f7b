//! What there is to say of the broker as a whole.

use std::fmt;
use std::time::UNIX_EPOCH;

use super::process::{self, Process};
use crate::metrics::snapshot::{Everything, Snapshot};
use crate::metrics::text::{Family, Kind, Subject, Text, Value};

/// Writes what there is to say of the broker and its process.
pub(super) fn write(text: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    text.families(BUILD, &[Subject { labels: vec![("version", env!("CARGO_PKG_VERSION"))], of: &() }])?;
    text.families(process::FAMILIES, &[Subject { labels: Vec::new(), of: &Process::now() }])?;
    text.families(BROKER, &[Subject { labels: Vec::new(), of: snapshot }])?;
    let Some(everything) = &snapshot.served else { return Ok(()) };
    let shards = [("open", everything.counts.open_shards), ("closed", everything.counts.closed_shards)];
    text.families(SHARDS, &shards.each_ref().map(|(state, of)| Subject { labels: vec![("state", *state)], of }))?;
    text.families(SERVED, &[Subject { labels: Vec::new(), of: everything }])
}

const BUILD: &[Family<()>] = &[Family {
    name: "rheos_build_info",
    kind: Kind::Gauge,
    help: "1, with the version of the broker.",
    value: |()| Some(Value::Whole(1)),
}];

const BROKER: &[Family<Snapshot>] = &[
    Family {
        name: "rheos_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the broker was started, in seconds since 1970.",
        value: |snapshot| {
            let since = snapshot.started.duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(Value::Seconds(since.as_secs_f64()))
        },
    },
    Family {
        name: "rheos_ready",
        kind: Kind::Gauge,
        help: "1 when the broker has recovered, all lanes serve and puts can be stored, as /ready says; else 0.",
        value: |snapshot| Some(Value::Whole(snapshot.is_ready.into())),
    },
    Family {
        name: "rheos_disk_free_bytes",
        kind: Kind::Gauge,
        help: "Bytes of the data directory's file system that the broker can still write.",
        value: |snapshot| snapshot.space.map(|space| Value::Whole(space.free_bytes)),
    },
    Family {
        name: "rheos_disk_size_bytes",
        kind: Kind::Gauge,
        help: "Bytes of the data directory's file system in all.",
        value: |snapshot| snapshot.space.map(|space| Value::Whole(space.size_bytes)),
    },
];

const SHARDS: &[Family<u64>] = &[Family {
    name: "rheos_shards",
    kind: Kind::Gauge,
    help: "Shards of all streams: those that take puts, and those that were resharded and keep their records.",
    value: |count| Some(Value::Whole(*count)),
}];

const SERVED: &[Family<Everything>] = &[
    Family {
        name: "rheos_streams",
        kind: Kind::Gauge,
        help: "Streams that there are.",
        value: |everything| Some(Value::Whole(everything.counts.streams)),
    },
    Family {
        name: "rheos_consumers",
        kind: Kind::Gauge,
        help: "Registered consumers of all streams.",
        value: |everything| Some(Value::Whole(everything.consumers_count)),
    },
    Family {
        name: "rheos_read_only_logs",
        kind: Kind::Gauge,
        help: "Logs that take no puts, because they are damaged or the disk failed; the broker's log says which.",
        value: |everything| Some(Value::Whole(everything.read_only_logs())),
    },
    Family {
        name: "rheos_disk_low",
        kind: Kind::Gauge,
        help: "1 while puts are refused because the disk is nearly full.",
        value: |everything| Some(Value::Whole(everything.storage_low().into())),
    },
    Family {
        name: "rheos_metrics_streams_left_out",
        kind: Kind::Gauge,
        help: "Streams that are not listed here, because the page lists the first 1,000 that were made.",
        value: |everything| Some(Value::Whole(everything.counts.streams - everything.streams.len() as u64)),
    },
    Family {
        name: "rheos_metrics_shards_left_out",
        kind: Kind::Gauge,
        help: "Shards that are not listed here, because the page lists 1,000, those of older streams first.",
        value: |everything| {
            let all = everything.counts.open_shards + everything.counts.closed_shards;
            Some(Value::Whole(all.saturating_sub(everything.shards.len() as u64)))
        },
    },
    Family {
        name: "rheos_metrics_consumers_left_out",
        kind: Kind::Gauge,
        help: "Registered consumers that are not listed here, because the page lists 1,000, those of older streams \
               first.",
        value: |everything| {
            Some(Value::Whole(everything.consumers_count.saturating_sub(everything.consumers.len() as u64)))
        },
    },
];
