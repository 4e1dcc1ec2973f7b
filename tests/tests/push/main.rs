//! Push: what a registered consumer is given by a real broker, from the tail, from the disk and over
//! the join between them, with the credit it has given; and how a subscription ends.
//!
//! The judge is the checker that judges the simulator too.

mod given;
mod slow;

use std::collections::BTreeMap;
use std::time::Duration;

use quinn::TransportConfig;
use rheos_client::protocol::message::{ConsumerOf, PushEnd, Reply, Request};
use rheos_client::{Client, ErrorCode, Outcome, Position, Producer, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::raw_client::{Key, RawClient};
use rheos_tests::subscriber::{Pushed, Subscriber, subscribe};
use tokio::time::timeout;

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Credit that is never used up.
const PLENTY: u64 = 64 << 20;

/// A broker with a stream, a client that puts and a key to subscribe with.
struct Ground {
    place: Place,
    broker: Broker,
    client: Client,
    stream: StreamDescription,
    producer: Producer,
}

impl Ground {
    async fn new(shards: u32) -> Ground {
        let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        let broker = place.start();
        let client = broker.client().await;
        let stream = client.create_stream(StreamSpec::new("pushed", shards)).await.expect("the broker is new");
        let producer = client.producer("pushed").await.expect("it was just made");
        Ground { place, broker, client, stream, producer }
    }

    async fn raw(&self) -> RawClient {
        RawClient::admitted_with(self.broker.address(), &Key::of_admin(self.place.data()), roomy()).await
    }

    /// Registers consumers of the stream.
    async fn register(&self, names: impl IntoIterator<Item = String>) {
        let client = self.raw().await;
        for consumer in names {
            let of = ConsumerOf { stream: self.stream.name.clone(), consumer };
            let answer = client.ask(&Request::RegisterConsumer(of.into())).await;
            assert!(matches!(answer, Ok(Reply::Consumer(_))), "{answer:?}");
        }
    }

    /// A subscriber of a shard, as this consumer, which is registered first.
    async fn subscriber(&self, shard: u32, consumer: &str, position: Position, credit: u64) -> Subscriber {
        self.register([consumer.to_owned()]).await;
        let first = subscribe(self.stream.incarnation, shard, consumer, position, credit);
        Subscriber::open(self.raw().await, 1, first).await
    }

    /// Puts records of so many bytes, numbered from `first` on, and waits until they are stored.
    async fn put(&self, numbers: std::ops::Range<u64>, bytes: usize) {
        let mut tickets = Vec::new();
        for number in numbers {
            let mut data = vec![b'.'; bytes.max(8)];
            data[..8].copy_from_slice(&number.to_le_bytes());
            tickets.push(self.producer.put(Record::new(format!("key {}", number % 97), data)).await.expect("it fits"));
        }
        for ticket in tickets {
            let outcome = timeout(PATIENCE, ticket).await.expect("a put is answered in time");
            assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
        }
    }
}

/// Windows of a client that always drains what comes.
fn roomy() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.receive_window((64u32 << 20).into()).stream_receive_window((16u32 << 20).into());
    transport
}

/// What one subscription has been given.
#[derive(Debug, Default)]
struct Given {
    /// Where it goes on; none before anything came.
    next: Option<u64>,
    bytes: u64,
    numbers: Vec<u64>,
}

impl Given {
    /// Takes pushed batches, which must follow what came before.
    fn take(&mut self, pushed: Pushed) {
        let Pushed::Batches(batches, push) = pushed else { panic!("the subscription ended: {pushed:?}") };
        for batch in &batches {
            let first = batch.header().first_sequence;
            assert!(self.next.is_none_or(|next| next == first), "{first} came, {:?} was due", self.next);
            self.next = Some(batch.next_sequence());
            self.bytes += batch.bytes().len() as u64;
            let number = |data: &[u8]| u64::from_le_bytes(*data.first_chunk().expect("every record is numbered"));
            self.numbers.extend(batch.records().map(|record| number(record.data)));
        }
        assert!(push.tip_sequence >= self.next.unwrap_or(0), "nothing is shown before it is durable");
    }
}

/// Takes pushes until so many records have come in all, granting what each took.
async fn take_records(subscriber: &mut Subscriber, given: &mut BTreeMap<u64, Given>, records: usize) {
    let count = |given: &BTreeMap<u64, Given>| given.values().map(|given| given.numbers.len()).sum::<usize>();
    while count(given) < records {
        let (id, pushed) = subscriber.pushed().await;
        let given = given.entry(id).or_default();
        let before = given.bytes;
        given.take(pushed);
        subscriber.send(id, &Request::Credit(given.bytes - before)).await;
    }
}
