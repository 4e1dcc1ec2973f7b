//! A broker that is told to stop: it ends within 5 s whatever its clients, its disk and its threads do, says what
//! it could not finish, and has everything that it acked when it starts again. And a broker that is watched over.

mod busy;
mod stuck;
mod watched;

use std::path::Path;
use std::time::{Duration, Instant};

use rheos_client::protocol::message::{ConsumerOf, PushEnd, Reply, Request};
use rheos_client::{Client, ErrorCode, Outcome, Position, Producer, Record, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::held_thread::HeldThread;
use rheos_tests::raw_client::{Key, RawClient, narrow, request_frame};
use rheos_tests::subscriber::{Pushed, Subscriber, subscribe};
use tokio::time::{sleep, timeout};

/// What a stop may take.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

/// Waits until the broker has said something.
async fn until_said(broker: &Broker, what: &str) {
    let began = Instant::now();
    while !broker.said().contains(what) {
        assert!(began.elapsed() < PATIENCE, "it never said {what:?}:\n{}", broker.said());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Puts a record and waits for its place.
async fn put(producer: &Producer, data: &str) -> u64 {
    let ticket = producer.put(Record::new("key", data.to_owned())).await.expect("it is small");
    match timeout(PATIENCE, ticket).await.expect("it is answered in time") {
        Outcome::Acked { sequence, .. } => sequence,
        other => panic!("a put came to {other:?}"),
    }
}

/// Everything of the only shard of a stream, as text.
async fn read_all(client: &Client, stream: &str) -> Vec<String> {
    let mut reader = client.reader(stream, 0, Position::TrimHorizon).await.expect("it is there");
    let mut records = Vec::new();
    loop {
        let read = reader.read_once().await.expect("it is whole");
        records.extend(read.records().map(|at| String::from_utf8_lossy(at.record.data).into_owned()));
        if read.is_at_tip() {
            return records;
        }
    }
}
