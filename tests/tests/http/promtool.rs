//! What Prometheus' own tool says of the page.

use std::io::Write;
use std::process::{Command, Stdio};

use rheos_client::{Outcome, Record, StreamSpec};
use rheos_tests::http::http_get;
use rheos_tests::tools::promtool;

use crate::place;

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a test that is not done says so")]
async fn promtool_finds_nothing_wrong_with_the_page() {
    let Some(promtool) = promtool() else {
        return eprintln!("not done: there is no promtool; tests/tools fetches it where apt-get can");
    };
    let mut place = place();
    place.set_lanes(2);
    let broker = place.start();
    let client = broker.client().await;
    for stream in ["orders", "clicks-1.eu_W"] {
        client.create_stream(StreamSpec::new(stream, 3)).await.expect("there is none");
        client.register_consumer(stream, "billing").await.expect("there is none");
        let producer = client.producer(stream).await.expect("it is there");
        let ticket = producer.put(Record::new("key", "data")).await.expect("it is small");
        assert!(matches!(ticket.await, Outcome::Acked { .. }));
    }
    let page = http_get(broker.address(), "/metrics").await.body;
    for family in ["rheos_put_ack_seconds_bucket", "rheos_shard_tip_sequence", "rheos_push_records_total"] {
        assert!(page.contains(family), "{page}");
    }
    let mut check = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was found");
    check.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("it reads all");
    let checked = check.wait_with_output().expect("it ends");
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    client.close().await;
    broker.stop();
}
