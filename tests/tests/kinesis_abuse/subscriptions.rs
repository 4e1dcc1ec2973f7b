//! Subscriptions that are begun again, taken over, and ended by others; what each hears, and that its place is free
//! afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rheos_client::protocol::message::{Access, KeyPolicy};
use rheos_tests::http::Samples;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::face::{Asker, Events, JSON, new_key, shard_id, subscription, text};
use crate::{PATIENCE, ground};

/// Puts a record into shard 0 of `target`; its number.
async fn put(asker: &mut Asker, data: &str) -> String {
    let input = json!({"StreamName": "target", "PartitionKey": "a", "ExplicitHashKey": "0", "Data": data});
    let answer = asker.done("PutRecord", &input).await;
    assert_eq!(answer["ShardId"], shard_id(0));
    text(&answer["SequenceNumber"])
}

/// The numbers of the records of the next event that has any.
async fn pushed(events: &mut Events) -> Vec<String> {
    let event = events.next_full().await.expect("it goes on");
    event.records().iter().map(|record| text(&record["SequenceNumber"])).collect()
}

/// Waits until the lanes hold so many subscriptions of a consumer.
pub(crate) async fn subscribed(address: SocketAddr, consumer: &str, count: u64) {
    let series = format!("rheos_push_subscriptions{{stream=\"target\",consumer=\"{consumer}\"}}");
    let began = Instant::now();
    loop {
        let seen = Samples::of(address).await.get(&series);
        if seen == Some(count as f64) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{series} is {seen:?}, not {count}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_may_subscribe_after_five_seconds_and_takes_over() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http2(address, &ground.key).await;
    let arn = asker.arn("target").await;
    let consumer = asker.register(&arn, "board").await;
    let first_put = put(&mut asker, "AAAA").await;
    let began = Instant::now();
    let mut first = asker.subscribe(&consumer, 0).await;
    assert_eq!(pushed(&mut first).await, [&*first_put]);
    let mut other = Asker::http1(address, &ground.key).await;
    let mut tries = 0;
    let mut second = loop {
        let request = other.signed("SubscribeToShard", JSON, subscription(&consumer, 0));
        let begun = other.begin(request).await.expect("it is answered");
        if begun.status() == 200 {
            break Events::of(begun);
        }
        let said = crate::face::Answer::of(begun).await.refusal(400, "ResourceInUseException");
        assert!(said.contains("board") && said.contains("5 seconds"), "{said}");
        tries += 1;
        assert!(began.elapsed() < Duration::from_secs(8));
        sleep(Duration::from_millis(200)).await;
    };
    assert!(tries > 10 && began.elapsed() >= Duration::from_secs(5), "{tries} tries in {:?}", began.elapsed());
    assert_eq!(second.next().await.expect("it begins").kind, "initial-response");
    assert_eq!(pushed(&mut second).await, [first_put]);
    // Who was there before hears so, and nothing else.
    let end = first.next_full().await.expect("it is told");
    assert_eq!(end.kind, "ResourceInUseException");
    assert!(text(&end.payload["message"]).contains("taken over"), "{end:?}");
    assert!(first.next().await.is_none());
    // Another shard and another consumer are other matters.
    let beside = asker.register(&arn, "beside").await;
    let mut others = [asker.subscribe(&consumer, 1).await, asker.subscribe(&beside, 0).await];
    let number = put(&mut asker, "BBBB").await;
    assert_eq!(pushed(&mut second).await, [&*number]);
    while pushed(&mut others[1]).await.last() != Some(&number) {}
    subscribed(address, "board", 2).await;
    drop((second, others, other, asker));
    subscribed(address, "board", 0).await;
    subscribed(address, "beside", 0).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_subscribe_at_once_one_may() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http2(address, &ground.key).await;
    let arn = asker.arn("target").await;
    let consumer = asker.register(&arn, "board").await;
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let (key, consumer) = (ground.key.clone(), consumer.clone());
            tokio::spawn(async move {
                let mut asker = Asker::http1(address, &key).await;
                let request = asker.signed("SubscribeToShard", JSON, subscription(&consumer, 0));
                let begun = asker.begin(request).await.expect("it is answered");
                (begun.status().as_u16(), begun, asker)
            })
        })
        .collect();
    let mut begun = Vec::new();
    for asked in asked {
        begun.push(asked.await.expect("it does not panic"));
    }
    let taken = begun.iter().filter(|(status, ..)| *status == 200).count();
    assert_eq!(taken, 1, "the others were told to wait for five seconds");
    subscribed(address, "board", 1).await;
    drop(begun);
    subscribed(address, "board", 0).await;
    // Who was refused for another reason has not taken the place.
    let unheard = asker.register(&arn, "unheard").await;
    let mut body: Value = serde_json::from_slice(&subscription(&unheard, 0)).expect("it is JSON");
    body["StartingPosition"] = json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "7"});
    asker.refused("SubscribeToShard", &body, "InvalidArgumentException").await;
    drop(asker.subscribe(&unheard, 0).await);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_its_key_consumer_or_stream_hears_so() {
    let ground = ground().await;
    let address = ground.broker.address();
    let admin = ground.broker.client().await;
    let key = new_key(&admin, "short", KeyPolicy::everywhere(Access::ReadWrite)).await;
    let (mut asker, mut short) = (Asker::http2(address, &ground.key).await, Asker::http2(address, &key).await);
    let arn = asker.arn("target").await;
    let [board, gone, last] =
        [asker.register(&arn, "board").await, asker.register(&arn, "gone").await, asker.register(&arn, "last").await];
    let mut revoked = short.subscribe(&board, 0).await;
    let mut deregistered = asker.subscribe(&gone, 0).await;
    let mut deleted = asker.subscribe(&last, 0).await;
    let number = put(&mut asker, "AAAA").await;
    for events in [&mut revoked, &mut deregistered, &mut deleted] {
        assert_eq!(pushed(events).await, [&*number]);
    }

    admin.revoke_key("short").await.expect("it is there");
    asker.done("DeregisterStreamConsumer", &json!({"ConsumerARN": gone})).await;
    put(&mut asker, "BBBB").await;
    let end = revoked.next().await.expect("it is told");
    assert_eq!(end.kind, "AccessDeniedException", "not a record more: {end:?}");
    assert!(text(&end.payload["message"]).contains("revoked"), "{end:?}");
    assert!(revoked.next().await.is_none());
    subscribed(address, "board", 0).await;
    let end = deregistered.next_full().await.expect("it is told");
    assert_eq!(end.kind, "ResourceNotFoundException", "{end:?}");
    assert!(deregistered.next().await.is_none());
    let said = asker.refused("SubscribeToShard", &subscribe_again(&gone), "ResourceNotFoundException").await;
    assert!(said.contains("gone"), "{said}");

    asker.done("DeleteStream", &json!({"StreamName": "target", "EnforceConsumerDeletion": true})).await;
    let end = loop {
        // What was put before is pushed still.
        match deleted.next_full().await {
            Some(event) if event.kind == "SubscribeToShardEvent" => assert_eq!(event.records().len(), 1),
            end => break end,
        }
    };
    assert!(end.as_ref().is_none_or(|end| end.kind == "ResourceNotFoundException"), "{end:?}");
    assert!(deleted.next().await.is_none());
    asker.refused("SubscribeToShard", &subscribe_again(&last), "ResourceNotFoundException").await;
    admin.close().await;
    ground.end().await;
}

fn subscribe_again(consumer: &str) -> Value {
    serde_json::from_slice(&subscription(consumer, 0)).expect("it is JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_ends_with_its_children_and_with_no_continuation() {
    let ground = ground().await;
    let mut asker = Asker::http2(ground.broker.address(), &ground.key).await;
    let arn = asker.arn("target").await;
    let (board, late) = (asker.register(&arn, "board").await, asker.register(&arn, "late").await);
    let mut events = asker.subscribe(&board, 0).await;
    let number = put(&mut asker, "AAAA").await;
    asker
        .done("SplitShard", &json!({"StreamName": "target", "ShardToSplit": shard_id(0), "NewStartingHashKey": "1000"}))
        .await;
    for events in [&mut events, &mut asker.subscribe(&late, 0).await] {
        let (mut records, mut ends) = (Vec::new(), 0);
        while let Some(event) = events.next().await {
            records.extend(event.records().iter().map(|record| text(&record["SequenceNumber"])));
            let (continues, children) =
                (event.payload.get("ContinuationSequenceNumber"), event.payload.get("ChildShards"));
            assert!(continues.is_some() != children.is_some(), "one of the two: {event:?}");
            assert_eq!(ends, 0, "nothing comes after the end: {event:?}");
            if let Some(children) = children {
                let ids: Vec<_> =
                    children.as_array().expect("it is a list").iter().map(|it| it["ShardId"].clone()).collect();
                assert_eq!(ids, [json!(shard_id(2)), json!(shard_id(3))]);
                assert_eq!(event.payload["MillisBehindLatest"], 0);
                ends += 1;
            }
        }
        assert_eq!((records, ends), (vec![number.clone()], 1));
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_an_event_every_five_seconds() {
    let ground = ground().await;
    let mut asker = Asker::http1(ground.broker.address(), &ground.key).await;
    let arn = asker.arn("target").await;
    let consumer = asker.register(&arn, "board").await;
    let mut events = asker.subscribe(&consumer, 0).await;
    let mut continuation = String::new();
    for round in 0..3 {
        let began = Instant::now();
        let event = events.next().await.expect("it goes on");
        assert!(event.records().is_empty() && event.payload["MillisBehindLatest"] == 0, "{event:?}");
        let took = began.elapsed();
        assert!(took <= Duration::from_millis(6_000) && (round == 0 || took >= Duration::from_secs(4)), "{took:?}");
        let number = text(&event.payload["ContinuationSequenceNumber"]);
        assert!(continuation.len() < number.len() || continuation < number, "{continuation} then {number}");
        continuation = number;
    }
    ground.end().await;
}
