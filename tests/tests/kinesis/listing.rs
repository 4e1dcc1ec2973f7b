//! boto3: lists page by page, and the shards that a filter shows: those of an AT filter tile the hash space.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::boto_errors::are_refused;
use crate::client::{Client, Steps};
use crate::face::{Face, Way, account};

const UNKNOWN: &str = "ResourceNotFoundException";
const ARGUMENT: &str = "InvalidArgumentException";

const REFUSALS: &[(&str, &str, &str)] = &[
    ("AT_TIMESTAMP alone", ARGUMENT, "Timestamp must be provided in a ShardFilter of type AT_TIMESTAMP."),
    ("FROM_TIMESTAMP alone", ARGUMENT, "Timestamp must be provided in a ShardFilter of type FROM_TIMESTAMP."),
    ("AFTER_SHARD_ID alone", ARGUMENT, "ShardId must be provided in a ShardFilter of type AFTER_SHARD_ID."),
    ("edited token", ARGUMENT, "Invalid NextToken."),
    ("token of another list", ARGUMENT, "Invalid NextToken."),
    ("neither", ARGUMENT, "Either NextToken or StreamName should be provided."),
    ("nowhere", UNKNOWN, "Stream nowhere under account ACCOUNT not found."),
    (
        "split again",
        ARGUMENT,
        "Shard shardId-000000000000 in stream listing under account ACCOUNT has already been merged or split, and thus \
         is not eligible for merging or splitting.",
    ),
    ("split nothing", UNKNOWN, "Could not find shard shardId-000000000009 in stream listing under account ACCOUNT."),
];

#[test]
fn lists_come_in_pages_and_by_filters() {
    alone("listing::lists_come_in_pages_and_by_filters", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/listing.py", &[], Way::Plain).await;
        are_refused(&steps, REFUSALS, account(&steps.one("created")["arn"], "listing"));
        are_filtered(&steps);
        come_in_pages(&steps);
        face.end();
    });
}

/// Shard 0 was split into 2 and 3, and those were merged into 4.
fn are_filtered(steps: &Steps) {
    let (all, first, split, last) = (ids(&[0, 1, 2, 3, 4]), ids(&[0, 1]), ids(&[1, 2, 3]), ids(&[1, 4]));
    let seen = steps.one("filtered");
    assert_eq!(seen["FROM_TRIM_HORIZON"], all);
    assert_eq!(seen["AT_TRIM_HORIZON"], first);
    assert_eq!(seen["AT_LATEST"], last);
    assert_eq!(seen["AFTER_SHARD_ID"], ids(&[3, 4]));
    for (when, at, from) in [
        ("of_old", &first, &all),
        ("before", &first, &all),
        ("split", &split, &ids(&[1, 2, 3, 4])),
        ("merged", &last, &last),
    ] {
        assert_eq!(seen[when], json!([at, from]), "{when}");
    }
}

fn come_in_pages(steps: &Steps) {
    assert_eq!(steps.one("after")["ids"], ids(&[4]));
    let filtered = steps.one("filtered pages");
    assert_eq!((&filtered["pages"], &filtered["goes_on"]), (&json!([ids(&[1]), ids(&[4])]), &json!(false)));
    let described = steps.one("described");
    assert_eq!(described["pages"], json!([ids(&[0, 1, 2]), ids(&[3, 4])]));
    assert_eq!(described["more"], json!([true, false]));
    assert_eq!(steps.one("consumers")["pages"], json!([["alerts"], ["board"]]));
    assert_eq!(steps.one("streams")["pages"], json!([[["listing"], true], [["listing-2"], false]]));
    let after = &steps.one("streams after")["answer"];
    let summary = &after["StreamSummaries"][0];
    assert_eq!((&after["StreamNames"], &after["HasMoreStreams"]), (&json!(["listing-2"]), &json!(false)));
    account(&summary["StreamARN"], "listing-2");
    assert_eq!(summary["StreamModeDetails"], json!({"StreamMode": "PROVISIONED"}));
    assert_eq!((&summary["StreamName"], &summary["StreamStatus"]), (&json!("listing-2"), &json!("ACTIVE")));
}

fn ids(numbers: &[u32]) -> Value {
    numbers.iter().map(|number| format!("shardId-{number:012}")).collect()
}
