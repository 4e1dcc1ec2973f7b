//! Registered consumers and their subscriptions.

use super::{Operation, Output};
use crate::shapes::named::{
    BOOLEAN, CONSUMER_ARN, CONSUMER_NAME, NEXT_TOKEN, PAGE_LIMIT, SHARD_ID, STREAM_ARN, STREAM_ID, TAG_MAP, TIMESTAMP,
};
use crate::shapes::structures::{
    CONSUMER, CONSUMER_DESCRIPTION, CONSUMERS, STARTING_POSITION, SUBSCRIBE_TO_SHARD_EVENT,
};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 5] = [
    Operation {
        name: "RegisterStreamConsumer",
        input: &[
            required("StreamARN", &STREAM_ARN),
            required("ConsumerName", &CONSUMER_NAME),
            optional("StreamId", &STREAM_ID),
            optional("Tags", &TAG_MAP),
        ],
        output: Output::Body(&[required("Consumer", &CONSUMER)]),
    },
    Operation {
        name: "DeregisterStreamConsumer",
        input: &[
            optional("StreamARN", &STREAM_ARN),
            optional("ConsumerName", &CONSUMER_NAME),
            optional("ConsumerARN", &CONSUMER_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "DescribeStreamConsumer",
        input: &[
            optional("StreamARN", &STREAM_ARN),
            optional("ConsumerName", &CONSUMER_NAME),
            optional("ConsumerARN", &CONSUMER_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[required("ConsumerDescription", &CONSUMER_DESCRIPTION)]),
    },
    Operation {
        name: "ListStreamConsumers",
        input: &[
            required("StreamARN", &STREAM_ARN),
            optional("NextToken", &NEXT_TOKEN),
            optional("MaxResults", &PAGE_LIMIT),
            optional("StreamCreationTimestamp", &TIMESTAMP),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[optional("Consumers", &CONSUMERS), optional("NextToken", &NEXT_TOKEN)]),
    },
    Operation {
        name: "SubscribeToShard",
        input: &[
            required("ConsumerARN", &CONSUMER_ARN),
            optional("StreamId", &STREAM_ID),
            required("ShardId", &SHARD_ID),
            required("StartingPosition", &STARTING_POSITION),
            optional("DryRun", &BOOLEAN),
        ],
        output: Output::Events(&SUBSCRIBE_TO_SHARD_EVENT),
    },
];
