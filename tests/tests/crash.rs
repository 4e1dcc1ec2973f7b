//! Brokers that are killed at any moment, a hundred times: what was acked is there, once and in order.
//!
//! Every test prints its seed; `RHEOS_SEED` sets it. The moments are those of the machine all the same.
//! The judge is the checker that judges the simulator too.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rheos_broker::verify;
use rheos_client::protocol::batch::BatchBuilder;
use rheos_client::{Client, Error, ErrorCode, Position, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::checker::{BatchSeen, Checker, Fingerprint, Outcome, Put, Seen, ShardOf, fingerprint};
use rheos_tests::random::Random;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SHARDS: u32 = 4;
const STREAMS: [&str; 3] = ["orders", "clicks", "audit"];
const PRODUCERS: u64 = 4;
const KILLS: usize = 25;
/// Puts of one producer that have no answer.
const UNANSWERED_MAX: usize = 48;
/// Records read again before the end that was known.
const READ_AGAIN: u64 = 200;
/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

#[allow(clippy::print_stderr, reason = "a failed run can be made again")]
fn random_of(test: &str) -> Random {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_nanos() as u64;
    let seed = std::env::var("RHEOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now);
    eprintln!("{test}: RHEOS_SEED={seed}");
    Random::new(seed)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Everything that is known of a run.
#[derive(Default)]
struct World {
    checker: Mutex<Checker>,
    /// First records of puts that were refused for good.
    refused: Mutex<HashSet<Fingerprint>>,
    puts: AtomicU64,
    producers: AtomicU64,
    acks: AtomicU64,
    acked: Notify,
}

impl World {
    fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().expect("nothing panics while it is locked")
    }

    fn see(&self, seen: &Seen) {
        let judged = self.checker().see(seen);
        judged.unwrap_or_else(|why| panic!("the promise is broken: {why}"));
    }

    fn answered(&self, put: &Put, outcome: rheos_client::Outcome) {
        let outcome = match outcome {
            rheos_client::Outcome::Acked { sequence, arrival_ms, .. } => {
                self.acks.fetch_add(1, Ordering::Relaxed);
                self.acked.notify_waiters();
                Outcome::Acked { first_sequence: sequence, arrival_ms }
            }
            rheos_client::Outcome::Refused(_) => {
                self.refused.lock().expect("nothing panics while it is locked").insert(put.records[0]);
                Outcome::Refused
            }
            rheos_client::Outcome::Indeterminate(_) => Outcome::Unknown,
        };
        self.see(&Seen::Answered { put: put.id, outcome });
    }

    /// Waits until a put is acked that was not yet when this was called.
    async fn wait_ack(&self) {
        let before = self.acks.load(Ordering::Relaxed);
        let wait = async {
            loop {
                let acked = self.acked.notified();
                if self.acks.load(Ordering::Relaxed) > before {
                    return;
                }
                acked.await;
            }
        };
        timeout(PATIENCE, wait).await.expect("puts go on after a restart");
    }

    /// Reads a shard to the end that is known, and on to its tip when nobody is putting; from shortly
    /// before that end, or from the beginning. Returns the tip.
    async fn read(&self, client: &Client, stream: &StreamDescription, shard: u32, whole: bool, quiet: bool) -> u64 {
        let of = ShardOf { stream: stream.incarnation, shard };
        let known_end = self.checker().end(of);
        let from = if whole { 0 } else { known_end.saturating_sub(READ_AGAIN) };
        let mut reader = client.reader_of(stream, shard, Position::AtSequence(from)).expect("the shard is there");
        loop {
            let read = reader.read_once().await.unwrap_or_else(|error| {
                panic!("{} shard {shard} is acked to {known_end} and reads as: {error}", stream.name)
            });
            let batches = read.batches().map(|batch| BatchSeen {
                first_sequence: batch.header().first_sequence,
                arrival_ms: batch.header().arrival_ms,
                records: batch.records().map(|record| fingerprint(&record)).collect(),
            });
            let batches: Vec<BatchSeen> = batches.collect();
            {
                let refused = self.refused.lock().expect("nothing panics while it is locked");
                let stored = batches.iter().find(|batch| refused.contains(&batch.records[0]));
                assert!(stored.is_none(), "a put that was refused is read: {stored:?}");
            }
            let (start_sequence, next_sequence) = (read.start_sequence, read.next_sequence);
            self.see(&Seen::Read { shard: of, start_sequence, next_sequence, batches });
            let done = if quiet { read.is_at_tip() } else { next_sequence >= known_end || read.is_at_tip() };
            if done {
                assert!(next_sequence >= known_end, "{of:?} ends at {next_sequence}, acked to {known_end}");
                return read.tip_sequence;
            }
        }
    }

    /// Reads all shards of these streams; `quiet` says that nobody is putting.
    async fn read_all(&self, client: &Client, streams: &[StreamDescription], whole: bool, quiet: bool) {
        for stream in streams {
            for shard in 0..stream.shards.len() as u32 {
                let next_sequence = self.read(client, stream, shard, whole, quiet).await;
                if quiet {
                    let shard = ShardOf { stream: stream.incarnation, shard };
                    self.see(&Seen::Tip { shard, next_sequence });
                }
            }
        }
    }
}

/// Producers that put for as long as the load is there.
struct Load {
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(world: &Arc<World>, client: &Client, streams: &[StreamDescription], random: &mut Random) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let produce = |at: u64| {
            let stream = streams[at as usize % streams.len()].clone();
            tokio::spawn(produce(
                Arc::clone(world),
                client.clone(),
                stream,
                Random::new(random.draw()),
                Arc::clone(&stop),
            ))
        };
        Load { producers: (0..PRODUCERS).map(produce).collect(), stop }
    }

    /// Puts no more, and waits until everything that was put has its outcome.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for producer in self.producers {
            timeout(PATIENCE, producer).await.expect("every put has an outcome").expect("no put breaks the promise");
        }
    }
}

async fn produce(
    world: Arc<World>,
    client: Client,
    stream: StreamDescription,
    mut random: Random,
    stop: Arc<AtomicBool>,
) {
    let Ok(producer) = client.producer(&stream.name).await else { return };
    let id = 1 + world.producers.fetch_add(1, Ordering::Relaxed);
    let room = Arc::new(Semaphore::new(UNANSWERED_MAX));
    let mut numbers = [0; SHARDS as usize];
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(Ok(room)) = timeout(milliseconds(100), Arc::clone(&room).acquire_owned()).await else { continue };
        let shard = random.below(SHARDS.into()) as u32;
        let (put, batch) = world.next_put(&stream, shard, id, numbers[shard as usize], &mut random);
        numbers[shard as usize] += 1;
        match producer.put_batch(shard, batch).await {
            Ok(ticket) => {
                let world = Arc::clone(&world);
                answers.push(tokio::spawn(async move {
                    world.answered(&put, ticket.await);
                    drop(room);
                }));
            }
            Err(refused) => world.answered(&put, rheos_client::Outcome::Refused(refused)),
        }
        // Now and then a pause, so that batches stand alone in their commits and a run stays small.
        if random.per_mille(350) {
            sleep(milliseconds(1)).await;
        }
    }
    for answer in answers {
        answer.await.expect("no answer breaks the promise");
    }
}

impl World {
    /// A put that there was never before, mostly small.
    fn next_put(
        &self,
        stream: &StreamDescription,
        shard: u32,
        producer: u64,
        number: u64,
        random: &mut Random,
    ) -> (Put, BatchBuilder) {
        let id = self.puts.fetch_add(1, Ordering::Relaxed);
        let mut batch = BatchBuilder::default();
        let mut records = Vec::new();
        let first_hash = stream.shards[shard as usize].range.first;
        for at in 0..random.within(1..5) {
            let size = if random.per_mille(10) { random.below(200_000) } else { random.below(700) };
            let mut data = format!("{id}/{at} ").into_bytes();
            data.resize(data.len() + size as usize, b'.');
            let explicit_hash_key = Some(first_hash + u128::from(random.draw()));
            let record = Record { explicit_hash_key, ..Record::new(format!("put {id}"), data) };
            records.push(fingerprint(&record.view()));
            batch.push(&record.view(), stream.record_bytes_max).expect("it is within the limits");
        }
        let shard = ShardOf { stream: stream.incarnation, shard };
        let put = Put { id, producer, number, shard, records };
        self.see(&Seen::Sent(put.clone()));
        (put, batch)
    }
}

async fn create_streams(client: &Client) -> Vec<StreamDescription> {
    let mut streams = Vec::new();
    for name in STREAMS {
        streams.push(client.create_stream(StreamSpec::new(name, SHARDS)).await.expect("the broker is new"));
    }
    streams
}

/// Stops the broker, proves that this left nothing to repair, and reads everything once more.
async fn end_well(world: &World, broker: Broker, place: &mut Place, streams: &[StreamDescription]) {
    broker.stop();
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole() && report.unknown.is_empty(), "{report:?}");
    let torn = report.streams.iter().flat_map(|stream| &stream.logs).find_map(|log| log.torn.clone());
    assert_eq!(torn, None, "a broker that was told to stop leaves nothing torn");
    let broker = place.start();
    let client = broker.client().await;
    world.read_all(&client, streams, true, true).await;
    client.close().await;
    assert!(!broker.stop().contains("cut"), "the next start has nothing to cut");
    assert!(world.checker().acked() > 0, "something was put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_live_across_kills_lose_nothing() {
    let mut random = random_of("living clients");
    let (mut place, world) = (place(), Arc::new(World::default()));
    let mut broker = place.start();
    let client = broker.client().await;
    let streams = create_streams(&client).await;
    let load = Load::start(&world, &client, &streams, &mut random);
    for kill in 0..KILLS {
        if random.per_mille(600) {
            world.wait_ack().await;
        }
        sleep(milliseconds(random.below(250))).await;
        broker.kill();
        broker = place.start();
        let reader = broker.client().await;
        world.read_all(&reader, &streams, kill % 8 == 7, false).await;
        reader.close().await;
    }
    world.wait_ack().await;
    load.end().await;
    world.read_all(&client, &streams, true, true).await;
    client.close().await;
    end_well(&world, broker, &mut place, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_before_a_kill_is_read_by_whoever_comes_after() {
    let mut random = random_of("fresh clients");
    let (mut place, world) = (place(), Arc::new(World::default()));
    let mut broker = place.start();
    let first = broker.client().await;
    let streams = create_streams(&first).await;
    first.close().await;
    for kill in 0..KILLS {
        let client = broker.client().await;
        let load = Load::start(&world, &client, &streams, &mut random);
        world.wait_ack().await;
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
        world.read_all(&reader, &streams, kill % 8 == 7, true).await;
        reader.close().await;
    }
    end_well(&world, broker, &mut place, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_during_the_chores_of_a_start_lose_nothing() {
    let mut random = random_of("early kills");
    let (mut place, world) = (place(), Arc::new(World::default()));
    let broker = place.start();
    let client = broker.client().await;
    let streams = create_streams(&client).await;
    let mut broker = Some(broker);
    for kill in 0..KILLS {
        if let Some(ready) = broker.take() {
            let client = ready.client().await;
            let load = Load::start(&world, &client, &streams, &mut random);
            world.wait_ack().await;
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
        world.read_all(&reader, &streams, kill % 8 == 7, true).await;
        reader.close().await;
        broker = Some(ready);
    }
    end_well(&world, broker.expect("the last one is ready"), &mut place, &streams).await;
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
