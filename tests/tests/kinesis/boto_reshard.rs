//! boto3: shards are split, merged and scaled; and what a reader is told at the end of one, by polls and by pushes.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, Way};
use crate::{HASH_KEY_HALF, HASH_KEY_MAX};

const HASH_KEY_AFTER_HALF: &str = "170141183460469231731687303715884105728";

#[test]
fn shards_are_split_merged_and_scaled() {
    alone("boto_reshard::shards_are_split_merged_and_scaled", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/reshard.py", &[], Way::Plain).await;
        is_split(&steps);
        ends(&steps);
        is_merged_and_scaled(&steps);
        face.end();
    });
}

fn is_split(steps: &Steps) {
    let split = steps.one("split");
    let shards = list(&split["shards"]);
    assert_eq!(ids(shards), ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"]);
    let range = |start: &str, end: &str| json!({"StartingHashKey": start, "EndingHashKey": end});
    let ranges: Vec<&Value> = shards.iter().map(|shard| &shard["HashKeyRange"]).collect();
    let expected = [range("0", HASH_KEY_MAX), range("0", HASH_KEY_HALF), range(HASH_KEY_AFTER_HALF, HASH_KEY_MAX)];
    assert_eq!(ranges, expected.iter().collect::<Vec<_>>());
    assert!(shards[1..].iter().all(|child| child["ParentShardId"] == "shardId-000000000000"), "{split}");
    let closed: Vec<bool> =
        shards.iter().map(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string()).collect();
    assert_eq!(closed, [true, false, false]);
    assert_eq!(split["at_latest"], json!(["shardId-000000000001", "shardId-000000000002"]));
    // MD5 of "key" is 3c6e0b8a9c15224a8228b9a98ca1531d: in the first half.
    assert_eq!(split["put_to"], "shardId-000000000001");
}

/// The next iterator is absent exactly where the children are named; so is the number from which a push goes on.
fn ends(steps: &Steps) {
    let before: Vec<String> = (0..5).map(|number| format!("before {number}")).collect();
    let pages = list(&steps.one("end polled")["pages"]);
    let polled: Vec<&str> = pages.iter().flat_map(|page| texts(&page["texts"])).collect();
    assert_eq!(polled, before);
    are_exclusive(pages);
    let events = list(&steps.one("end pushed")["events"]);
    assert_eq!(texts(&steps.one("end pushed")["texts"]), before);
    are_exclusive(events);
    let latest = steps.one("latest of the closed");
    assert_eq!((&latest["texts"], &latest["goes_on"]), (&json!([]), &json!(false)));
    assert_eq!(latest["children"], json!(["shardId-000000000001", "shardId-000000000002"]));
}

fn are_exclusive(answers: &[Value]) {
    let (last, others) = answers.split_last().expect("there is an answer");
    assert!(others.iter().all(|other| other["goes_on"] == true && other["children"].is_null()), "{answers:?}");
    assert_eq!(last["goes_on"], false, "{last}");
    let children = list(&last["children"]);
    assert_eq!(ids(children), ["shardId-000000000001", "shardId-000000000002"]);
    assert!(children.iter().all(|child| child["ParentShards"] == json!(["shardId-000000000000"])), "{last}");
}

fn is_merged_and_scaled(steps: &Steps) {
    let merged = steps.one("merged");
    let open = list(&merged["shards"]);
    assert_eq!(ids(open), ["shardId-000000000003"]);
    let parents = ["shardId-000000000001", "shardId-000000000002"];
    assert_eq!([&open[0]["ParentShardId"], &open[0]["AdjacentParentShardId"]], parents);
    assert_eq!(open[0]["HashKeyRange"], json!({"StartingHashKey": "0", "EndingHashKey": HASH_KEY_MAX}));
    for end in list(&merged["ends"]) {
        assert_eq!((ids(list(&end["children"])), &end["goes_on"]), (vec!["shardId-000000000003"], &json!(false)));
        assert_eq!(end["children"][0]["ParentShards"], json!(parents));
    }
    let scaled = steps.one("scaled");
    assert_eq!((&scaled["before"], &scaled["target"]), (&json!(1), &json!(2)));
    assert_eq!(scaled["open"], json!(["shardId-000000000004", "shardId-000000000005"]));
    assert_eq!(list(&scaled["shards"]).len(), 6);
    steps.one("deleted");
}

fn ids(shards: &[Value]) -> Vec<&str> {
    shards.iter().map(|shard| shard["ShardId"].as_str().expect("a shard has an id")).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is a list"))
}
