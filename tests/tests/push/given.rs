//! What is given: everything that is durable, once, in order, from wherever one begins.

use super::*;

#[tokio::test]
async fn what_is_put_is_pushed_in_order() {
    let ground = Ground::new(3).await;
    let mut subscriber = ground.subscriber(0, "all", Position::TrimHorizon, PLENTY).await;
    for shard in 1..3 {
        let request = subscribe(ground.stream.incarnation, shard, "all", Position::TrimHorizon, PLENTY);
        subscriber.send(u64::from(shard) + 1, &Request::Subscribe(request)).await;
    }
    for _ in 0..3 {
        assert_eq!(subscriber.subscribed().await, 0);
    }
    let mut given = BTreeMap::new();
    for round in 0..20 {
        ground.put(round * 50..(round + 1) * 50, 700).await;
        take_records(&mut subscriber, &mut given, (round as usize + 1) * 50).await;
    }
    let mut numbers: Vec<u64> = given.values().flat_map(|given| given.numbers.clone()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1_000), "every record came once");
}

#[tokio::test]
async fn what_is_behind_the_tail_comes_from_the_disk_and_goes_over_into_the_tail() {
    let ground = Ground::new(2).await;
    // More than the tail holds, while more is put.
    ground.put(0..1_500, 20_000).await;
    let mut subscriber = ground.subscriber(0, "late", Position::TrimHorizon, 1 << 20).await;
    let request = subscribe(ground.stream.incarnation, 1, "late", Position::AtSequence(0), 1 << 20);
    subscriber.send(2, &Request::Subscribe(request)).await;
    let mut given = BTreeMap::new();
    let putting = ground.put(1_500..3_000, 5_000);
    tokio::join!(putting, take_records(&mut subscriber, &mut given, 3_000));
    let mut numbers: Vec<u64> = given.values().flat_map(|given| given.numbers.clone()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..3_000), "every record came once");
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told_to() {
    let ground = Ground::new(1).await;
    ground.put(0..100, 100).await;
    ground.register((2..20).map(|id| format!("c-{id}")).chain(["beyond".to_owned()])).await;
    let mut subscriber = ground.subscriber(0, "latest", Position::Latest, PLENTY).await;
    assert_eq!(subscriber.subscribed().await, 100);
    for (id, (position, start)) in [
        (Position::AtSequence(40), 40),
        (Position::AfterSequence(40), 41),
        (Position::AtSequence(100), 100),
        (Position::AtTimestamp(1), 0),
        (Position::AtTimestamp(u64::MAX), 100),
    ]
    .into_iter()
    .enumerate()
    {
        let id = id as u64 + 2;
        let request = subscribe(ground.stream.incarnation, 0, &format!("c-{id}"), position, PLENTY);
        subscriber.send(id, &Request::Subscribe(request)).await;
        assert_eq!(subscriber.answer().await, (id, Reply::Subscribed(start)), "{position:?}");
    }
    let request = subscribe(ground.stream.incarnation, 0, "beyond", Position::AtSequence(101), PLENTY);
    subscriber.send(20, &Request::Subscribe(request)).await;
    let (_, Reply::Error(error)) = subscriber.answer().await else { panic!("there is no record 101") };
    assert_eq!((error.code, error.detail), (ErrorCode::BeyondTip, 100));
    subscriber.send(21, &Request::Ping).await;
    assert_eq!(subscriber.answer().await, (21, Reply::Pong));
}

#[tokio::test]
async fn no_more_is_pushed_than_there_is_credit_for() {
    let ground = Ground::new(1).await;
    let mut subscriber = ground.subscriber(0, "thrifty", Position::TrimHorizon, 10_000).await;
    subscriber.subscribed().await;
    // One record a batch, so that a batch is small.
    for number in 0..60 {
        ground.put(number..number + 1, 1_000).await;
    }
    let mut given = Given::default();
    let quiet = Duration::from_millis(500);
    while let Some((_, pushed)) = subscriber.pushed_within(quiet).await {
        given.take(pushed);
    }
    assert!((10_000..12_000).contains(&given.bytes), "{} bytes came for 10,000 of credit", given.bytes);
    let before = given.bytes;
    subscriber.send(1, &Request::Credit(5_000)).await;
    while let Some((_, pushed)) = subscriber.pushed_within(quiet).await {
        given.take(pushed);
    }
    let more = given.bytes - before;
    assert!((3_000..7_000).contains(&more), "{more} bytes came for 5,000 of credit");
    subscriber.send(1, &Request::Credit(PLENTY)).await;
    while given.numbers.len() < 60 {
        given.take(subscriber.pushed().await.1);
    }
    assert!(given.numbers.into_iter().eq(0..60));
}

#[tokio::test]
async fn the_newer_subscription_of_a_consumer_stays() {
    let ground = Ground::new(1).await;
    let mut older = ground.subscriber(0, "one", Position::Latest, PLENTY).await;
    older.subscribed().await;
    let mut newer = subscribe(ground.stream.incarnation, 0, "one", Position::Latest, PLENTY);
    newer.epoch = 7;
    let mut newer = Subscriber::open(ground.raw().await, 1, newer).await;
    newer.subscribed().await;
    let (_, Pushed::End(end)) = older.pushed().await else { panic!("the older one goes on") };
    assert_eq!(end, PushEnd::Superseded);

    let request = subscribe(ground.stream.incarnation, 0, "one", Position::Latest, PLENTY);
    older.send(2, &Request::Subscribe(request)).await;
    let (_, Reply::Error(error)) = older.answer().await else { panic!("the older epoch took over") };
    assert_eq!((error.code, error.detail), (ErrorCode::Superseded, 7));

    ground.put(0..1, 10).await;
    let mut given = Given::default();
    given.take(newer.pushed().await.1);
    assert_eq!(given.numbers, [0]);
}

#[tokio::test]
async fn a_stop_and_a_deletion_are_said() {
    let ground = Ground::new(1).await;
    let mut subscriber = ground.subscriber(0, "one", Position::Latest, PLENTY).await;
    subscriber.subscribed().await;
    let other = ground.client.create_stream(StreamSpec::new("other", 1)).await.expect("there is room");
    let of = ConsumerOf { stream: "other".to_owned(), consumer: "one".to_owned() };
    subscriber.client.ask(&Request::RegisterConsumer(of.into())).await.expect("it is new");
    let request = subscribe(other.incarnation, 0, "one", Position::Latest, PLENTY);
    subscriber.send(2, &Request::Subscribe(request)).await;
    subscriber.subscribed().await;
    ground.client.delete_stream("other").await.expect("it is there");
    let (2, Pushed::End(PushEnd::Error(error))) = subscriber.pushed().await else { panic!("the deleted one goes on") };
    assert_eq!(error.code, ErrorCode::StreamNotFound);
    let Ground { broker, .. } = ground;
    tokio::task::spawn_blocking(move || broker.stop()).await.expect("it stops");
    let (1, Pushed::End(end)) = subscriber.pushed().await else { panic!("nothing was said") };
    assert!(matches!(end, PushEnd::GoingAway(_)), "{end:?}");
}

#[tokio::test]
async fn only_a_registered_consumer_is_given_anything() {
    let ground = Ground::new(1).await;
    let mut subscriber = ground.subscriber(0, "here", Position::Latest, PLENTY).await;
    subscriber.subscribed().await;
    let request = subscribe(ground.stream.incarnation, 0, "elsewhere", Position::Latest, PLENTY);
    subscriber.send(2, &Request::Subscribe(request)).await;
    let (2, Reply::Error(error)) = subscriber.answer().await else { panic!("nobody has registered it") };
    assert_eq!(error.code, ErrorCode::ConsumerNotFound, "{error}");

    let of = ConsumerOf { stream: "pushed".to_owned(), consumer: "here".to_owned() };
    let answer = subscriber.client.ask(&Request::DeregisterConsumer(of)).await;
    assert_eq!(answer, Ok(Reply::Done));
    let (1, Pushed::End(end)) = subscriber.pushed().await else { panic!("it goes on") };
    assert_eq!(end, PushEnd::Deregistered);
    ground.put(0..3, 10).await;
    assert!(subscriber.pushed_within(Duration::from_millis(300)).await.is_none());
}
