//! Sees what clients of a real broker put, are told, read and are pushed, and tells the checker that
//! judges the simulator too.
//!
//! What must hold: a put is told before it is sent and an answer after it came, so that nothing is judged
//! by what was not known yet; no two records of a run are alike.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rheos_client::{Client, Consumer, Error, Outcome as Told, Position, ReadBatches, Record, StreamDescription};
use rheos_protocol::batch::{Batch, BatchBuilder};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::checker::{BatchSeen, Checker, Fingerprint, Outcome, Put, Seen, ShardOf, fingerprint};
use crate::random::Random;

/// Puts of one producer that have no answer.
const UNANSWERED_MAX: usize = 48;
/// Records read again before the end that was known.
const READ_AGAIN: u64 = 200;
/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The chance of a test: `RHEOS_SEED` or another one each time. It is printed.
#[allow(clippy::print_stderr, reason = "a failed run can be made again")]
pub fn random_of(test: &str) -> Random {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_nanos() as u64;
    let seed = std::env::var("RHEOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now);
    eprintln!("{test}: RHEOS_SEED={seed}");
    Random::new(seed)
}

/// Everything that is known of a run.
#[derive(Debug, Default)]
pub struct Witness {
    checker: Mutex<Checker>,
    /// First records of puts that were refused for good.
    refused: Mutex<HashSet<Fingerprint>>,
    puts: AtomicU64,
    producers: AtomicU64,
    subscribers: AtomicU64,
    acks: AtomicU64,
    acked: Notify,
    pushed: Notify,
}

impl Witness {
    /// What was judged so far.
    ///
    /// # Panics
    /// When a test panicked while it looked at it.
    pub fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().expect("nothing panics while it is locked")
    }

    /// Tells the checker.
    ///
    /// # Panics
    /// When the promise is broken.
    pub fn see(&self, seen: &Seen) {
        let judged = self.checker().see(seen);
        judged.unwrap_or_else(|why| panic!("the promise is broken: {why}"));
    }

    fn answered(&self, put: &Put, outcome: Told) {
        let outcome = match outcome {
            Told::Acked { sequence, arrival_ms, .. } => Outcome::Acked { first_sequence: sequence, arrival_ms },
            Told::Refused(_) => {
                self.refused.lock().expect("nothing panics while it is locked").insert(put.records[0]);
                Outcome::Refused
            }
            Told::Indeterminate(_) => Outcome::Unknown,
        };
        self.see(&Seen::Answered { put: put.id, outcome });
        if matches!(outcome, Outcome::Acked { .. }) {
            self.acks.fetch_add(1, Ordering::Relaxed);
            self.acked.notify_waiters();
        }
    }

    /// Waits until a put is acked that was not yet when this was called.
    ///
    /// # Panics
    /// When none is for a minute.
    pub async fn wait_ack(&self) {
        let before = self.acks.load(Ordering::Relaxed);
        wait(&self.acked, "puts go on", || self.acks.load(Ordering::Relaxed) > before).await;
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
            let batches = self.batches_seen(&read);
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
    ///
    /// # Panics
    /// When one cannot be read, or the promise is broken.
    pub async fn read_all(&self, client: &Client, streams: &[StreamDescription], whole: bool, quiet: bool) {
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

    /// A put that there was never before, mostly small.
    ///
    /// # Panics
    /// When it does not fit the stream.
    pub fn next_put(
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

    /// What was read or pushed, none of which was refused.
    fn batches_seen(&self, read: &ReadBatches) -> Vec<BatchSeen> {
        let batches: Vec<BatchSeen> = read.batches().map(batch_seen).collect();
        let refused = self.refused.lock().expect("nothing panics while it is locked");
        let stored = batches.iter().find(|batch| refused.contains(&batch.records[0]));
        assert!(stored.is_none(), "a put that was refused is there: {stored:?}");
        batches
    }
}

fn batch_seen(batch: &Batch) -> BatchSeen {
    BatchSeen {
        first_sequence: batch.header().first_sequence,
        arrival_ms: batch.header().arrival_ms,
        records: batch.records().map(|record| fingerprint(&record)).collect(),
    }
}

/// Waits until something is so; `changed` is told whenever it may be.
async fn wait(changed: &Notify, what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        loop {
            let told = changed.notified();
            if is_so() {
                return;
            }
            told.await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

/// A consumer whose pushes are judged, over all lives of its program.
#[derive(Debug)]
pub struct Follower {
    witness: Arc<Witness>,
    subscriber: u64,
    stream: u64,
    /// What it takes; none before its first life.
    shards: Vec<u32>,
}

impl Follower {
    /// Somebody of whom nothing is known.
    pub fn new(witness: &Arc<Witness>, stream: &StreamDescription) -> Follower {
        let subscriber = witness.subscribers.fetch_add(1, Ordering::Relaxed);
        Follower { witness: Arc::clone(witness), subscriber, stream: stream.incarnation, shards: Vec::new() }
    }

    /// A life of the program begins with this consumer: where the one before had come to.
    ///
    /// # Panics
    /// When it begins elsewhere.
    pub fn begin(&mut self, consumer: &Consumer) {
        let positions = consumer.positions();
        for shard in positions.shards() {
            let of = self.shard(shard);
            let next_sequence = positions.next(shard).expect("a shard that goes on has a next record");
            if let Some(place) = self.witness.checker().place(self.subscriber, of) {
                assert_eq!(next_sequence, place, "{of:?} goes on where it was");
            }
            self.witness.see(&Seen::Subscribed { subscriber: self.subscriber, shard: of, next_sequence });
        }
        self.shards = positions.shards().collect();
    }

    /// Judges what was pushed.
    ///
    /// # Panics
    /// When the promise is broken.
    pub fn pushed(&self, read: &ReadBatches) {
        let (shard, batches) = (self.shard(read.shard), self.witness.batches_seen(read));
        let tip_sequence = read.tip_sequence;
        self.witness.see(&Seen::Pushed { subscriber: self.subscriber, shard, batches, tip_sequence });
        self.witness.pushed.notify_waiters();
    }

    /// Takes everything until the consumer ends, and says with what.
    ///
    /// # Panics
    /// When the promise is broken.
    pub async fn follow(&self, consumer: &mut Consumer) -> Result<(), Error> {
        while let Some(read) = consumer.next_batches().await? {
            self.pushed(&read);
        }
        Ok(())
    }

    /// How far it has come, all shards together.
    pub fn records(&self) -> u64 {
        let checker = self.witness.checker();
        self.shards.iter().filter_map(|shard| checker.place(self.subscriber, self.shard(*shard))).sum()
    }

    /// Waits until it is pushed something that it was not yet.
    ///
    /// # Panics
    /// When nothing is for a minute.
    pub async fn wait_pushed(&self) {
        let before = self.records();
        wait(&self.witness.pushed, "pushes go on", || self.records() > before).await;
    }

    /// Waits until it has everything that was acked or shown so far, for when nobody is putting.
    ///
    /// # Panics
    /// When it does not for a minute.
    pub async fn wait_caught_up(&self) {
        let what = format!("subscriber {} is pushed everything", self.subscriber);
        let is_there = |shard: &u32| {
            let (checker, of) = (self.witness.checker(), self.shard(*shard));
            checker.place(self.subscriber, of).is_some_and(|place| place >= checker.end(of))
        };
        wait(&self.witness.pushed, &what, || self.shards.iter().all(is_there)).await;
        for shard in &self.shards {
            self.witness.see(&Seen::CaughtUp { subscriber: self.subscriber, shard: self.shard(*shard) });
        }
    }

    fn shard(&self, shard: u32) -> ShardOf {
        ShardOf { stream: self.stream, shard }
    }
}

/// Producers that put for as long as the load is there.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many producers, spread over the streams.
    pub fn start(
        witness: &Arc<Witness>,
        client: &Client,
        streams: &[StreamDescription],
        producers: usize,
        random: &mut Random,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |at: usize| {
            let (stream, random) = (streams[at % streams.len()].clone(), Random::new(random.draw()));
            tokio::spawn(produce(Arc::clone(witness), client.clone(), stream, random, Arc::clone(&stop)))
        };
        Load { producers: (0..producers).map(start).collect(), stop }
    }

    /// Puts no more, and waits until everything that was put has its outcome.
    ///
    /// # Panics
    /// When a put has none for a minute, or one broke the promise.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for producer in self.producers {
            timeout(PATIENCE, producer).await.expect("every put has an outcome").expect("no put breaks the promise");
        }
    }
}

async fn produce(
    witness: Arc<Witness>,
    client: Client,
    stream: StreamDescription,
    mut random: Random,
    stop: Arc<AtomicBool>,
) {
    let Ok(producer) = client.producer(&stream.name).await else { return };
    let id = 1 + witness.producers.fetch_add(1, Ordering::Relaxed);
    let room = Arc::new(Semaphore::new(UNANSWERED_MAX));
    let mut numbers = vec![0; stream.shards.len()];
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let wait = Duration::from_millis(100);
        let Ok(Ok(room)) = timeout(wait, Arc::clone(&room).acquire_owned()).await else { continue };
        let shard = random.below(numbers.len() as u64) as u32;
        let (put, batch) = witness.next_put(&stream, shard, id, numbers[shard as usize], &mut random);
        numbers[shard as usize] += 1;
        match producer.put_batch(shard, batch).await {
            Ok(tickets) => {
                // Nobody reshards here: a batch has one outcome.
                let first = tickets.into_iter().next().expect("a batch has records");
                let witness = Arc::clone(&witness);
                answers.push(tokio::spawn(async move {
                    witness.answered(&put, first.await);
                    drop(room);
                }));
            }
            Err(refused) => witness.answered(&put, Told::Refused(refused)),
        }
        // Now and then a pause, so that batches stand alone in their commits and a run stays small.
        if random.per_mille(350) {
            sleep(Duration::from_millis(1)).await;
        }
    }
    for answer in answers {
        answer.await.expect("no answer breaks the promise");
    }
}
