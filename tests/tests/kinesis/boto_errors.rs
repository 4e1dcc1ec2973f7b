//! boto3: what is refused, with AWS's codes and texts.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::client::{Client, Steps};
use crate::face::{Face, Way, account};

const UNKNOWN: &str = "ResourceNotFoundException";
const ARGUMENT: &str = "InvalidArgumentException";
const SIGNATURE: &str = "InvalidSignatureException";

const REFUSALS: &[(&str, &str, &str)] = &[
    ("unknown stream", UNKNOWN, "Stream nowhere under account ACCOUNT not found."),
    ("put to unknown stream", UNKNOWN, "Stream nowhere under account ACCOUNT not found."),
    ("create again", "ResourceInUseException", "Stream errors under account ACCOUNT already exists."),
    (
        "bad name",
        "ValidationException",
        "1 validation error detected: Value 'no spaces' at 'streamName' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
    ),
    (
        "hash key too high",
        ARGUMENT,
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
         340282366920938463463374607431768211456",
    ),
    (
        "one of many is bad",
        ARGUMENT,
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
         340282366920938463463374607431768211456",
    ),
    ("bad iterator", ARGUMENT, "Invalid ShardIterator."),
    ("edited iterator", ARGUMENT, "Invalid ShardIterator."),
    ("absent shard", UNKNOWN, "Shard shardId-000000000009 in stream errors under account ACCOUNT does not exist"),
    (
        "sequence not said",
        ARGUMENT,
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no \
         StartingSequenceNumber.",
    ),
    (
        "time not said",
        ARGUMENT,
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp \
         parameter.",
    ),
    (
        "sequence of another shard",
        ARGUMENT,
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with \
         shardId-000000000000",
    ),
    (
        "split at the edge",
        ARGUMENT,
        "NewStartingHashKey 1 used in SplitShard() on shard shardId-000000000000 in stream errors under account \
         ACCOUNT is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's \
         EndingHashKey 170141183460469231731687303715884105727.",
    ),
    (
        "merge the wrong way",
        ARGUMENT,
        "Shards shardId-000000000001 and shardId-000000000000 in stream errors under account ACCOUNT are not an \
         adjacent pair of shards eligible for merging",
    ),
    (
        "retention too short",
        ARGUMENT,
        "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
    ),
    (
        "retention not longer",
        ARGUMENT,
        "Requested retention period (25 hours) for stream errors can not be longer than existing retention period (24 \
         hours). Use IncreaseRetentionPeriod API.",
    ),
    (
        "unknown consumer",
        UNKNOWN,
        "Consumer arn:aws:kinesis:eu-central-1:ACCOUNT:stream/errors/consumer/nobody:1, account ACCOUNT not found.",
    ),
    (
        "iterator of a deleted stream",
        UNKNOWN,
        "Shard shardId-000000000000 in stream errors-consumed under account ACCOUNT does not exist",
    ),
    (
        "iterator of another incarnation",
        UNKNOWN,
        "Shard shardId-000000000000 in stream errors-consumed under account ACCOUNT does not exist",
    ),
    ("unknown key", "UnrecognizedClientException", "The security token included in the request is invalid."),
];

/// Where a text goes on with times, or with a signature.
const BEGINNINGS: &[(&str, &str, &str)] = &[
    ("wrong secret", SIGNATURE, "The request signature we calculated does not match the signature you provided."),
    ("clock -6 minutes", SIGNATURE, "Signature expired: "),
    ("clock +6 minutes", SIGNATURE, "Signature not yet current: "),
];

#[test]
fn refusals_are_those_of_aws() {
    alone("boto_errors::refusals_are_those_of_aws", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/errors.py", &[], Way::Plain).await;
        let account = account(&steps.one("created")["arn"], "errors");
        are_refused(&steps, REFUSALS, account);
        for (step, code, beginning) in BEGINNINGS {
            let (seen, message) = refused(&steps, step, code);
            assert!(message.starts_with(beginning), "{seen}");
        }
        let long_key = format!(
            "1 validation error detected: Value '{}' at 'partitionKey' failed to satisfy constraint: Member must have \
             length less than or equal to 256",
            "k".repeat(257)
        );
        assert_eq!(refused(&steps, "long key", "ValidationException").1, long_key);
        assert_eq!(steps.one("no policy")["policy"], json!("{}"));
        assert_eq!(steps.one("clock -4 minutes")["names"], json!(["errors", "errors-consumed"]));
        face.end();
    });
}

/// Each refusal has its step, code and whole text, in which `ACCOUNT` stands for the account's number.
pub(crate) fn are_refused(steps: &Steps, refusals: &[(&str, &str, &str)], account: &str) {
    for (step, code, text) in refusals {
        let (seen, message) = refused(steps, step, code);
        assert_eq!(message, text.replace("ACCOUNT", account), "{seen}");
    }
}

fn refused<'a>(steps: &'a Steps, step: &str, code: &str) -> (&'a Value, &'a str) {
    let seen = steps.one(step);
    assert_eq!((&seen["status"], &seen["code"]), (&json!(400), &json!(code)), "{seen}");
    (seen, seen["message"].as_str().unwrap_or_else(|| panic!("{seen} says why")))
}
