//! The account: limits and settings.

use super::{Operation, Output};
use crate::shapes::named::COUNT;
use crate::shapes::structures::{COMMITMENT, COMMITMENT_REQUEST};
use crate::shapes::{optional, required};

pub(super) static OPERATIONS: [Operation; 3] = [
    Operation {
        name: "DescribeLimits",
        input: &[],
        output: Output::Body(&[
            required("ShardLimit", &COUNT),
            required("OpenShardCount", &COUNT),
            required("OnDemandStreamCount", &COUNT),
            required("OnDemandStreamCountLimit", &COUNT),
            optional("ChannelCount", &COUNT),
            optional("ChannelCountLimit", &COUNT),
        ]),
    },
    Operation {
        name: "DescribeAccountSettings",
        input: &[],
        output: Output::Body(&[optional("MinimumThroughputBillingCommitment", &COMMITMENT)]),
    },
    Operation {
        name: "UpdateAccountSettings",
        input: &[required("MinimumThroughputBillingCommitment", &COMMITMENT_REQUEST)],
        output: Output::Body(&[optional("MinimumThroughputBillingCommitment", &COMMITMENT)]),
    },
];
