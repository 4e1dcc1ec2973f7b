//! Brokers that are killed at any moment, a hundred times: what was acked is there, once and in order.
//!
//! Every test prints its seed; `RHEOS_SEED` sets it. The moments are those of the machine all the same.
//! The judge is the checker that judges the simulator too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rheos_broker::verify;
use rheos_client::{Client, Error, ErrorCode, Position, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::random::Random;
use rheos_tests::witness::{Load, Witness, random_of};
use tokio::time::{sleep, timeout};

const SHARDS: u32 = 4;
const STREAMS: [&str; 3] = ["orders", "clicks", "audit"];
const PRODUCERS: usize = 4;
const KILLS: usize = 25;
/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

async fn create_streams(client: &Client) -> Vec<StreamDescription> {
    let mut streams = Vec::new();
    for name in STREAMS {
        streams.push(client.create_stream(StreamSpec::new(name, SHARDS)).await.expect("the broker is new"));
    }
    streams
}

/// Stops the broker, proves that this left nothing to repair, and reads everything once more.
async fn end_well(witness: &Witness, broker: Broker, place: &mut Place, streams: &[StreamDescription]) {
    broker.stop();
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole() && report.unknown.is_empty(), "{report:?}");
    let torn = report.streams.iter().flat_map(|stream| &stream.logs).find_map(|log| log.torn.clone());
    assert_eq!(torn, None, "a broker that was told to stop leaves nothing torn");
    let broker = place.start();
    let client = broker.client().await;
    witness.read_all(&client, streams, true, true).await;
    client.close().await;
    assert!(!broker.stop().contains("cut"), "the next start has nothing to cut");
    assert!(witness.checker().acked() > 0, "something was put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_live_across_kills_lose_nothing() {
    let mut random = random_of("living clients");
    let (mut place, witness) = (place(), Arc::new(Witness::default()));
    let mut broker = place.start();
    let client = broker.client().await;
    let streams = create_streams(&client).await;
    let load = Load::start(&witness, &client, &streams, PRODUCERS, &mut random);
    for kill in 0..KILLS {
        if random.per_mille(600) {
            witness.wait_ack().await;
        }
        sleep(milliseconds(random.below(250))).await;
        broker.kill();
        broker = place.start();
        let reader = broker.client().await;
        witness.read_all(&reader, &streams, kill % 8 == 7, false).await;
        reader.close().await;
    }
    witness.wait_ack().await;
    load.end().await;
    witness.read_all(&client, &streams, true, true).await;
    client.close().await;
    end_well(&witness, broker, &mut place, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_before_a_kill_is_read_by_whoever_comes_after() {
    let mut random = random_of("fresh clients");
    let (mut place, witness) = (place(), Arc::new(Witness::default()));
    let mut broker = place.start();
    let first = broker.client().await;
    let streams = create_streams(&first).await;
    first.close().await;
    for kill in 0..KILLS {
        let client = broker.client().await;
        let load = Load::start(&witness, &client, &streams, PRODUCERS, &mut random);
        witness.wait_ack().await;
        sleep(milliseconds(random.below(200))).await;
        broker.kill();
        // What is unanswered now will never be answered.
        client.close().await;
        load.end().await;
        if kill % 6 == 0 {
            let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
            assert!(report.is_whole(), "{report:?}");
        }
        broker = place.start();
        let reader = broker.client().await;
        witness.read_all(&reader, &streams, kill % 8 == 7, true).await;
        reader.close().await;
    }
    end_well(&witness, broker, &mut place, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_during_the_chores_of_a_start_lose_nothing() {
    let mut random = random_of("early kills");
    let (mut place, witness) = (place(), Arc::new(Witness::default()));
    let broker = place.start();
    let client = broker.client().await;
    let streams = create_streams(&client).await;
    let mut broker = Some(broker);
    for kill in 0..KILLS {
        if let Some(ready) = broker.take() {
            let client = ready.client().await;
            let load = Load::start(&witness, &client, &streams, PRODUCERS, &mut random);
            witness.wait_ack().await;
            sleep(milliseconds(random.below(60))).await;
            ready.begin_kill();
            client.close().await;
            load.end().await;
            // The next one finds a process that is still dying.
            let mut next = place.begin_start();
            drop(ready);
            if kill % 2 == 0 {
                next.wait_ready().unwrap_or_else(|failed| panic!("{failed:?}"));
            }
            sleep(milliseconds(random.below(if kill % 2 == 0 { 20 } else { 300 }))).await;
            next.kill();
        }
        let ready = place.start();
        let reader = ready.client().await;
        witness.read_all(&reader, &streams, kill % 8 == 7, true).await;
        reader.close().await;
        broker = Some(ready);
    }
    end_well(&witness, broker.expect("the last one is ready"), &mut place, &streams).await;
}

#[tokio::test]
async fn a_kill_during_the_first_start_leaves_a_directory_that_starts() {
    let mut random = random_of("first starts");
    for _ in 0..20 {
        let mut place = place();
        for _ in 0..random.within(1..4) {
            let broker = place.begin_start();
            sleep(Duration::from_micros(random.below(60_000))).await;
            broker.kill();
        }
        let broker = place.start();
        let client = broker.client().await;
        assert_eq!(client.list_streams().await.expect("it answers"), []);
        client.create_stream(StreamSpec::new("orders", 1)).await.expect("it is a broker like any other");
        client.close().await;
        broker.stop();
    }
}

/// What must be true of a name after the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The stream is there with this many records.
    There(u64),
    Gone,
    /// It was being made or deleted when the broker died.
    Either,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_come_and_go_while_the_broker_dies_are_there_or_gone() {
    let mut random = random_of("coming and going");
    let mut place = place();
    let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
    let mut broker = place.start();
    for _ in 0..KILLS {
        let client = broker.client().await;
        let changes = tokio::spawn(come_and_go(client.clone(), expected, Random::new(random.draw())));
        sleep(milliseconds(30 + random.below(250))).await;
        broker.kill();
        client.close().await;
        expected = timeout(PATIENCE, changes).await.expect("it ends with its client").expect("it keeps its word");
        broker = place.start();
        let client = broker.client().await;
        settle(&client, &mut expected).await;
        client.close().await;
        assert!(!broker.said().contains("set aside"), "every file is known: {}", broker.said());
    }
    broker.stop();
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole(), "{report:?}");
    let there = expected.values().filter(|expected| matches!(expected, Expected::There(_))).count();
    assert_eq!((report.streams.len(), report.unknown.len()), (there, 0), "files of deleted streams are gone");
}

/// Makes and deletes streams, and puts a record into each, until the connection is lost.
async fn come_and_go(
    client: Client,
    mut expected: BTreeMap<String, Expected>,
    mut random: Random,
) -> BTreeMap<String, Expected> {
    loop {
        let name = format!("stream-{}", random.below(12));
        match expected.get(&name).copied().unwrap_or(Expected::Gone) {
            Expected::There(records) if random.per_mille(400) => {
                expected.insert(name.clone(), Expected::Either);
                if client.delete_stream(&name).await.is_err() {
                    return expected;
                }
                assert!(records < u64::MAX);
                expected.insert(name, Expected::Gone);
            }
            Expected::There(records) => {
                let Ok(producer) = client.producer(&name).await else { return expected };
                let Ok(ticket) = producer.put(Record::new("key", "value")).await else { return expected };
                let rheos_client::Outcome::Acked { sequence, .. } = ticket.await else {
                    // It is there all the same, perhaps with one more record.
                    return expected;
                };
                assert!(sequence >= records, "{name} has acked {records} records and gives {sequence} again");
                expected.insert(name, Expected::There(sequence + 1));
            }
            Expected::Gone | Expected::Either => {
                expected.insert(name.clone(), Expected::Either);
                if client.create_stream(StreamSpec::new(name.as_str(), 1)).await.is_err() {
                    return expected;
                }
                expected.insert(name, Expected::There(0));
            }
        }
    }
}

/// Looks at every name after a start; from here on each is known again.
async fn settle(client: &Client, expected: &mut BTreeMap<String, Expected>) {
    for (name, expected) in expected {
        let found = match client.describe_stream(name).await {
            Ok(stream) => {
                let mut reader = client.reader_of(&stream, 0, Position::TrimHorizon).expect("it has one shard");
                let read = reader.read_once().await.expect("what is there is read");
                assert_eq!(read.records().count() as u64, read.tip_sequence, "{name} reads densely");
                Expected::There(read.tip_sequence)
            }
            Err(Error::Broker(error)) if error.code == ErrorCode::StreamNotFound => Expected::Gone,
            Err(error) => panic!("{name}: {error}"),
        };
        match (*expected, found) {
            (Expected::Either, _) | (Expected::Gone, Expected::Gone) => {}
            (Expected::There(acked), Expected::There(read)) => assert!(read >= acked, "{name}: {read} of {acked}"),
            (before, after) => panic!("{name} was {before:?} and is {after:?}"),
        }
        *expected = found;
    }
}
