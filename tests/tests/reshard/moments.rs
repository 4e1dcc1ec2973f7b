//! Brokers that die at every moment between two steps of a reshard, and again at the same one while the next start
//! finishes it.

use std::os::unix::process::ExitStatusExt;

use super::judge::{Following, Load};
use super::kills::settled;
use super::*;
use rheos_broker::verify;
use rustix::process::Signal;

/// A moment, and whether a start comes through it again when it takes up what was begun.
const MOMENTS: [(&str, bool); 5] = [
    ("reshard-begun", false),
    ("parents-closing", true),
    ("parents-drained", true),
    ("reshard-committed", false),
    ("shards-told", false),
];

async fn die_at_every_moment(lanes: u16, shards: u32, asked: Asked) {
    for (moment, comes_again) in MOMENTS {
        let mut ground = Ground::dying_at(moment, lanes, shards).await;
        ground.client.register_consumer(STREAM, "one").await.expect("its name is free");
        let consumer = within(ground.broker.client().await.consumer(STREAM, "one").start()).await;
        let following = Following::start(consumer.expect("it is registered"));
        let load = Load::start(&ground.broker.client().await, 3, Duration::from_micros(500)).await;
        load.wait_acks(100).await;
        let before = within(ground.client.describe_stream(STREAM)).await.expect("it is there");
        let client = ground.client.clone();
        let resharding = tokio::spawn(async move { asked.perform(&client).await });
        assert_killed(ground.broker, moment).await;
        if comes_again {
            let broker = ground.place.begin_start();
            assert_killed(broker, moment).await;
        }
        ground.place.set_flag("--die-at", None);
        ground.broker = ground.place.start();

        drop(within(resharding).await.expect("it does not panic"));
        let after = settled(&ground.client).await;
        assert_whole(&after);
        assert!(after.shards.len() > before.shards.len(), "what the catalog knows of is finished: {moment}");
        load.wait_acks(100).await;
        let puts = load.end().await;
        puts.read_all(&ground.client, &after).await;
        following.end(&puts).await;
        let place = ground.place;
        tokio::task::spawn_blocking(move || ground.broker.stop()).await.expect("it stops");
        let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
        assert!(report.is_whole() && report.unknown.is_empty(), "{moment}: {report:?}");
    }
}

/// Waits until the broker has come to its moment.
pub(crate) async fn assert_killed(broker: Broker, moment: &str) {
    let (status, said) = tokio::task::spawn_blocking(move || broker.ended()).await.expect("it ends");
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{moment}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_split() {
    die_at_every_moment(1, 2, Asked::Split(1, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_merge() {
    die_at_every_moment(2, 3, Asked::Merge(1, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_scaling() {
    die_at_every_moment(3, 4, Asked::Scale(5)).await;
}
