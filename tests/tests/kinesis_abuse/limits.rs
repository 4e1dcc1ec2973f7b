//! Kinesis's own limits of a shard, held with `--limits kinesis`: who passes them is told so, record by record.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rheos_tests::raw_client::Key;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::face::{Asker, text};
use crate::place;

const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// 500 records of 6,000 bytes, each unlike the others: eight digits are Base64 of six bytes.
fn records(round: usize) -> Vec<Value> {
    let data = |number: usize| format!("{:08}", round * 1_000 + number).repeat(1_000);
    (0..500).map(|number| json!({"PartitionKey": format!("key {number}"), "Data": data(number)})).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_shards_limit_is_refused_and_the_rest_is_there_exactly() {
    let mut place = place().with_flag("--limits=kinesis");
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let mut asker = Asker::http1(broker.address(), &key).await;
    asker.done("CreateStream", &json!({"StreamName": "narrow", "ShardCount": 1})).await;
    let (mut stored, mut refused) = (BTreeMap::new(), 0);
    for round in 0..3 {
        let records = records(round);
        let answer = asker.done("PutRecords", &json!({"StreamName": "narrow", "Records": records})).await;
        let results = answer["Records"].as_array().expect("it is a list");
        assert_eq!(results.len(), records.len());
        let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
        assert_eq!(answer["FailedRecordCount"], failed, "round {round}");
        refused += failed;
        for (record, result) in records.iter().zip(results) {
            match result.get("SequenceNumber") {
                Some(number) => {
                    assert!(
                        result.get("ErrorCode").is_none() && result["ShardId"] == "shardId-000000000000",
                        "{result}"
                    );
                    let was = stored.insert(text(number), record["Data"].clone());
                    assert!(was.is_none(), "{number} twice");
                }
                None => {
                    assert_eq!(result["ErrorCode"], THROTTLED, "{result}");
                    let said = text(&result["ErrorMessage"]);
                    assert!(
                        said.starts_with(
                            "Rate exceeded for shard shardId-000000000000 in stream narrow under account "
                        ),
                        "{said}"
                    );
                }
            }
        }
    }
    // Three megabytes each, of which a shard takes one a second.
    assert!(refused > 500 && !stored.is_empty(), "{refused} were refused, {} stored", stored.len());
    let record = json!({"StreamName": "narrow", "PartitionKey": "one", "Data": "YWFh".repeat(300_000)});
    let (mut put, began) = (0, Instant::now());
    let said = loop {
        let answer = asker.ask("PutRecord", &record).await;
        if answer.status != 200 {
            break answer.refusal(400, THROTTLED);
        }
        stored.insert(text(&answer.json()["SequenceNumber"]), record["Data"].clone());
        put += 1;
        assert!(put < 10 && began.elapsed() < Duration::from_secs(5), "nothing holds back");
    };
    assert!(said.starts_with("Rate exceeded for shard shardId-000000000000 in stream narrow under account "), "{said}");

    // Two megabytes a second may be read.
    let mut iterator = asker.iterator("narrow", 0).await;
    let mut found = Vec::new();
    while found.len() < stored.len() {
        let answer = asker.ask("GetRecords", &json!({"ShardIterator": iterator})).await;
        if answer.status != 200 {
            answer.refusal(400, THROTTLED);
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        let page = answer.json();
        found.extend(page["Records"].as_array().expect("it is a list").iter().cloned());
        iterator = text(&page["NextShardIterator"]);
    }
    let found_too: BTreeMap<_, _> =
        found.iter().map(|record| (text(&record["SequenceNumber"]), record["Data"].clone())).collect();
    assert!(found.len() == stored.len() && found_too == stored, "{} found, {} stored", found.len(), stored.len());
    let said = broker.stop();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_read_five_times_a_second_and_no_more() {
    let mut place = place().with_flag("--limits=kinesis");
    let broker = place.start();
    let key = Key::of_admin(place.data());
    let mut asker = Asker::http1(broker.address(), &key).await;
    asker.done("CreateStream", &json!({"StreamName": "narrow", "ShardCount": 2})).await;
    let input = json!({"ShardIterator": asker.iterator("narrow", 0).await});
    let (mut read, mut refused, began) = (0, 0, Instant::now());
    while refused < 10 {
        let answer = asker.ask("GetRecords", &input).await;
        if answer.status == 200 {
            read += 1;
        } else {
            let said = answer.refusal(400, THROTTLED);
            assert!(
                said.starts_with("Rate exceeded for shard shardId-000000000000 in stream narrow under account "),
                "{said}"
            );
            refused += 1;
        }
    }
    let allowed = 5 + 5 * began.elapsed().as_secs() + 5;
    assert!((5..=allowed).contains(&read), "{read} reads within {:?}", began.elapsed());
    // The other shard is another matter, and after a second there are five more.
    let other = json!({"ShardIterator": asker.iterator("narrow", 1).await});
    asker.done("GetRecords", &other).await;
    sleep(Duration::from_millis(1_100)).await;
    for _ in 0..5 {
        asker.done("GetRecords", &input).await;
    }
    let said = broker.stop();
    assert!(!said.contains("panicked"), "{said}");
}
