//! Registered consumers of the client crate against a real broker, on good days and bad ones: killed,
//! stopped, dealt anew, far away, taken over, forbidden, too many and too large.
//!
//! The judge is the checker that judges the simulator too.

mod begins;
mod ends;
mod kills;
mod lives;
mod loads;
mod paths;

use std::sync::Arc;
use std::time::Duration;

use rheos_client::{Client, Consumer, Error, Outcome, Positions, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::random::Random;
use rheos_tests::witness::{Follower, Load, Witness, random_of};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with a stream and a client of the administrator.
struct Ground {
    place: Place,
    broker: Broker,
    client: Client,
    stream: StreamDescription,
}

impl Ground {
    async fn new(lanes: u16, shards: u32) -> Ground {
        Ground::with(lanes, StreamSpec::new("pushed", shards)).await
    }

    async fn with(lanes: u16, spec: StreamSpec) -> Ground {
        let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        place.set_lanes(lanes);
        let broker = place.start();
        let client = broker.client().await;
        let stream = client.create_stream(spec).await.expect("the broker is new");
        Ground { place, broker, client, stream }
    }

    /// A consumer of everything that is registered first.
    async fn consumer(&self, name: &str) -> Consumer {
        self.client.register_consumer(&self.stream.name, name).await.expect("its name is free");
        consumer(&self.client, &self.stream, name).await
    }

    async fn load(&self, witness: &Arc<Witness>, producers: usize, random: &mut Random) -> Load {
        Load::start(witness, &self.broker.client().await, std::slice::from_ref(&self.stream), producers, random)
    }

    /// Reads everything once more, so that the judge holds it against what was pushed; nobody is putting.
    async fn read_all(&self, witness: &Witness) {
        witness.read_all(&self.client, std::slice::from_ref(&self.stream), true, true).await;
        assert!(witness.checker().acked() > 0, "something was put");
    }
}

/// A consumer of everything, that is registered.
async fn consumer(client: &Client, stream: &StreamDescription, name: &str) -> Consumer {
    within(client.consumer(&stream.name, name).start()).await.expect("it is registered")
}

/// A follower that takes what is pushed in a task of its own.
struct Following {
    follower: Arc<Follower>,
    task: JoinHandle<Result<(), Error>>,
}

impl Following {
    fn start(witness: &Arc<Witness>, stream: &StreamDescription, mut consumer: Consumer) -> Following {
        let mut follower = Follower::new(witness, stream);
        follower.begin(&consumer);
        let follower = Arc::new(follower);
        let following = Arc::clone(&follower);
        Following { follower, task: tokio::spawn(async move { following.follow(&mut consumer).await }) }
    }

    /// It has everything, and goes on.
    async fn caught_up(&self) {
        tokio::select! {
            () = self.follower.wait_caught_up() => {}
            () = self.over() => panic!("it ended"),
        }
    }

    async fn over(&self) {
        while !self.task.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// It has everything; then its consumer is dropped.
    async fn end(self) {
        self.caught_up().await;
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it goes on until it is dropped");
    }

    /// What it ends with by itself.
    async fn ended(self) -> Result<(), Error> {
        within(self.task).await.expect("it does not break the promise")
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it does not take a minute")
}

/// Puts records, numbered from `numbers.start` on and of so many bytes at least, each with a key of its own,
/// and waits until they are stored: shard, sequence and arrival of each.
async fn put(client: &Client, stream: &str, numbers: std::ops::Range<u64>, bytes: usize) -> Vec<(u32, u64, u64)> {
    let producer = client.producer(stream).await.expect("the stream is there");
    let mut tickets = Vec::new();
    for number in numbers {
        let mut data = text(number);
        data.resize(bytes.max(data.len()), b'.');
        tickets.push(within(producer.put(Record::new(format!("key {number}"), data))).await.expect("it fits"));
    }
    let mut acked = Vec::new();
    for ticket in tickets {
        match within(ticket).await {
            Outcome::Acked { shard, sequence, arrival_ms, .. } => acked.push((shard, sequence, arrival_ms)),
            other => panic!("a put came to {other:?}"),
        }
    }
    acked
}

/// Takes so many numbered records of so many shards; those of each shard come densely.
async fn take(consumer: &mut Consumer, records: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut due = std::collections::BTreeMap::new();
    while numbers.len() < records {
        let at = within(consumer.next()).await.expect("nothing ends it").expect("nothing ends it");
        let due = due.entry(at.shard).or_insert(at.sequence);
        assert_eq!(at.sequence, *due, "shard {}", at.shard);
        *due += 1;
        let number = std::str::from_utf8(&at.record.data[..8]).ok().and_then(|text| text.parse().ok());
        numbers.push(number.expect("every record is numbered"));
    }
    numbers.sort_unstable();
    numbers
}

/// What a record begins with.
fn text(number: u64) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

/// Nothing more is there to be taken: what is put now comes next.
async fn assert_nothing_is_left(ground: &Ground, consumer: &mut Consumer, number: u64) {
    let (shard, sequence, _) = put(&ground.client, &ground.stream.name, number..number + 1, 8).await[0];
    let at = within(consumer.next()).await.expect("nothing ends it").expect("nothing ends it");
    assert_eq!((at.shard, at.sequence, &at.record.data[..]), (shard, sequence, &text(number)[..]));
}
