//! Whether the broker is there, and how far away.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod user;

use std::net::UdpSocket;

use peer::Peer;
use said::{failure, stdout};
use user::User;

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_says_what_it_is_and_each_ping_counts() {
    let peer = Peer::start();
    let user = User::of(&peer.url());
    let said = stdout(&user.run(&["ping", "--count", "20", "--interval", "1ms"]));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "no line for each ping where nobody watches: {said}");
    assert!(lines[0].contains(" at 127.0.0.1:") && lines[0].contains(", 1 lane, connected in "), "{said}");
    assert!(lines[1].starts_with("20 of 20 pings answered: min ") && lines[1].contains("  p99 "), "{said}");

    let objects = user.json(&["ping", "--count", "3", "--interval", "1ms"]);
    assert_eq!(objects.len(), 4);
    assert!(objects[..3].iter().zip(1..).all(|(it, number)| it["ping"] == number && it["ms"].as_f64() > Some(0.0)));
    let summary = &objects[3];
    assert_eq!((&summary["sent"], &summary["answered"], &summary["lanes"]), (&3.into(), &3.into(), &1.into()));
    let times = ["min_ms", "p50_ms", "p99_ms", "max_ms"].map(|name| summary[name].as_f64().unwrap());
    assert!(times.is_sorted() && times[0] > 0.0 && times[3] < 10_000.0, "{summary}");
    assert!(summary["connect_ms"].as_f64() > Some(0.0) && summary["broker"].is_string(), "{summary}");
    let document: serde_json::Value =
        serde_json::from_str(&stdout(&user.run(&["ping", "--count", "1", "--output", "json"]))).unwrap();
    assert_eq!(document["answered"], 1);
}

#[test]
fn a_broker_that_is_away_is_told_by_the_exit_code() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("dev:{}", silent.local_addr().unwrap());
    let output = User::new().run(&["ping", "--url", &url]);
    let said = failure(&output, 5);
    assert!(said.starts_with("error: no answer from 127.0.0.1:") && said.contains("check that"), "{said}");
    assert!(output.stdout.is_empty());
}
