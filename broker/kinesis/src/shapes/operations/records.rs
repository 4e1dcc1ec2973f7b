//! Records: put and read.

use super::{Operation, Output};
use crate::shapes::named::{
    BOOLEAN, DATA, ENCRYPTION_TYPE, HASH_KEY, MILLIS_BEHIND, PAGE_LIMIT, PARTITION_KEY, POSITIVE, SEQUENCE_NUMBER,
    SHARD_ID, SHARD_ITERATOR, SHARD_ITERATOR_TYPE, STREAM_ARN, STREAM_ID, STREAM_NAME, TIMESTAMP,
};
use crate::shapes::structures::{CHILD_SHARDS, PUT_ENTRIES, PUT_RESULTS, RECORDS};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 4] = [
    Operation {
        name: "PutRecord",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("Data", &DATA),
            optional("PartitionKey", &PARTITION_KEY),
            optional("ExplicitHashKey", &HASH_KEY),
            optional("SequenceNumberForOrdering", &SEQUENCE_NUMBER),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            optional("DryRun", &BOOLEAN),
        ],
        output: Output::Body(&[
            required("ShardId", &SHARD_ID),
            required("SequenceNumber", &SEQUENCE_NUMBER),
            optional("EncryptionType", &ENCRYPTION_TYPE),
        ]),
    },
    Operation {
        name: "PutRecords",
        input: &[
            required("Records", &PUT_ENTRIES),
            optional("StreamName", &STREAM_NAME),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            optional("DryRun", &BOOLEAN),
        ],
        output: Output::Body(&[
            optional("FailedRecordCount", &POSITIVE),
            required("Records", &PUT_RESULTS),
            optional("EncryptionType", &ENCRYPTION_TYPE),
        ]),
    },
    Operation {
        name: "GetShardIterator",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("ShardId", &SHARD_ID),
            required("ShardIteratorType", &SHARD_ITERATOR_TYPE),
            optional("StartingSequenceNumber", &SEQUENCE_NUMBER),
            optional("Timestamp", &TIMESTAMP),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            optional("DryRun", &BOOLEAN),
        ],
        output: Output::Body(&[optional("ShardIterator", &SHARD_ITERATOR)]),
    },
    Operation {
        name: "GetRecords",
        input: &[
            required("ShardIterator", &SHARD_ITERATOR),
            optional("Limit", &PAGE_LIMIT),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
            optional("DryRun", &BOOLEAN),
        ],
        output: Output::Body(&[
            required("Records", &RECORDS),
            optional("NextShardIterator", &SHARD_ITERATOR),
            optional("MillisBehindLatest", &MILLIS_BEHIND),
            optional("ChildShards", &CHILD_SHARDS),
        ]),
    },
];
