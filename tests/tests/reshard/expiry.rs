//! Closed shards whose records expire: they vanish from the stream, their files go, and nothing younger does; also
//! when the broker dies at every moment of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::judge::Load;
use super::moments::assert_killed;
use super::*;
use rheos_broker::directory::Layout;
use rheos_broker::verify;
use rheos_client::{Error, ErrorCode, Outcome, Position, Record};
use tokio::time::sleep;

const HOUR_MS: u64 = 3_600_000;
/// Runs whose records expire, each with segments of its own.
const OLD_RUNS: usize = 3;

/// A stream that was resharded when all its records were put, and again some hours later, with more records; then a
/// day is over for what was first, and the broker dies at the moment, if there is one.
async fn a_day_later(lanes: u16, moment: Option<&str>) {
    let mut ground = Ground::new(lanes, 2).await;
    for target in [4, 3, 2].into_iter().take(OLD_RUNS) {
        let load = Load::start(&ground.client, 2, Duration::from_micros(300)).await;
        load.wait_acks(100).await;
        within(ground.client.scale_stream(STREAM, target)).await.expect("it can be");
        load.end().await;
        ground = ground.again().await;
    }
    let old = within(ground.client.describe_stream(STREAM)).await.expect("it is there");
    let old_files = sealed_segments(ground.place.data());

    ground.place.set_flag("--clock-ahead-ms", Some(&(20 * HOUR_MS).to_string()));
    ground = ground.again().await;
    let load = Load::start(&ground.client, 2, Duration::from_micros(300)).await;
    load.wait_acks(100).await;
    let young = within(ground.client.scale_stream(STREAM, 3)).await.expect("it can be");
    load.wait_acks(100).await;
    let puts = load.end().await;

    ground.place.set_flag("--clock-ahead-ms", Some(&(25 * HOUR_MS).to_string()));
    ground = ground.again().await;
    let producer = within(ground.client.producer(STREAM)).await.expect("it is there");
    let ticket = producer.put(Record::new("late", "0")).await.expect("it is a record");
    assert!(matches!(within(ticket).await, Outcome::Acked { .. }));
    // The clock of a start is believed up to what is stored.
    ground.place.set_flag("--die-at", moment);
    ground = ground.again().await;
    if let Some(moment) = moment {
        assert_killed(ground.broker, moment).await;
        ground.place.set_flag("--die-at", None);
        ground.broker = ground.place.start();
    }

    let old_closed: Vec<u32> = old.shards.iter().filter(|shard| !shard.open).map(|shard| shard.shard).collect();
    let last = within(without(&ground.client, &old_closed)).await;
    assert_eq!(last.shards.len(), young.shards.len() - old_closed.len(), "nothing younger vanishes");
    assert_whole_but_for_expired(&last);
    let read = ground.client.reader_of(&old, old_closed[0], Position::TrimHorizon);
    let refused = within(read.expect("it is described").read_once()).await.expect_err("it has expired");
    assert!(matches!(&refused, Error::Broker(why) if why.code == ErrorCode::ShardNotFound), "{refused}");
    puts.read_all(&ground.client, &last).await;
    assert!(!old_files.is_empty());
    within(gone(&old_files)).await;

    let place = ground.place;
    tokio::task::spawn_blocking(move || ground.broker.stop()).await.expect("it stops");
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole() && report.unknown.is_empty(), "{report:?}");
}

/// The segments of every log but its newest.
fn sealed_segments(data: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries =
            fs::read_dir(path).expect("it can be listed").map(|entry| entry.expect("it can be listed").path());
        entries.collect::<Vec<_>>()
    };
    let layout = Layout::new(data);
    let logs = entries(&layout.logs_dir()).iter().flat_map(|life| entries(life)).collect::<Vec<_>>();
    let sealed = |log: &PathBuf| {
        let mut segments = entries(log);
        segments.retain(|path| layout.segment_place(path).is_some());
        segments.sort();
        segments.pop();
        segments
    };
    logs.iter().flat_map(sealed).collect()
}

/// Ready once none of these files is there.
async fn gone(files: &[PathBuf]) {
    while files.iter().any(|path| path.exists()) {
        sleep(Duration::from_millis(100)).await;
    }
}

/// The stream once it lists none of these shards.
async fn without(client: &Client, expired: &[u32]) -> StreamDescription {
    loop {
        let stream = client.describe_stream(STREAM).await.expect("it is there");
        if !stream.shards.iter().any(|shard| expired.contains(&shard.shard)) {
            return stream;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_peace() {
    a_day_later(2, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_dies_when_shards_are_forgotten() {
    a_day_later(1, Some("shards-forgotten")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_dies_when_lanes_have_heard_of_it() {
    a_day_later(2, Some("shards-told")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_dies_when_segments_are_given_up() {
    a_day_later(1, Some("segments-given-up")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_dies_when_the_lane_has_heard_of_it() {
    a_day_later(1, Some("segments-told")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_dies_between_two_files() {
    a_day_later(1, Some("segment-removed")).await;
}
