//! Reads: everything, in order, proved, and the next one asked for before the last one is here.

mod peer;

use std::time::Duration;

use peer::{ARRIVAL_MS, Peer};
use rheos_client::protocol::frame::kind;
use rheos_client::{Client, ConnectOptions, Error, Position, Reader, Record};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

/// A stream "orders" with one shard that holds `count` batches of `records` records each, and the
/// client that put them.
async fn filled(peer: &Peer, count: u64, records: u64, data_bytes: usize) -> Client {
    peer.create("orders", 1);
    let client = connect(peer).await;
    let producer = client.producer("orders").await.unwrap();
    for batch in 0..count {
        let mut builder = rheos_client::protocol::batch::BatchBuilder::default();
        for record in 0..records {
            let mut data = format!("{}", batch * records + record).into_bytes();
            data.resize(data.len().max(data_bytes), b' ');
            builder.push(&Record::new("key", data).view(), 1 << 20).unwrap();
        }
        drop(producer.put_batch(0, builder).await.unwrap());
    }
    producer.close().await;
    client
}

async fn reader(client: &Client, position: Position) -> Reader {
    client.reader("orders", 0, position).await.unwrap()
}

async fn sequences(reader: &mut Reader, count: usize) -> Vec<u64> {
    let mut sequences = Vec::new();
    while sequences.len() < count {
        let record = reader.next().await.unwrap().expect("the client is open");
        let text = str::from_utf8(&record.record.data).unwrap().trim_end();
        assert_eq!((text, record.record.partition_key.as_str()), (record.sequence.to_string().as_str(), "key"));
        sequences.push(record.sequence);
    }
    sequences
}

#[tokio::test]
async fn records_come_in_order_from_any_position() {
    let peer = Peer::start();
    let client = filled(&peer, 10, 10, 0).await;
    for (position, first) in [
        (Position::TrimHorizon, 0),
        (Position::AtSequence(37), 37),
        (Position::AfterSequence(37), 38),
        (Position::AtTimestamp(ARRIVAL_MS + 5), 50),
    ] {
        let mut reader = reader(&client, position).await;
        let expected: Vec<u64> = (first..100).collect();
        assert_eq!(sequences(&mut reader, expected.len()).await, expected, "{position:?}");
        assert_eq!(reader.position(), Position::AtSequence(100));
        assert!(reader.read_once().await.unwrap().is_empty());
    }
    let mut latest = reader(&client, Position::Latest).await;
    let read = latest.read_once().await.unwrap();
    assert!(read.is_empty() && read.is_at_tip());
    assert_eq!(read.start_sequence, 100);
}

#[tokio::test]
async fn what_was_not_given_out_is_read_again() {
    let peer = Peer::start();
    let client = filled(&peer, 3, 10, 0).await;
    let mut reader = reader(&client, Position::TrimHorizon).await;
    assert_eq!(sequences(&mut reader, 13).await.last(), Some(&12));
    assert_eq!(reader.position(), Position::AtSequence(13));
    let read = reader.next_batches().await.unwrap();
    assert_eq!(read.records().map(|at| at.sequence).collect::<Vec<_>>(), (13..30).collect::<Vec<_>>());
    assert_eq!(read.records().next().unwrap().arrival_ms, ARRIVAL_MS + 1);
    assert_eq!(read.batches().count(), 2);
    reader.skip_to(Position::AtSequence(5));
    assert_eq!(sequences(&mut reader, 2).await, [5, 6]);
}

#[tokio::test]
async fn the_next_read_is_asked_for_before_the_body_of_the_last_one_came() {
    let peer = Peer::start();
    // 36 MB in all: five reads of 8 MiB.
    let client = filled(&peer, 120, 300, 1_000).await;
    // No body comes before the next read was asked for: a reader that does not read ahead waits for ever.
    peer.hold_bodies_until(&[2, 3, 4, 5]);
    let mut reader = reader(&client, Position::TrimHorizon).await;
    let (mut due, mut reads) = (0, 0);
    while due < 36_000 {
        let read = reader.next_batches().await.unwrap();
        assert_eq!(read.start_sequence, due);
        due = read.next_sequence;
        reads += 1;
        let ahead = peer.requests_of(kind::READ) - reads;
        assert!(ahead <= 1, "{ahead} reads are open beside the one that was just given out");
        assert_eq!(read.is_at_tip(), due == 36_000);
    }
    assert_eq!((reads, peer.requests_of(kind::READ)), (5, 5));
}

#[tokio::test]
async fn at_the_tip_a_reader_waits_for_records() {
    let peer = Peer::start();
    let client = filled(&peer, 1, 1, 0).await;
    let mut reader = reader(&client, Position::Latest).await;
    reader.read_once().await.unwrap();
    let waiting = tokio::spawn(async move { reader.next().await.unwrap().unwrap() });
    while peer.requests_of(kind::READ) < 3 {
        tokio::task::yield_now().await;
    }
    let producer = client.producer("orders").await.unwrap();
    let _ = producer.put(Record::new("key", "new")).await.unwrap().await;
    let record = waiting.await.unwrap();
    assert_eq!((record.sequence, record.shard, record.behind_ms, &record.record.data[..]), (1, 0, 0, &b"new"[..]));
}

#[tokio::test]
async fn a_reader_given_up_loses_nothing() {
    let peer = Peer::start();
    let client = filled(&peer, 20, 50, 0).await;
    let mut reader = reader(&client, Position::TrimHorizon).await;
    let mut due = 0;
    while due < 1_000 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            record = reader.next() => {
                assert_eq!(record.unwrap().unwrap().sequence, due);
                due += 1;
            }
        }
    }
}

#[tokio::test]
async fn trimmed_and_damaged_records_are_named_and_can_be_skipped() {
    let peer = Peer::start();
    let client = filled(&peer, 10, 10, 0).await;
    let mut reader = reader(&client, Position::TrimHorizon).await;
    peer.trim("orders", 0, 30);
    reader.skip_to(Position::AtSequence(3));
    let error = reader.next().await.unwrap_err();
    assert!(matches!(error, Error::Trimmed { shard: 0, first_kept_sequence: 30 }), "{error:?}");
    assert!(error.to_string().contains("shard 0") && error.to_string().contains("sequence 30"), "{error}");
    // Reading again tries again.
    assert!(matches!(reader.next().await, Err(Error::Trimmed { .. })));
    reader.skip_to(Position::TrimHorizon);
    peer.damage("orders", 0, 50, 69);
    assert_eq!(sequences(&mut reader, 20).await, (30..50).collect::<Vec<_>>());
    let error = reader.next().await.unwrap_err();
    let Error::Damaged { shard: 0, first_sequence: 50, last_sequence } = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("skip to sequence 70"), "{error}");
    reader.skip_to(Position::AfterSequence(last_sequence));
    assert_eq!(sequences(&mut reader, 30).await, (70..100).collect::<Vec<_>>());
    reader.skip_to(Position::AtSequence(101));
    let error = reader.next().await.unwrap_err();
    assert!(matches!(error, Error::BeyondTip { next_sequence: 100, .. }), "{error:?}");
}

#[tokio::test]
async fn records_that_are_left_out_silently_are_noticed() {
    let peer = Peer::start();
    let client = filled(&peer, 10, 10, 0).await;
    let mut reader = reader(&client, Position::TrimHorizon).await;
    peer.leave_out_a_batch();
    let error = reader.next_batches().await.unwrap_err();
    assert!(matches!(error, Error::Gap { shard: 0, expected: 0, found: 90 }), "{error:?}");
    // The position has not moved.
    assert_eq!(sequences(&mut reader, 100).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_read_goes_on_over_a_broken_connection() {
    let peer = Peer::start();
    let client = filled(&peer, 10, 10, 0).await;
    let mut reader = reader(&client, Position::TrimHorizon).await;
    peer.break_on(kind::READ);
    assert_eq!(sequences(&mut reader, 100).await, (0..100).collect::<Vec<_>>());
    peer.break_connections();
    reader.skip_to(Position::AtSequence(50));
    assert_eq!(sequences(&mut reader, 50).await, (50..100).collect::<Vec<_>>());
    client.close().await;
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn the_largest_records_are_read() {
    let peer = Peer::start();
    peer.create_large("orders", 10 << 20);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let sizes = [10 << 20, 5, 10 << 20];
    let tickets = producer.put_all(sizes.map(|size| Record::new("key", vec![3; size]))).await;
    producer.flush().await;
    drop(tickets);
    let mut reader = reader(&client, Position::TrimHorizon).await;
    for size in sizes {
        assert_eq!(reader.next().await.unwrap().unwrap().record.data.len(), size);
    }
}

#[tokio::test]
async fn a_shard_that_does_not_exist_is_named() {
    let peer = Peer::start();
    peer.create("orders", 4);
    let client = connect(&peer).await;
    let error = client.reader("orders", 4, Position::Latest).await.unwrap_err();
    assert_eq!(error.to_string(), "stream orders has no shard 4; its shards are 0 to 3");
}

#[tokio::test]
async fn while_a_read_waits_the_broker_is_asked_whether_it_is_there() {
    let peer = Peer::start();
    let client = filled(&peer, 1, 10, 0).await;
    // It is answered once a second one was asked for, which comes over another connection.
    peer.hold_bodies_until(&[2]);
    let mut reader = reader(&client, Position::TrimHorizon).await;
    let reading = tokio::spawn(async move { sequences(&mut reader, 10).await });
    let asked = async {
        while peer.requests_of(kind::PING) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it asks");
    peer.restart().await;
    assert_eq!(reading.await.unwrap(), (0..10).collect::<Vec<_>>());
}
