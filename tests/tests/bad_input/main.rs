//! Peers that break the protocol, or keep to it and mean no good, against a broker that serves a
//! well-behaved client all the while: every wrong thing has its numbered answer, the client's puts and
//! reads go on, and memory stays bounded.

mod before_hello;
mod frames;
mod hostile;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rheos_client::protocol::batch::{BatchBuilder, BatchHeader, HEADER_BYTES, ProducerStamp};
use rheos_client::protocol::frame::kind;
use rheos_client::protocol::limits::{
    BATCH_RECORDS_MAX, CONTROL_FRAME_BYTES_MAX, CONTROL_STREAMS_MAX, DATA_STREAMS_MAX, PUT_FRAME_BYTES_MAX,
    READ_BYTES_MAX, RECORD_BYTES_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX,
};
use rheos_client::protocol::message::{CreateStream, Read, Reply, Request, Subscribe};
use rheos_client::protocol::wire::FieldWriter;
use rheos_client::{ErrorCode, Outcome, Position, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::raw_client::{Ended, Key, RawClient, frame, header, narrow, put_frame, read_reply, request_frame};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::xxh3_64;

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much more memory a broker may use after small mischief.
const GROWTH_BYTES_MAX: u64 = 96 << 20;
/// Puts and reads of the well-behaved client that must follow each mischief.
const PUTS_AFTER: u64 = 20;

/// A broker with a well-behaved client.
struct Ground {
    broker: Broker,
    key: Key,
    stream: StreamDescription,
    good: GoodClient,
    memory_before: u64,
    _place: Place,
}

impl Ground {
    async fn new() -> Ground {
        let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
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

    async fn client(&self) -> RawClient {
        RawClient::admitted(self.broker.address(), &self.key).await
    }

    /// The well-behaved client goes on, and the broker has not grown by more than this.
    async fn unharmed(&self, growth_bytes_max: u64) {
        self.good.go_on().await;
        let grown = self.broker.memory_bytes().saturating_sub(self.memory_before);
        assert!(grown <= growth_bytes_max, "the broker has grown by {} MiB", grown >> 20);
    }

    /// Ends everything in order.
    async fn end(self) {
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

/// What the broker is to do about something.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// An error on the stream; the connection stays.
    Error(ErrorCode),
    /// The end of the connection.
    Close(ErrorCode),
    Done,
}

/// Sends bytes on a stream of an admitted connection and looks for the answer.
async fn expect(ground: &Ground, what: &str, bytes: &[u8], answer: Answer) {
    let client = ground.client().await;
    let reply = timeout(PATIENCE, client.exchange(bytes)).await.unwrap_or_else(|_| panic!("{what} has no answer"));
    match (answer, reply) {
        (Answer::Error(code), Ok(Reply::Error(error))) => {
            assert_eq!(error.code, code, "{what}: {error}");
            assert!(error.message.len() > 10, "{what}: {error}");
            let pong = client.ask(&Request::Ping).await;
            assert_eq!(pong, Ok(Reply::Pong), "after {what} the connection stays");
        }
        (Answer::Close(code), Err(Ended::Closed(closed, why))) => {
            assert_eq!(closed, code, "{what}: {why}");
            assert!(why.len() > 10, "{what}: {why}");
        }
        (Answer::Close(code), Err(Ended::Stream(_))) => {
            // The stream's end may be seen before the connection's.
            assert_eq!(timeout(PATIENCE, client.closed()).await.expect(what).0, code, "{what}");
        }
        (Answer::Done, Ok(Reply::Ack { .. } | Reply::Pong | Reply::Batches(_))) => {}
        (_, reply) => panic!("{what} was answered {reply:?}, not {answer:?}"),
    }
}

/// A batch of any body under any header; `change` is made before the header's checksum.
fn batch(stream: u64, shard: u32, count: u32, body: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let header = BatchHeader {
        record_count: count,
        body_len: body.len() as u32,
        body_checksum: xxh3_64(body),
        producer: ProducerStamp::default(),
        incarnation: stream,
        shard,
        first_sequence: 0,
        arrival_ms: 0,
    };
    let mut bytes = header.encode().to_vec();
    change(&mut bytes);
    let checksum = xxh3_64(&bytes[..HEADER_BYTES - 8]);
    bytes[HEADER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a batch with one record of any key and data.
fn record(key: &str, explicit_hash_key: Option<u128>, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(data.len() as u32).to_le_bytes());
    body.extend_from_slice(&(key.len() as u16).to_le_bytes());
    body.extend_from_slice(&u16::from(explicit_hash_key.is_some()).to_le_bytes());
    body.extend_from_slice(&explicit_hash_key.map_or(Vec::new(), |hash| hash.to_le_bytes().to_vec()));
    body.extend_from_slice(key.as_bytes());
    body.extend_from_slice(data);
    body
}

/// A batch of one good record for shard 0.
fn good_batch(stream: &StreamDescription, data: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    let record = Record { explicit_hash_key: Some(0), ..Record::new("key", data.to_vec()) };
    builder.push(&record.view(), RECORD_BYTES_MAX).expect("it is within the limits");
    builder.finish(stream.incarnation, 0, ProducerStamp::default()).to_vec()
}
