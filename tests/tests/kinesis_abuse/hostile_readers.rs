//! Consumers that read nothing, vanish, or are given far more at once than an event may hold.

use std::time::{Duration, Instant};

use rheos_client::Record;
use rheos_client::protocol::limits::{BATCH_BODY_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use rheos_protocol::batch::{BatchBuilder, ProducerStamp};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::face::{Asker, JSON, text, wire};
use crate::subscriptions::subscribed;
use crate::{GROWTH_BYTES_MAX, PATIENCE, ground};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_holds_up_nobody_on_its_connection() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http2(address, &ground.key).await;
    let arn = asker.arn("target").await;
    let (idle, reading) = (asker.register(&arn, "idle").await, asker.register(&arn, "reading").await);
    let unread = asker.subscribe(&idle, 0).await;
    let mut read = asker.subscribe(&reading, 0).await;
    // Far more than the windows and the credit hold.
    let data = "QUJD".repeat(64 << 10);
    let mut longest = Duration::ZERO;
    for round in 0..100 {
        let input = json!({"StreamName": "target", "PartitionKey": "a", "ExplicitHashKey": "0", "Data": data});
        let began = Instant::now();
        let number = text(&asker.done("PutRecord", &input).await["SequenceNumber"]);
        longest = longest.max(began.elapsed());
        let event = read.next_full().await.expect("it goes on");
        let numbers: Vec<_> = event.records().iter().map(|record| text(&record["SequenceNumber"])).collect();
        assert_eq!(numbers, [number], "round {round}");
    }
    assert!(longest < Duration::from_secs(5), "a put took {longest:?}");
    subscribed(address, "idle", 1).await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    // In the end it is given up, alone.
    subscribed(address, "idle", 0).await;
    asker.arn("target").await;
    drop((unread, read));
    subscribed(address, "reading", 0).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_vanish_leave_their_places() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http1(address, &ground.key).await;
    let arn = asker.arn("target").await;
    let mut names = Vec::new();
    for number in 0..20 {
        let name = format!("board-{number}");
        let consumer = asker.register(&arn, &name).await;
        names.push((name, consumer));
    }
    for _ in 0..2 {
        let mut open = Vec::new();
        for (at, (_, consumer)) in names.iter().enumerate() {
            let mut of = if at % 2 == 0 {
                Asker::http1(address, &ground.key).await
            } else {
                Asker::http2(address, &ground.key).await
            };
            open.push((of.subscribe(consumer, 0).await, of));
        }
        for (name, _) in &names {
            subscribed(address, name, 1).await;
        }
        drop(open);
        for (name, _) in &names {
            subscribed(address, name, 0).await;
        }
        sleep(Duration::from_millis(5_100)).await;
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_poll_and_take_nothing_hold_up_no_other_poll() {
    const CROWD: usize = 60;
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http1(address, &ground.key).await;
    let data = "QUJD".repeat(256 << 10);
    for _ in 0..20 {
        let input = json!({"StreamName": "target", "PartitionKey": "a", "ExplicitHashKey": "0", "Data": data});
        asker.done("PutRecord", &input).await;
    }
    let input = json!({"ShardIterator": asker.iterator("target", 0).await});
    let sent = wire(&asker.signed("GetRecords", JSON, input.to_string().into_bytes()), false);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(4 << 10).expect("it can be small");
        let mut stream = socket.connect(address).await.expect("it listens");
        stream.write_all(&sent).await.expect("it is taken");
        crowd.push(stream);
    }
    sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    let page = asker.done("GetRecords", &input).await;
    assert!(page["Records"].as_array().is_some_and(|records| !records.is_empty()));
    assert!(began.elapsed() < Duration::from_secs(5), "a poll took {:?}", began.elapsed());
    ground.unharmed(600 << 20).await;
    drop(crowd);
    ground.end().await;
}

/// The largest batch there is, of records that are as long as possible when they are written as JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_batch_is_pushed_in_events_that_clients_take() {
    const EVENT_BYTES_MAX: usize = 16 << 20;
    let ground = ground().await;
    let raw = ground.client().await;
    let key = "\u{1}".repeat(256);
    let data_bytes = BATCH_BODY_BYTES_MAX as usize / BATCH_RECORDS_MAX as usize - 256 - 40;
    let mut builder = BatchBuilder::default();
    for number in 0..BATCH_RECORDS_MAX {
        let mut data = vec![b'x'; data_bytes];
        data[..4].copy_from_slice(&number.to_be_bytes());
        let record = Record { explicit_hash_key: Some(0), ..Record::new(key.clone(), data) };
        builder.push(&record.view(), RECORD_BYTES_MAX).expect("there is room");
    }
    let batch = builder.finish(ground.stream.incarnation, 0, ProducerStamp::default());
    raw.put(&batch).await.expect("it is a batch");

    let mut asker = Asker::http1(ground.broker.address(), &ground.key).await;
    let arn = asker.arn("target").await;
    let consumer = asker.register(&arn, "board").await;
    let mut events = asker.subscribe(&consumer, 0).await;
    let (mut count, mut last) = (0, String::new());
    while count < BATCH_RECORDS_MAX as usize {
        let event = events.next().await.expect("it goes on");
        assert_eq!(event.kind, "SubscribeToShardEvent", "{event:?}");
        assert!(event.payload.to_string().len() < EVENT_BYTES_MAX);
        for record in event.records() {
            let number = text(&record["SequenceNumber"]);
            assert!(last < number && record["PartitionKey"] == key, "{last} then {number}");
            last = number;
            count += 1;
        }
        // Whoever comes again after an event goes on behind its last record.
        let continuation = text(&event.payload["ContinuationSequenceNumber"]);
        assert!(continuation >= last && event.payload["MillisBehindLatest"].is_u64(), "{continuation} after {last}");
    }
    assert_eq!(count, BATCH_RECORDS_MAX as usize);
    let polled = timeout(PATIENCE, asker_of(&ground).await.read_all("target", 0)).await.expect("it is read");
    assert_eq!(polled.len(), BATCH_RECORDS_MAX as usize);
    drop(events);
    ground.end().await;
}

async fn asker_of(ground: &rheos_tests::ground::Ground) -> Asker {
    Asker::http1(ground.broker.address(), &ground.key).await
}
