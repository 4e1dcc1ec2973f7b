//! Brokers that are killed at any moment of a reshard, while producers and consumers live on.

use super::judge::{Following, Load};
use super::*;
use rheos_broker::verify;
use rheos_client::{Error, ErrorCode};
use rheos_tests::witness::random_of;
use tokio::time::sleep;

const KILLS: usize = 25;

async fn kill_in_the_middle(test: &str, lanes: u16) {
    let mut random = random_of(test);
    let mut ground = Ground::new(lanes, 4).await;
    ground.client.register_consumer(STREAM, "one").await.expect("its name is free");
    let consumer = within(ground.broker.client().await.consumer(STREAM, "one").start()).await;
    let following = Following::start(consumer.expect("it is registered"));
    let load = Load::start(&ground.broker.client().await, 3, Duration::from_micros(500)).await;
    let (mut done, mut unknown) = (0, 0);
    for kill in 0..KILLS {
        load.wait_acks(random.within(1..40)).await;
        let before = within(ground.client.describe_stream(STREAM)).await.expect("it is there");
        assert_whole(&before);
        let (asked, client) = (Asked::any(&before, &mut random), ground.client.clone());
        let resharding = tokio::spawn(async move { asked.perform(&client).await });
        sleep(Duration::from_micros(random.below(12_000))).await;
        ground.broker.kill();
        if kill % 6 == 5 {
            let report = verify(ground.place.data(), |_| {}).expect("nobody holds the directory");
            assert!(report.is_whole(), "{report:?}");
        }
        ground.broker = ground.place.start();
        match within(resharding).await.expect("it does not panic") {
            Ok(_) => done += 1,
            Err(Error::Indeterminate { .. }) => unknown += 1,
            // It was sent to the next broker, which finishes the one before.
            Err(Error::Broker(error))
                if matches!(error.code, ErrorCode::Resharding | ErrorCode::BadRequest | ErrorCode::ShardClosed) => {}
            Err(error) => panic!("{asked:?}: {error}"),
        }
        let after = settled(&ground.client).await;
        assert_whole(&after);
        // All of it or nothing.
        assert!(after.shards.len() >= before.shards.len());
        for shard in &before.shards {
            let now = after.shards.iter().find(|it| it.shard == shard.shard).expect("nothing expires so soon");
            assert_eq!((now.range, now.parent, now.log), (shard.range, shard.parent, shard.log));
        }
    }
    load.wait_acks(50).await;
    let puts = load.end().await;
    let stream = settled(&ground.client).await;
    puts.read_all(&ground.client, &stream).await;
    following.end(&puts).await;
    assert!(done + unknown > 0, "{done} done, {unknown} unknown");
    let place = ground.place;
    let said = tokio::task::spawn_blocking(move || ground.broker.stop()).await.expect("it stops");
    assert!(!said.contains("panicked"), "{said}");
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole() && report.unknown.is_empty(), "{report:?}");
}

/// The stream once no reshard is under way any more: another would be refused for its own sake alone.
pub(crate) async fn settled(client: &Client) -> StreamDescription {
    loop {
        match within(client.scale_stream(STREAM, 10_001)).await {
            Err(Error::Broker(error)) if error.code == ErrorCode::Resharding => sleep(Duration::from_millis(5)).await,
            Err(Error::Broker(error)) if error.code == ErrorCode::BadRequest => break,
            // It was on its way over a connection to the broker before.
            Err(Error::Indeterminate { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    within(client.describe_stream(STREAM)).await.expect("it is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_lane() {
    kill_in_the_middle("kills in reshards on one lane", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_lanes() {
    kill_in_the_middle("kills in reshards on three lanes", 3).await;
}
