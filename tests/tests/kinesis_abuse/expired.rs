//! A registered consumer whose place has expired: it is led to the oldest record that is kept.

use std::time::Duration;

use rheos_client::StreamSpec;
use rheos_client::protocol::message::UpdateStream;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::face::{Asker, Events, JSON, shard_id, text};
use crate::ground;

/// The least that a stream of one log may keep.
const KEPT_BYTES: u64 = 64 << 20;
/// Characters of Base64 of one record, and records of a call.
const DATA_CHARS: usize = 1_000_000;
const RECORDS: usize = 5;
/// Far more calls than fill what is kept.
const CALLS_MAX: usize = 200;
/// A consumer may subscribe again after this long.
const AGAIN: Duration = Duration::from_secs(5);

/// The number of the oldest record that is kept.
async fn oldest(asker: &mut Asker) -> String {
    let iterator = asker.iterator("short", 0).await;
    let page = asker.done("GetRecords", &json!({"ShardIterator": iterator, "Limit": 1})).await;
    text(&page["Records"][0]["SequenceNumber"])
}

async fn subscribe(asker: &mut Asker, consumer: &str, position: Value) -> Events {
    let body = json!({"ConsumerARN": consumer, "ShardId": shard_id(0), "StartingPosition": position});
    let request = asker.signed("SubscribeToShard", JSON, body.to_string().into_bytes());
    let begun = asker.begin(request).await.expect("it is answered");
    assert_eq!(begun.status(), 200);
    let mut events = Events::of(begun);
    assert_eq!(events.next().await.expect("it begins").kind, "initial-response");
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_place_has_expired_goes_on_with_what_is_kept() {
    let ground = ground().await;
    let admin = ground.broker.client().await;
    admin.create_stream(StreamSpec::new("short", 1)).await.expect("there is none");
    let update = UpdateStream { retention_bytes: Some(KEPT_BYTES), ..UpdateStream::of("short") };
    admin.update_stream(update).await.expect("it may keep so little");
    admin.close().await;
    let mut asker = Asker::http2(ground.broker.address(), &ground.key).await;
    let arn = asker.arn("short").await;
    let consumer = asker.register(&arn, "late").await;

    let record = json!({"PartitionKey": "k", "Data": "A".repeat(DATA_CHARS)});
    let call = json!({"StreamName": "short", "Records": vec![record; RECORDS]});
    let first = text(&asker.done("PutRecords", &call).await["Records"][0]["SequenceNumber"]);
    let mut calls = 0;
    while oldest(&mut asker).await == first {
        asker.done("PutRecords", &call).await;
        calls += 1;
        assert!(calls < CALLS_MAX, "nothing expires");
    }

    let from = json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": first});
    let mut events = subscribe(&mut asker, &consumer, from).await;
    let said = events.next().await.expect("it is told where to go on");
    assert!(said.records().is_empty(), "{said:?}");
    let continuation = text(&said.payload["ContinuationSequenceNumber"]);
    assert!(events.next().await.is_none());

    sleep(AGAIN).await;
    let from = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuation});
    let mut events = subscribe(&mut asker, &consumer, from).await;
    let event = events.next_full().await.expect("it goes on");
    assert_eq!(text(&event.records()[0]["SequenceNumber"]), oldest(&mut asker).await);
    drop((events, asker));
    ground.end().await;
}
