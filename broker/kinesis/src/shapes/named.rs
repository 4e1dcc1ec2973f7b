//! The named types that are no structures, with their constraints.

use super::{Bounds, Pattern, Shape, Text};

static NAME: Pattern = Pattern::new("[a-zA-Z0-9_.-]+");
static HASH_KEY_DIGITS: Pattern = Pattern::new(r"^(0|([1-9]\d{0,38}))$");
static SEQUENCE_NUMBER_DIGITS: Pattern = Pattern::new(r"^(0|([1-9]\d{0,128}))$");
static STREAM_ID_FORM: Pattern = Pattern::new("[a-z0-9]{20}-[a-z0-9]{3}");
static STREAM_ARN_FORM: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+");
static RESOURCE_ARN_FORM: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+");
static CONSUMER_ARN_FORM: Pattern =
    Pattern::new(r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+");

/// `BooleanObject`.
pub static BOOLEAN: Shape = Shape::Boolean;
/// `Timestamp`.
pub static TIMESTAMP: Shape = Shape::Timestamp;
/// A record's data: up to 10 MiB.
pub static DATA: Shape = Shape::Blob(Bounds::between(0, 10_485_760));

/// `StreamName`.
pub static STREAM_NAME: Shape = text_like(1, 128, &NAME);
/// `ConsumerName`.
pub static CONSUMER_NAME: Shape = text_like(1, 128, &NAME);
/// `ShardId`.
pub static SHARD_ID: Shape = text_like(1, 128, &NAME);
/// `StreamId`, which clients may send and rheos never does.
pub static STREAM_ID: Shape = text_like(1, 24, &STREAM_ID_FORM);
/// `StreamARN`.
pub static STREAM_ARN: Shape = text_like(1, 2048, &STREAM_ARN_FORM);
/// `ConsumerARN`.
pub static CONSUMER_ARN: Shape = text_like(1, 2048, &CONSUMER_ARN_FORM);
/// `ResourceARN`: of a stream, or of a consumer of one.
pub static RESOURCE_ARN: Shape = text_like(1, 2048, &RESOURCE_ARN_FORM);
/// `HashKey`: up to 39 decimal digits.
pub static HASH_KEY: Shape = digits(&HASH_KEY_DIGITS);
/// `SequenceNumber`: up to 129 decimal digits.
pub static SEQUENCE_NUMBER: Shape = digits(&SEQUENCE_NUMBER_DIGITS);
/// `PartitionKey`.
pub static PARTITION_KEY: Shape = text(1, 256);
/// `ShardIterator`.
pub static SHARD_ITERATOR: Shape = text(1, 512);
/// `NextToken`.
pub static NEXT_TOKEN: Shape = text(1, 1_048_576);
/// `KeyId` of a KMS key.
pub static KEY_ID: Shape = text(1, 2048);
/// `TagKey`.
pub static TAG_KEY: Shape = text(1, 128);
/// `TagValue`.
pub static TAG_VALUE: Shape = text(0, 256);
/// Text without bounds: policies, error codes, error messages.
pub static TEXT: Shape = Shape::Text(Text { length: Bounds::ANY, pattern: None, values: &[] });

/// `EncryptionType`.
pub static ENCRYPTION_TYPE: Shape = one_of(&["NONE", "KMS"]);
/// `StreamStatus`.
pub static STREAM_STATUS: Shape = one_of(&["CREATING", "DELETING", "ACTIVE", "UPDATING"]);
/// `StreamMode`.
pub static STREAM_MODE: Shape = one_of(&["PROVISIONED", "ON_DEMAND"]);
/// `ConsumerStatus`.
pub static CONSUMER_STATUS: Shape = one_of(&["CREATING", "DELETING", "ACTIVE"]);
/// `RecordDistributionStrategy`.
pub static DISTRIBUTION_STRATEGY: Shape = one_of(&["AUTO", "USER_PARTITION_KEY"]);
/// `ScalingType`.
pub static SCALING_TYPE: Shape = one_of(&["UNIFORM_SCALING"]);
/// `ShardIteratorType`, which is also a starting position's.
pub static SHARD_ITERATOR_TYPE: Shape =
    one_of(&["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]);
/// `ShardFilterType`.
pub static SHARD_FILTER_TYPE: Shape =
    one_of(&["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"]);
/// `MetricsName`.
pub static METRICS_NAME: Shape = one_of(&[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
]);
/// The status of the billing commitment that is asked for.
pub static COMMITMENT_WANTED: Shape = one_of(&["ENABLED", "DISABLED"]);
/// The status of the billing commitment.
pub static COMMITMENT_STATUS: Shape = one_of(&["ENABLED", "DISABLED", "ENABLED_UNTIL_EARLIEST_ALLOWED_END"]);

/// `RetentionPeriodHours`: the operations check its range, with texts of their own.
pub static RETENTION_HOURS: Shape = Shape::Integer(Bounds::ANY);
/// `PositiveIntegerObject`.
pub static POSITIVE: Shape = Shape::Integer(Bounds::at_least(1));
/// `NaturalIntegerObject`.
pub static NATURAL: Shape = Shape::Integer(Bounds::at_least(0));
/// The most entries of a page.
pub static PAGE_LIMIT: Shape = Shape::Integer(Bounds::between(1, 10_000));
/// The most tags of a page.
pub static TAG_PAGE_LIMIT: Shape = Shape::Integer(Bounds::between(1, 50));
/// Counts of streams, shards, consumers, channels and queues.
pub static COUNT: Shape = Shape::Integer(Bounds::between(0, 1_000_000));
/// `MaxRecordSizeInKiB`.
pub static MAX_RECORD_KIB: Shape = Shape::Integer(Bounds::between(1024, 10_240));
/// `MillisBehindLatest`.
pub static MILLIS_BEHIND: Shape = Shape::Long(Bounds::at_least(0));

/// `MetricsNameList`.
pub static METRICS_NAMES: Shape = Shape::List { item: &METRICS_NAME, length: Bounds::between(1, 7) };
/// `TagKeyList`.
pub static TAG_KEYS: Shape = Shape::List { item: &TAG_KEY, length: Bounds::between(1, 50) };
/// `StreamNameList`.
pub static STREAM_NAMES: Shape = Shape::List { item: &STREAM_NAME, length: Bounds::ANY };
/// `ShardIdList`.
pub static SHARD_IDS: Shape = Shape::List { item: &SHARD_ID, length: Bounds::ANY };
/// `TagMap`.
pub static TAG_MAP: Shape = Shape::Map { key: &TAG_KEY, value: &TAG_VALUE, length: Bounds::between(1, 200) };

const fn text(min: i64, max: i64) -> Shape {
    Shape::Text(Text { length: Bounds::between(min, max), pattern: None, values: &[] })
}

const fn text_like(min: i64, max: i64, pattern: &'static Pattern) -> Shape {
    Shape::Text(Text { length: Bounds::between(min, max), pattern: Some(pattern), values: &[] })
}

const fn digits(pattern: &'static Pattern) -> Shape {
    Shape::Text(Text { length: Bounds::ANY, pattern: Some(pattern), values: &[] })
}

const fn one_of(values: &'static [&'static str]) -> Shape {
    Shape::Text(Text { length: Bounds::ANY, pattern: None, values })
}
