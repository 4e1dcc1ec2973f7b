//! What is counted is exactly what happened: puts, refusals, reads and pushes that are known to the record and
//! byte, by stream, shard and consumer, on one lane and on two.

use std::net::SocketAddr;
use std::time::Duration;

use rheos_client::protocol::batch::{BatchBuilder, ProducerStamp};
use rheos_client::protocol::limits::READ_BYTES_MAX;
use rheos_client::protocol::message::{Batches, Read, Reply, Request};
use rheos_client::{Client, Error, ErrorCode, Position, Record, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::http::Samples;
use rheos_tests::raw_client::{Key, RawClient};
use rheos_tests::subscriber::{Pushed, Subscriber, subscribe};
use tokio::time::sleep;

use crate::{place, until};

/// Bytes of the key, the explicit hash key and the data of each record that is put here.
const RECORD_BYTES: u64 = 3 + 16 + DATA_BYTES;
const DATA_BYTES: u64 = 1_000;
/// Credit that is never used up.
const PLENTY: u64 = 64 << 20;

struct Scene {
    _place: Place,
    key: Key,
    broker: Broker,
    client: Client,
    raw: RawClient,
}

impl Scene {
    async fn new(lanes: u16) -> Scene {
        let mut place = place();
        place.set_lanes(lanes);
        let broker = place.start();
        let key = Key::of_admin(place.data());
        let client = broker.client().await;
        let raw = RawClient::admitted(broker.address(), &key).await;
        Scene { _place: place, key, broker, client, raw }
    }

    fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    async fn create(&self, name: &str, shards: u32) -> StreamDescription {
        self.client.create_stream(StreamSpec::new(name, shards)).await.expect("there is none")
    }

    /// Puts so many records in one batch; gives the bytes of the batch.
    async fn put(&self, stream: &StreamDescription, shard: u32, records: u64) -> u64 {
        let batch = batch(stream, shard, shard, records);
        self.raw.put(&batch).await.expect("it is in order");
        batch.len() as u64
    }

    async fn read(&self, stream: &StreamDescription, shard: u32, position: Position, bytes_max: u32) -> Batches {
        let read = Read { incarnation: stream.incarnation, shard, position, bytes_max };
        match self.raw.ask(&Request::Read(read)).await {
            Ok(Reply::Batches(batches)) => batches,
            other => panic!("a read was answered {other:?}"),
        }
    }

    async fn end(self) {
        self.client.close().await;
        let said = self.broker.stop();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// A batch for a shard, of records that belong to another one or the same.
fn batch(stream: &StreamDescription, shard: u32, belongs_to: u32, records: u64) -> Vec<u8> {
    let hash = stream.shards[belongs_to as usize].range.first;
    let mut builder = BatchBuilder::default();
    for _ in 0..records {
        let record = Record { explicit_hash_key: Some(hash), ..Record::new("key", vec![7; DATA_BYTES as usize]) };
        builder.push(&record.view(), 1 << 20).expect("it is small");
    }
    builder.finish(stream.incarnation, shard, ProducerStamp::default()).to_vec()
}

/// Asserts that all shards of a stream are counted alike with so much.
fn assert_amounts(samples: &Samples, prefix: &str, labels: &str, records: u64) {
    let series = |what: &str| format!("{prefix}_{what}_total{{{labels}}}");
    let counted = (samples.whole(&series("records")), samples.whole(&series("bytes")));
    assert_eq!(counted, (records, records * RECORD_BYTES), "{prefix} {labels}");
}

async fn puts_are_counted(lanes: u16) {
    let scene = Scene::new(lanes).await;
    let (orders, other) = (scene.create("orders", 2).await, scene.create("other", 1).await);
    let before = Samples::of(scene.address()).await;
    let mut batch_bytes = 0;
    for round in 0..10 {
        batch_bytes += scene.put(&orders, 0, 3).await;
        batch_bytes += scene.put(&orders, 1, round + 1).await;
    }
    batch_bytes += scene.put(&other, 0, 1).await;
    // Refused: records of another shard, a shard that there is not, and what is no batch.
    let wrong = scene.raw.put(&batch(&orders, 0, 1, 5)).await.expect_err("they belong to the other shard");
    assert_eq!(wrong.code, ErrorCode::WrongShard);
    let mut none = orders.clone();
    none.shards[0].shard = 9;
    let unknown = scene.raw.put(&batch(&none, 9, 0, 5)).await.expect_err("there is no shard 9");
    assert_eq!(unknown.code, ErrorCode::ShardNotFound);
    let malformed = scene.raw.put(b"no batch at all").await.expect_err("it is none");
    assert_eq!(malformed.code, ErrorCode::BadBatch);

    let samples = Samples::of(scene.address()).await;
    assert_amounts(&samples, "rheos_incoming", "stream=\"orders\"", 30 + 55);
    assert_amounts(&samples, "rheos_incoming", "stream=\"other\"", 1);
    assert_amounts(&samples, "rheos_shard_incoming", "stream=\"orders\",shard=\"0\"", 30);
    assert_amounts(&samples, "rheos_shard_incoming", "stream=\"orders\",shard=\"1\"", 55);
    assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"0\"", 0);
    let refused = |stream: &str, reason: &str| {
        samples.get(&format!("rheos_put_refused_records_total{{stream=\"{stream}\",reason=\"{reason}\"}}"))
    };
    assert_eq!((refused("orders", "wrong_shard"), refused("orders", "throttled")), (Some(5.0), Some(0.0)));
    assert_eq!((refused("other", "wrong_shard"), refused("other", "throttled")), (None, Some(0.0)));
    let of_shard =
        |name: &str, shard| samples.whole(&format!("rheos_shard_{name}{{stream=\"orders\",shard=\"{shard}\"}}"));
    assert_eq!((of_shard("put_refused_records_total", 0), of_shard("put_refused_records_total", 1)), (5, 0));
    assert_eq!((of_shard("tip_sequence", 0), of_shard("tip_sequence", 1)), (30, 55));
    let all = |samples: &Samples, name: &str| samples.with(name).map(|(_, value)| value).sum::<f64>() as u64;
    assert_eq!(all(&samples, "rheos_put_rejected_total{"), 2);
    assert_eq!(all(&samples, "rheos_put_ack_seconds_count{"), 21);
    assert_eq!(all(&samples, "rheos_put_ack_seconds_bucket{le=\"+Inf\""), 21);
    assert_eq!(all(&samples, "rheos_commit_payload_bytes_total{"), batch_bytes);
    let commits = all(&samples, "rheos_commits_total{");
    assert!(commits >= 1 && commits == all(&samples, "rheos_commit_seconds_count{"), "{commits}");
    assert!(all(&samples, "rheos_commit_bytes_total{") >= batch_bytes.div_ceil(4096) * 4096);
    assert_eq!(all(&samples, "rheos_commit_bytes_total{") % 4096, 0, "it is written in whole blocks");
    assert_eq!(samples.with("rheos_lane_busy_seconds_total{").count(), usize::from(lanes));
    for (series, value) in before.with("_total") {
        assert!(samples.get(series).is_some_and(|now| now >= value), "{series} has fallen");
    }
    let stored = || async { Samples::of(scene.address()).await.whole("rheos_stored_bytes{stream=\"orders\"}") };
    until("its segments lie on the disk", stored, |bytes| *bytes >= batch_bytes).await;
    scene.end().await;
}

#[tokio::test]
async fn puts_are_counted_on_one_lane() {
    puts_are_counted(1).await;
}

#[tokio::test]
async fn puts_are_counted_on_two_lanes_whichever_is_asked() {
    puts_are_counted(2).await;
}

#[tokio::test]
async fn a_put_that_is_sent_again_counts_once() {
    let scene = Scene::new(1).await;
    let orders = scene.create("orders", 1).await;
    let mut builder = BatchBuilder::default();
    builder.push(&Record::new("key", "data").view(), 1 << 20).expect("it is small");
    let stamp = ProducerStamp { id: 77, epoch: 1, number: 0 };
    let batch = builder.finish(orders.incarnation, 0, stamp).to_vec();
    for _ in 0..3 {
        assert_eq!(scene.raw.put(&batch).await, Ok(0));
    }
    let samples = Samples::of(scene.address()).await;
    assert_eq!(samples.whole("rheos_incoming_records_total{stream=\"orders\"}"), 1);
    assert_eq!(samples.whole("rheos_incoming_bytes_total{stream=\"orders\"}"), 7);
    scene.end().await;
}

async fn reads_are_counted(lanes: u16) {
    let scene = Scene::new(lanes).await;
    let orders = scene.create("orders", 2).await;
    for _ in 0..5 {
        scene.put(&orders, 1, 4).await;
    }
    let idle = Samples::of(scene.address()).await;
    assert_eq!(idle.get("rheos_read_behind_seconds{stream=\"orders\"}"), None, "nobody has read");
    // Everything, one batch of a part of which only the end is asked for, and nothing.
    let all = scene.read(&orders, 1, Position::TrimHorizon, READ_BYTES_MAX).await;
    assert_eq!((all.start_sequence, all.next_sequence), (0, 20));
    let part = scene.read(&orders, 1, Position::AtSequence(6), 1).await;
    assert_eq!((part.start_sequence, part.next_sequence), (6, 8));
    let none = scene.read(&orders, 0, Position::Latest, READ_BYTES_MAX).await;
    assert_eq!((none.start_sequence, none.batches.len()), (0, 0));

    let samples = Samples::of(scene.address()).await;
    assert_eq!(samples.whole("rheos_reads_total{stream=\"orders\"}"), 3);
    assert_amounts(&samples, "rheos_read", "stream=\"orders\"", 20 + 4);
    assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"1\"", 24);
    assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"0\"", 0);
    let behind = |samples: &Samples, shard: u32| {
        samples.get(&format!("rheos_shard_behind_seconds{{stream=\"orders\",shard=\"{shard}\"}}"))
    };
    assert_eq!(behind(&samples, 0), Some(0.0), "it has read everything that there is");

    // The last reader of shard 1 had twelve records before it; what it was given is as old as it says, or a
    // little older than what it was not.
    sleep(Duration::from_millis(1_200)).await;
    let part = scene.read(&orders, 1, Position::AtSequence(6), 1).await;
    assert!(part.behind_ms >= 1_200);
    let samples = Samples::of(scene.address()).await;
    let age = behind(&samples, 1).expect("it was just read");
    assert!((part.behind_ms as f64 / 1e3..part.behind_ms as f64 / 1e3 + 1.0).contains(&age), "{age}");
    assert_eq!(samples.get("rheos_read_behind_seconds{stream=\"orders\"}"), behind(&samples, 1));
    let rest = scene.read(&orders, 1, Position::AtSequence(8), READ_BYTES_MAX).await;
    assert_eq!((rest.next_sequence, rest.behind_ms), (20, 0));
    assert_eq!(behind(&Samples::of(scene.address()).await, 1), Some(0.0));
    assert_eq!(samples.whole("rheos_read_throttled_total{stream=\"orders\"}"), 0);
    scene.end().await;
}

#[tokio::test]
async fn reads_are_counted_on_one_lane() {
    reads_are_counted(1).await;
}

#[tokio::test]
async fn reads_are_counted_on_two_lanes_whichever_is_asked() {
    reads_are_counted(2).await;
}

#[tokio::test]
async fn what_is_read_from_the_disk_is_counted_too() {
    for lanes in [1, 2] {
        let scene = Scene::new(lanes).await;
        let orders = scene.create("orders", 2).await;
        // Far more than the tail keeps.
        for _ in 0..64 {
            scene.put(&orders, 0, 250).await;
        }
        let mut read = (0, 0, 0);
        while read.1 < 64 * 250 {
            let batches = scene.read(&orders, 0, Position::AtSequence(read.1), 1 << 20).await;
            read = (read.0 + 1, batches.next_sequence, read.2 + batches.batches.len());
        }
        assert!(read.2 > 15_000_000);
        let samples = Samples::of(scene.address()).await;
        assert_eq!(samples.whole("rheos_reads_total{stream=\"orders\"}"), read.0);
        assert_amounts(&samples, "rheos_read", "stream=\"orders\"", 64 * 250);
        assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"0\"", 64 * 250);
        scene.end().await;
    }
}

#[tokio::test]
async fn pushes_are_counted_by_consumer_and_shard() {
    for lanes in [1, 2] {
        let scene = Scene::new(lanes).await;
        let orders = scene.create("orders", 2).await;
        for consumer in ["billing", "idle", "slow"] {
            scene.client.register_consumer("orders", consumer).await.expect("there is none");
        }
        for _ in 0..6 {
            scene.put(&orders, 0, 2).await;
            scene.put(&orders, 1, 3).await;
        }
        let open = async |consumer: &str, shard, credit| {
            let raw = RawClient::admitted(scene.address(), &scene.key).await;
            let first = subscribe(orders.incarnation, shard, consumer, Position::TrimHorizon, credit);
            let mut subscriber = Subscriber::open(raw, 1, first).await;
            subscriber.subscribed().await;
            subscriber
        };
        let (mut first, mut second) = (open("billing", 0, PLENTY).await, open("billing", 1, PLENTY).await);
        // It may be given a byte, so it is given a batch.
        let mut slow = open("slow", 1, 1).await;
        for (subscriber, records) in [(&mut first, 12), (&mut second, 18), (&mut slow, 3)] {
            let mut given = 0;
            while given < records {
                let (_, Pushed::Batches(batches, _)) = subscriber.pushed().await else { panic!("it goes on") };
                given += batches.iter().map(|batch| u64::from(batch.header().record_count)).sum::<u64>();
            }
            assert_eq!(given, records);
        }
        sleep(Duration::from_millis(1_100)).await;
        let samples = Samples::of(scene.address()).await;
        let of = |name: &str, consumer: &str| {
            samples.get(&format!("rheos_push_{name}{{stream=\"orders\",consumer=\"{consumer}\"}}"))
        };
        for (consumer, records, subscriptions) in [("billing", 30, 2.0), ("slow", 3, 1.0), ("idle", 0, 0.0)] {
            assert_amounts(&samples, "rheos_push", &format!("stream=\"orders\",consumer=\"{consumer}\""), records);
            assert_eq!(of("subscriptions", consumer), Some(subscriptions), "{consumer}");
            assert_eq!(of("subscribed_total", consumer), Some(subscriptions), "{consumer}");
            assert_eq!(of("superseded_total", consumer), Some(0.0), "{consumer}");
        }
        assert_eq!((of("behind_seconds", "billing"), of("behind_seconds", "idle")), (Some(0.0), None));
        assert!(
            of("behind_seconds", "slow").is_some_and(|behind| (1.1..60.0).contains(&behind)),
            "{:?}",
            of("behind_seconds", "slow")
        );
        assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"0\"", 12);
        assert_amounts(&samples, "rheos_shard_outgoing", "stream=\"orders\",shard=\"1\"", 18 + 3);
        assert_eq!(samples.whole("rheos_reads_total{stream=\"orders\"}"), 0, "a push is no read");

        // The same consumer elsewhere takes its shard over, and what it was pushed stays counted.
        let mut again = open("slow", 1, PLENTY).await;
        let (_, Pushed::Batches(..)) = again.pushed().await else { panic!("it begins anew") };
        let now = || async { Samples::of(scene.address()).await };
        let is_over =
            |samples: &Samples| samples.whole("rheos_push_superseded_total{stream=\"orders\",consumer=\"slow\"}") == 1;
        let samples = until("the older one is superseded", now, is_over).await;
        assert_amounts(&samples, "rheos_push", "stream=\"orders\",consumer=\"slow\"", 3 + 18);
        assert_eq!(samples.whole("rheos_push_subscriptions{stream=\"orders\",consumer=\"slow\"}"), 1);
        drop((first, second, slow, again));
        let nobody = |samples: &Samples| samples.with("rheos_push_subscriptions").all(|(_, value)| value == 0.0);
        let samples = until("nobody is subscribed", now, nobody).await;
        assert_amounts(&samples, "rheos_push", "stream=\"orders\",consumer=\"billing\"", 30);
        assert_eq!(samples.get("rheos_push_behind_seconds{stream=\"orders\",consumer=\"billing\"}"), None);
        scene.end().await;
    }
}

#[tokio::test]
async fn what_is_deleted_leaves_the_page() {
    let scene = Scene::new(2).await;
    let orders = scene.create("orders", 3).await;
    scene.create("kept", 1).await;
    for (stream, consumer) in [("orders", "billing"), ("orders", "audit"), ("kept", "billing")] {
        scene.client.register_consumer(stream, consumer).await.expect("there is none");
    }
    scene.put(&orders, 0, 1).await;
    let samples = Samples::of(scene.address()).await;
    assert_eq!((samples.whole("rheos_streams"), samples.whole("rheos_consumers")), (2, 3));
    assert_eq!(samples.whole("rheos_shards{state=\"open\"}"), 4);
    assert!(samples.with("consumer=\"audit\"").count() > 0);

    scene.client.deregister_consumer("orders", "audit").await.expect("it is registered");
    let samples = Samples::of(scene.address()).await;
    assert_eq!((samples.with("consumer=\"audit\"").next(), samples.whole("rheos_consumers")), (None, 2));
    scene.client.delete_stream("orders").await.expect("it is there");
    let samples = Samples::of(scene.address()).await;
    assert_eq!(samples.with("stream=\"orders\"").next(), None);
    assert!(samples.with("stream=\"kept\"").count() > 10);
    assert_eq!((samples.whole("rheos_streams"), samples.whole("rheos_consumers")), (1, 1));
    // Another life of the name begins at nothing.
    let Err(Error::Broker(_)) = scene.client.register_consumer("orders", "billing").await else { panic!("it is gone") };
    scene.create("orders", 1).await;
    let samples = Samples::of(scene.address()).await;
    assert_eq!(samples.whole("rheos_incoming_records_total{stream=\"orders\"}"), 0);
    assert_eq!(samples.whole("rheos_shard_tip_sequence{stream=\"orders\",shard=\"0\"}"), 0);
    assert_eq!(samples.get("rheos_shard_tip_sequence{stream=\"orders\",shard=\"1\"}"), None);
    scene.end().await;
}

#[tokio::test]
async fn a_page_lists_a_thousand_shards_and_counts_the_others() {
    let scene = Scene::new(2).await;
    scene.create("old", 700).await;
    let large = scene.create("large", 900).await;
    scene.put(&large, 299, 1).await;
    scene.put(&large, 300, 2).await;
    let samples = Samples::of(scene.address()).await;
    assert_eq!(samples.with("rheos_shard_tip_sequence{").count(), 1_000);
    assert_eq!(samples.whole("rheos_metrics_shards_left_out"), 600);
    assert_eq!(samples.whole("rheos_shard_tip_sequence{stream=\"large\",shard=\"299\"}"), 1);
    assert_eq!(samples.get("rheos_shard_tip_sequence{stream=\"large\",shard=\"300\"}"), None);
    // What is not listed is still counted with its stream.
    assert_eq!(samples.whole("rheos_incoming_records_total{stream=\"large\"}"), 3);
    assert_eq!(
        (samples.whole("rheos_metrics_streams_left_out"), samples.whole("rheos_metrics_consumers_left_out")),
        (0, 0)
    );
    scene.end().await;
}
