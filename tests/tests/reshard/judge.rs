//! Records with a number for each key: what was acked, and what comes to consumers and readers, held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rheos_client::{Client, Consumer, Outcome, Position, Positions, Record, StreamDescription};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{STREAM, within};

/// What is known of the puts of a run.
#[derive(Debug, Default)]
pub(crate) struct Puts {
    /// By key: how many were made, and which of them are acked.
    keys: Mutex<BTreeMap<String, Key>>,
    acks: AtomicU64,
    /// The longest that one waited for its answer, in us.
    slowest_us: AtomicU64,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Key {
    made: u64,
    acked: BTreeSet<u64>,
}

/// Producers at work.
pub(crate) struct Load {
    pub(crate) puts: Arc<Puts>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Producers with keys of their own, each putting again and again, with up to 64 puts unanswered.
    pub(crate) async fn start(client: &Client, producers: u64, pause: Duration) -> Load {
        let puts = Arc::new(Puts::default());
        let mut tasks = Vec::new();
        for number in 0..producers {
            let producer = within(client.producer(STREAM)).await.expect("the stream is there");
            let puts = Arc::clone(&puts);
            tasks.push(tokio::spawn(async move { puts.make(&producer, number, pause).await }));
        }
        Load { puts, tasks }
    }

    /// Waits for puts that are answered from now on.
    pub(crate) async fn wait_acks(&self, count: u64) {
        let due = self.puts.acks.load(Ordering::Relaxed) + count;
        let enough = async {
            while self.puts.acks.load(Ordering::Relaxed) < due {
                sleep(Duration::from_millis(2)).await;
            }
        };
        within(enough).await;
    }

    /// Ends the producers once everything is answered.
    pub(crate) async fn end(self) -> Arc<Puts> {
        self.puts.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            within(task).await.expect("nothing is refused");
        }
        self.puts
    }
}

impl Puts {
    async fn make(self: &Arc<Self>, producer: &rheos_client::Producer, number: u64, pause: Duration) {
        let in_flight = Arc::new(tokio::sync::Semaphore::new(64));
        let mut turn = 0u64;
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            let key = format!("p{number}-k{}", turn % 17);
            let count = {
                let mut keys = self.keys.lock().expect("nothing panics while it is locked");
                let known = keys.entry(key.clone()).or_default();
                known.made += 1;
                known.made - 1
            };
            let place = Arc::clone(&in_flight).acquire_owned().await.expect("it is never closed");
            let (puts, begun) = (Arc::clone(self), Instant::now());
            let ticket = producer.put(Record::new(key.clone(), count.to_string())).await.expect("it is a record");
            tokio::spawn(async move {
                match ticket.await {
                    Outcome::Acked { .. } => puts.acked(&key, count, begun.elapsed()),
                    Outcome::Refused(why) => panic!("{key} {count} is refused: {why}"),
                    Outcome::Indeterminate(_) => {}
                }
                drop(place);
            });
            sleep(pause).await;
        }
        drop(in_flight.acquire_many(64).await);
    }

    fn acked(&self, key: &str, count: u64, took: Duration) {
        let mut keys = self.keys.lock().expect("nothing panics while it is locked");
        keys.get_mut(key).expect("it was made").acked.insert(count);
        self.acks.fetch_add(1, Ordering::Relaxed);
        self.slowest_us.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// The longest that a put waited for its answer.
    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.slowest_us.load(Ordering::Relaxed))
    }

    /// How many are acked.
    pub(crate) fn acks(&self) -> u64 {
        self.acks.load(Ordering::Relaxed)
    }

    /// Whether everything that is acked is among these, each key in order and each record once.
    pub(crate) fn missing(&self, came: &BTreeMap<String, Vec<u64>>) -> u64 {
        let keys = self.keys.lock().expect("nothing panics while it is locked");
        let mut missing = 0;
        for (key, known) in keys.iter() {
            let came = came.get(key).map_or(&[][..], Vec::as_slice);
            assert!(came.is_sorted_by(|a, b| a < b), "{key} is out of order or doubled: {came:?}");
            assert!(came.last().is_none_or(|last| *last < known.made), "{key} has what was never put");
            missing += known.acked.iter().filter(|count| came.binary_search(count).is_err()).count() as u64;
        }
        missing
    }

    /// Reads every shard from its beginning to its end, parents before their children, and holds it against what was
    /// acked; nobody is putting.
    pub(crate) async fn read_all(&self, client: &Client, stream: &StreamDescription) {
        let mut came: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        // Children have higher numbers than their parents.
        for shard in &stream.shards {
            let mut reader = client.reader_of(stream, shard.shard, Position::TrimHorizon).expect("it is described");
            loop {
                let read = within(reader.read_once()).await.expect("it can be read");
                for at in read.records() {
                    came.entry(at.record.partition_key.to_owned()).or_default().push(number(at.record.data));
                    assert!(shard.range.contains(at.record.hash_key()), "{shard:?} holds {:?}", at.record);
                }
                if read.is_at_tip() {
                    assert_eq!(read.children.is_some(), !shard.open, "{shard:?} at its end");
                    break;
                }
            }
        }
        assert_eq!(self.missing(&came), 0, "what was acked is read");
    }
}

/// A registered consumer that takes everything, and asserts as it goes.
pub(crate) struct Following {
    came: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    positions: Arc<Mutex<Positions>>,
    task: JoinHandle<()>,
}

impl Following {
    pub(crate) fn start(consumer: Consumer) -> Following {
        Following::resume(consumer, BTreeMap::new())
    }

    /// Goes on with what an earlier one has taken.
    pub(crate) fn resume(mut consumer: Consumer, came: BTreeMap<String, Vec<u64>>) -> Following {
        let came = Arc::new(Mutex::new(came));
        let positions = Arc::new(Mutex::new(consumer.positions()));
        let (all, at) = (Arc::clone(&came), Arc::clone(&positions));
        let task = tokio::spawn(async move {
            while let Some(pushed) = consumer.next().await.expect("nothing ends it") {
                let (key, number) = (pushed.record.partition_key, number(&pushed.record.data));
                let mut all = all.lock().expect("nothing panics while it is locked");
                let before = all.entry(key.clone()).or_default();
                assert!(before.last().is_none_or(|last| *last < number), "{key}: {number} after {before:?}");
                before.push(number);
                *at.lock().expect("nothing panics while it is locked") = consumer.positions();
            }
        });
        Following { came, positions, task }
    }

    /// Waits until everything that is acked has come; then ends.
    pub(crate) async fn end(self, puts: &Puts) {
        let begun = Instant::now();
        loop {
            assert!(!self.task.is_finished(), "it goes on");
            let missing = puts.missing(&self.came.lock().expect("nothing panics while it is locked"));
            if missing == 0 {
                break;
            }
            assert!(begun.elapsed() < super::PATIENCE, "{missing} records have not come");
            sleep(Duration::from_millis(20)).await;
        }
        self.task.abort();
    }

    /// Ends where it is, in the middle of things; what it has taken, and how far it is.
    pub(crate) async fn interrupt(self) -> (BTreeMap<String, Vec<u64>>, Positions) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it goes on until it is aborted");
        let came = std::mem::take(&mut *self.came.lock().expect("nothing panics while it is locked"));
        let positions = self.positions.lock().expect("nothing panics while it is locked").clone();
        (came, positions)
    }
}

fn number(data: &[u8]) -> u64 {
    std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()).expect("it is a number")
}
