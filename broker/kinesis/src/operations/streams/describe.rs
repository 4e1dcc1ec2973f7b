//! DescribeStream and DescribeStreamSummary.
//!
//! What must hold: there is no `StreamId` in a description; a stream that is being made shows no shards yet.

use rheos_protocol::limits::RECORD_BYTES_LEAST;

use super::{ON_DEMAND, StreamView};
use crate::error::Error;
use crate::operations::monitoring;
use crate::operations::shards::shard;
use crate::operations::status::StreamStatus;
use crate::shapes::operations::find;
use crate::shapes::structures::{ENHANCED_METRICS, STREAM_DESCRIPTION, STREAM_DESCRIPTION_SUMMARY};
use crate::shard_id::ShardId;
use crate::value::{Structure, Value};

/// Most shards of a description, whatever is asked for.
const PAGE_SHARDS_MAX: usize = 100;
const HOUR_MS: u64 = 3_600_000;

/// The answer to DescribeStream.
///
/// # Errors
///
/// `ResourceNotFoundException` for an ExclusiveStartShardId that can be no shard's.
pub fn describe(input: &Structure, stream: &StreamView<'_>) -> Result<Structure, Error> {
    let after = input.optional::<&str>("ExclusiveStartShardId");
    let after = after.map(|given| ShardId::parse(given, &stream.arn.in_messages())).transpose()?;
    let asked = input.optional::<i64>("Limit").map_or(PAGE_SHARDS_MAX, |limit| limit as usize);
    let shown = stream.status != StreamStatus::Creating;
    let mut rest =
        stream.record.shards.iter().filter(|shard| shown && after.is_none_or(|after| shard.shard > after.number()));
    let page: Value = rest.by_ref().take(asked.min(PAGE_SHARDS_MAX)).map(shard).collect();
    let description = common(Structure::of(&STREAM_DESCRIPTION), stream)
        .with("Shards", page)
        .with("HasMoreShards", rest.next().is_some());
    Ok(answer("DescribeStream").with("StreamDescription", description))
}

/// The answer to DescribeStreamSummary, for a stream with so many registered consumers.
///
/// WarmThroughput is left out, as AWS does for streams without it, and so are counts of queues and channels, which
/// rheos does not have.
pub fn describe_summary(stream: &StreamView<'_>, consumers: usize) -> Structure {
    let record = stream.record;
    let record_kib = record.terms.record_bytes_max.max(RECORD_BYTES_LEAST) >> 10;
    let open = if stream.status == StreamStatus::Creating { 0 } else { record.open_shards().len() };
    let summary = common(Structure::of(&STREAM_DESCRIPTION_SUMMARY), stream)
        .with("OpenShardCount", open as i64)
        .with("ConsumerCount", consumers as i64)
        .with("MaxRecordSizeInKiB", record_kib)
        .with_some("RecordDistributionStrategy", (stream.mode() == ON_DEMAND).then_some("USER_PARTITION_KEY"));
    answer("DescribeStreamSummary").with("StreamDescriptionSummary", summary)
}

/// What both descriptions have.
fn common(structure: Structure, stream: &StreamView<'_>) -> Structure {
    let monitoring =
        Structure::of(&ENHANCED_METRICS).with("ShardLevelMetrics", monitoring::names(stream.record.shard_metrics));
    let retention_hours = i64::try_from(stream.record.terms.retention_ms / HOUR_MS).expect("it is at most a year");
    structure
        .with("StreamName", stream.arn.name().as_str())
        .with("StreamARN", stream.arn.to_string())
        .with("StreamStatus", stream.status.name())
        .with("StreamModeDetails", stream.mode_details())
        .with("RetentionPeriodHours", retention_hours)
        .with("StreamCreationTimestamp", stream.created())
        .with("EnhancedMonitoring", [monitoring].into_iter().collect::<Value>())
        .with("EncryptionType", "NONE")
}

fn answer(operation: &str) -> Structure {
    find(operation).expect("it is in the table").answer()
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::{Reshard, ShardMetric};

    use super::*;
    use crate::operations::testing::{CREATED_MS, input, json, on_demand, record, resharded, text_of, viewed};
    use crate::value::items;

    fn described(input: &Structure, shards: u32, status: StreamStatus) -> Structure {
        viewed(&record(shards), status, |view| describe(input, view)).expect("it may be")
    }

    #[test]
    fn a_stream_is_described_to_the_byte() {
        let input = input("DescribeStream", &[("StreamName", "orders")]);
        let split = resharded(&record(1), Reshard::Scale { target: 2 }, CREATED_MS + 2_000);
        let output = viewed(&split, StreamStatus::Active, |view| describe(&input, view)).expect("it may be");
        let (half, full) = ("170141183460469231731687303715884105727", "340282366920938463463374607431768211455");
        let head = r#"{"StreamDescription":{"StreamName":"orders","StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders","StreamStatus":"ACTIVE","StreamModeDetails":{"StreamMode":"PROVISIONED"},"Shards":["#;
        let tail = r#"],"HasMoreShards":false,"RetentionPeriodHours":24,"StreamCreationTimestamp":1700000000.000,"EnhancedMonitoring":[{"ShardLevelMetrics":[]}],"EncryptionType":"NONE"}}"#;
        let text = json(&output);
        assert!(text.starts_with(head) && text.ends_with(tail), "{text}");
        let parent = format!(
            r#"{{"ShardId":"shardId-000000000000","HashKeyRange":{{"StartingHashKey":"0","EndingHashKey":"{full}"}},"SequenceNumberRange":{{"StartingSequenceNumber":""#
        );
        let child = format!(
            r#"{{"ShardId":"shardId-000000000001","ParentShardId":"shardId-000000000000","HashKeyRange":{{"StartingHashKey":"0","EndingHashKey":"{half}"}}"#
        );
        assert!(text.contains(&parent) && text.contains(&child), "{text}");
    }

    #[test]
    fn shards_come_in_pages_of_at_most_a_hundred() {
        let page = |members: &[(&str, &str)], limit: Option<i64>| {
            let input = input("DescribeStream", members).with_some("Limit", limit);
            let output = described(&input, 150, StreamStatus::Active);
            let description: &Structure = output.required("StreamDescription");
            let ids: Vec<_> = items::<&Structure>(description.required("Shards"))
                .map(|shard| shard.required::<&str>("ShardId").to_owned())
                .collect();
            (ids.len(), ids.first().cloned(), description.required::<bool>("HasMoreShards"))
        };
        let id = |number: u32| Some(format!("shardId-{number:012}"));
        assert_eq!(page(&[], None), (100, id(0), true));
        assert_eq!(page(&[], Some(10_000)), (100, id(0), true));
        assert_eq!(page(&[], Some(3)), (3, id(0), true));
        assert_eq!(page(&[("ExclusiveStartShardId", "shardId-000000000049")], None), (100, id(50), false));
        assert_eq!(page(&[("ExclusiveStartShardId", "x-50")], None), (99, id(51), false));
        assert_eq!(page(&[("ExclusiveStartShardId", "149")], None), (0, None, false));
        let bad = input("DescribeStream", &[("ExclusiveStartShardId", "no")]);
        let refused = viewed(&record(1), StreamStatus::Active, |view| describe(&bad, view));
        assert_eq!(text_of(refused), "Could not find shard no in stream orders under account 000000000000.");
    }

    #[test]
    fn a_stream_that_is_being_made_shows_no_shards() {
        let output = described(&input("DescribeStream", &[]), 2, StreamStatus::Creating);
        let text = json(&output);
        assert!(text.contains(r#""StreamStatus":"CREATING""#) && text.contains(r#""Shards":[],"HasMoreShards":false"#));
    }

    #[test]
    fn a_summary_never_names_a_stream_id() {
        let summary = viewed(&on_demand(), StreamStatus::Active, |view| describe_summary(view, 2));
        let tail = r#""EncryptionType":"NONE","OpenShardCount":4,"ConsumerCount":2,"MaxRecordSizeInKiB":1024,"RecordDistributionStrategy":"USER_PARTITION_KEY"}}"#;
        let text = json(&summary);
        assert!(text.ends_with(tail) && !text.contains("StreamId") && text.contains("ON_DEMAND"), "{text}");
        let metrics = [ShardMetric::IncomingBytes].into_iter().collect();
        let record = record(1).monitoring(metrics).expect("it had none");
        let text = json(&viewed(&record, StreamStatus::Active, |view| describe_summary(view, 0)));
        assert!(text.contains(r#"[{"ShardLevelMetrics":["IncomingBytes"]}],"EncryptionType":"NONE","#), "{text}");
    }
}
