//! What can happen to a broker's directory, disk, port and process: each day ends with one clear line,
//! or with everything that was acked.

mod damage;
mod repair;
mod restarts;
mod shortage;
mod starts;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rheos_broker::verify;
use rheos_client::protocol::batch::{BatchBuilder, ProducerStamp};
use rheos_client::{
    Client, Error, ErrorCode, Outcome, Position, Producer, Record, Retry, StreamDescription, StreamSpec, WireError,
};
use rheos_tests::broker_process::Place;
use rheos_tests::http::{Samples, http_get};
use rheos_tests::raw_client::{Key, RawClient};
use rustix::fs::{FallocateFlags, fallocate};
use tokio::time::{sleep, timeout};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that says nothing by itself.
const LOOK: Duration = Duration::from_millis(20);
/// The unit of a log's writes.
const BLOCK: usize = 4096;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

/// A broker that must not start: what it says, which is one line beyond what it logs.
fn refusal(place: &mut Place) -> String {
    let Err((status, said)) = place.try_start() else { panic!("the broker started") };
    assert_eq!(status.code(), Some(1), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && !said.contains("panicked"), "one clear line: {said}");
    errors[0].to_owned()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it does not take a minute")
}

/// Puts a record and waits for its place.
async fn put(producer: &Producer, data: impl Into<Vec<u8>>) -> u64 {
    match within(producer.put(Record::new("key", data.into())).await.expect("it is small")).await {
        Outcome::Acked { sequence, .. } => sequence,
        other => panic!("a put came to {other:?}"),
    }
}

/// Everything of a shard from a position on, as text.
async fn read_all(client: &Client, stream: &str, shard: u32, position: Position) -> Result<Vec<String>, Error> {
    let mut reader = client.reader(stream, shard, position).await?;
    let mut records = Vec::new();
    loop {
        let read = reader.read_once().await?;
        records.extend(read.records().map(|at| String::from_utf8_lossy(at.record.data).into_owned()));
        if read.is_at_tip() {
            return Ok(records);
        }
    }
}

/// A stream of one shard with so many records, each acked before the next was put.
async fn filled(client: &Client, name: &str, records: usize) -> (StreamDescription, Producer) {
    let stream = client.create_stream(StreamSpec::new(name, 1)).await.expect("there is room");
    let producer = client.producer(name).await.expect("it was just made");
    for at in 0..records {
        put(&producer, text(name, at)).await;
    }
    (stream, producer)
}

fn text(name: &str, at: usize) -> String {
    format!("record {at:04} of {name}")
}

fn texts(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| text(name, at)).collect()
}

fn log_dir(place: &Place, stream: &StreamDescription) -> PathBuf {
    place.data().join("logs").join(format!("{:016x}", stream.incarnation)).join(format!("{:010}", 0))
}

fn segment(place: &Place, stream: &StreamDescription, number: u64) -> PathBuf {
    log_dir(place, stream).join(format!("{number:020}.segment"))
}
