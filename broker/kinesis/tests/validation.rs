//! Constraints that are broken, in AWS's words. Clauses are compared as sets: AWS's order varies.

use std::collections::BTreeSet;

use rheos_kinesis::codec::Encoding::Json;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::shapes::operations;

const NAME: &str = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
const NOT_NULL: &str = "Member must not be null";

#[test]
fn every_broken_constraint_is_a_clause() {
    let short = |least| format!("Member must have length greater than or equal to {least}");
    let long = |most| format!("Member must have length less than or equal to {most}");
    let low = |least| format!("Member must have value greater than or equal to {least}");
    let high = |most| format!("Member must have value less than or equal to {most}");
    let name = "a".repeat(129);
    let key = "é".repeat(257);
    let tag = "k".repeat(129);
    let each = "Member must have length less than or equal to 128, Member must have length greater than or equal to 1";
    let value = "Member must have length less than or equal to 256, Member must have length greater than or equal to 0";
    let metrics = "[IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, \
                   WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, \
                   IteratorAgeMilliseconds, ALL]";
    let cases = [
        ("CreateStream", "{}".to_owned(), vec![clause("null", "streamName", NOT_NULL)]),
        (
            "CreateStream",
            r#"{"StreamName":"","ShardCount":0}"#.to_owned(),
            vec![
                clause("''", "streamName", NAME),
                clause("''", "streamName", &short(1)),
                clause("'0'", "shardCount", &low(1)),
            ],
        ),
        (
            "CreateStream",
            format!(r#"{{"StreamName":"{name}","MaxRecordSizeInKiB":10241,"StreamModeDetails":{{}}}}"#),
            vec![
                clause(&format!("'{name}'"), "streamName", &long(128)),
                clause("'10241'", "maxRecordSizeInKiB", &high(10240)),
                clause("null", "streamModeDetails.streamMode", NOT_NULL),
            ],
        ),
        (
            "UpdateShardCount",
            r#"{"StreamName":"a;b","TargetShardCount":2,"ScalingType":"LINEAR"}"#.to_owned(),
            vec![
                clause("'a;b'", "streamName", NAME),
                clause("'LINEAR'", "scalingType", "Member must satisfy enum value set: [UNIFORM_SCALING]"),
            ],
        ),
        (
            "PutRecords",
            format!(r#"{{"Records":[{{"Data":""}},{{"PartitionKey":"{key}","ExplicitHashKey":"01"}}]}}"#),
            vec![
                clause("null", "records.2.member.data", NOT_NULL),
                clause(&format!("'{key}'"), "records.2.member.partitionKey", &long(256)),
                clause(
                    "'01'",
                    "records.2.member.explicitHashKey",
                    r"Member must satisfy regular expression pattern: ^(0|([1-9]\d{0,38}))$",
                ),
            ],
        ),
        ("PutRecords", r#"{"Records":[]}"#.to_owned(), vec![clause("'[]'", "records", &short(1))]),
        (
            "RemoveTagsFromStream",
            r#"{"TagKeys":["a",""]}"#.to_owned(),
            vec![clause("'[a, ]'", "tagKeys", &format!("Member must satisfy constraint: [{each}]"))],
        ),
        (
            "AddTagsToStream",
            format!(r#"{{"Tags":{{"{tag}":"","a":"{key}"}}}}"#),
            vec![
                clause(
                    &format!("'{{a={key}, {tag}=}}'"),
                    "tags",
                    &format!("Map keys must satisfy constraint: [{each}]"),
                ),
                clause(
                    &format!("'{{a={key}, {tag}=}}'"),
                    "tags",
                    &format!("Map value must satisfy constraint: [{value}]"),
                ),
            ],
        ),
        ("AddTagsToStream", r#"{"Tags":{}}"#.to_owned(), vec![clause("'{}'", "tags", &short(1))]),
        (
            "EnableEnhancedMonitoring",
            r#"{"ShardLevelMetrics":["ALL","Some"]}"#.to_owned(),
            vec![clause(
                "'[ALL, Some]'",
                "shardLevelMetrics",
                &format!("Member must satisfy constraint: [Member must satisfy enum value set: {metrics}]"),
            )],
        ),
        (
            "GetRecords",
            r#"{"ShardIterator":"","Limit":10001,"StreamARN":"x"}"#.to_owned(),
            vec![
                clause("''", "shardIterator", &short(1)),
                clause("'10001'", "limit", &high(10_000)),
                clause(
                    "'x'",
                    "streamARN",
                    r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
                ),
            ],
        ),
        (
            "SubscribeToShard",
            r#"{"StartingPosition":{"Type":"NOW"}}"#.to_owned(),
            vec![
                clause("null", "consumerARN", NOT_NULL),
                clause("null", "shardId", NOT_NULL),
                clause(
                    "'NOW'",
                    "startingPosition.type",
                    "Member must satisfy enum value set: \
                     [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP]",
                ),
            ],
        ),
    ];
    for (operation, body, clauses) in cases {
        let message = refusal(operation, &body);
        let plural = if clauses.len() > 1 { "s" } else { "" };
        let head = format!("{} validation error{plural} detected: ", clauses.len());
        let told = message.strip_prefix(&head).unwrap_or_else(|| panic!("{operation}: {message}"));
        assert_eq!(BTreeSet::from_iter(told.split("; ")), clauses.iter().map(String::as_str).collect(), "{operation}");
    }
}

#[test]
fn structures_of_a_list_are_told_by_class_and_blobs_not_at_all() {
    let record = r#"{"Data":"","PartitionKey":"k"}"#;
    let body = format!(r#"{{"Records":[{}]}}"#, vec![record; 501].join(","));
    let message = refusal("PutRecords", &body);
    let told = message.matches("com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@").count();
    assert_eq!(told, 501);
    assert!(
        message.ends_with(
            "]' at 'records' failed to satisfy constraint: Member must have length less than or equal to 500"
        )
    );

    // 10 MiB and a byte, in Base64.
    let data = format!("{}AAA=", "A".repeat((10 << 20) / 3 * 4));
    let message = refusal("PutRecord", &format!(r#"{{"Data":"{data}"}}"#));
    assert_eq!(
        message,
        "1 validation error detected: Value at 'data' failed to satisfy constraint: \
         Member must have length less than or equal to 10485760"
    );
}

#[test]
fn ten_clauses_are_told_at_most() {
    let body = format!(r#"{{"Records":[{}]}}"#, vec![r#"{"PartitionKey":"k"}"#; 30].join(","));
    let message = refusal("PutRecords", &body);
    assert!(message.starts_with("10 validation errors detected: Value null at 'records.1.member.data' failed"));
    assert_eq!(message.matches(NOT_NULL).count(), 10);
}

#[test]
fn lengths_are_in_characters_and_their_ends_are_allowed() {
    for (key, allowed) in
        [("é".repeat(256), true), ("😀".repeat(256), true), ("😀".repeat(257), false), ("k".repeat(257), false)]
    {
        let body = format!(r#"{{"Data":"","PartitionKey":"{key}"}}"#);
        let input = Json.decode(operations::find("PutRecord").unwrap().input, body.as_bytes()).unwrap().prove();
        assert_eq!(input.is_ok(), allowed, "{} characters", key.chars().count());
    }
}

fn clause(value: &str, path: &str, constraint: &str) -> String {
    format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}")
}

fn refusal(operation: &str, body: &str) -> String {
    let input = operations::find(operation).expect(operation).input;
    match Json.decode(input, body.as_bytes()).expect("the body is well formed").prove() {
        Err(Error { kind: ErrorKind::Validation, message: Some(message) }) => message,
        other => panic!("{operation}: {other:?}"),
    }
}
