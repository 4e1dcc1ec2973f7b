//! On-demand streams of a real broker: a hot stretch of hash keys is split where it is hot, one hot key is told and not
//! split, both are known after a restart, and a step in which the broker dies is finished.
//!
//! The broker's scaler goes fifty times as fast, so a tick is 200 ms and a load is one that lasts for 1.2 s; its
//! constants are tried over simulated days in `rheos_core`.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rheos_client::{
    Client, Error, ErrorCode, Outcome, Position, Producer, Record, ScalingOutcome, ScalingReason, ScalingStep,
    ShardBounds, StreamDescription, StreamMode, StreamSpec,
};
use rheos_tests::broker_process::Place;
use rheos_tests::http::Samples;
use rustix::process::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long nothing may happen for it to be believed: many ticks.
const LONG: Duration = Duration::from_secs(4);
/// Records a second: what two shards are for.
const RATE: u64 = 2_000;
/// Where the hot stretch of hash keys begins, and how long it is.
const HOT: (u128, u128) = (u128::MAX / 3, 1 << 100);

fn place() -> Place {
    let place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
    place.with_flag("--scaling-speed=50").with_flag("--lanes=2").with_flag("--metrics-open")
}

/// Puts at the rate until it is dropped; all are acknowledged.
fn load(producer: Producer, hash_key: impl Fn(u64) -> u128 + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut turns = interval(Duration::from_millis(20));
        turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut at = 0;
        loop {
            turns.tick().await;
            for _ in 0..RATE / 50 {
                let record = Record { explicit_hash_key: Some(hash_key(at)), ..Record::new("key", at.to_string()) };
                at += 1;
                let ticket = producer.put(record).await.expect("it is small");
                tokio::spawn(async move {
                    let outcome = ticket.await;
                    assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
                });
            }
        }
    })
}

/// A hash key of the hot stretch.
fn hot(at: u64) -> u128 {
    let scattered = u128::from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    HOT.0 + (scattered << 36) % HOT.1
}

async fn history(client: &Client, stream: &str) -> Vec<ScalingStep> {
    client.scaling_history(stream).await.expect("it is there")
}

/// The history once it is as wanted.
async fn history_once(client: &Client, stream: &str, wanted: impl Fn(&[ScalingStep]) -> bool) -> Vec<ScalingStep> {
    let waiting = async {
        loop {
            let steps = history(client, stream).await;
            if wanted(&steps) {
                return steps;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    match waited {
        Ok(steps) => steps,
        Err(_) => panic!("it did not come to that: {:?}", history(client, stream).await),
    }
}

async fn described(client: &Client, stream: &str) -> StreamDescription {
    client.describe_stream(stream).await.expect("it is there")
}

fn open(stream: &StreamDescription) -> usize {
    stream.shards.iter().filter(|shard| shard.open).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_stretch_of_keys_is_split_where_it_is_hot() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let made = client.create_stream(StreamSpec::on_demand("orders")).await.expect("the broker is new");
    assert_eq!((made.settings.mode, open(&made)), (StreamMode::on_demand(), 4));
    let hot_shard = made.shard_of(HOT.0).expect("there is one for every key").shard;
    let loading = load(client.producer("orders").await.expect("it is there"), hot);

    let is_done = |step: &ScalingStep| matches!(step.outcome, ScalingOutcome::Done { .. });
    let steps = history_once(&client, "orders", |steps| steps.last().is_some_and(is_done)).await;
    let first = steps.last().expect("there is one");
    let ScalingReason::HotShard { shard, at, load_milli, share_percent } = first.reason else { panic!("{first:?}") };
    assert_eq!((shard, first.from, first.to), (hot_shard, 4, 5));
    assert!((HOT.0..HOT.0 + HOT.1).contains(&at), "{at:x} is not where it is hot");
    assert!((40..=75).contains(&share_percent) && load_milli > 800, "{first:?}");
    let ScalingOutcome::Done { ended_ms } = first.outcome else { panic!("{first:?}") };
    assert!(ended_ms >= first.begun_ms);

    let stream = described(&client, "orders").await;
    let children: Vec<_> = stream.shards.iter().filter(|it| it.parent == Some(hot_shard)).map(|it| it.range).collect();
    assert_eq!((children[0].last + 1, children[1].first), (at, at));
    let steps_up =
        Samples::of(broker.address()).await.get(r#"rheos_scaling_steps_total{stream="orders",direction="up"}"#);
    assert!(steps_up >= Some(1.0), "{steps_up:?}");
    // It ends when no shard is hot any more.
    let steps = history_once(&client, "orders", |steps| steps.first().is_some_and(|it| it.to >= 6)).await;
    assert!(steps.iter().all(|step| matches!(step.reason, ScalingReason::HotShard { .. })), "{steps:?}");
    loading.abort();
    client.close().await;
    assert!(!broker.stop().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_hot_key_is_told_and_not_split_and_a_restart_forgets_neither() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    client.create_stream(StreamSpec::on_demand("orders")).await.expect("the broker is new");
    let loading = load(client.producer("orders").await.expect("it is there"), |_| HOT.0);
    let told = history_once(&client, "orders", |steps| !steps.is_empty()).await;
    let [ScalingStep { outcome: ScalingOutcome::NoStep, from: 4, to: 4, reason, .. }] = told[..] else {
        panic!("{told:?}")
    };
    let ScalingReason::HotKey { key, share_percent, .. } = reason else { panic!("{reason}") };
    assert_eq!((key, share_percent), (HOT.0, 100));
    sleep(LONG).await;
    assert_eq!((history(&client, "orders").await, open(&described(&client, "orders").await)), (told.clone(), 4));
    loading.abort();
    client.close().await;
    let said = broker.stop();
    assert!(said.contains("one key alone is hot") && !said.contains("panicked"), "{said}");

    let broker = place.start();
    let client = broker.client().await;
    assert_eq!(described(&client, "orders").await.settings.mode, StreamMode::on_demand());
    // It is hot still, and said already.
    let loading = load(client.producer("orders").await.expect("it is there"), |_| HOT.0);
    sleep(LONG).await;
    assert_eq!(history(&client, "orders").await, told);
    loading.abort();
    client.close().await;
    assert!(!broker.stop().contains("panicked"));
}

/// From two shards to three, which it does by itself because of its bounds, dying once in between.
#[tokio::test]
async fn a_step_that_a_crash_interrupts_is_finished_and_is_in_the_history_once() {
    for moment in ["reshard-begun", "reshard-committed"] {
        let mut place = place();
        place.set_flag("--die-at", Some(moment));
        let broker = place.start();
        let client = broker.client().await;
        let mode = StreamMode::OnDemand(ShardBounds { min: 1, max: 5 });
        client.create_stream(StreamSpec { mode, ..StreamSpec::new("orders", 2) }).await.expect("the broker is new");
        let mode = StreamMode::OnDemand(ShardBounds { min: 3, max: 5 });
        // The broker may die before it has answered.
        let _ = client.set_stream_mode("orders", mode).await;
        let (status, said) = tokio::task::spawn_blocking(move || broker.ended()).await.expect("it ends");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{moment}: {said}");
        client.close().await;

        place.set_flag("--die-at", None);
        let broker = place.start();
        let client = broker.client().await;
        let is_over = |steps: &[ScalingStep]| steps.first().is_some_and(|it| it.outcome != ScalingOutcome::UnderWay);
        let steps = history_once(&client, "orders", is_over).await;
        let [ScalingStep { from: 2, to: 3, outcome: ScalingOutcome::Done { .. }, reason, .. }] = steps[..] else {
            panic!("{moment}: {steps:?}")
        };
        assert_eq!((reason, open(&described(&client, "orders").await)), (ScalingReason::BelowMin, 3));
        sleep(LONG / 2).await;
        assert_eq!(history(&client, "orders").await, steps, "{moment}: and not once more");
        client.close().await;
        assert!(!broker.stop().contains("panicked"));
    }
}

#[tokio::test]
async fn a_mode_is_changed_live_and_says_who_may_reshard() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    client.create_stream(StreamSpec::new("orders", 2)).await.expect("the broker is new");
    let producer = client.producer("orders").await.expect("it is there");
    let outcome = producer.put(Record::new("a", "b")).await.expect("it is small").await;
    assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
    let refused = |error: Error| match error {
        Error::Broker(error) => (error.code, error.message),
        other => panic!("{other}"),
    };
    let out_of_range = StreamMode::OnDemand(ShardBounds { min: 3, max: 2 });
    let (code, message) = refused(client.set_stream_mode("orders", out_of_range).await.expect_err("it cannot be"));
    assert!(code == ErrorCode::BadRequest && message.contains("3 to 2"), "{message}");

    // It has fewer shards than it may, and comes by more.
    let mode = StreamMode::OnDemand(ShardBounds { min: 3, max: 5 });
    let stream = client.set_stream_mode("orders", mode).await.expect("it can be");
    assert_eq!((stream.settings.mode, open(&stream)), (mode, 2), "as many shards as before");
    assert_eq!(client.list_streams().await.expect("it answers")[0].mode, mode);
    let is_done = |steps: &[ScalingStep]| matches!(steps, [ScalingStep { outcome: ScalingOutcome::Done { .. }, .. }]);
    let steps = history_once(&client, "orders", is_done).await;
    assert_eq!((steps[0].from, steps[0].to, steps[0].reason), (2, 3, ScalingReason::BelowMin));
    assert_eq!(open(&described(&client, "orders").await), 3);

    for asked in [
        client.split_shard("orders", 1, None).await,
        client.merge_shards("orders", 0, 1).await,
        client.scale_stream("orders", 4).await,
    ] {
        let (code, message) = refused(asked.expect_err("it is on demand"));
        assert!(code == ErrorCode::BadRequest && message.contains("on demand"), "{message}");
    }
    client.set_stream_mode("orders", StreamMode::Provisioned).await.expect("it can be");
    let stream = client.scale_stream("orders", 4).await.expect("it is provisioned");
    assert_eq!(open(&stream), 4);
    assert_eq!(history(&client, "orders").await, steps, "what was asked for is no step");
    let mut reader = client.reader("orders", 0, Position::TrimHorizon).await.expect("it is there");
    assert!(reader.next().await.is_ok());
    client.close().await;
    assert!(!broker.stop().contains("panicked"));
}
