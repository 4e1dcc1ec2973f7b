//! A broker that is treated badly while it serves a well-behaved client, whose puts and reads must go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rheos_client::{Outcome, Position, Record, StreamDescription, StreamSpec};
use rheos_protocol::batch::{BatchBuilder, ProducerStamp};
use rheos_protocol::limits::RECORD_BYTES_MAX;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker_process::{Broker, Place};
use crate::raw_client::{Key, RawClient};

/// Far longer than anything takes: a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Puts and reads of the well-behaved client that must follow each mischief.
const PUTS_AFTER: u64 = 20;

/// A broker with a well-behaved client.
pub struct Ground {
    /// The broker.
    pub broker: Broker,
    /// The administrator's key.
    pub key: Key,
    /// A stream of two shards that nobody else uses.
    pub stream: StreamDescription,
    good: GoodClient,
    memory_before: u64,
    _place: Place,
}

impl Ground {
    /// Starts a broker there.
    ///
    /// # Panics
    /// When it does not serve.
    pub async fn new(mut place: Place) -> Ground {
        let broker = place.start();
        let key = Key::of_admin(place.data());
        let client = broker.client().await;
        let stream = client.create_stream(StreamSpec::new("target", 2)).await.expect("the broker is new");
        client.close().await;
        let good = GoodClient::start(&broker).await;
        good.go_on().await;
        let memory_before = broker.memory_bytes();
        Ground { broker, key, stream, good, memory_before, _place: place }
    }

    /// An admitted client of the administrator.
    ///
    /// # Panics
    /// When it is not admitted.
    pub async fn client(&self) -> RawClient {
        RawClient::admitted(self.broker.address(), &self.key).await
    }

    /// The well-behaved client goes on, and the broker has not grown by more than this.
    ///
    /// # Panics
    /// When one of the two is not so.
    pub async fn unharmed(&self, growth_bytes_max: u64) {
        self.good.go_on().await;
        let grown = self.broker.memory_bytes().saturating_sub(self.memory_before);
        assert!(grown <= growth_bytes_max, "the broker has grown by {} MiB", grown >> 20);
    }

    /// Ends everything in order.
    ///
    /// # Panics
    /// When the well-behaved client was disturbed, or something in the broker has panicked.
    pub async fn end(self) {
        self.unharmed(u64::MAX).await;
        self.good.end().await;
        let said = self.broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Puts and reads for as long as it lives, and is never refused, cut off or left waiting.
struct GoodClient {
    rounds: Arc<AtomicU64>,
    round: Arc<Notify>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl GoodClient {
    async fn start(broker: &Broker) -> GoodClient {
        let client = broker.client().await;
        client.create_stream(StreamSpec::new("good", 1)).await.expect("the broker is new");
        let producer = client.producer("good").await.expect("the stream is there");
        let (rounds, round, stop) =
            (Arc::<AtomicU64>::default(), Arc::new(Notify::new()), Arc::<AtomicBool>::default());
        let (counted, told, stopped) = (Arc::clone(&rounds), Arc::clone(&round), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut due = 0;
            while !stopped.load(Ordering::Relaxed) {
                let ticket = producer.put(Record::new("good", format!("record {due}"))).await.expect("it is small");
                let Outcome::Acked { sequence, .. } = ticket.await else { panic!("a good put was not acked") };
                assert_eq!(sequence, due, "nothing was put twice or lost");
                let mut reader = client.reader("good", 0, Position::AtSequence(due)).await.expect("it is there");
                let read = reader.next().await.expect("what was acked is read").expect("the client is open");
                assert_eq!((read.sequence, &read.record.data[..]), (due, format!("record {due}").as_bytes()));
                due += 1;
                counted.store(due, Ordering::Relaxed);
                told.notify_waiters();
            }
            client.close().await;
        });
        GoodClient { rounds, round, stop, task }
    }

    /// Waits until it has put and read a few times more.
    async fn go_on(&self) {
        let until = self.rounds.load(Ordering::Relaxed) + PUTS_AFTER;
        let wait = async {
            while self.rounds.load(Ordering::Relaxed) < until {
                assert!(!self.task.is_finished(), "the well-behaved client was disturbed");
                let _ = timeout(Duration::from_millis(100), self.round.notified()).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the well-behaved client goes on");
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it was never disturbed");
    }
}

/// A batch of one good record for shard 0.
///
/// # Panics
/// When the record is too large.
pub fn good_batch(stream: &StreamDescription, data: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    let record = Record { explicit_hash_key: Some(0), ..Record::new("key", data.to_vec()) };
    builder.push(&record.view(), RECORD_BYTES_MAX).expect("it is within the limits");
    builder.finish(stream.incarnation, 0, ProducerStamp::default()).to_vec()
}
