//! Shards: listed, split, merged, scaled.

use super::{Operation, Output};
use crate::shapes::named::{
    HASH_KEY, NEXT_TOKEN, PAGE_LIMIT, POSITIVE, SCALING_TYPE, SHARD_ID, STREAM_ARN, STREAM_ID, STREAM_NAME, TIMESTAMP,
};
use crate::shapes::structures::{SHARD_FILTER, SHARDS};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 4] = [
    Operation {
        name: "ListShards",
        input: &[
            optional("StreamName", &STREAM_NAME),
            optional("NextToken", &NEXT_TOKEN),
            optional("ExclusiveStartShardId", &SHARD_ID),
            optional("MaxResults", &PAGE_LIMIT),
            optional("StreamCreationTimestamp", &TIMESTAMP),
            optional("ShardFilter", &SHARD_FILTER),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[optional("Shards", &SHARDS), optional("NextToken", &NEXT_TOKEN)]),
    },
    Operation {
        name: "SplitShard",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("ShardToSplit", &SHARD_ID),
            required("NewStartingHashKey", &HASH_KEY),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "MergeShards",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("ShardToMerge", &SHARD_ID),
            required("AdjacentShardToMerge", &SHARD_ID),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "UpdateShardCount",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("TargetShardCount", &POSITIVE),
            required("ScalingType", &SCALING_TYPE),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[
            optional("StreamName", &STREAM_NAME),
            optional("CurrentShardCount", &POSITIVE),
            optional("TargetShardCount", &POSITIVE),
            optional("StreamARN", &STREAM_ARN),
        ]),
    },
];
