//! Where a consumer begins that has no positions yet.

use rheos_client::Position;

use super::*;

/// One that begins there, and takes the given numbers before anything else.
async fn begins(ground: &Ground, position: Position, numbers: std::ops::Range<u64>, beyond: u64) {
    let name = format!("c-{beyond}");
    ground.client.register_consumer("pushed", &name).await.expect("its name is free");
    let start = ground.client.consumer("pushed", &name).from(position).start();
    let mut consumer = within(start).await.expect("it is registered");
    let taken = take(&mut consumer, numbers.clone().count()).await;
    assert!(taken.iter().copied().eq(numbers.clone()), "{position:?} brings {taken:?}, not {numbers:?}");
    assert_nothing_is_left(ground, &mut consumer, beyond).await;
}

#[tokio::test]
async fn a_consumer_begins_where_it_is_told_to() {
    let ground = Ground::new(1, 1).await;
    let early = put(&ground.client, "pushed", 0..50, 100).await;
    // Another millisecond begins.
    sleep(Duration::from_millis(20)).await;
    let late = put(&ground.client, "pushed", 50..100, 100).await;
    let (earliest_ms, late_ms) = (early[0].2, late[0].2);
    assert!(late_ms > early[49].2);
    for (at, (position, first)) in [
        (Position::TrimHorizon, 0),
        (Position::AtSequence(40), 40),
        (Position::AfterSequence(40), 41),
        (Position::AtTimestamp(late_ms), 50),
        (Position::AtTimestamp(earliest_ms), 0),
        (Position::AtTimestamp(u64::MAX), u64::MAX),
        (Position::Latest, u64::MAX),
    ]
    .into_iter()
    .enumerate()
    {
        // Each puts one more record.
        let end = 100 + at as u64;
        begins(&ground, position, first.min(end)..end, end).await;
    }
}

#[tokio::test]
async fn one_that_begins_beyond_the_tip_is_told_where_that_is() {
    let ground = Ground::new(1, 1).await;
    put(&ground.client, "pushed", 0..10, 100).await;
    ground.client.register_consumer("pushed", "early").await.expect("its name is free");
    let start = ground.client.consumer("pushed", "early").from(Position::AtSequence(11)).start();
    let mut consumer = within(start).await.expect("what befalls a shard comes with next");
    let ended = within(consumer.next()).await;
    assert!(matches!(ended, Err(Error::BeyondTip { shard: 0, next_sequence: 10 })), "{ended:?}");
    assert!(matches!(within(consumer.next()).await, Ok(None)), "that was the last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_latest_everything_comes_that_is_put_once_it_has_started() {
    let ground = Ground::new(3, 6).await;
    for round in 0..20 {
        put(&ground.client, "pushed", 0..50, 100).await;
        let name = format!("latest-{round}");
        ground.client.register_consumer("pushed", &name).await.expect("its name is free");
        let start = ground.client.consumer("pushed", &name).from(Position::Latest).start();
        let mut consumer = within(start).await.expect("it is registered");
        put(&ground.client, "pushed", 1_000..1_050, 100).await;
        assert!(take(&mut consumer, 50).await.into_iter().eq(1_000..1_050));
    }
}
