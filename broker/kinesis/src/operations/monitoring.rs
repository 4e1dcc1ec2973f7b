//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: what is measured of each shard of a stream.
//!
//! What must hold: what is stored and shown is a set of the seven metrics; ALL is all of them, and never shown.

use rheos_core::catalog::{ShardMetric, ShardMetrics};

use super::streams::StreamView;
use crate::shapes::operations::find;
use crate::value::{Structure, Value, items};

/// The metrics that a call is about.
pub fn asked(input: &Structure) -> ShardMetrics {
    // The table knows eight names: what is no metric is ALL.
    let metrics = |name| ShardMetric::named(name).map_or(ShardMetrics::ALL, |metric| [metric].into_iter().collect());
    items::<&str>(input.required("ShardLevelMetrics")).map(metrics).fold(ShardMetrics::NONE, ShardMetrics::with)
}

/// The answer to EnableEnhancedMonitoring, of the stream as it was before, and what is measured now.
pub fn enabled(stream: &StreamView<'_>, now: ShardMetrics) -> Structure {
    changed("EnableEnhancedMonitoring", stream, now)
}

/// The answer to DisableEnhancedMonitoring, of the stream as it was before, and what is measured now.
pub fn disabled(stream: &StreamView<'_>, now: ShardMetrics) -> Structure {
    changed("DisableEnhancedMonitoring", stream, now)
}

/// Their names, in AWS's order.
pub(super) fn names(metrics: ShardMetrics) -> Value {
    metrics.iter().map(ShardMetric::name).collect()
}

fn changed(operation: &str, stream: &StreamView<'_>, now: ShardMetrics) -> Structure {
    let answer = find(operation).expect("it is in the table").answer();
    answer
        .with("StreamName", stream.arn.name().as_str())
        .with("CurrentShardLevelMetrics", names(stream.record.shard_metrics))
        .with("DesiredShardLevelMetrics", names(now))
        .with("StreamARN", stream.arn.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{input_of, json, record, viewed};

    fn asked_by(names: &[&str]) -> Vec<&'static str> {
        let input = input_of("EnableEnhancedMonitoring", [("ShardLevelMetrics", names.iter().copied().collect())]);
        asked(&input).iter().map(ShardMetric::name).collect()
    }

    #[test]
    fn metrics_are_asked_for_by_name_or_all_at_once() {
        let all: Vec<_> = ShardMetrics::ALL.iter().map(ShardMetric::name).collect();
        assert_eq!(
            asked_by(&["IteratorAgeMilliseconds", "IncomingBytes"]),
            ["IncomingBytes", "IteratorAgeMilliseconds"]
        );
        assert_eq!(asked_by(&["IncomingBytes", "IncomingBytes"]), ["IncomingBytes"]);
        assert_eq!((asked_by(&["ALL"]), asked_by(&["IncomingBytes", "ALL"])), (all.clone(), all));
    }

    #[test]
    fn an_answer_has_what_was_and_what_is() {
        let both: ShardMetrics =
            [ShardMetric::IncomingBytes, ShardMetric::IteratorAgeMilliseconds].into_iter().collect();
        let before = record(1).monitoring(both).expect("it had none");
        let age = [ShardMetric::IteratorAgeMilliseconds].into_iter().collect();
        let answer = viewed(&before, StreamStatus::Active, |view| json(&disabled(view, age)));
        assert_eq!(
            answer,
            r#"{"StreamName":"orders","CurrentShardLevelMetrics":["IncomingBytes","IteratorAgeMilliseconds"],"DesiredShardLevelMetrics":["IteratorAgeMilliseconds"],"StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders"}"#
        );
        assert_eq!(viewed(&before, StreamStatus::Active, |view| json(&enabled(view, age))), answer);
    }

    #[test]
    fn every_name_of_the_table_is_a_metric_or_all() {
        let crate::shapes::Shape::Text(text) = &crate::shapes::named::METRICS_NAME else { panic!("it is a text") };
        let metrics: Vec<_> = text.values.iter().filter_map(|name| ShardMetric::named(name)).collect();
        assert_eq!((metrics.as_slice(), text.values.last()), (ShardMetric::ALL.as_slice(), Some(&"ALL")));
    }
}
