//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: what is measured of each shard of a stream.
//!
//! What must hold: what is stored and shown is a set of the seven metrics; ALL is all of them, and never shown.

use rheos_core::catalog::{ShardMetric, ShardMetrics};

use super::streams::StreamView;
use crate::shapes::operations::find;
use crate::value::{Structure, Value, items};

/// What is measured before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitoring {
    /// Before.
    pub current: ShardMetrics,
    /// After: what is to be stored.
    pub desired: ShardMetrics,
    operation: &'static str,
}

/// What an EnableEnhancedMonitoring adds.
pub fn enable(input: &Structure, stream: &StreamView<'_>) -> Monitoring {
    let (current, desired) = (stream.record.shard_metrics, stream.record.shard_metrics.with(asked(input)));
    Monitoring { current, desired, operation: "EnableEnhancedMonitoring" }
}

/// What a DisableEnhancedMonitoring takes away.
pub fn disable(input: &Structure, stream: &StreamView<'_>) -> Monitoring {
    let (current, desired) = (stream.record.shard_metrics, stream.record.shard_metrics.without(asked(input)));
    Monitoring { current, desired, operation: "DisableEnhancedMonitoring" }
}

impl Monitoring {
    /// The answer to the change.
    pub fn answer(&self, stream: &StreamView<'_>) -> Structure {
        let answer = find(self.operation).expect("it is in the table").answer();
        answer
            .with("StreamName", stream.arn.name().as_str())
            .with("CurrentShardLevelMetrics", names(self.current))
            .with("DesiredShardLevelMetrics", names(self.desired))
            .with("StreamARN", stream.arn.to_string())
    }
}

/// Their names, in AWS's order.
pub(super) fn names(metrics: ShardMetrics) -> Value {
    metrics.iter().map(|metric| metric.name()).collect()
}

fn asked(input: &Structure) -> ShardMetrics {
    let asked = items::<&str>(input.required("ShardLevelMetrics"));
    // The table knows eight names: what is no metric is ALL.
    asked
        .map(|name| ShardMetric::named(name).map_or(ShardMetrics::ALL, |metric| ShardMetrics::from_iter([metric])))
        .fold(ShardMetrics::NONE, ShardMetrics::with)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{arn, input_of, json, record};

    fn change(operation: &str, now: &[ShardMetric], names: &[&str]) -> (Vec<ShardMetric>, String) {
        let metrics: ShardMetrics = now.iter().copied().collect();
        let (arn, bare) = (arn(), record(1));
        let record = bare.monitoring(metrics).unwrap_or(bare);
        let view = StreamView { arn: &arn, record: &record, status: StreamStatus::Active, key_id: None };
        let input = input_of(operation, [("ShardLevelMetrics", names.iter().copied().collect())]);
        let change = if operation.starts_with('E') { enable(&input, &view) } else { disable(&input, &view) };
        assert_eq!(change.current, metrics);
        (change.desired.iter().collect(), json(&change.answer(&view)))
    }

    #[test]
    fn metrics_are_added_and_taken_away() {
        let (on, off) = ("EnableEnhancedMonitoring", "DisableEnhancedMonitoring");
        let (bytes, age) = (ShardMetric::IncomingBytes, ShardMetric::IteratorAgeMilliseconds);
        for (operation, now, names, after) in [
            (on, &[][..], &["IteratorAgeMilliseconds", "IncomingBytes"][..], &[bytes, age][..]),
            (on, &[bytes], &["IncomingBytes"], &[bytes]),
            (on, &[bytes], &["ALL"], &ShardMetric::ALL),
            (off, &[bytes, age], &["IncomingBytes", "OutgoingBytes"], &[age]),
            (off, &ShardMetric::ALL, &["ALL"], &[]),
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
        let metrics: Vec<_> = text.values.iter().filter_map(|name| ShardMetric::named(name)).collect();
        assert_eq!((metrics.as_slice(), text.values.last()), (&ShardMetric::ALL[..], Some(&"ALL")));
    }
}
