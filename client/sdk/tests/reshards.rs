//! Puts and reads over splits and merges: what a closed shard has stored is never put again, the rest goes on in
//! order, and readers learn where it goes on.

mod peer;

use std::collections::BTreeMap;
use std::time::Duration;

use peer::{Act, Peer};
use rheos_client::protocol::batch::BatchBuilder;
use rheos_client::{Client, ConnectOptions, ErrorCode, Outcome, Position, PutRefused, Record, Ticket, WireError};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

async fn outcome(ticket: Ticket) -> Outcome {
    tokio::time::timeout(PATIENCE, ticket).await.expect("every put has an outcome")
}

fn texts(peer: &Peer, stream: &str, shard: usize) -> Vec<String> {
    peer.stored(stream, shard).into_iter().map(|text| String::from_utf8(text.to_vec()).expect("it is text")).collect()
}

/// The texts that are stored in a stream, shard by shard, each key's in the order of their shards.
fn by_key(peer: &Peer, stream: &str, shards: u32) -> BTreeMap<String, Vec<u32>> {
    let mut stored: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for shard in 0..shards as usize {
        for text in texts(peer, stream, shard) {
            let (key, number) = text.split_once(' ').expect("key and number");
            stored.entry(key.to_owned()).or_default().push(number.parse().expect("it is a number"));
        }
    }
    stored
}

#[tokio::test]
async fn puts_go_on_in_the_children_in_order_and_once() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let mut tickets = Vec::new();
    let mut shards = 2;
    for round in 0..6u32 {
        for number in 0..400 {
            let key = format!("k{}", number % 23);
            let text = format!("{key} {}", round * 400 + number);
            tickets.push(producer.put(Record::new(key, text)).await.unwrap());
            if number == 200 {
                let target = [5, 1, 7, 2, 9, 3][round as usize];
                client.scale_stream("orders", target).await.unwrap();
                shards += target;
            }
        }
    }
    tokio::time::timeout(PATIENCE, producer.flush()).await.expect("everything has an outcome");
    for ticket in tickets {
        let Outcome::Acked { shard, sequence, .. } = outcome(ticket).await else { panic!("every put is stored") };
        assert!(peer.stored("orders", shard as usize).len() as u64 > sequence);
    }
    let stored = by_key(&peer, "orders", shards);
    assert_eq!(stored.values().map(Vec::len).sum::<usize>(), 6 * 400);
    for (key, numbers) in stored {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{key}: {numbers:?}");
    }
    assert_eq!(producer.shards().count(), 3);
}

#[tokio::test]
async fn the_parent_is_asked_for_what_is_in_doubt_before_anything_goes_to_a_child() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    // The first is stored and its answer lost; the second was never looked at.
    peer.script([Act::StoreAndBreak]);
    peer.hold_puts();
    let mut tickets = Vec::new();
    for text in ["stored", "not stored", "neither"] {
        let mut batch = BatchBuilder::default();
        batch.push(&Record::new("key", text).view(), 1 << 20).unwrap();
        tickets.extend(producer.put_batch(0, batch).await.unwrap());
    }
    peer.release_puts(1);
    while peer.stored("orders", 0).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    peer.reshard("orders", &[0], 2);
    peer.release_puts(1_000);
    let mut outcomes = Vec::new();
    for ticket in tickets {
        let Outcome::Acked { shard, sequence, .. } = outcome(ticket).await else { panic!("every put is stored") };
        outcomes.push((shard, sequence));
    }
    let child = producer.shard_of(Record::new("key", "").view().hash_key());
    assert_eq!(outcomes, [(0, 0), (child, 0), (child, 1)]);
    assert_eq!(peer.stored("orders", 0), ["stored"]);
    assert_eq!(peer.stored("orders", child as usize), ["not stored", "neither"]);
    let asked: Vec<u32> = peer.puts().iter().map(|put| put.shard).collect();
    let first_to_child = asked.iter().position(|shard| *shard == child).expect("it was put to");
    assert!(
        asked[..first_to_child].iter().all(|shard| *shard == 0) && !asked[first_to_child..].contains(&0),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_batch_is_divided_where_its_shard_is() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    peer.reshard("orders", &[0], 4);
    let at = |place: u128, text: String| Record { explicit_hash_key: Some(place << 120), ..Record::new("k", text) };
    let tickets = producer.put_all((0..256).map(|place| at(place, format!("k {place}")))).await;
    for (place, ticket) in (0u64..).zip(tickets) {
        let Outcome::Acked { shard, sequence, .. } = outcome(ticket).await else { panic!("every put is stored") };
        assert_eq!((u64::from(shard), sequence), (1 + place / 64, place % 64));
    }
    // The caller that routes by itself may still name the shard that has gone.
    let mut batch = BatchBuilder::default();
    for place in [10, 200] {
        batch.push(&at(place, "late".to_owned()).view(), 1 << 20).unwrap();
    }
    let tickets = producer.put_batch(0, batch).await.unwrap();
    let mut places = Vec::new();
    for ticket in tickets {
        let Outcome::Acked { shard, sequence, .. } = outcome(ticket).await else { panic!("every put is stored") };
        places.push((shard, sequence));
    }
    assert_eq!(places, [(1, 64), (4, 64)], "each record has its own place");
    assert_eq!(texts(&peer, "orders", 4).last().map(String::as_str), Some("late"));
    let mut batch = BatchBuilder::default();
    batch.push(&at(1, "nowhere".to_owned()).view(), 1 << 20).unwrap();
    let error = producer.put_batch(77, batch).await.unwrap_err();
    assert!(matches!(error, PutRefused::Record(error) if error.code == ErrorCode::ShardNotFound));
}

#[tokio::test]
async fn what_waits_for_children_of_a_stream_that_is_gone_is_refused() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let closed = || Act::Refuse(WireError::new(ErrorCode::ShardClosed, "the shard is closed"));
    peer.script((0..1_000).map(|_| closed()));
    let ticket = producer.put(Record::new("key", "text")).await.unwrap();
    client.delete_stream("orders").await.unwrap();
    let Outcome::Refused(PutRefused::Broker(error)) = outcome(ticket).await else { panic!("the stream is gone") };
    assert_eq!(error.code, ErrorCode::StreamNotFound);
}

#[tokio::test]
async fn a_reader_comes_to_an_end_and_says_where_it_goes_on() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    for text in ["k 0", "k 1"] {
        outcome(producer.put(Record::new("k", text)).await.unwrap()).await;
    }
    let mut reader = client.reader("orders", 0, Position::TrimHorizon).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().sequence, 0);
    assert_eq!(reader.children(), None);
    peer.reshard("orders", &[0], 2);
    assert_eq!(reader.next().await.unwrap().unwrap().sequence, 1);
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.children(), Some(&[1, 2][..]));
    assert_eq!(reader.next().await.unwrap(), None, "it stays at its end");
    let read = reader.next_batches().await.unwrap();
    assert!(read.is_empty() && read.children == Some(vec![1, 2]));
    reader.skip_to(Position::AtSequence(1));
    assert_eq!(reader.children(), None);
    assert_eq!(reader.next().await.unwrap().unwrap().sequence, 1);
}
