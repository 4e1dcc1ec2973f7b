//! The promise, over HTTP: what was answered with a SequenceNumber is there after a kill, in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rheos_tests::random::Random;
use rheos_tests::raw_client::Key;
use serde_json::json;
use tokio::time::sleep;

use crate::face::{Asker, JSON, text};
use crate::place;

const KILLS: u64 = 4;
const PUTTERS: usize = 4;
const SHARDS: u32 = 3;
/// Records of one PutRecords.
const RECORDS: usize = 40;

/// What was answered: shard, number and data.
type Acked = Arc<Mutex<Vec<(String, String, String)>>>;

/// Four characters of Base64 for each digit, so that every text is whole.
fn data(life: u64, putter: usize, number: usize) -> String {
    format!("{life:04}{putter:04}{number:08}")
}

/// Puts until the broker dies.
async fn put_on(mut asker: Asker, life: u64, putter: usize, acked: Acked) {
    for round in 0.. {
        let record = |at: usize| {
            let number = round * RECORDS + at;
            json!({"PartitionKey": format!("{putter}-{}", at % 7), "Data": data(life, putter, number)})
        };
        let records: Vec<_> = (0..RECORDS).map(record).collect();
        let body = json!({"StreamName": "promise", "Records": records}).to_string().into_bytes();
        let request = asker.signed("PutRecords", JSON, body);
        let Some(answer) = asker.try_send(request).await else { return };
        if answer.status != 200 {
            // Not a word about a record, so none was promised.
            assert!(answer.status >= 500, "{answer:?}");
            continue;
        }
        let answer = answer.json();
        let results = answer["Records"].as_array().expect("it is a list");
        assert_eq!(results.len(), RECORDS);
        let mut acked = acked.lock().expect("nobody panics");
        for (record, result) in records.iter().zip(results) {
            if result.get("SequenceNumber").is_some() {
                acked.push((text(&result["ShardId"]), text(&result["SequenceNumber"]), text(&record["Data"])));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_kill_in_order() {
    let mut place = place();
    place.set_lanes(2);
    let mut random = Random::new(0x6b69_6c6c);
    let mut broker = place.start();
    let key = Key::of_admin(place.data());
    let mut asker = Asker::http1(broker.address(), &key).await;
    asker.done("CreateStream", &json!({"StreamName": "promise", "ShardCount": SHARDS})).await;
    let acked = Acked::default();
    for life in 0..KILLS {
        let before = acked.lock().expect("nobody panics").len();
        let mut putters = Vec::new();
        for putter in 0..PUTTERS {
            let asker = if putter % 2 == 0 {
                Asker::http1(broker.address(), &key).await
            } else {
                Asker::http2(broker.address(), &key).await
            };
            putters.push(tokio::spawn(put_on(asker, life, putter, Arc::clone(&acked))));
        }
        while acked.lock().expect("nobody panics").len() < before + 2_000 {
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(random.below(200))).await;
        let said = broker.kill();
        assert!(!said.contains("panicked"), "{said}");
        for putter in putters {
            putter.await.expect("it saw nothing that may not be");
        }
        broker = place.start();
        let mut asker = Asker::http1(broker.address(), &key).await;
        let answered = acked.lock().expect("nobody panics").clone();
        assert_kept(&mut asker, &answered).await;
    }
    let said = broker.stop();
    assert!(!said.contains("panicked"), "{said}");
}

/// Reads everything: what was answered is there, under its number and in its shard, and each key's records are in the
/// order in which they were put.
async fn assert_kept(asker: &mut Asker, acked: &[(String, String, String)]) {
    let mut found = HashMap::new();
    for shard in 0..SHARDS {
        let (mut last_number, mut last_of_key) = (String::new(), HashMap::new());
        for record in asker.read_all("promise", shard).await {
            let (number, data) = (text(&record["SequenceNumber"]), text(&record["Data"]));
            assert!(last_number < number, "{last_number} then {number}");
            last_number = number.clone();
            let key = (text(&record["PartitionKey"]), data[..4].to_owned());
            let before = last_of_key.insert(key, data.clone());
            assert!(before.as_ref().is_none_or(|before| *before < data), "{before:?} then {data}");
            found.insert((crate::face::shard_id(shard), number), data);
        }
    }
    for (shard, number, data) in acked {
        let kept = found.get(&(shard.clone(), number.clone()));
        assert_eq!(kept, Some(data), "{number} in {shard} was answered");
    }
}
