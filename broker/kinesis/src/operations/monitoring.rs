//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: what is measured of each shard of a stream.
//!
//! What must hold: what is stored and shown is a set of the seven metrics; ALL is all of them, and never shown.

use std::collections::BTreeSet;

use super::streams::StreamView;
use crate::shapes::operations::find;
use crate::value::{Structure, Value, items};

/// A metric of a shard. The order is AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Bytes that were put.
    IncomingBytes,
    /// Records that were put.
    IncomingRecords,
    /// Bytes that were read.
    OutgoingBytes,
    /// Records that were read.
    OutgoingRecords,
    /// Records that were refused because the shard was at its limit.
    WriteProvisionedThroughputExceeded,
    /// Reads that were refused for it.
    ReadProvisionedThroughputExceeded,
    /// How far reads are behind, in ms.
    IteratorAgeMilliseconds,
}

/// What is measured before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitoring {
    /// Before.
    pub current: BTreeSet<Metric>,
    /// After: what is to be stored.
    pub desired: BTreeSet<Metric>,
    operation: &'static str,
}

impl Metric {
    /// All seven.
    pub const ALL: &[Metric] = &[
        Metric::IncomingBytes,
        Metric::IncomingRecords,
        Metric::OutgoingBytes,
        Metric::OutgoingRecords,
        Metric::WriteProvisionedThroughputExceeded,
        Metric::ReadProvisionedThroughputExceeded,
        Metric::IteratorAgeMilliseconds,
    ];

    /// As it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Metric::IncomingBytes => "IncomingBytes",
            Metric::IncomingRecords => "IncomingRecords",
            Metric::OutgoingBytes => "OutgoingBytes",
            Metric::OutgoingRecords => "OutgoingRecords",
            Metric::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            Metric::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            Metric::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Metric> {
        Metric::ALL.iter().copied().find(|metric| metric.name() == name)
    }
}

/// What an EnableEnhancedMonitoring adds.
pub fn enable(input: &Structure, stream: &StreamView<'_>) -> Monitoring {
    let (current, desired) = (stream.metrics.clone(), stream.metrics | &asked(input));
    Monitoring { current, desired, operation: "EnableEnhancedMonitoring" }
}

/// What a DisableEnhancedMonitoring takes away.
pub fn disable(input: &Structure, stream: &StreamView<'_>) -> Monitoring {
    let (current, desired) = (stream.metrics.clone(), stream.metrics - &asked(input));
    Monitoring { current, desired, operation: "DisableEnhancedMonitoring" }
}

impl Monitoring {
    /// The answer to the change.
    pub fn answer(&self, stream: &StreamView<'_>) -> Structure {
        let answer = find(self.operation).expect("it is in the table").answer();
        answer
            .with("StreamName", stream.arn.name().as_str())
            .with("CurrentShardLevelMetrics", names(&self.current))
            .with("DesiredShardLevelMetrics", names(&self.desired))
            .with("StreamARN", stream.arn.to_string())
    }
}

/// Their names, in AWS's order.
pub(super) fn names(metrics: &BTreeSet<Metric>) -> Value {
    metrics.iter().map(|metric| metric.name()).collect()
}

fn asked(input: &Structure) -> BTreeSet<Metric> {
    let asked = items::<&str>(input.required("ShardLevelMetrics"));
    // The table knows eight names: what is no metric is ALL.
    asked.flat_map(|name| Metric::named(name).map_or(Metric::ALL.to_vec(), |metric| vec![metric])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{arn, input_of, json, record};

    fn change(operation: &str, now: &[Metric], names: &[&str]) -> (Vec<Metric>, String) {
        let metrics: BTreeSet<Metric> = now.iter().copied().collect();
        let (arn, record) = (arn(), record(1));
        let view =
            StreamView { arn: &arn, record: &record, status: StreamStatus::Active, metrics: &metrics, key_id: None };
        let input = input_of(operation, [("ShardLevelMetrics", names.iter().copied().collect())]);
        let change = if operation.starts_with('E') { enable(&input, &view) } else { disable(&input, &view) };
        assert_eq!(change.current, metrics);
        (change.desired.iter().copied().collect(), json(&change.answer(&view)))
    }

    #[test]
    fn metrics_are_added_and_taken_away() {
        let (on, off) = ("EnableEnhancedMonitoring", "DisableEnhancedMonitoring");
        let (bytes, age) = (Metric::IncomingBytes, Metric::IteratorAgeMilliseconds);
        for (operation, now, names, after) in [
            (on, &[][..], &["IteratorAgeMilliseconds", "IncomingBytes"][..], &[bytes, age][..]),
            (on, &[bytes], &["IncomingBytes"], &[bytes]),
            (on, &[bytes], &["ALL"], Metric::ALL),
            (off, &[bytes, age], &["IncomingBytes", "OutgoingBytes"], &[age]),
            (off, Metric::ALL, &["ALL"], &[]),
        ] {
            assert_eq!(change(operation, now, names).0, after, "{operation} {names:?}");
        }
        assert_eq!(
            change(off, &[bytes, age], &["IncomingBytes"]).1,
            r#"{"StreamName":"orders","CurrentShardLevelMetrics":["IncomingBytes","IteratorAgeMilliseconds"],"DesiredShardLevelMetrics":["IteratorAgeMilliseconds"],"StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders"}"#
        );
    }

    #[test]
    fn every_name_of_the_table_is_a_metric_or_all() {
        let crate::shapes::Shape::Text(text) = &crate::shapes::named::METRICS_NAME else { panic!("it is a text") };
        let metrics: Vec<_> = text.values.iter().filter_map(|name| Metric::named(name)).collect();
        assert_eq!((metrics.as_slice(), text.values.last()), (Metric::ALL, Some(&"ALL")));
    }
}
