//! Shard iterators that were changed, are old, of another life of a stream, or of somebody else.

use std::time::Duration;

use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_client::protocol::name::AccountId;
use rheos_tests::raw_client::Key;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::face::{Asker, new_admin, new_key, shard_id, text};
use crate::{GROWTH_BYTES_MAX, ground, place};

const REFUSED: (&str, &str) = ("InvalidArgumentException", "Invalid ShardIterator.");

async fn assert_invalid(asker: &mut Asker, iterator: &str, what: &str) {
    let said = asker.refused("GetRecords", &json!({"ShardIterator": iterator}), REFUSED.0).await;
    assert_eq!(said, REFUSED.1, "{what}");
}

async fn numbers(asker: &mut Asker, iterator: &str) -> Vec<Value> {
    let page = asker.done("GetRecords", &json!({"ShardIterator": iterator})).await;
    let records = page["Records"].as_array().expect("it is a list").iter();
    records.map(|record| record["SequenceNumber"].clone()).collect()
}

/// A character of the alphabet of Base64 that is not this one, and whose bits differ in the first.
fn other(character: u8) -> u8 {
    if character == b'A' { b'g' } else { b'A' }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_that_was_changed_anywhere_is_none() {
    let ground = ground().await;
    let mut asker = Asker::http1(ground.broker.address(), &ground.key).await;
    let put = asker.put("target", "a", "AAAA").await;
    let shard = u32::from(put.0 != shard_id(0));
    let iterator = asker.iterator("target", shard).await;
    let given = iterator.as_bytes();
    let padding = iterator.len() - iterator.trim_end_matches('=').len();
    for at in 0..given.len() {
        let mut changed = given.to_vec();
        changed[at] = other(changed[at]);
        assert_invalid(&mut asker, std::str::from_utf8(&changed).expect("it is ASCII"), &format!("edited at {at}"))
            .await;
    }
    for len in 1..given.len() {
        assert_invalid(&mut asker, &iterator[..len], &format!("cut after {len}")).await;
        assert_invalid(&mut asker, &iterator[len..], &format!("cut before {len}")).await;
    }
    // Bits that Base64 leaves over are no way to another text for the same.
    let last = given.len() - padding - 1;
    let mut changed = given.to_vec();
    changed[last] ^= 1;
    assert_invalid(&mut asker, std::str::from_utf8(&changed).expect("it is ASCII"), "its last bit").await;
    let doubled = format!("{iterator}{iterator}");
    let spaced = format!(" {iterator}");
    let url_safe = format!("{}_", &iterator[..iterator.len() - 1]);
    for (what, text) in [("doubled", &doubled), ("with a blank", &spaced), ("of another alphabet", &url_safe)] {
        if text.len() <= 512 {
            assert_invalid(&mut asker, text, what).await;
        }
    }
    // Unchanged it is good for as often as one likes.
    for _ in 0..2 {
        assert_eq!(numbers(&mut asker, &iterator).await, [json!(put.1)]);
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_is_of_one_life_of_a_stream_and_of_one_key() {
    let ground = ground().await;
    let address = ground.broker.address();
    let admin = ground.broker.client().await;
    let mut owner = Asker::http1(address, &ground.key).await;
    let put = owner.put("target", "a", "AAAA").await;
    let shard = u32::from(put.0 != shard_id(0));
    let iterator = owner.iterator("target", shard).await;
    let account = AccountId::new("210987654321").expect("it is one");
    let elsewhere = admin.create_key_of(Some(&account), "elsewhere", KeyPolicy::everywhere(Access::Admin)).await;
    let elsewhere = elsewhere.expect("there is none");
    for key in [new_admin(&admin, "other").await, Key(elsewhere.id, elsewhere.secret)] {
        assert_invalid(&mut Asker::http1(address, &key).await, &iterator, "of another key").await;
    }
    // Text of another purpose, sealed under the same key for the same one.
    for name in ["more-1", "more-2"] {
        owner.done("CreateStream", &json!({"StreamName": name, "ShardCount": 1})).await;
    }
    let token = owner.done("ListStreams", &json!({"Limit": 1})).await;
    assert_invalid(&mut owner, &text(&token["NextToken"]), "a page token").await;
    let said = owner.refused("ListStreams", &json!({"NextToken": iterator}), "InvalidArgumentException").await;
    assert_eq!(said, "Invalid NextToken.");

    assert_eq!(numbers(&mut owner, &iterator).await, [json!(put.1)]);
    let deleted = json!({"StreamName": "target"});
    owner.done("DeleteStream", &deleted).await;
    let gone = json!({"ShardIterator": iterator});
    let said = owner.refused("GetRecords", &gone, "ResourceNotFoundException").await;
    assert!(said.contains(&shard_id(shard)) && said.contains("does not exist"), "{said}");
    owner.done("CreateStream", &json!({"StreamName": "target", "ShardCount": 2})).await;
    let new = owner.put("target", "a", "BBBB").await;
    assert_eq!(new.0, put.0);
    let again = owner.refused("GetRecords", &gone, "ResourceNotFoundException").await;
    assert_eq!(again, said, "nothing of the new stream is read with it");
    let iterator = owner.iterator("target", shard).await;
    assert_eq!(numbers(&mut owner, &iterator).await, [json!(new.1)]);
    admin.close().await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_outlives_the_broker_and_not_five_minutes() {
    let mut place = place();
    let broker = place.start();
    let admin = broker.client().await;
    let key = new_key(&admin, "reader", KeyPolicy::everywhere(Access::Admin)).await;
    admin.close().await;
    let mut asker = Asker::http1(broker.address(), &key).await;
    asker.done("CreateStream", &json!({"StreamName": "kept", "ShardCount": 1})).await;
    let put = asker.put("kept", "a", "AAAA").await;
    let first = asker.iterator("kept", 0).await;
    let token = asker.done("ListShards", &json!({"StreamName": "kept", "MaxResults": 1})).await;
    assert!(token.get("NextToken").is_none(), "there is one shard");
    broker.kill();
    // Within a second of five minutes the iterator is good, over a kill and a restart.
    for (ahead_ms, is_good) in [(0, true), (290_000, true), (301_000, false)] {
        place.set_flag("--clock-ahead-ms", Some(&ahead_ms.to_string()));
        let broker = place.start();
        let mut asker = Asker::http1(broker.address(), &key).await;
        // What signs is as far ahead as the broker.
        let at = std::time::SystemTime::now() + Duration::from_millis(ahead_ms);
        let body = json!({"ShardIterator": first}).to_string().into_bytes();
        let unsigned = crate::face::call(broker.address(), "GetRecords", crate::face::JSON, body);
        let request = crate::face::signer(&key).sign(unsigned, rheos_tests::signed_request::Form::Header, at);
        let answer = asker.send(request).await;
        if is_good {
            assert_eq!(answer.json()["Records"][0]["SequenceNumber"], json!(put.1), "{answer:?}");
        } else {
            let said = answer.refusal(400, "ExpiredIteratorException");
            assert!(said.starts_with("Iterator expired. The iterator was created at time "), "{said}");
            assert!(said.ends_with("than the tolerated delay of 300000 milliseconds."), "{said}");
        }
        sleep(Duration::from_millis(10)).await;
        let said = broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}
