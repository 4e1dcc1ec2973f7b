//! Subscribers that take nothing, stop, or come back: they cost a bounded number of bytes, and nobody
//! else a record.

use rheos_client::protocol::limits::SUBSCRIPTION_STREAMS_MAX;
use rheos_tests::raw_client::{Ended, narrow, read_reply};

use super::*;

/// Records of the puts that go on meanwhile.
const RECORD_BYTES: usize = 8_000;
/// How much more memory a broker may use for ten subscribers that take nothing.
const GROWTH_BYTES_MAX: u64 = 192 << 20;

#[tokio::test]
async fn ten_that_never_read_cost_a_bounded_number_of_bytes() {
    let ground = Ground::new(2).await;
    ground.put(0..100, RECORD_BYTES).await;
    let memory_before = ground.broker.memory_bytes();
    let mut silent = Vec::new();
    for at in 0..10 {
        let name = format!("silent-{at}");
        let mut subscriber = ground.subscriber(0, &name, Position::TrimHorizon, PLENTY).await;
        subscriber.subscribed().await;
        silent.push(subscriber);
    }
    let mut good = ground.subscriber(0, "good", Position::TrimHorizon, 1 << 20).await;
    let other = subscribe(ground.stream.incarnation, 1, "good", Position::TrimHorizon, 1 << 20);
    good.send(2, &Request::Subscribe(other)).await;
    let mut given = BTreeMap::new();
    // 160 MB: far more than any of them has credit for.
    tokio::join!(ground.put(100..20_000, RECORD_BYTES), take_records(&mut good, &mut given, 20_000));
    let mut numbers: Vec<u64> = given.values().flat_map(|given| given.numbers.clone()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..20_000), "the good one got every record once");
    let growth = ground.broker.memory_bytes().saturating_sub(memory_before);
    assert!(growth < GROWTH_BYTES_MAX, "the broker grew by {} MiB", growth >> 20);
    drop(silent);
}

#[tokio::test]
async fn one_that_stops_reading_goes_on_where_it_was() {
    let ground = Ground::new(1).await;
    let mut subscriber = ground.subscriber(0, "pausing", Position::TrimHorizon, 100_000).await;
    subscriber.subscribed().await;
    let mut given = BTreeMap::new();
    ground.put(0..10, RECORD_BYTES).await;
    take_records(&mut subscriber, &mut given, 10).await;
    // No credit comes while more is put than the tail holds.
    ground.put(10..4_000, RECORD_BYTES).await;
    take_records(&mut subscriber, &mut given, 4_000).await;
    assert!(given[&1].numbers.iter().copied().eq(0..4_000));
}

#[tokio::test]
async fn one_whose_windows_stay_full_is_closed_with_a_code() {
    let ground = Ground::new(1).await;
    let key = Key::of_admin(ground.place.data());
    ground.register(["stuck".to_owned()]).await;
    let client = RawClient::admitted_with(ground.broker.address(), &key, narrow(4_096)).await;
    let request = subscribe(ground.stream.incarnation, 0, "stuck", Position::TrimHorizon, PLENTY);
    let frame = rheos_tests::raw_client::request_frame(&Request::Subscribe(request));
    let _streams = client.send(&frame).await.expect("the connection stands");
    ground.put(0..100, RECORD_BYTES).await;
    let ended = timeout(PATIENCE, client.connection.closed()).await.expect("it is closed in time");
    let Ended::Closed(code, why) = Ended::from(ended) else { panic!("it was not closed with a code") };
    assert_eq!(code, ErrorCode::LimitExceeded, "{why}");
    ground.put(100..110, RECORD_BYTES).await;
}

#[tokio::test]
async fn one_that_lets_no_stream_be_opened_is_closed_with_a_code() {
    let ground = Ground::new(1).await;
    let key = Key::of_admin(ground.place.data());
    let mut transport = roomy();
    transport.max_concurrent_uni_streams(0u32.into());
    ground.register(["shut".to_owned()]).await;
    let client = RawClient::admitted_with(ground.broker.address(), &key, transport).await;
    let request = subscribe(ground.stream.incarnation, 0, "shut", Position::TrimHorizon, PLENTY);
    let frame = rheos_tests::raw_client::request_frame(&Request::Subscribe(request));
    let _streams = client.send(&frame).await.expect("the connection stands");
    ground.put(0..10, RECORD_BYTES).await;
    let (code, why) = timeout(PATIENCE, client.closed()).await.expect("it is closed in time");
    assert_eq!(code, ErrorCode::LimitExceeded, "{why}");
}

#[tokio::test]
async fn a_connection_has_so_many_subscription_streams_and_no_more() {
    let ground = Ground::new(1).await;
    let mut subscriber = ground.subscriber(0, "one", Position::Latest, PLENTY).await;
    subscriber.subscribed().await;
    let mut streams = Vec::new();
    for id in 2..=u64::from(SUBSCRIPTION_STREAMS_MAX) + 1 {
        let request = subscribe(ground.stream.incarnation, 0, "nobody", Position::Latest, PLENTY);
        let frame = rheos_tests::raw_client::request_frame(&Request::Subscribe(request));
        let stream = subscriber.client.send(&frame).await;
        streams.push(stream.unwrap_or_else(|error| panic!("stream {id}: {error}")));
    }
    let (code, _) = timeout(PATIENCE, subscriber.client.closed()).await.expect("it is closed in time");
    assert_eq!(code, ErrorCode::LimitExceeded);
}

#[tokio::test]
async fn two_consumers_share_a_connection() {
    let ground = Ground::new(8).await;
    ground.register(["second".to_owned()]).await;
    let mut first = ground.subscriber(0, "first", Position::TrimHorizon, PLENTY).await;
    first.subscribed().await;
    for shard in 1..8 {
        let request = subscribe(ground.stream.incarnation, shard, "first", Position::TrimHorizon, PLENTY);
        first.send(1 + u64::from(shard), &Request::Subscribe(request)).await;
        first.subscribed().await;
    }
    let mut frames = Vec::new();
    for shard in 0..8 {
        let request = subscribe(ground.stream.incarnation, shard, "second", Position::TrimHorizon, PLENTY);
        Request::Subscribe(request).write(100 + u64::from(shard), frames_of(&mut frames));
    }
    let (mut second, mut answers) = first.client.send(&frames.concat()).await.expect("the connection stands");
    for _ in 0..8 {
        assert!(matches!(read_reply(&mut answers).await, Ok((_, Reply::Subscribed(0)))));
    }
    let mut given = BTreeMap::new();
    tokio::join!(ground.put(0..400, 500), take_records(&mut first, &mut given, 800));
    second.finish().expect("it stands");
    // The other one goes on.
    ground.put(400..401, 500).await;
    let before = given.len();
    take_records(&mut first, &mut given, 801).await;
    assert_eq!((before, given.len()), (16, 16));
}

/// A buffer at the end of the list.
fn frames_of(frames: &mut Vec<bytes::BytesMut>) -> &mut bytes::BytesMut {
    frames.push(bytes::BytesMut::new());
    frames.last_mut().expect("it was just put there")
}

#[tokio::test]
async fn a_thousand_subscriptions_follow_puts_and_vanish() {
    let ground = Ground::new(1).await;
    ground.register((1..1_000).map(|at| format!("consumer-{at}"))).await;
    let mut many = ground.subscriber(0, "consumer-0", Position::Latest, 64 << 10).await;
    for at in 1..1_000 {
        let name = format!("consumer-{at}");
        let request = subscribe(ground.stream.incarnation, 0, &name, Position::Latest, 64 << 10);
        many.send(1 + at, &Request::Subscribe(request)).await;
    }
    for _ in 0..1_000 {
        assert_eq!(many.subscribed().await, 0);
    }
    let mut given = BTreeMap::new();
    tokio::join!(ground.put(0..20, 100), take_records(&mut many, &mut given, 20_000));
    assert!(given.len() == 1_000 && given.values().all(|given| given.numbers.iter().copied().eq(0..20)));
    let putting = async {
        for number in 20..200 {
            ground.put(number..number + 1, 100).await;
        }
    };
    let vanishing = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(many);
    };
    tokio::join!(putting, vanishing);
}
