//! What there is to say of each shard. Bytes are those of keys and data.

use std::fmt;

use super::seconds;
use crate::metrics::snapshot::Shard;
use crate::metrics::text::{Family, Kind, Subject, Text, Value};

/// Writes what there is to say of shards.
pub(super) fn write(text: &mut Text<'_>, shards: &[Shard]) -> fmt::Result {
    let numbers: Vec<String> = shards.iter().map(|shard| shard.report.shard.to_string()).collect();
    let subjects = shards
        .iter()
        .zip(&numbers)
        .map(|(of, number)| Subject { labels: vec![("stream", of.of.name.as_str()), ("shard", number.as_str())], of });
    text.families(SHARDS, &subjects.collect::<Vec<_>>())
}

const SHARDS: &[Family<Shard>] = &[
    Family {
        name: "rheos_shard_incoming_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of records that were put and are durable (IncomingBytes).",
        value: |shard| Some(Value::Whole(shard.report.incoming.bytes)),
    },
    Family {
        name: "rheos_shard_incoming_records_total",
        kind: Kind::Counter,
        help: "Records that were put and are durable (IncomingRecords).",
        value: |shard| Some(Value::Whole(shard.report.incoming.records)),
    },
    Family {
        name: "rheos_shard_outgoing_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of records that were read and pushed, in whole batches (OutgoingBytes).",
        value: |shard| Some(Value::Whole(shard.report.outgoing.bytes)),
    },
    Family {
        name: "rheos_shard_outgoing_records_total",
        kind: Kind::Counter,
        help: "Records that were read and pushed, in whole batches (OutgoingRecords).",
        value: |shard| Some(Value::Whole(shard.report.outgoing.records)),
    },
    Family {
        name: "rheos_shard_behind_seconds",
        kind: Kind::Gauge,
        help: "How far reads are behind: age of the last record that the last read was given; 0 when it is caught up, \
               and nothing when nobody has read for a minute (IteratorAgeMilliseconds).",
        value: |shard| shard.report.iterator_age_ms.map(seconds),
    },
    Family {
        name: "rheos_shard_put_refused_records_total",
        kind: Kind::Counter,
        help: "Records of puts that were answered with an error, whatever the reason.",
        value: |shard| Some(Value::Whole(shard.report.refused_records)),
    },
    Family {
        name: "rheos_shard_tip_sequence",
        kind: Kind::Gauge,
        help: "Sequence that the next record will have: everything before it is durable.",
        value: |shard| Some(Value::Whole(shard.report.tip_sequence)),
    },
];
