//! The structures that operations share, and lists of them.
//!
//! `SubscribeToShardEvent` differs from AWS's model in one mark: its ContinuationSequenceNumber is
//! optional, because at the end of a shard it must be absent.

use super::named::{
    BOOLEAN, COMMITMENT_STATUS, COMMITMENT_WANTED, CONSUMER_ARN, CONSUMER_NAME, CONSUMER_STATUS, COUNT, DATA,
    DISTRIBUTION_STRATEGY, ENCRYPTION_TYPE, HASH_KEY, KEY_ID, MAX_RECORD_KIB, METRICS_NAMES, MILLIS_BEHIND, NATURAL,
    PARTITION_KEY, RETENTION_HOURS, SEQUENCE_NUMBER, SHARD_FILTER_TYPE, SHARD_ID, SHARD_IDS, SHARD_ITERATOR_TYPE,
    STREAM_ARN, STREAM_MODE, STREAM_NAME, STREAM_STATUS, TAG_KEY, TAG_VALUE, TEXT, TIMESTAMP,
};
use super::{Bounds, Shape, optional, required};

/// `StreamModeDetails`.
pub static STREAM_MODE_DETAILS: Shape =
    Shape::Structure { name: "StreamModeDetails", members: &[required("StreamMode", &STREAM_MODE)] };

/// `HashKeyRange`.
pub static HASH_KEY_RANGE: Shape = Shape::Structure {
    name: "HashKeyRange",
    members: &[required("StartingHashKey", &HASH_KEY), required("EndingHashKey", &HASH_KEY)],
};

/// `SequenceNumberRange`.
pub static SEQUENCE_NUMBER_RANGE: Shape = Shape::Structure {
    name: "SequenceNumberRange",
    members: &[
        required("StartingSequenceNumber", &SEQUENCE_NUMBER),
        optional("EndingSequenceNumber", &SEQUENCE_NUMBER),
    ],
};

/// `Shard`.
pub static SHARD: Shape = Shape::Structure {
    name: "Shard",
    members: &[
        required("ShardId", &SHARD_ID),
        optional("ParentShardId", &SHARD_ID),
        optional("AdjacentParentShardId", &SHARD_ID),
        required("HashKeyRange", &HASH_KEY_RANGE),
        required("SequenceNumberRange", &SEQUENCE_NUMBER_RANGE),
    ],
};

/// `ShardList`.
pub static SHARDS: Shape = Shape::List { item: &SHARD, length: Bounds::ANY };

/// `EnhancedMetrics`.
pub static ENHANCED_METRICS: Shape =
    Shape::Structure { name: "EnhancedMetrics", members: &[optional("ShardLevelMetrics", &METRICS_NAMES)] };

/// `EnhancedMonitoringList`.
pub static ENHANCED_MONITORING: Shape = Shape::List { item: &ENHANCED_METRICS, length: Bounds::ANY };

/// `StreamDescription`.
pub static STREAM_DESCRIPTION: Shape = Shape::Structure {
    name: "StreamDescription",
    members: &[
        required("StreamName", &STREAM_NAME),
        required("StreamARN", &STREAM_ARN),
        required("StreamStatus", &STREAM_STATUS),
        optional("StreamModeDetails", &STREAM_MODE_DETAILS),
        required("Shards", &SHARDS),
        required("HasMoreShards", &BOOLEAN),
        required("RetentionPeriodHours", &RETENTION_HOURS),
        required("StreamCreationTimestamp", &TIMESTAMP),
        required("EnhancedMonitoring", &ENHANCED_MONITORING),
        optional("EncryptionType", &ENCRYPTION_TYPE),
        optional("KeyId", &KEY_ID),
    ],
};

/// `WarmThroughputObject`.
pub static WARM_THROUGHPUT: Shape = Shape::Structure {
    name: "WarmThroughputObject",
    members: &[optional("TargetMiBps", &NATURAL), optional("CurrentMiBps", &NATURAL)],
};

/// `StreamDescriptionSummary`.
pub static STREAM_DESCRIPTION_SUMMARY: Shape = Shape::Structure {
    name: "StreamDescriptionSummary",
    members: &[
        required("StreamName", &STREAM_NAME),
        required("StreamARN", &STREAM_ARN),
        required("StreamStatus", &STREAM_STATUS),
        optional("StreamModeDetails", &STREAM_MODE_DETAILS),
        required("RetentionPeriodHours", &RETENTION_HOURS),
        required("StreamCreationTimestamp", &TIMESTAMP),
        required("EnhancedMonitoring", &ENHANCED_MONITORING),
        optional("EncryptionType", &ENCRYPTION_TYPE),
        optional("KeyId", &KEY_ID),
        required("OpenShardCount", &COUNT),
        optional("ConsumerCount", &COUNT),
        optional("WarmThroughput", &WARM_THROUGHPUT),
        optional("MaxRecordSizeInKiB", &MAX_RECORD_KIB),
        optional("ChannelCount", &COUNT),
        optional("RecordDistributionStrategy", &DISTRIBUTION_STRATEGY),
        optional("QueueCount", &COUNT),
    ],
};

/// `StreamSummary`.
pub static STREAM_SUMMARY: Shape = Shape::Structure {
    name: "StreamSummary",
    members: &[
        required("StreamName", &STREAM_NAME),
        required("StreamARN", &STREAM_ARN),
        required("StreamStatus", &STREAM_STATUS),
        optional("StreamModeDetails", &STREAM_MODE_DETAILS),
        optional("StreamCreationTimestamp", &TIMESTAMP),
    ],
};

/// `StreamSummaryList`.
pub static STREAM_SUMMARIES: Shape = Shape::List { item: &STREAM_SUMMARY, length: Bounds::ANY };

/// `ShardFilter`.
pub static SHARD_FILTER: Shape = Shape::Structure {
    name: "ShardFilter",
    members: &[required("Type", &SHARD_FILTER_TYPE), optional("ShardId", &SHARD_ID), optional("Timestamp", &TIMESTAMP)],
};

/// `PutRecordsRequestEntry`.
pub static PUT_ENTRY: Shape = Shape::Structure {
    name: "PutRecordsRequestEntry",
    members: &[
        required("Data", &DATA),
        optional("ExplicitHashKey", &HASH_KEY),
        optional("PartitionKey", &PARTITION_KEY),
    ],
};

/// `PutRecordsRequestEntryList`.
pub static PUT_ENTRIES: Shape = Shape::List { item: &PUT_ENTRY, length: Bounds::between(1, 500) };

/// `PutRecordsResultEntry`.
pub static PUT_RESULT: Shape = Shape::Structure {
    name: "PutRecordsResultEntry",
    members: &[
        optional("SequenceNumber", &SEQUENCE_NUMBER),
        optional("ShardId", &SHARD_ID),
        optional("ErrorCode", &TEXT),
        optional("ErrorMessage", &TEXT),
    ],
};

/// `PutRecordsResultEntryList`.
pub static PUT_RESULTS: Shape = Shape::List { item: &PUT_RESULT, length: Bounds::between(1, 500) };

/// `Record`.
pub static RECORD: Shape = Shape::Structure {
    name: "Record",
    members: &[
        required("SequenceNumber", &SEQUENCE_NUMBER),
        optional("ApproximateArrivalTimestamp", &TIMESTAMP),
        required("Data", &DATA),
        optional("PartitionKey", &PARTITION_KEY),
        optional("EncryptionType", &ENCRYPTION_TYPE),
    ],
};

/// `RecordList`.
pub static RECORDS: Shape = Shape::List { item: &RECORD, length: Bounds::ANY };

/// `ChildShard`.
pub static CHILD_SHARD: Shape = Shape::Structure {
    name: "ChildShard",
    members: &[
        required("ShardId", &SHARD_ID),
        required("ParentShards", &SHARD_IDS),
        required("HashKeyRange", &HASH_KEY_RANGE),
    ],
};

/// `ChildShardList`.
pub static CHILD_SHARDS: Shape = Shape::List { item: &CHILD_SHARD, length: Bounds::ANY };

/// `Consumer`.
pub static CONSUMER: Shape = Shape::Structure {
    name: "Consumer",
    members: &[
        required("ConsumerName", &CONSUMER_NAME),
        required("ConsumerARN", &CONSUMER_ARN),
        required("ConsumerStatus", &CONSUMER_STATUS),
        required("ConsumerCreationTimestamp", &TIMESTAMP),
    ],
};

/// `ConsumerDescription`.
pub static CONSUMER_DESCRIPTION: Shape = Shape::Structure {
    name: "ConsumerDescription",
    members: &[
        required("ConsumerName", &CONSUMER_NAME),
        required("ConsumerARN", &CONSUMER_ARN),
        required("ConsumerStatus", &CONSUMER_STATUS),
        required("ConsumerCreationTimestamp", &TIMESTAMP),
        required("StreamARN", &STREAM_ARN),
    ],
};

/// `ConsumerList`.
pub static CONSUMERS: Shape = Shape::List { item: &CONSUMER, length: Bounds::ANY };

/// `StartingPosition`.
pub static STARTING_POSITION: Shape = Shape::Structure {
    name: "StartingPosition",
    members: &[
        required("Type", &SHARD_ITERATOR_TYPE),
        optional("SequenceNumber", &SEQUENCE_NUMBER),
        optional("Timestamp", &TIMESTAMP),
    ],
};

/// `SubscribeToShardEvent`.
pub static SUBSCRIBE_TO_SHARD_EVENT: Shape = Shape::Structure {
    name: "SubscribeToShardEvent",
    members: &[
        required("Records", &RECORDS),
        optional("ContinuationSequenceNumber", &SEQUENCE_NUMBER),
        required("MillisBehindLatest", &MILLIS_BEHIND),
        optional("ChildShards", &CHILD_SHARDS),
    ],
};

/// `Tag`.
pub static TAG: Shape =
    Shape::Structure { name: "Tag", members: &[required("Key", &TAG_KEY), optional("Value", &TAG_VALUE)] };

/// `TagList`.
pub static TAGS: Shape = Shape::List { item: &TAG, length: Bounds::between(0, 200) };

/// `MinimumThroughputBillingCommitmentOutput`.
pub static COMMITMENT: Shape = Shape::Structure {
    name: "MinimumThroughputBillingCommitmentOutput",
    members: &[
        required("Status", &COMMITMENT_STATUS),
        optional("StartedAt", &TIMESTAMP),
        optional("EndedAt", &TIMESTAMP),
        optional("EarliestAllowedEndAt", &TIMESTAMP),
    ],
};

/// `MinimumThroughputBillingCommitmentInput`.
pub static COMMITMENT_REQUEST: Shape = Shape::Structure {
    name: "MinimumThroughputBillingCommitmentInput",
    members: &[required("Status", &COMMITMENT_WANTED)],
};
