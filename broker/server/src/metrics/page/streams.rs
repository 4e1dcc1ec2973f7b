//! What there is to say of each stream. Bytes are those of keys and data.

use std::fmt;

use rheos_core::counts::Refusal;

use super::seconds;
use crate::metrics::snapshot::Stream;
use crate::metrics::text::{Family, Kind, Subject, Text, Value};
use crate::scaling::StepCounts;

/// Writes what there is to say of streams.
pub(super) fn write(text: &mut Text<'_>, streams: &[Stream]) -> fmt::Result {
    let subjects: Vec<_> = streams.iter().map(|of| Subject { labels: vec![("stream", of.name())], of }).collect();
    text.families(STREAMS, &subjects)?;
    let refused = streams.iter().flat_map(|of| Refusal::ALL.map(|why| (of, why, of.counts.refused.records(why))));
    // Most streams never see most of them. The one that everybody watches is always there.
    let shown: Vec<_> = refused.filter(|(_, why, records)| *records > 0 || *why == Refusal::Throttled).collect();
    let subjects = shown
        .iter()
        .map(|(stream, why, of)| Subject { labels: vec![("stream", stream.name()), ("reason", why.name())], of });
    text.families(REFUSED, &subjects.collect::<Vec<_>>())?;
    // A provisioned stream never has any, unless it was on demand before.
    let is_scaled = |of: &&Stream| of.record.terms.mode.bounds().is_some() || of.steps != StepCounts::default();
    let steps =
        streams.iter().filter(is_scaled).flat_map(|of| [("up", of, &of.steps.up), ("down", of, &of.steps.down)]);
    let subjects =
        steps.map(|(way, stream, of)| Subject { labels: vec![("stream", stream.name()), ("direction", way)], of });
    text.families(STEPS, &subjects.collect::<Vec<_>>())
}

impl Stream {
    fn name(&self) -> &str {
        self.record.name.as_str()
    }
}

const STREAMS: &[Family<Stream>] = &[
    Family {
        name: "rheos_incoming_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of records that were put and are durable (IncomingBytes).",
        value: |stream| Some(Value::Whole(stream.counts.incoming.bytes)),
    },
    Family {
        name: "rheos_incoming_records_total",
        kind: Kind::Counter,
        help: "Records that were put and are durable, each once however often it was sent (IncomingRecords).",
        value: |stream| Some(Value::Whole(stream.counts.incoming.records)),
    },
    Family {
        name: "rheos_read_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of records that reads were given, in whole batches; pushes are not reads (GetRecords.Bytes).",
        value: |stream| Some(Value::Whole(stream.counts.read.bytes)),
    },
    Family {
        name: "rheos_read_records_total",
        kind: Kind::Counter,
        help: "Records that reads were given, in whole batches (GetRecords.Records).",
        value: |stream| Some(Value::Whole(stream.counts.read.records)),
    },
    Family {
        name: "rheos_reads_total",
        kind: Kind::Counter,
        help: "Reads that were answered, also those that were given nothing (GetRecords.Success).",
        value: |stream| Some(Value::Whole(stream.counts.reads)),
    },
    Family {
        name: "rheos_read_throttled_total",
        kind: Kind::Counter,
        help: "Reads that were refused for a moment, because the way to their lane was full \
               (ReadProvisionedThroughputExceeded).",
        value: |stream| Some(Value::Whole(stream.reads_turned_away)),
    },
    Family {
        name: "rheos_read_behind_seconds",
        kind: Kind::Gauge,
        help: "How far reads are behind: age of the last record that the last read of a shard was given, of the shard \
               that is farthest behind; 0 when all are caught up, and nothing when nobody has read for a minute \
               (GetRecords.IteratorAgeMilliseconds).",
        value: |stream| stream.iterator_age_ms.map(seconds),
    },
    Family {
        name: "rheos_stored_bytes",
        kind: Kind::Gauge,
        help: "Bytes of the stream's segments on the disk, spare ones included; looked up about once a second, more \
               seldom where there are very many.",
        value: |stream| Some(Value::Whole(stream.stored_bytes)),
    },
];

const REFUSED: &[Family<u64>] = &[Family {
    name: "rheos_put_refused_records_total",
    kind: Kind::Counter,
    help: "Records of puts that were answered with an error, by reason; throttled is Kinesis's \
           WriteProvisionedThroughputExceeded. A reason is listed once it has happened, throttled always.",
    value: |records| Some(Value::Whole(*records)),
}];

const STEPS: &[Family<u64>] = &[Family {
    name: "rheos_scaling_steps_total",
    kind: Kind::Counter,
    help: "Steps of an on-demand stream that were done, up to more shards or down to fewer; their reasons are in \
           rheos stream scaling-history.",
    value: |steps| Some(Value::Whole(*steps)),
}];
