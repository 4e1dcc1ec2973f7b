//! Tags and resource policies.

use super::{Operation, Output};
use crate::shapes::named::{
    BOOLEAN, RESOURCE_ARN, STREAM_ARN, STREAM_ID, STREAM_NAME, TAG_KEY, TAG_KEYS, TAG_MAP, TAG_PAGE_LIMIT, TEXT,
};
use crate::shapes::structures::TAGS;
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 9] = [
    Operation {
        name: "AddTagsToStream",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("Tags", &TAG_MAP),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "RemoveTagsFromStream",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("TagKeys", &TAG_KEYS),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "ListTagsForStream",
        input: &[
            optional("StreamName", &STREAM_NAME),
            optional("ExclusiveStartTagKey", &TAG_KEY),
            optional("Limit", &TAG_PAGE_LIMIT),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[required("Tags", &TAGS), required("HasMoreTags", &BOOLEAN)]),
    },
    Operation {
        name: "TagResource",
        input: &[required("Tags", &TAG_MAP), required("ResourceARN", &RESOURCE_ARN), optional("StreamId", &STREAM_ID)],
        output: Output::Empty,
    },
    Operation {
        name: "UntagResource",
        input: &[
            required("TagKeys", &TAG_KEYS),
            required("ResourceARN", &RESOURCE_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "ListTagsForResource",
        input: &[required("ResourceARN", &RESOURCE_ARN), optional("StreamId", &STREAM_ID)],
        output: Output::Body(&[optional("Tags", &TAGS)]),
    },
    Operation {
        name: "PutResourcePolicy",
        input: &[required("ResourceARN", &RESOURCE_ARN), optional("StreamId", &STREAM_ID), required("Policy", &TEXT)],
        output: Output::Empty,
    },
    Operation {
        name: "GetResourcePolicy",
        input: &[required("ResourceARN", &RESOURCE_ARN), optional("StreamId", &STREAM_ID)],
        output: Output::Body(&[required("Policy", &TEXT)]),
    },
    Operation {
        name: "DeleteResourcePolicy",
        input: &[required("ResourceARN", &RESOURCE_ARN), optional("StreamId", &STREAM_ID)],
        output: Output::Empty,
    },
];
