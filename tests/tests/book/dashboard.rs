//! Every panel of the dashboard shows something of a real broker that is really scraped, and no alert fires of one that is
//! well.
//!
//! Prometheus is a real one, where `tests/tools` could fetch it.

#![allow(clippy::print_stderr, reason = "a test that is not done says so")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rheos_client::{Client, ConsumerTerms, Position, Record, StreamSpec};
use rheos_tests::book;
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::http::http_send;
use rheos_tests::tools::prometheus;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::monitoring::{DASHBOARD, PROMETHEUS, filled, strings_at};

/// How long everything may take to be seen. A rate needs two scrapes.
const PATIENCE: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_something_of_a_busy_broker() {
    let Some(program) = prometheus() else {
        return eprintln!("not done: there is no prometheus; tests/tools fetches it where apt-get can");
    };
    let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
    let broker = place.start();
    let traffic = traffic(&broker).await;
    let prometheus = Prometheus::scraping(&program, broker.address(), place.scratch());
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(book::root().join(DASHBOARD)).expect("it is there"))
            .expect("it is JSON");
    let began = Instant::now();
    for expression in strings_at(&dashboard["panels"], "expr") {
        let expression = filled(expression).replace("[5m]", "[5s]").replace("[1h]", "[10s]");
        while prometheus.query(&expression).await.is_empty() {
            assert!(began.elapsed() < PATIENCE, "nothing is shown by {expression}");
            sleep(Duration::from_millis(200)).await;
        }
    }
    let firing = prometheus.query(r#"ALERTS{alertstate="firing"}"#).await;
    assert!(firing.is_empty(), "{firing:?}");
    traffic.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_are_those_that_the_book_lists() {
    let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
    let broker = place.start();
    let traffic = traffic(&broker).await;
    let began = Instant::now();
    let client = broker.client().await;
    let listed = Metrics::of_the_book();
    // What has not happened yet is not on the page.
    while let Err(difference) = listed.compare(&client.metrics().await.expect("the broker answers")) {
        assert!(began.elapsed() < PATIENCE, "the book and the broker differ: {difference}");
        sleep(Duration::from_millis(100)).await;
    }
    traffic.iter().for_each(JoinHandle::abort);
}

/// Puts, reads and a consumer, for as long as the test lasts.
async fn traffic(broker: &Broker) -> Vec<JoinHandle<()>> {
    let client = broker.client().await;
    client.create_stream(StreamSpec::on_demand("trades")).await.expect("the broker is new");
    let board = ConsumerTerms::of("trades", "board").reserving(1 << 20);
    client.register_consumer_with(board).await.expect("the stream is there");
    // Unsigned, and so refused: it is counted as such.
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n";
    let list = format!("{head}x-amz-target: Kinesis_20131202.ListStreams\r\ncontent-length: 2\r\n\r\n{{}}");
    let refused = http_send(broker.address(), list.as_bytes()).await.expect("it is answered");
    assert!(refused.body.contains("MissingAuthenticationTokenException"), "{}", refused.body);
    vec![tokio::spawn(put(client.clone())), tokio::spawn(read(client.clone())), tokio::spawn(consume(client))]
}

async fn put(client: Client) {
    let producer = client.producer("trades").await.expect("the stream is there");
    for number in 0.. {
        let record = Record::new(format!("key {number}"), vec![b'x'; 200]);
        drop(producer.put(record).await.expect("it is small").await);
        sleep(Duration::from_millis(5)).await;
    }
}

async fn read(client: Client) {
    let mut reader = client.reader("trades", 0, Position::TrimHorizon).await.expect("the shard is there");
    while reader.next().await.is_ok() {}
}

async fn consume(client: Client) {
    let mut consumer = client.consumer("trades", "board").start().await.expect("it is registered");
    while consumer.next().await.is_ok() {}
}

/// A Prometheus of this test, which ends with it.
struct Prometheus {
    process: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn scraping(program: &Path, broker: SocketAddr, scratch: &Path) -> Prometheus {
        let config = fs::read_to_string(book::root().join(PROMETHEUS).join("prometheus.yml")).expect("it is there");
        let rules = book::root().join(PROMETHEUS).join("rheos.rules.yml");
        let config = config
            .replace("127.0.0.1:4567", &broker.to_string())
            .replace("15s", "1s")
            .replace("rheos.rules.yml", rules.to_str().expect("the repository's name is text"));
        let file = scratch.join("prometheus.yml");
        fs::write(&file, config).expect("the scratch directory is writable");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("loopback has free ports");
        let said = fs::File::create(scratch.join("prometheus.log")).expect("the scratch directory is writable");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", scratch.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
        let prometheus = Prometheus { process: process.expect("it is a program"), address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "Prometheus does not start");
            thread::sleep(Duration::from_millis(20));
        }
        prometheus
    }

    /// The series that an expression gives now.
    async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        // Of version 1.0: the body ends with the connection and is in one piece.
        let request = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nhost: prometheus\r\n\r\n");
        let answer = http_send(self.address, request.as_bytes()).await.expect("Prometheus answers");
        // It listens before it is ready.
        if answer.status == 503 {
            return Vec::new();
        }
        let answer: Value = serde_json::from_str(&answer.body).expect("it answers with JSON");
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        series.into_iter().filter(|series| series["value"][1] != "NaN").collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
