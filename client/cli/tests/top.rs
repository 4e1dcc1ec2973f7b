//! `rheos top` against a tiny broker in this process, whose metrics are what the tests want.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod terminal;

use std::process::{Command, Output, Stdio};

use peer::Peer;
use said::{failure, stdout};
use serde_json::Value;
use terminal::OnTerminal;

const RECORDED: &str = include_str!("../src/top/page/recorded.txt");

fn top(peer: &Peer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
    command.arg("top").args(arguments).env("RHEOS_URL", peer.url()).env_remove("RHEOS_DATA").stdin(Stdio::null());
    command
}

fn run(peer: &Peer, arguments: &[&str]) -> Output {
    top(peer, arguments).output().unwrap()
}

/// A broker with a page of metrics, in two pieces.
fn peer_with(page: &str) -> Peer {
    let peer = Peer::start();
    set(&peer, page);
    peer
}

fn set(peer: &Peer, page: &str) {
    let (first, second) = page.split_at(page.len() / 2);
    peer.set_metrics(&[(first, true), (second, false)]);
}

/// The recorded page of another life of the broker.
fn restarted() -> String {
    let started = RECORDED.lines().find(|line| line.starts_with("rheos_start_time_seconds ")).unwrap();
    RECORDED.replace(started, "rheos_start_time_seconds 1700000000.5")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_one_plain_frame() {
    let peer = peer_with(RECORDED);
    for arguments in [&["--once"][..], &[]] {
        let frame = stdout(&run(&peer, arguments));
        assert!(frame.starts_with("rheos 0.1.0  127.0.0.1:"), "{frame}");
        assert!(frame.lines().all(|line| line.chars().count() <= 120 && !line.contains('\x1b')), "{frame}");
        let words = |start: &str| {
            let line =
                frame.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{frame}"));
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("2 streams")[..6], ["2", "streams", "5", "shards", "1", "consumers"]);
        assert_eq!(words("orders")[..3], ["orders", "0", "0"]);
        assert_eq!(words("billing of orders").last().unwrap(), "4");
        assert_eq!(
            words("LANE").len(),
            words("LANE").iter().filter(|word| word.is_ascii() || word.ends_with('▴')).count()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_one_object() {
    let peer = peer_with(RECORDED);
    let object: Value = serde_json::from_str(&stdout(&run(&peer, &["--output", "json"]))).unwrap();
    assert_eq!(
        (&object["version"], &object["ready"], &object["cpu_cores"]),
        (&"0.1.0".into(), &true.into(), &0.0.into())
    );
    let orders = object["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "orders").unwrap();
    assert_eq!((&orders["in"]["records_per_second"], &orders["shards"]), (&0.0.into(), &4.into()));
    assert_eq!((object["shards"].as_array().unwrap().len(), object["lanes"].as_array().unwrap().len()), (5, 1));
    assert_eq!(object["consumers"][0]["subscriptions"], 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said() {
    let peer = peer_with("what is this?\n");
    let failed = failure(&run(&peer, &["--once"]), 1);
    assert!(failed.contains("the broker's metrics cannot be read: line 1 is no sample: what is this?"), "{failed}");
    for interval in ["100ms", "2m", "often"] {
        assert_eq!(run(&peer, &["--interval", interval]).status.code(), Some(2), "{interval}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_outlives_its_broker_and_is_left_with_q() {
    let peer = peer_with(RECORDED);
    let mut terminal = OnTerminal::start(top(&peer, &["--interval", "500ms"]));
    terminal.wait_for("orders");
    terminal.press("\r");
    // Both streams are idle, so they are in the order of their names.
    terminal.wait_for("shards of logs");
    // What it says of the broker is not metrics for a while, and then those of another life.
    peer.set_metrics(&[]);
    peer.break_connections();
    set(&peer, &restarted());
    terminal.wait_for("started");
    terminal.press("?");
    terminal.wait_for("PgUp");
    terminal.press("qq");
    let (code, last) = terminal.end();
    assert_eq!(code, Some(0));
    assert!(last.contains("\x1b[?1049l") && last.contains("\x1b[?25h"), "what was there before is back: {last:?}");
}
