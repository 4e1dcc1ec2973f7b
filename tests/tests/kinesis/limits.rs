//! boto3 at a broker with the limits of Kinesis: what is beyond them is refused with AWS's codes, and nothing else is.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::boto_errors::are_refused;
use crate::client::{Client, Steps};
use crate::face::{Face, Way, account};

const LIMIT: &str = "LimitExceededException";
const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// The shard that is put to, and the one that is only read.
const FULL: &str = "shardId-000000000002";
const READ: &str = "shardId-000000000005";

const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "a consumer more",
        LIMIT,
        "The limit of 20 registered consumers of stream limits under account ACCOUNT is reached.",
    ),
    (
        "a consumer again",
        "ResourceInUseException",
        "Consumer consumer-3 of stream limits under account ACCOUNT already exists.",
    ),
    (
        "over double",
        LIMIT,
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, \
         Target shard count: 5",
    ),
    (
        "below half",
        LIMIT,
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 4, \
         Target shard count: 1",
    ),
    (
        "beyond the account's",
        LIMIT,
        "This request would exceed the shard limit for the account ACCOUNT in eu-central-1. Current shard count for the \
         account: 10004. Limit: 20000. Number of additional shards that would have resulted from this request: 10000. \
         Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) \
         for current limits and how to request higher limits.",
    ),
    ("put one more", THROTTLED, "Rate exceeded for shard shardId-000000000002 in stream limits under account ACCOUNT."),
    (
        "read too often",
        THROTTLED,
        "Rate exceeded for shard shardId-000000000005 in stream limits under account ACCOUNT.",
    ),
];

#[test]
fn the_limits_of_kinesis_hold() {
    alone("limits::the_limits_of_kinesis_hold", &[Client::Aws], async {
        let mut face = Face::start_with(&["--limits=kinesis"]).await;
        let steps = face.run(Client::Aws, "python/limits.py", &[], Way::Plain).await;
        let doubled = &steps.one("doubled")["answer"];
        let account = account(&doubled["StreamARN"], "limits");
        are_refused(&steps, REFUSALS, account);
        assert_eq!((&doubled["CurrentShardCount"], &doubled["TargetShardCount"]), (&json!(2), &json!(4)));
        assert_eq!(steps.one("consumers")["count"], json!(20));
        let limits = json!({
            "ShardLimit": 20_000, "OpenShardCount": 4, "OnDemandStreamCount": 0, "OnDemandStreamCountLimit": 50,
        });
        assert_eq!(steps.one("account")["answer"], limits);
        entries_are_throttled_one_by_one(&steps, account);
        is_read_five_times_a_second(&steps);
        face.end();
    });
}

/// The shard that owes is refused; the other of the same call takes its record.
fn entries_are_throttled_one_by_one(steps: &Steps, account: &str) {
    let put = steps.one("put too much");
    assert_eq!((&put["failed"], &put["shards"]), (&json!(2), &json!([Value::Null, READ, Value::Null])));
    let throttled =
        json!([THROTTLED, format!("Rate exceeded for shard {FULL} in stream limits under account {account}.")]);
    assert_eq!(put["errors"], json!([throttled, [Value::Null, Value::Null], throttled]));
}

fn is_read_five_times_a_second(steps: &Steps) {
    let seen = steps.one("read too often");
    let (answered, within_s) = (seen["answered"].as_f64(), seen["within_s"].as_f64());
    let (answered, within_s) = answered.zip(within_s).unwrap_or_else(|| panic!("{seen}"));
    assert!(answered >= 5.0 && answered <= 5.0 + 5.0 * within_s, "{seen}");
}
