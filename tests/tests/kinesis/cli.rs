//! The AWS CLI: a person's session, over TLS.

use serde_json::json;

use crate::HASH_KEY_MAX;
use crate::alone::alone;
use crate::client::Client;
use crate::face::{Face, Way, account};

#[test]
fn a_person_works_with_a_stream() {
    alone("cli::a_person_works_with_a_stream", &[Client::Aws], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Aws, "python/session.sh", &[], Way::Tls).await;
        let described = &steps.one("described")["seen"]["StreamDescription"];
        let account = account(&described["StreamARN"], "session");
        // The CLI asks for all pages, and leaves out what says whether there are more.
        assert_eq!((&described["StreamStatus"], &described["HasMoreShards"]), (&json!("ACTIVE"), &json!(null)));
        let shards = described["Shards"].as_array().expect("it is a list");
        assert_eq!((shards.len(), &shards[0]["ShardId"]), (1, &json!("shardId-000000000000")));
        assert_eq!(shards[0]["HashKeyRange"], json!({"StartingHashKey": "0", "EndingHashKey": HASH_KEY_MAX}));
        assert_eq!(steps.one("listed")["seen"]["StreamNames"], json!(["session"]));
        assert_eq!(steps.one("listed")["seen"]["StreamSummaries"][0]["StreamStatus"], "ACTIVE");

        let put = &steps.one("put")["seen"];
        let many = &steps.one("put many")["seen"];
        assert_eq!((&put["ShardId"], &many["FailedRecordCount"]), (&json!("shardId-000000000000"), &json!(0)));
        let records = steps.one("read")["seen"]["Records"].as_array().expect("it is a list").clone();
        // "typed by hand", "second" and "third" in base64.
        let data: Vec<_> = records.iter().map(|record| record["Data"].as_str().expect("it is a text")).collect();
        assert_eq!(data, ["dHlwZWQgYnkgaGFuZA==", "c2Vjb25k", "dGhpcmQ="]);
        let sequences: Vec<_> = records.iter().map(|record| &record["SequenceNumber"]).collect();
        let acked = &many["Records"];
        assert_eq!(sequences, [&put["SequenceNumber"], &acked[0]["SequenceNumber"], &acked[1]["SequenceNumber"]]);

        assert_eq!(steps.one("tags")["seen"]["Tags"], json!([{"Key": "team", "Value": "flights"}]));
        let refused = steps.one("refused")["seen"].as_str().expect("it is a text");
        let why = format!("Stream nowhere under account {account} not found.");
        assert!(refused.contains("(ResourceNotFoundException)") && refused.contains(&why), "{refused}");
        assert_eq!(steps.one("deleted")["seen"]["StreamNames"], json!([]));
        face.end();
    });
}
