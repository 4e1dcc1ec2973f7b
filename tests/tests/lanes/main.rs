//! A broker of several lanes: each is reached by name, any of them serves everything, and nothing about
//! them outlives a run.

mod places;
mod reach;

use std::collections::BTreeMap;
use std::time::Duration;

use rheos_client::protocol::batch::{BatchBuilder, ProducerStamp};
use rheos_client::protocol::message::{Read, Reply, Request};
use rheos_client::{Client, ErrorCode, Outcome, Position, Producer, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::raw_client::{Key, RawClient};
use tokio::time::timeout;

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn place(lanes: u16) -> Place {
    let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
    place.set_lanes(lanes);
    place
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it does not take a minute")
}

/// Connects to every lane by its first byte.
async fn reach_every_lane(broker: &Broker, key: &Key, lanes: u16) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for lane in 0..lanes {
        let (client, welcome) = within(RawClient::at_lane(broker.address(), key, lane as u8)).await;
        assert_eq!((welcome.lane, welcome.lanes), (lane, lanes));
        clients.push(client);
    }
    clients
}

/// Puts records with so many keys, numbered from `from` on, and waits until all are acked.
async fn put_numbered(producer: &Producer, from: u64, count: u64, keys: u64) {
    let mut tickets = Vec::new();
    for number in from..from + count {
        let record = Record::new(format!("key {}", number % keys), number.to_string());
        tickets.push(within(producer.put(record)).await.expect("it is small"));
    }
    for ticket in tickets {
        let outcome = within(ticket).await;
        assert!(matches!(outcome, Outcome::Acked { .. }), "a put came to {outcome:?}");
    }
}

/// Reads every shard to its tip and asserts that the records numbered below `count` are there, each once
/// and those of a key in order.
async fn assert_all_there(client: &Client, stream: &StreamDescription, count: u64) {
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for shard in &stream.shards {
        let mut reader =
            client.reader(&stream.name, shard.shard, Position::TrimHorizon).await.expect("the shard is there");
        loop {
            let read = within(reader.read_once()).await.expect("it can be read");
            for at in read.records() {
                let number = std::str::from_utf8(at.record.data).expect("it was put as text");
                let key = at.record.partition_key.to_owned();
                by_key.entry(key).or_default().push(number.parse().expect("it was put as a number"));
            }
            if read.is_at_tip() {
                break;
            }
        }
    }
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "a key's records are in order");
    let mut all: Vec<u64> = by_key.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>(), "each is there once");
}

fn batch(stream: &StreamDescription, shard: u32, data: &str, producer: ProducerStamp) -> Vec<u8> {
    let range = stream.shards[shard as usize].range;
    let mut builder = BatchBuilder::default();
    // A hash key of its own says which shard it belongs to.
    let record = Record { explicit_hash_key: Some(range.first), ..Record::new("key", data.to_owned()) };
    builder.push(&record.view(), 1 << 20).expect("it is small");
    builder.finish(stream.incarnation, shard, producer).to_vec()
}
