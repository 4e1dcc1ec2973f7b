//! What there is to say of each registered consumer. Bytes are those of keys and data.

use std::fmt;

use super::seconds;
use crate::metrics::snapshot::Consumer;
use crate::metrics::text::{Family, Kind, Subject, Text, Value};

/// Writes what there is to say of consumers.
pub(super) fn write(text: &mut Text<'_>, consumers: &[Consumer]) -> fmt::Result {
    let subjects = consumers
        .iter()
        .map(|of| Subject { labels: vec![("stream", of.of.name.as_str()), ("consumer", of.record.name.as_str())], of });
    text.families(CONSUMERS, &subjects.collect::<Vec<_>>())
}

const CONSUMERS: &[Family<Consumer>] = &[
    Family {
        name: "rheos_push_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of records that were pushed, in whole batches (SubscribeToShardEvent.Bytes).",
        value: |consumer| Some(Value::Whole(consumer.pushed.bytes)),
    },
    Family {
        name: "rheos_push_records_total",
        kind: Kind::Counter,
        help: "Records that were pushed, in whole batches (SubscribeToShardEvent.Records).",
        value: |consumer| Some(Value::Whole(consumer.pushed.records)),
    },
    Family {
        name: "rheos_push_behind_seconds",
        kind: Kind::Gauge,
        help: "How far the consumer is behind: age of the first record that was not pushed to it yet, of the shard that \
               is farthest behind; 0 when it was pushed everything, and nothing while it has no subscription \
               (SubscribeToShardEvent.MillisBehindLatest).",
        value: |consumer| consumer.behind_ms.map(seconds),
    },
    Family {
        name: "rheos_push_subscriptions",
        kind: Kind::Gauge,
        help: "Shards that are pushed to the consumer now.",
        value: |consumer| Some(Value::Whole(consumer.subscriptions)),
    },
    Family {
        name: "rheos_push_subscribed_total",
        kind: Kind::Counter,
        help: "Subscriptions to a shard that were begun (SubscribeToShard.Success).",
        value: |consumer| Some(Value::Whole(consumer.subscribed)),
    },
    Family {
        name: "rheos_push_superseded_total",
        kind: Kind::Counter,
        help: "Subscriptions that ended because the same consumer subscribed to the shard elsewhere.",
        value: |consumer| Some(Value::Whole(consumer.superseded)),
    },
    Family {
        name: "rheos_reservation_missed_seconds_total",
        kind: Kind::Counter,
        help: "Seconds in which a lane was late by 100 ms or more with what is reserved for the consumer, which had \
               credit for it; the sum of all lanes. Puts to such a lane are refused meanwhile. Nothing for a consumer \
               that has no reservation.",
        value: |consumer| {
            let is_told = consumer.record.reserved.is_some() || consumer.missed_ms > 0;
            is_told.then(|| seconds(consumer.missed_ms))
        },
    },
];
