//! A lane that has no time for what it has promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rheos_client::protocol::message::{Position, Request};
use rheos_client::{Outcome, Record};
use rheos_tests::raw_client::{Key, RawClient, narrow, request_frame};
use rheos_tests::subscriber::subscribe;
use tokio::time::sleep;

use super::*;

/// Longer than a lane may be away; and shorter than it takes from one look to the next.
const AWAY: Duration = Duration::from_millis(400);
const THERE: Duration = Duration::from_millis(50);
/// Shorter than the 10 s after which who takes nothing is closed.
const PATIENCE: Duration = Duration::from_secs(8);

/// The broker's process is stopped again and again, while somebody to whom bandwidth is promised waits with credit:
/// that is counted, and puts are refused for moments, which their producer waits out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_without_time_counts_what_it_misses_and_puts_give_way() {
    let ground = Ground::new(1, 1).await;
    let stream = ground.client.describe_stream(STREAM).await.expect("it is there");
    ground.register("stuck", 8).await.expect("there is room");
    ground.client.register_consumer(STREAM, "plain").await.expect("it asks for nothing");
    let client =
        RawClient::admitted_with(ground.broker.address(), &Key::of_admin(ground.place.data()), narrow(4_096)).await;
    let request = subscribe(stream.incarnation, 0, "stuck", Position::TrimHorizon, 64 << 20);
    let _streams = client.send(&request_frame(&Request::Subscribe(request))).await.expect("the connection stands");

    let stop = Arc::new(AtomicBool::new(false));
    let (producer, stopped) = (ground.client.producer(STREAM).await.expect("it is there"), Arc::clone(&stop));
    let putting = tokio::spawn(async move {
        let mut due = 0;
        while !stopped.load(Ordering::Relaxed) {
            let ticket = producer.put(Record::new("key", vec![b'x'; 8_000])).await.expect("it is small");
            let Outcome::Acked { sequence, .. } = ticket.await else { panic!("a put was not stored") };
            assert_eq!(sequence, due, "nothing is lost or put twice");
            due += 1;
        }
    });
    let began = Instant::now();
    let (mut missed, mut refused) = (0.0, 0.0);
    while missed == 0.0 || refused == 0.0 {
        assert!(began.elapsed() < PATIENCE, "{missed} s are missed, {refused} records refused");
        ground.broker.pause();
        sleep(AWAY).await;
        ground.broker.resume();
        sleep(THERE).await;
        let page = ground.client.metrics().await.expect("the broker answers");
        let number = |series: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(series));
            line.map_or(0.0, |number| number.trim().parse::<f64>().expect("it is a number"))
        };
        missed = number("rheos_reservation_missed_seconds_total{stream=\"orders\",consumer=\"stuck\"}");
        refused = number("rheos_put_refused_records_total{stream=\"orders\",reason=\"throttled\"}");
        assert!(
            !page.contains("missed_seconds_total{stream=\"orders\",consumer=\"plain\"}"),
            "nothing is promised to it"
        );
    }
    stop.store(true, Ordering::Relaxed);
    putting.await.expect("every put was stored in the end");
    ground.end().await;
}
