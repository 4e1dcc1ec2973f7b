//! Consumers: every shard, in order, each record once, over broken connections, within their credit.

mod peer;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use peer::{ARRIVAL_MS, Peer, Twist};
use rheos_client::protocol::batch::BatchBuilder;
use rheos_client::protocol::hash::HashRange;
use rheos_client::protocol::message::PushEnd;
use rheos_client::{
    Client, ConnectOptions, Consumer, ConsumerBuilder, Error, ErrorCode, Position, Positions, ReadRecord, Record,
    WireError,
};

/// How long a test waits for what will come.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

/// A stream "orders" with `shards` shards, each of which holds `batches` batches of `records` records.
async fn filled(shards: u32, batches: u64, records: u64) -> (Peer, Client) {
    let peer = Peer::start();
    peer.create("orders", shards);
    peer.register("orders", "billing");
    let client = connect(&peer).await;
    fill(&client, shards, 0, batches, records).await;
    (peer, client)
}

/// Puts batches whose records hold their shard and sequence, the first of which is `next` in every shard.
async fn fill(client: &Client, shards: u32, next: u64, batches: u64, records: u64) {
    let producer = client.producer("orders").await.unwrap();
    let open: Vec<u32> = producer.shards().collect();
    for (shard, range) in open.into_iter().zip(HashRange::even(shards)) {
        for batch in 0..batches {
            let mut builder = BatchBuilder::default();
            for record in 0..records {
                let data = format!("{shard}:{}", next + batch * records + record);
                let record = Record { explicit_hash_key: Some(range.first), ..Record::new("key", data) };
                builder.push(&record.view(), 1 << 20).unwrap();
            }
            drop(producer.put_batch(shard, builder).await.unwrap());
        }
    }
    producer.close().await;
}

fn billing(client: &Client) -> ConsumerBuilder {
    client.consumer("orders", "billing")
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes within the patience")
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(wait).await;
}

async fn next(consumer: &mut Consumer) -> Result<ReadRecord, Error> {
    let record = within(consumer.next()).await?.expect("it is not over");
    let expected = format!("{}:{}", record.shard, record.sequence);
    assert_eq!(str::from_utf8(&record.record.data).unwrap(), expected);
    Ok(record)
}

/// What a program has seen: the next sequence that is due in each shard.
#[derive(Default)]
struct Seen {
    due: BTreeMap<u32, u64>,
    records: u64,
}

impl Seen {
    fn see(&mut self, shard: u32, sequence: u64) {
        let due = self.due.entry(shard).or_insert(0);
        assert_eq!(sequence, *due, "shard {shard}");
        *due += 1;
        self.records += 1;
    }

    async fn take(&mut self, consumer: &mut Consumer, count: u64) {
        for _ in 0..count {
            let record = next(consumer).await.unwrap();
            self.see(record.shard, record.sequence);
        }
    }
}

async fn sequences(consumer: &mut Consumer, count: usize) -> Vec<u64> {
    let mut sequences = Vec::new();
    while sequences.len() < count {
        sequences.push(next(consumer).await.unwrap().sequence);
    }
    sequences
}

/// The error that is the last of a consumer.
async fn last_error(consumer: &mut Consumer) -> Error {
    loop {
        if let Err(error) = within(consumer.next()).await {
            assert!(within(consumer.next()).await.unwrap().is_none(), "after {error} it is over");
            return error;
        }
    }
}

#[tokio::test]
async fn every_shard_comes_in_order() {
    let (peer, client) = filled(4, 50, 20).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 2_000).await;
    fill(&client, 4, 1_000, 50, 20).await;
    seen.take(&mut consumer, 6_000).await;
    assert_eq!(seen.due, (0..4).map(|shard| (shard, 2_000)).collect());
    assert_eq!((peer.hellos(), peer.subscription_streams(), peer.subscribes().len()), (1, 1, 4));
}

#[tokio::test]
async fn a_shard_begins_at_any_position() {
    let (_peer, client) = filled(1, 10, 10).await;
    for (position, first) in [
        (Position::TrimHorizon, 0),
        (Position::AtSequence(37), 37),
        (Position::AfterSequence(37), 38),
        (Position::AtTimestamp(ARRIVAL_MS + 5), 50),
    ] {
        let mut consumer = billing(&client).from(position).start().await.unwrap();
        assert_eq!(consumer.positions().next(0), Some(first), "{position:?}");
        let expected: Vec<u64> = (first..100).collect();
        assert_eq!(sequences(&mut consumer, expected.len()).await, expected, "{position:?}");
        assert_eq!(consumer.positions().next(0), Some(100));
    }
    let mut consumer = billing(&client).from(Position::Latest).start().await.unwrap();
    fill(&client, 1, 100, 1, 1).await;
    let record = next(&mut consumer).await.unwrap();
    assert_eq!((record.sequence, record.arrival_ms, record.behind_ms), (100, ARRIVAL_MS + 10, 0));
}

#[tokio::test]
async fn it_is_a_stream_and_gives_batches() {
    let (_peer, client) = filled(1, 6, 10).await;
    let mut consumer = billing(&client).credit_bytes(600).start().await.unwrap();
    let mut due = 0;
    while due < 13 {
        let polled = within(poll_fn(|context| Pin::new(&mut consumer).poll_next(context))).await;
        assert_eq!(polled.unwrap().unwrap().sequence, due);
        due += 1;
    }
    assert_eq!(consumer.positions().next(0), Some(13));
    // What was begun comes first, without what was given already.
    while due < 60 {
        let read = within(consumer.next_batches()).await.unwrap().unwrap();
        assert_eq!((read.shard, read.start_sequence, read.tip_sequence), (0, due, 60));
        let given: Vec<u64> = read.records().map(|at| at.sequence).collect();
        assert_eq!(given, (due..read.next_sequence).collect::<Vec<_>>());
        due = read.next_sequence;
        assert_eq!(consumer.positions().next(0), Some(due));
    }
}

#[tokio::test]
async fn shards_take_turns() {
    let (peer, client) = filled(4, 500, 50).await;
    let mut consumer = billing(&client).start().await.unwrap();
    until(|| peer.granted_and_pushed().1 > 2_000_000).await;
    let mut seen = Seen::default();
    let mut turns = BTreeMap::from([(0, 0), (1, 0), (2, 0), (3, 0)]);
    while seen.records < 100_000 {
        let read = within(consumer.next_batches()).await.unwrap().unwrap();
        read.records().for_each(|at| seen.see(read.shard, at.sequence));
        *turns.get_mut(&read.shard).unwrap() += 1;
        // The peer pushes in turn, too, but for the first few.
        let (least, most) = (turns.values().min().unwrap(), turns.values().max().unwrap());
        assert!(most - least <= 3, "{turns:?}");
    }
}

#[tokio::test]
async fn a_program_that_stops_reading_costs_its_credit() {
    let (peer, client) = filled(1, 2_000, 10).await;
    let (credit, batch_bytes) = (10_000, 400);
    let mut consumer = billing(&client).credit_bytes(credit).start().await.unwrap();
    until(|| peer.granted_and_pushed().1 >= credit).await;
    // Other requests go on meanwhile, and bring whatever else would have come.
    for _ in 0..50 {
        client.ping().await.unwrap();
    }
    let (mut taken, mut seen) = (0, Seen::default());
    while seen.records < 20_000 {
        let (granted, pushed) = peer.granted_and_pushed();
        assert!(granted <= taken + credit + batch_bytes, "{granted} granted, {taken} taken");
        assert!(pushed <= taken + credit + batch_bytes, "{pushed} pushed, {taken} taken");
        let read = within(consumer.next_batches()).await.unwrap().unwrap();
        taken += read.batches().map(|batch| batch.bytes().len() as u64).sum::<u64>();
        read.records().for_each(|at| seen.see(0, at.sequence));
    }
    assert_eq!(peer.granted_and_pushed().1, taken);
}

#[tokio::test]
async fn all_shards_together_keep_to_a_bound() {
    let (peer, client) = filled(10, 100, 10).await;
    let mut consumer = billing(&client).bytes_max(20_000).start().await.unwrap();
    until(|| peer.granted_and_pushed().1 >= 20_000).await;
    for _ in 0..50 {
        client.ping().await.unwrap();
    }
    let (granted, pushed) = peer.granted_and_pushed();
    assert!(granted <= 20_000 && pushed <= 20_000 + 10 * 400, "{granted} granted, {pushed} pushed");
    Seen::default().take(&mut consumer, 10_000).await;
}

#[tokio::test]
async fn a_batch_beyond_the_credit_comes_alone() {
    let peer = Peer::start();
    peer.create_large("orders", 10 << 20);
    peer.register("orders", "billing");
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let sizes = [10 << 20, 5, 10 << 20, 10 << 20, 7];
    for size in sizes {
        let mut builder = BatchBuilder::default();
        builder.push(&Record::new("key", vec![3; size]).view(), 10 << 20).unwrap();
        drop(producer.put_batch(0, builder).await.unwrap());
    }
    producer.close().await;
    let mut consumer = billing(&client).credit_bytes(1).start().await.unwrap();
    for size in sizes {
        assert_eq!(within(consumer.next()).await.unwrap().unwrap().record.data.len(), size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connections_leave_no_gap_on_many_threads() {
    let peer = Peer::start();
    peer.set_lanes(3);
    peer.create("orders", 8);
    peer.register("orders", "billing");
    let client = connect(&peer).await;
    fill(&client, 8, 0, 100, 10).await;
    let mut consumer = billing(&client).credit_bytes(1_000).start().await.unwrap();
    peer.twist((0..400).map(|n| if n % 20 == 19 { Twist::Break } else { Twist::Push }));
    let mut seen = Seen::default();
    while seen.records < 8_000 {
        seen.take(&mut consumer, 100).await;
        if seen.records % 1_500 == 0 {
            peer.break_connections();
        }
    }
    assert_eq!(seen.due, (0..8).map(|shard| (shard, 1_000)).collect());
}

#[tokio::test]
async fn no_two_subscriptions_have_the_same_id_whatever_the_connection() {
    let (peer, client) = filled(2, 1, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 20).await;
    for round in 1..4 {
        peer.break_connections();
        fill(&client, 2, 10 * round, 1, 10).await;
        seen.take(&mut consumer, 20).await;
    }
    // What one thread still does for a connection that is gone is not taken for the next one's.
    let ids = peer.subscription_ids();
    let distinct: std::collections::BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert!(ids.len() >= 8, "{ids:?}");
}

#[tokio::test]
async fn broken_connections_leave_no_gap_and_no_repeat() {
    let (peer, client) = filled(3, 100, 10).await;
    let mut consumer = billing(&client).credit_bytes(300).start().await.unwrap();
    let mut seen = Seen::default();
    // A break in the middle of a push, after a few that came whole, over and over.
    for run in 0..60 {
        peer.twist((0..run % 7).map(|_| Twist::Push).chain([Twist::Break]));
    }
    let mut random = 1u64;
    while seen.records < 3_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seen.take(&mut consumer, 1 + (random >> 60)).await;
        if random >> 33 & 15 == 0 {
            peer.break_connections();
        }
        if seen.records >= 3_000 - 16 {
            seen.take(&mut consumer, 3_000 - seen.records).await;
        }
    }
    assert_eq!(peer.twists_left(), 0);
    assert!(peer.hellos() > 60, "{} connections", peer.hellos());
    fill(&client, 3, 1_000, 1, 1).await;
    seen.take(&mut consumer, 3).await;
}

#[tokio::test]
async fn latest_is_fixed_once_though_nothing_was_pushed() {
    let (peer, client) = filled(1, 1, 10).await;
    let mut consumer = billing(&client).from(Position::Latest).start().await.unwrap();
    peer.break_connections();
    fill(&client, 1, 10, 1, 5).await;
    assert_eq!(sequences(&mut consumer, 5).await, [10, 11, 12, 13, 14]);
    let positions: Vec<Position> = peer.subscribes().iter().map(|subscribe| subscribe.position).collect();
    assert_eq!(positions[0], Position::Latest);
    assert!(positions[1..].iter().all(|position| *position == Position::AtSequence(10)), "{positions:?}");
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_connected_to_anew() {
    let (peer, client) = filled(1, 1, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 10).await;
    peer.mute_connections();
    fill(&client, 1, 10, 1, 10).await;
    seen.take(&mut consumer, 10).await;
    assert_eq!(peer.subscribes().last().unwrap().position, Position::AtSequence(10));
}

#[tokio::test]
async fn a_broker_that_has_started_again_is_found() {
    let (peer, client) = filled(2, 1, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 20).await;
    for life in 1..4 {
        peer.restart().await;
        // The consumer alone finds out; nobody else asks for anything.
        until(|| peer.hellos() == 1 + life).await;
        fill(&client, 2, 10 * u64::from(life), 1, 10).await;
        seen.take(&mut consumer, 20).await;
    }
}

#[tokio::test]
async fn a_newer_consumer_of_the_same_name_wins() {
    let (_peer, client) = filled(2, 1, 10).await;
    let mut older = billing(&client).start().await.unwrap();
    let mut newer = billing(&connect(&_peer).await).start().await.unwrap();
    let error = last_error(&mut older).await;
    assert!(
        matches!(&error, Error::Superseded { stream, consumer } if (stream.as_str(), consumer.as_str()) == ("orders", "billing"))
    );
    assert!(error.to_string().starts_with("consumer billing of stream orders was taken over"), "{error}");
    Seen::default().take(&mut newer, 20).await;
}

#[tokio::test]
async fn a_consumer_that_is_not_registered_is_named() {
    let (peer, client) = filled(1, 1, 10).await;
    let error = client.consumer("orders", "audit").start().await.unwrap_err();
    assert_eq!(error.to_string(), "stream orders has no registered consumer audit; register it first");
    let error = billing(&client).shards([0, 3]).start().await.unwrap_err();
    assert_eq!(error.to_string(), "stream orders has no shard 3; its shards are 0 to 0");
    assert!(matches!(client.consumer("orders", "au dit").start().await, Err(Error::BadName(_))));
    let mut consumer = billing(&client).start().await.unwrap();
    Seen::default().take(&mut consumer, 10).await;
    peer.deregister("orders", "billing");
    assert!(matches!(last_error(&mut consumer).await, Error::Deregistered { .. }));
    // One that was deregistered while it was not connected hears of it, too.
    peer.register("orders", "billing");
    let mut consumer = billing(&client).from(Position::Latest).start().await.unwrap();
    peer.refuse_subscription(WireError::new(ErrorCode::ConsumerNotFound, "there is no such consumer"));
    peer.break_connections();
    assert!(matches!(last_error(&mut consumer).await, Error::Deregistered { .. }));
}

#[tokio::test]
async fn what_is_no_longer_kept_is_said_and_the_shard_goes_on() {
    let (peer, client) = filled(1, 10, 10).await;
    peer.trim("orders", 0, 30);
    let mut consumer = billing(&client).from(Position::AtSequence(5)).start().await.unwrap();
    let error = next(&mut consumer).await.unwrap_err();
    assert!(matches!(error, Error::Trimmed { shard: 0, first_kept_sequence: 30 }), "{error:?}");
    assert_eq!(consumer.positions().next(0), Some(30));
    assert_eq!(sequences(&mut consumer, 70).await, (30..100).collect::<Vec<_>>());
    // While it is pushed, too: all that was pushed comes before.
    peer.twist([Twist::Push, Twist::End(PushEnd::Trimmed(120))]);
    fill(&client, 1, 100, 1, 10).await;
    fill(&client, 1, 110, 2, 10).await;
    let (mut due, error) = (
        100,
        loop {
            match next(&mut consumer).await {
                Ok(record) => assert!(record.sequence < 120),
                Err(error) => break error,
            }
        },
    );
    due += 20;
    assert!(matches!(error, Error::Trimmed { shard: 0, first_kept_sequence: 120 }), "{error:?}");
    assert_eq!(sequences(&mut consumer, 10).await, (due..due + 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn children_come_after_all_their_parents() {
    let (peer, client) = filled(2, 10, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 50).await;
    // Two are merged, and the one that came of it is split.
    assert_eq!(peer.reshard("orders", &[0, 1], 1), [2]);
    fill(&client, 1, 0, 10, 10).await;
    assert_eq!(peer.reshard("orders", &[2], 2), [3, 4]);
    fill(&client, 2, 0, 10, 10).await;
    let mut resumed = None;
    while seen.records < 500 {
        let record = next(&mut consumer).await.unwrap();
        let before: u64 = (0..record.shard.min(3)).filter_map(|parent| seen.due.get(&parent)).sum();
        assert_eq!(before, [0, 0, 200, 300, 300][record.shard as usize].max(before), "shard {}", record.shard);
        seen.see(record.shard, record.sequence);
        if seen.records == 250 {
            resumed = Some(consumer.positions());
        }
    }
    // Positions from the middle lead to the same end.
    let resumed: Positions = resumed.unwrap().to_string().parse().unwrap();
    assert_eq!(
        resumed.to_string().lines().skip(1).collect::<Vec<_>>(),
        ["shard 0 ended", "shard 1 ended", "shard 2 next 50"]
    );
    drop(consumer);
    let mut consumer = billing(&client).resume(&resumed).start().await.unwrap();
    let mut seen = Seen { due: [(2, 50)].into(), records: 250 };
    seen.take(&mut consumer, 250).await;
    assert_eq!(seen.due, [(2, 100), (3, 100), (4, 100)].into());
    // Who begins at the tip begins with the open shards.
    drop(consumer);
    let mut consumer = billing(&client).from(Position::Latest).start().await.unwrap();
    fill(&client, 2, 100, 1, 1).await;
    let mut shards = [next(&mut consumer).await.unwrap().shard, next(&mut consumer).await.unwrap().shard];
    shards.sort_unstable();
    assert_eq!(shards, [3, 4]);
}

#[tokio::test]
async fn some_shards_and_their_descendants() {
    let (peer, client) = filled(2, 1, 10).await;
    let mut consumer = billing(&client).shards([1]).start().await.unwrap();
    for due in 0..10 {
        let record = next(&mut consumer).await.unwrap();
        assert_eq!((record.shard, record.sequence), (1, due));
    }
    peer.reshard("orders", &[0, 1], 1);
    fill(&client, 1, 0, 1, 10).await;
    for due in 0..10 {
        let record = next(&mut consumer).await.unwrap();
        assert_eq!((record.shard, record.sequence), (2, due));
    }
    drop(consumer);
    let mut consumer = billing(&client).shards([0]).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 20).await;
    assert_eq!(seen.due, [(0, 10), (2, 10)].into());
}

#[tokio::test]
async fn all_shards_without_children_end_the_consumer() {
    let (peer, client) = filled(2, 1, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    peer.reshard("orders", &[0], 0);
    peer.reshard("orders", &[1], 0);
    Seen::default().take(&mut consumer, 20).await;
    assert!(within(consumer.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_resumes_gets_exactly_the_rest() {
    let (_peer, client) = filled(3, 20, 10).await;
    let (mut seen, mut positions) = (Seen::default(), Positions::default());
    let mut done = None;
    for life in 0.. {
        if seen.records == 600 {
            break;
        }
        let mut consumer = billing(&client).resume(&positions).start().await.unwrap();
        let count = (600 - seen.records).min(7 + 13 * life);
        if life == 2 {
            done = Some((consumer.positions(), Seen { due: seen.due.clone(), records: seen.records }));
        }
        seen.take(&mut consumer, count).await;
        positions = consumer.positions().to_string().parse().unwrap();
    }
    // A program that acknowledges on its own, as far as it is done.
    let (mut done, mut seen) = done.unwrap();
    let mut consumer = billing(&client).resume(&done).start().await.unwrap();
    for _ in 0..100 {
        let record = next(&mut consumer).await.unwrap();
        if record.shard == 1 {
            done.acknowledge(record.shard, record.sequence);
            seen.see(record.shard, record.sequence);
        }
    }
    drop(consumer);
    let mut consumer = billing(&client).resume(&done).start().await.unwrap();
    let rest = 600 - seen.records;
    seen.take(&mut consumer, rest).await;
    // Another life of the stream has nothing to do with these positions.
    _peer.delete("orders");
    _peer.create("orders", 3);
    let error = billing(&client).resume(&done).start().await.unwrap_err();
    assert!(matches!(error, Error::OtherIncarnation { expected: 101, found: 102, .. }), "{error:?}");
}

#[tokio::test]
async fn every_lane_pushes_its_own_shards() {
    let peer = Peer::start();
    peer.set_lanes(2);
    peer.create("orders", 5);
    peer.register("orders", "billing");
    let client = connect(&peer).await;
    fill(&client, 5, 0, 10, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    let mut seen = Seen::default();
    seen.take(&mut consumer, 250).await;
    assert_eq!((peer.hellos(), peer.subscription_streams()), (2, 2));
    for lanes in [1, 3] {
        peer.set_lanes(lanes);
        peer.break_connections();
        let before = seen.due[&0];
        fill(&client, 5, before, 5, 10).await;
        let rest = 5 * (before + 50) - seen.records;
        seen.take(&mut consumer, rest).await;
    }
}

#[tokio::test]
async fn a_busy_or_stopping_broker_is_asked_again() {
    let (peer, client) = filled(1, 10, 10).await;
    peer.refuse_subscription(WireError::retry_after(ErrorCode::Busy, 20, "busy"));
    peer.refuse_subscription(WireError::retry_after(ErrorCode::GoingAway, 20, "it stops"));
    let mut consumer = billing(&client).credit_bytes(500).start().await.unwrap();
    assert_eq!(peer.subscribes().len(), 3);
    peer.twist([
        Twist::End(PushEnd::GoingAway(10)),
        Twist::Push,
        Twist::End(PushEnd::Error(WireError::retry_after(ErrorCode::Busy, 10, "busy"))),
    ]);
    Seen::default().take(&mut consumer, 100).await;
    assert_eq!(peer.subscribes().len(), 5);
}

#[tokio::test]
async fn what_only_the_program_can_judge_ends_it() {
    let (peer, client) = filled(2, 1, 10).await;
    let mut consumer = billing(&client).shards([0]).from(Position::AtSequence(11)).start().await.unwrap();
    let error = last_error(&mut consumer).await;
    assert!(matches!(error, Error::BeyondTip { shard: 0, next_sequence: 10 }), "{error:?}");
    // What was pushed before the damage comes first, so that it can be skipped without losing anything.
    peer.twist([Twist::Push, Twist::Push]);
    let damaged = WireError::new(ErrorCode::Damaged, "damaged").with_detail(10, 19);
    let mut consumer = billing(&client).start().await.unwrap();
    until(|| peer.twists_left() == 0).await;
    peer.twist([Twist::End(PushEnd::Error(damaged))]);
    let error = last_error(&mut consumer).await;
    assert!(matches!(error, Error::Damaged { first_sequence: 10, last_sequence: 19, .. }), "{error:?}");
    let Error::Damaged { shard, .. } = error else { unreachable!() };
    assert_eq!(consumer.positions().next(shard), Some(10));
    peer.refuse_subscription(WireError::new(ErrorCode::Denied, "this key may not consume"));
    let mut consumer = billing(&client).shards([0]).start().await.unwrap();
    let error = last_error(&mut consumer).await;
    assert!(matches!(&error, Error::Broker(error) if error.code == ErrorCode::Denied), "{error:?}");
}

#[tokio::test]
async fn a_broker_that_does_wrong_is_an_error() {
    let mut oversized = 0xffff_ffff_u32.to_le_bytes().to_vec();
    oversized.extend([51, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let mut unknown_kind = 0u32.to_le_bytes().to_vec();
    unknown_kind.extend([99, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let mut no_fields = 1u32.to_le_bytes().to_vec();
    no_fields.extend([51, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    for (twist, expected) in [
        (Twist::Gap, "sequence 10 was due, 20 came"),
        (Twist::Repeat, "sequence 10 was due, 0 came"),
        (Twist::WrongShard, "where a batch of shard 0 was due, one of shard 1 came"),
        (Twist::Corrupt, "does not match its checksum"),
        (Twist::UnknownSubscription, "which nobody made"),
        (Twist::Raw(oversized), "declares 4294967295 bytes"),
        (Twist::Raw(unknown_kind), "kind 99"),
        (Twist::Raw(no_fields), "ends early"),
        (Twist::End(PushEnd::Trimmed(3)), "it says that 3 is kept and 10 is not"),
        (Twist::End(PushEnd::ShardEnd(vec![77])), "has no shard 77"),
    ] {
        let (peer, client) = filled(1, 30, 10).await;
        let mut consumer = billing(&client).credit_bytes(300).start().await.unwrap();
        // One push alone is out until the first is taken.
        until(|| peer.granted_and_pushed().1 > 300).await;
        peer.twist([twist.clone()]);
        let error = last_error(&mut consumer).await;
        assert!(matches!(error, Error::Protocol { .. } | Error::Gap { .. }), "{twist:?}: {error:?}");
        assert!(error.to_string().contains(expected), "{twist:?}: {error}");
        // The client is as good as before.
        drop(consumer);
        let mut consumer = billing(&client).start().await.unwrap();
        Seen::default().take(&mut consumer, 300).await;
    }
}

#[tokio::test]
async fn a_broker_that_pushes_beyond_the_credit_is_stopped() {
    let peer = Peer::start();
    peer.create("orders", 1);
    peer.register("orders", "billing");
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    for _ in 0..200 {
        let mut builder = BatchBuilder::default();
        builder.push(&Record::new("key", vec![7; 200_000]).view(), 1 << 20).unwrap();
        drop(producer.put_batch(0, builder).await.unwrap());
    }
    producer.close().await;
    peer.twist([Twist::BeyondCredit]);
    let mut consumer = billing(&client).credit_bytes(100_000).start().await.unwrap();
    // So much that, whatever QUIC holds, the client has seen more than it bears.
    until(|| peer.granted_and_pushed().1 > 40_000_000).await;
    let mut records = 0;
    let error = loop {
        match within(consumer.next()).await {
            Ok(record) => records += u32::from(record.is_some()),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("where 100000 were granted"), "{error}");
    assert!(records <= 60, "{records} records of 200 kB came where 12 MB were bearable");
}

#[tokio::test]
async fn what_is_given_up_loses_nothing() {
    let (_peer, client) = filled(2, 50, 10).await;
    let mut consumer = billing(&client).credit_bytes(2_000).start().await.unwrap();
    let mut seen = Seen::default();
    while seen.records < 1_000 {
        tokio::select! {
            biased;
            record = consumer.next() => {
                let record = record.unwrap().unwrap();
                seen.see(record.shard, record.sequence);
            }
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn dropping_a_consumer_ends_its_subscriptions_and_leaves_nothing() {
    let (peer, client) = filled(3, 10, 10).await;
    let consumer = billing(&client).start().await.unwrap();
    assert_eq!(peer.subscription_streams(), 1);
    drop(consumer);
    until(|| peer.subscription_streams() == 0).await;
    // Given up while it starts.
    let mut starting = Box::pin(billing(&client).start());
    poll_fn(|context| std::task::Poll::Ready(starting.as_mut().poll(context).is_pending())).await;
    drop(starting);
    // The connection lives for others, and ends with the last handle.
    client.ping().await.unwrap();
    assert_eq!(peer.hellos(), 1);
    let mut consumer = billing(&client).start().await.unwrap();
    drop(client);
    Seen::default().take(&mut consumer, 300).await;
    drop(consumer);
    within(peer.all_connections_closed()).await;
}

#[tokio::test]
async fn closing_the_client_ends_the_consumer() {
    let (_peer, client) = filled(1, 1, 10).await;
    let mut consumer = billing(&client).start().await.unwrap();
    Seen::default().take(&mut consumer, 10).await;
    client.close().await;
    assert!(within(consumer.next()).await.unwrap().is_none());
    assert!(within(consumer.next_batches()).await.unwrap().is_none());
    assert_eq!(consumer.positions().next(0), Some(10));
}

#[tokio::test]
async fn two_consumers_share_a_connection() {
    let (peer, client) = filled(2, 20, 10).await;
    peer.register("orders", "audit");
    let mut billing = billing(&client).start().await.unwrap();
    let mut audit = client.consumer("orders", "audit").start().await.unwrap();
    Seen::default().take(&mut billing, 400).await;
    drop(billing);
    until(|| peer.subscription_streams() == 1).await;
    Seen::default().take(&mut audit, 400).await;
    assert_eq!(peer.hellos(), 1);
}
