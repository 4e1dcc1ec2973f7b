//! AWS SDK for Rust, built for this test.

use serde_json::json;

use crate::alone::alone;
use crate::client::{Client, texts};
use crate::face::{Face, Way, account};
use crate::numbered;

#[test]
fn records_are_put_read_and_pushed() {
    alone("rust_sdk::records_are_put_read_and_pushed", &[Client::Rust], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Rust, "kinesis-client", &[], Way::Plain).await;
        let account = account(&steps.one("active")["arn"], "rust");
        assert_eq!(steps.one("put")["shard"], "shardId-000000000000");
        assert_eq!(steps.one("put many"), &json!({"step": "put many", "failed": 0, "records": 19}));
        assert_eq!(steps.one("list")["shards"], 1);
        assert_eq!(texts(&steps.one("read")["records"]), numbered(20));
        assert!(steps.all("page").all(|page| page["records"].as_u64().is_some_and(|len| len <= 8)));
        assert_eq!(texts(&steps.one("pushed")["records"]), numbered(20));
        assert!(steps.all("event").all(|event| event["goes_on"].is_string()));
        let unknown = format!("Stream nowhere under account {account} not found.");
        assert_eq!(steps.one("unknown")["message"], json!(unknown));
        steps.one("deleted");
        face.end();
    });
}
