//! boto3: the life of a stream, and a push over HTTP/1.1.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, Way, account};
use crate::{HASH_KEY_HALF, HASH_KEY_MAX, numbered, rise};

const FIRST: &str = "shardId-000000000000";
const SECOND: &str = "shardId-000000000001";

#[test]
fn a_stream_lives() {
    alone("boto::a_stream_lives", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/streams.py", &[], Way::Plain).await;
        is_described(&steps);
        is_put_and_read(&steps);
        is_kept(&steps);
        face.end();
    });
}

fn is_described(steps: &Steps) {
    let created = steps.one("created");
    account(&created["arn"], "streams");
    assert_eq!((&created["name"], &created["status"]), (&json!("streams"), &json!("ACTIVE")));
    let half = "170141183460469231731687303715884105728";
    let ranges = json!([
        {"StartingHashKey": "0", "EndingHashKey": HASH_KEY_HALF},
        {"StartingHashKey": half, "EndingHashKey": HASH_KEY_MAX},
    ]);
    assert_eq!((&created["ranges"], &created["retention"]), (&ranges, &json!(24)));
    let summary = steps.one("summary");
    assert_eq!((&summary["open_shards"], &summary["has_stream_id"]), (&json!(2), &json!(false)));
    assert_eq!(steps.one("listed")["pages"], json!([["streams"]]));
    assert_eq!(steps.one("shards")["pages"], json!([[FIRST], [SECOND]]));
    let twice = "NextToken and StreamName cannot be provided together.";
    assert_eq!(steps.one("paginated")["message"], json!(twice));
}

fn is_put_and_read(steps: &Steps) {
    let (one, many, kept) = (steps.one("put"), steps.one("put many"), steps.one("from the horizon"));
    assert_eq!((&one["shard"], &many["shards"]), (&json!(SECOND), &json!([SECOND])));
    assert_eq!(many["failed"], json!(0));
    assert_eq!(texts(&kept["texts"]), numbered(501));
    assert_eq!(kept["keys"], json!(["key"]));
    let acked = [vec![one["sequence"].as_str().expect("it is a text")], texts(&many["sequences"])].concat();
    assert_eq!(texts(&kept["sequences"]), acked, "what was acked is read");
    assert!(rise(&acked) && acked.iter().all(|sequence| sequence.len() == 56), "{acked:?}");
    assert_eq!((&kept["has_encryption"], &kept["arrival_is_near"]), (&json!(false), &json!(true)));

    let first = |step: &str| steps.one(step)["texts"].clone();
    assert_eq!(first("AT_SEQUENCE_NUMBER"), json!(["record 10"]));
    assert_eq!(first("AFTER_SEQUENCE_NUMBER"), json!(["record 11"]));
    assert_eq!(first("AT_TIMESTAMP"), json!(["record 1"]));
    assert_eq!(first("LATEST"), json!(["last"]));
    assert_eq!(first("again"), json!(["last"]), "an iterator reads the same again");
    assert_eq!(steps.one("again")["behind_ms"], json!(0));
    let tip = steps.one("at the tip");
    assert_eq!(tip, &json!({"step": "at the tip", "texts": [], "goes_on": true, "children": false}));
    let pages: Vec<u64> = steps.one("pages")["lens"].as_array().expect("it is a list").iter().map(whole).collect();
    assert_eq!(pages.iter().sum::<u64>(), 502);
    assert!(pages.iter().all(|len| *len <= 200), "{pages:?}");
}

fn is_kept(steps: &Steps) {
    let tags = json!([{"Key": "team", "Value": "flights"}, {"Key": "zone", "Value": "b"}]);
    let seen = steps.one("tags");
    assert_eq!((&seen["of_stream"], &seen["of_resource"]), (&tags, &tags));
    assert_eq!(steps.one("retention")["hours"], json!([48, 24]));
    assert_eq!(steps.one("deleted")["names"], json!([]));
}

#[test]
fn a_consumer_is_pushed_to() {
    alone("boto::a_consumer_is_pushed_to", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/push.py", &[], Way::Plain).await;
        let registered = steps.one("registered");
        let stream = registered["stream"].as_str().expect("it is a text");
        account(&registered["stream"], "push");
        let arn = registered["arn"].as_str().and_then(|arn| arn.strip_prefix(&format!("{stream}/consumer/board:")));
        assert!(arn.is_some_and(|created| created.parse::<u64>().is_ok()), "{registered}");
        assert_eq!((&registered["first"], &registered["listed"]), (&json!("CREATING"), &json!(["board"])));
        assert_eq!(texts(&steps.one("pushed")["texts"]), numbered(11));

        let idle = steps.one("idle");
        assert_eq!(idle["texts"], json!([]));
        assert!(idle["waited_s"].as_f64().is_some_and(|waited| waited <= 5.5), "{idle}");
        assert!(idle["goes_on"].is_string(), "{idle}");
        assert_eq!(steps.one("resumed")["texts"], json!(["record 11"]));
        steps.one("deleted");
        face.end();
    });
}

fn whole(number: &Value) -> u64 {
    number.as_u64().unwrap_or_else(|| panic!("{number} is a whole number"))
}
