//! Streams: made, described, changed, deleted.

use super::{Operation, Output};
use crate::shapes::named::{
    BOOLEAN, DISTRIBUTION_STRATEGY, MAX_RECORD_KIB, NATURAL, NEXT_TOKEN, PAGE_LIMIT, POSITIVE, RETENTION_HOURS,
    SHARD_ID, STREAM_ARN, STREAM_ID, STREAM_NAME, STREAM_NAMES, TAG_MAP,
};
use crate::shapes::structures::{
    STREAM_DESCRIPTION, STREAM_DESCRIPTION_SUMMARY, STREAM_MODE_DETAILS, STREAM_SUMMARIES, WARM_THROUGHPUT,
};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 11] = [
    Operation {
        name: "CreateStream",
        input: &[
            required("StreamName", &STREAM_NAME),
            optional("ShardCount", &POSITIVE),
            optional("StreamModeDetails", &STREAM_MODE_DETAILS),
            optional("Tags", &TAG_MAP),
            optional("WarmThroughputMiBps", &NATURAL),
            optional("MaxRecordSizeInKiB", &MAX_RECORD_KIB),
            optional("RecordDistributionStrategy", &DISTRIBUTION_STRATEGY),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "DeleteStream",
        input: &[
            optional("StreamName", &STREAM_NAME),
            optional("EnforceConsumerDeletion", &BOOLEAN),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "DescribeStream",
        input: &[
            optional("StreamName", &STREAM_NAME),
            optional("Limit", &PAGE_LIMIT),
            optional("ExclusiveStartShardId", &SHARD_ID),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[required("StreamDescription", &STREAM_DESCRIPTION)]),
    },
    Operation {
        name: "DescribeStreamSummary",
        input: &[
            optional("StreamName", &STREAM_NAME),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[required("StreamDescriptionSummary", &STREAM_DESCRIPTION_SUMMARY)]),
    },
    Operation {
        name: "ListStreams",
        input: &[
            optional("Limit", &PAGE_LIMIT),
            optional("ExclusiveStartStreamName", &STREAM_NAME),
            optional("NextToken", &NEXT_TOKEN),
        ],
        output: Output::Body(&[
            required("StreamNames", &STREAM_NAMES),
            required("HasMoreStreams", &BOOLEAN),
            optional("NextToken", &NEXT_TOKEN),
            optional("StreamSummaries", &STREAM_SUMMARIES),
        ]),
    },
    Operation {
        name: "UpdateStreamMode",
        input: &[
            required("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            required("StreamModeDetails", &STREAM_MODE_DETAILS),
            optional("WarmThroughputMiBps", &NATURAL),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "UpdateMaxRecordSize",
        input: &[
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            required("MaxRecordSizeInKiB", &MAX_RECORD_KIB),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "UpdateStreamWarmThroughput",
        input: &[
            optional("StreamARN", &STREAM_ARN),
            optional("StreamName", &STREAM_NAME),
            optional("StreamId", &STREAM_ID),
            required("WarmThroughputMiBps", &NATURAL),
        ],
        output: Output::Body(&[
            optional("StreamARN", &STREAM_ARN),
            optional("StreamName", &STREAM_NAME),
            optional("WarmThroughput", &WARM_THROUGHPUT),
        ]),
    },
    Operation {
        name: "UpdateStreamRecordDistributionStrategy",
        input: &[
            required("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            required("RecordDistributionStrategy", &DISTRIBUTION_STRATEGY),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "IncreaseStreamRetentionPeriod",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("RetentionPeriodHours", &RETENTION_HOURS),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "DecreaseStreamRetentionPeriod",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("RetentionPeriodHours", &RETENTION_HOURS),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
];
