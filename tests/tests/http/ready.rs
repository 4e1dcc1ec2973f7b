//! Ready and not ready: over a start that takes long, a stop, and a lane that does not answer.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rheos_client::{Outcome, Record, StreamSpec};
use rheos_tests::http::{HttpAnswer, Samples, http_get};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{place, until};

/// Why the broker is not ready, as it says; none when it is.
async fn reason(address: SocketAddr) -> Option<String> {
    reason_in(&http_get(address, "/ready").await)
}

fn reason_in(answer: &HttpAnswer) -> Option<String> {
    let said: Value = serde_json::from_str(&answer.body).expect("it is JSON");
    match answer.status {
        200 => assert_eq!(said["ready"], true),
        503 => assert_eq!(said["ready"], false),
        other => panic!("{other}: {}", answer.body),
    }
    said["reason"].as_str().map(str::to_owned)
}

/// The first segment below a directory.
fn find_segment(below: &Path) -> PathBuf {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(below).expect("it is there").map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    let first = entries.into_iter().next().expect("no directory of a log is empty");
    if first.is_dir() { find_segment(&first) } else { first }
}

#[tokio::test]
async fn a_broker_that_recovers_is_alive_and_not_ready() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    client.create_stream(StreamSpec::new("orders", 1)).await.expect("there is none");
    let producer = client.producer("orders").await.expect("it is there");
    let ticket = producer.put(Record::new("key", "data")).await.expect("it is small");
    assert!(matches!(ticket.await, Outcome::Acked { .. }));
    let address = broker.address();
    assert_eq!(reason(address).await, None);
    client.close().await;
    broker.kill();

    // As long as somebody holds a segment, recovery waits, as for a process that is still writing to it.
    let segment = find_segment(&place.data().join("logs"));
    let held = OpenOptions::new().read(true).write(true).open(&segment).expect("it is ours");
    flock(&held, FlockOperation::NonBlockingLockExclusive).expect("the broker is gone");
    let mut broker = place.begin_start();
    let connects = async || TcpStream::connect(address).await.is_ok();
    until("the HTTP face is there", connects, |connects| *connects).await;
    assert_eq!(http_get(address, "/health").await.status, 200);
    let why = reason(address).await.expect("it is not ready");
    assert!(why.contains("starting") && why.contains("recovers"), "{why}");
    let samples = Samples::of(address).await;
    assert_eq!((samples.whole("rheos_ready"), samples.get("rheos_streams")), (0, None));
    assert!(samples.get("process_cpu_seconds_total").is_some_and(|seconds| seconds > 0.0));

    drop(held);
    broker.wait_ready().expect("it starts");
    assert_eq!(reason(address).await, None);
    let samples = Samples::of(address).await;
    assert_eq!((samples.whole("rheos_ready"), samples.whole("rheos_streams")), (1, 1));
    broker.stop();
}

#[tokio::test]
async fn a_broker_that_stops_says_so_until_it_has() {
    let mut place = place();
    let broker = place.start();
    let address = broker.address();
    assert_eq!(reason(address).await, None);
    // The broker says goodbye to its clients when it stops, which takes a moment.
    let _client = broker.client().await;
    // One connection all the time, because to make another takes as long.
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let stopping = tokio::task::spawn_blocking(move || broker.stop());
    let mut said = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\n\r\n");
        if stream.write_all(request.as_bytes()).await.is_err() {
            break;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(len) => said.push(String::from_utf8_lossy(&buffer[..len]).into_owned()),
        }
    }
    stopping.await.expect("it stops with success");
    let last = said.last().expect("it was asked before");
    assert!(last.starts_with("HTTP/1.1 503") && last.contains("the broker is stopping"), "{last}");
    let first_stopping = said.iter().position(|it| it.starts_with("HTTP/1.1 503")).expect("the last one is");
    assert!(said[first_stopping..].iter().all(|it| it.starts_with("HTTP/1.1 503")), "it is never ready again");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
