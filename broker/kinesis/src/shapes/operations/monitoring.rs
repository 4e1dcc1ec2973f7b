//! Encryption and monitoring of shards.

use super::{Operation, Output};
use crate::shapes::named::{ENCRYPTION_TYPE, KEY_ID, METRICS_NAMES, STREAM_ARN, STREAM_ID, STREAM_NAME};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 4] = [
    Operation {
        name: "StartStreamEncryption",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("EncryptionType", &ENCRYPTION_TYPE),
            required("KeyId", &KEY_ID),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "StopStreamEncryption",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("EncryptionType", &ENCRYPTION_TYPE),
            required("KeyId", &KEY_ID),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Empty,
    },
    Operation {
        name: "EnableEnhancedMonitoring",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("ShardLevelMetrics", &METRICS_NAMES),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[
            optional("StreamName", &STREAM_NAME),
            optional("CurrentShardLevelMetrics", &METRICS_NAMES),
            optional("DesiredShardLevelMetrics", &METRICS_NAMES),
            optional("StreamARN", &STREAM_ARN),
        ]),
    },
    Operation {
        name: "DisableEnhancedMonitoring",
        input: &[
            optional("StreamName", &STREAM_NAME),
            required("ShardLevelMetrics", &METRICS_NAMES),
            optional("StreamARN", &STREAM_ARN),
            optional("StreamId", &STREAM_ID),
        ],
        output: Output::Body(&[
            optional("StreamName", &STREAM_NAME),
            optional("CurrentShardLevelMetrics", &METRICS_NAMES),
            optional("DesiredShardLevelMetrics", &METRICS_NAMES),
            optional("StreamARN", &STREAM_ARN),
        ]),
    },
];
