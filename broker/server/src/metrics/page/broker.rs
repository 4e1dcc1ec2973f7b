//! What there is to say of the broker as a whole.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::process::{self, Process};
use super::text::{Family, Kind, Subject, Text, Value};
use crate::standing::Standing;

/// The broker at a moment.
struct Broker {
    started: SystemTime,
    /// What there is of streams; nothing before the catalog is open.
    counted: Option<Counted>,
}

#[derive(Clone, Copy)]
struct Counted {
    streams: u64,
    consumers: u64,
}

/// Writes what there is to say of the broker and its process.
pub(super) fn write(text: &mut Text<'_>, standing: &Standing, started: SystemTime) -> fmt::Result {
    let counted = match standing {
        Standing::Serving(served) => {
            Some(Counted { streams: served.streams.count() as u64, consumers: served.consumers.count() as u64 })
        }
        Standing::Starting | Standing::Stopping => None,
    };
    text.families(BUILD, &[Subject { labels: vec![("version", env!("CARGO_PKG_VERSION"))], of: () }])?;
    text.families(FAMILIES, &[Subject { labels: Vec::new(), of: Broker { started, counted } }])?;
    text.families(process::FAMILIES, &[Subject { labels: Vec::new(), of: Process::now() }])
}

const BUILD: &[Family<()>] = &[Family {
    name: "rheos_build_info",
    kind: Kind::Gauge,
    help: "1, with the version of the broker.",
    value: |()| Some(Value::Whole(1)),
}];

const FAMILIES: &[Family<Broker>] = &[
    Family {
        name: "rheos_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the broker was started, in seconds since 1970.",
        value: |broker| {
            let since = broker.started.duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(Value::Seconds(since.as_secs_f64()))
        },
    },
    Family {
        name: "rheos_streams",
        kind: Kind::Gauge,
        help: "Streams that there are.",
        value: |broker| broker.counted.map(|counted| Value::Whole(counted.streams)),
    },
    Family {
        name: "rheos_consumers",
        kind: Kind::Gauge,
        help: "Registered consumers of all streams.",
        value: |broker| broker.counted.map(|counted| Value::Whole(counted.consumers)),
    },
];
