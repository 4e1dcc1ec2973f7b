//! boto3: what a stream has beside records and shards, what a consumer has, and what an account has.

use serde_json::json;

use crate::alone::alone;
use crate::boto_errors::are_refused;
use crate::client::{Client, Steps};
use crate::face::{Face, Way, account};

const UNKNOWN: &str = "ResourceNotFoundException";
const ARGUMENT: &str = "InvalidArgumentException";
const IN_USE: &str = "ResourceInUseException";
const VALIDATION: &str = "ValidationException";
const LIMIT: &str = "LimitExceededException";

const ON_DEMAND: &str = "Request is invalid. Stream control-demand under account ACCOUNT is in On-Demand mode.";

const REFUSALS: &[(&str, &str, &str)] = &[
    ("count on demand", ARGUMENT, "ShardCount cannot be set while creating stream in On-Demand StreamMode."),
    (
        "too many shards",
        LIMIT,
        "Target shard count or number of open shards cannot be greater than 10000. Current open shard count: 0, Target \
         shard count: 10001",
    ),
    (
        "encrypted",
        "KMSNotFoundException",
        "Key alias/aws/kinesis is not found: rheos has no KMS and does not encrypt records, so stream control under \
         account ACCOUNT stays as it is. Put the broker's data directory on an encrypted disk, or encrypt the data \
         before you put it.",
    ),
    (
        "record too large",
        VALIDATION,
        "1 validation error detected: Value at 'data' failed to satisfy constraint: Member must have length less than \
         or equal to 2097152",
    ),
    (
        "retention not shorter",
        ARGUMENT,
        "Requested retention period (24 hours) for stream control can not be shorter than existing retention period \
         (48 hours). Use DecreaseRetentionPeriod API.",
    ),
    (
        "retention too long",
        ARGUMENT,
        "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
    ),
    ("split on demand", VALIDATION, ON_DEMAND),
    ("scaled on demand", VALIDATION, ON_DEMAND),
    (
        "warmed",
        ARGUMENT,
        "WarmThroughputMiBps 5 is not supported: rheos has no throughput to warm up, and splits the shards of an \
         on-demand stream when they are busy. Leave it out, or make the stream with as many shards as it needs.",
    ),
    (
        "warmed, provisioned",
        ARGUMENT,
        "Stream control under account ACCOUNT is not in On-Demand mode and has no warm throughput.",
    ),
    (
        "by none",
        ARGUMENT,
        "RecordDistributionStrategy AUTO is not supported: rheos sends records where their partition keys say, so that \
         each key keeps its order. Leave it out or use USER_PARTITION_KEY.",
    ),
    (
        "tag of AWS's",
        ARGUMENT,
        "Tag key aws:team is invalid: aws: prefixed tag key names are not allowed for external use.",
    ),
    (
        "tag of odd letters",
        ARGUMENT,
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
    ),
    (
        "too many tags",
        ARGUMENT,
        "Failed to add tags to stream control under account ACCOUNT because a given stream cannot have more than 50 \
         tags associated with it.",
    ),
    ("registered again", IN_USE, "Consumer board of stream control under account ACCOUNT already exists."),
    ("registered nowhere", UNKNOWN, "Stream control-none under account ACCOUNT not found."),
    ("no such consumer", UNKNOWN, "Consumer none, account ACCOUNT not found."),
    (
        "deleted with consumers",
        IN_USE,
        "DeleteStream can't delete arn:aws:kinesis:eu-central-1:ACCOUNT:stream/control because there are consumers \
         associated with this data stream. To delete control anyway, set the EnforceConsumerDeletion parameter to true \
         to force the deletion of all the consumers that are associated with it.",
    ),
    ("deleted twice", UNKNOWN, "Stream control under account ACCOUNT not found."),
];

#[test]
fn the_control_plane_answers() {
    alone("control::the_control_plane_answers", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/control.py", &[], Way::Plain).await;
        let account = account(&steps.one("made")["provisioned"]["StreamARN"], "control");
        are_refused(&steps, REFUSALS, account);
        are_made(&steps);
        is_monitored(&steps);
        is_on_other_terms(&steps);
        is_tagged(&steps);
        has_consumers(&steps, account);
        have_policies(&steps);
        has_settings(&steps);
        face.end();
    });
}

fn are_made(steps: &Steps) {
    let made = steps.one("made");
    let members = |mode: &str, shards: u32| {
        json!({
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": mode},
            "RetentionPeriodHours": 24,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
            "OpenShardCount": shards,
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": 1024,
        })
    };
    let mut on_demand = members("ON_DEMAND", 4);
    on_demand["RecordDistributionStrategy"] = json!("USER_PARTITION_KEY");
    let expected =
        [("provisioned", members("PROVISIONED", 2)), ("on_demand", on_demand), ("neither", members("PROVISIONED", 4))];
    for (which, mut expected) in expected {
        // Nothing but what is named: a StreamId would send clients to AWS.
        for member in ["StreamName", "StreamARN", "StreamCreationTimestamp"] {
            expected[member] = made[which][member].clone();
        }
        assert_eq!(made[which], expected, "{which}");
    }
}

fn is_monitored(steps: &Steps) {
    let all = [
        "IncomingBytes",
        "IncomingRecords",
        "OutgoingBytes",
        "OutgoingRecords",
        "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded",
        "IteratorAgeMilliseconds",
    ];
    let bytes = ["IncomingBytes", "OutgoingBytes"];
    let changes: [(&str, &[&str], &[&str]); 3] = [
        ("monitored", &[], &bytes),
        ("less monitored", &bytes, &["OutgoingBytes"]),
        ("all monitored", &["OutgoingBytes"], &all),
    ];
    for (step, before, after) in changes {
        let answer = &steps.one(step)["answer"];
        assert_eq!(answer["StreamName"], "control");
        assert_eq!(answer["StreamARN"], steps.one("made")["provisioned"]["StreamARN"]);
        assert_eq!(answer["CurrentShardLevelMetrics"], json!(before), "{step}");
        assert_eq!(answer["DesiredShardLevelMetrics"], json!(after), "{step}");
        let described = &steps.one(&format!("{step}, described"))["metrics"];
        assert_eq!(described, &json!([{"ShardLevelMetrics": after}]), "{step}");
    }
    assert_eq!(steps.one("not monitored")["metrics"], json!([{"ShardLevelMetrics": []}]));
}

fn is_on_other_terms(steps: &Steps) {
    let larger = steps.one("larger records");
    assert_eq!((&larger["kib"], &larger["put_to"]), (&json!(2048), &json!("shardId-000000000000")));
    for step in ["not encrypted", "by partition key"] {
        assert_eq!(steps.one(step)["answer"], json!({}), "{step}");
    }
    let warm = json!({"TargetMiBps": 0, "CurrentMiBps": 0});
    let (made, answer) = (&steps.one("made")["on_demand"], &steps.one("not warmed")["answer"]);
    let expected = json!({"StreamName": "control-demand", "StreamARN": made["StreamARN"], "WarmThroughput": warm});
    assert_eq!(answer, &expected);
    assert_eq!(steps.one("modes")["seen"], json!([["PROVISIONED", 4], ["ON_DEMAND", 4]]));
}

fn is_tagged(steps: &Steps) {
    let (env, team) = (json!({"Key": "env", "Value": "test"}), json!({"Key": "team", "Value": "flights"}));
    assert_eq!(steps.one("first tag")["answer"], json!({"Tags": [env], "HasMoreTags": true}));
    assert_eq!(steps.one("next tags")["answer"], json!({"Tags": [team], "HasMoreTags": false}));
    assert_eq!(steps.one("tags afterwards")["tags"], json!([env, team]), "what was refused has changed nothing");
}

fn has_consumers(steps: &Steps, account: &str) {
    let registered = &steps.one("registered")["answer"]["Consumer"];
    assert_eq!((&registered["ConsumerName"], &registered["ConsumerStatus"]), (&json!("board"), &json!("CREATING")));
    let mut described = registered.clone();
    described["ConsumerStatus"] = json!("ACTIVE");
    described["StreamARN"] = steps.one("made")["provisioned"]["StreamARN"].clone();
    assert_eq!(steps.one("consumer")["answer"], json!({"ConsumerDescription": described}));
    assert_eq!(steps.one("consumers")["count"], json!(2));
    assert_eq!(steps.one("tags of consumer")["tags"], json!([{"Key": "zone", "Value": "b"}]));
    assert_eq!(steps.one("deregistered")["left"], json!(["alerts"]));
    let gone = format!("Consumer {}, account {account} not found.", arn_of_board(steps));
    are_refused(steps, &[("deregistered again", UNKNOWN, &gone)], account);
}

fn have_policies(steps: &Steps) {
    let stream = steps.one("made")["provisioned"]["StreamARN"].as_str().expect("it is a text");
    for (of, arn) in [("stream", stream), ("consumer", arn_of_board(steps))] {
        let none = (format!("no policy of {of}"), format!("No resource policy found for resource ARN {arn}."));
        are_refused(steps, &[(&none.0, UNKNOWN, &none.1)], "");
        let bad = steps.one(&format!("bad policy of {of}"));
        let message = bad["message"].as_str().expect("it says why");
        let beginning = format!("The resource policy for {arn} cannot be: it is no JSON object (");
        assert!(bad["code"] == ARGUMENT && message.starts_with(&beginning), "{bad}");
        let seen = steps.one(&format!("policy of {of}"));
        assert_eq!((&seen["is_kept"], &seen["deleted"]), (&json!(true), &json!("{}")), "{of}");
    }
}

fn arn_of_board(steps: &Steps) -> &str {
    steps.one("registered")["answer"]["Consumer"]["ConsumerARN"].as_str().expect("it is a text")
}

fn has_settings(steps: &Steps) {
    let room = json!(200_000);
    let limits = json!({
        "ShardLimit": room, "OpenShardCount": 6, "OnDemandStreamCount": 1, "OnDemandStreamCountLimit": room,
    });
    assert_eq!(steps.one("limits")["answer"], limits);
    let settings = json!({"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}});
    assert_eq!(steps.one("settings")["answer"], settings);
    for (step, status) in [("committed", "ENABLED"), ("committed no more", "ENABLED_UNTIL_EARLIEST_ALLOWED_END")] {
        let seen = steps.one(step);
        let expected = (&json!(status), &json!(true), &json!(24.0));
        assert_eq!((&seen["status"], &seen["is_kept"], &seen["hours"]), expected, "{step}");
    }
}
