//! async-kinesis, and aiokpl, whose aggregates are taken apart with aws-kinesis-agg.

use std::collections::BTreeMap;

use serde_json::json;

use crate::aggregated::inner;
use crate::alone::alone;
use crate::client::Client;
use crate::face::{Face, Way};

#[test]
fn async_kinesis_puts_and_reads() {
    alone("asyncio::async_kinesis_puts_and_reads", &[Client::Asyncio], async {
        let mut face = Face::start().await;
        let steps = face.run(Client::Asyncio, "python/async_kinesis.py", &[], Way::Plain).await;
        let read = steps.one("read")["numbers"].as_array().expect("it is a list").clone();
        let numbers: Vec<u64> = read.iter().map(|number| number.as_u64().expect("it is a number")).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>(), "each came once");
        // Seven keys were put in turn; the records of each are in order.
        for key in 0..7 {
            let of_key: Vec<u64> = numbers.iter().copied().filter(|number| number % 7 == key).collect();
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
        face.end();
    });
}

#[test]
fn aiokpl_aggregates() {
    alone("asyncio::aiokpl_aggregates", &[Client::Asyncio, Client::Aws], async {
        let mut face = Face::start().await;
        let put = face.run(Client::Asyncio, "python/aiokpl_put.py", &[], Way::Plain).await;
        let put = put.one("put");
        let shards = json!(["shardId-000000000000", "shardId-000000000001"]);
        assert_eq!((&put["succeeded"], &put["shards"]), (&json!(200), &shards));
        let apart = face.run(Client::Aws, "python/taken_apart.py", &["aiokpl"], Way::Plain).await;
        let stored: u64 = apart.all("taken apart").map(|shard| shard["stored"].as_u64().expect("it is a number")).sum();
        assert_eq!(put["stored"], json!(stored), "what was acked is stored");
        assert!(stored < 200, "{stored} records for 200 of the user's are no aggregates");
        let found: BTreeMap<String, String> = apart.all("taken apart").flat_map(inner).collect();
        let all = (0..200).map(|number| (format!("key-{number}"), format!("record {number}")));
        assert_eq!(found, all.collect());
        face.end();
    });
}
