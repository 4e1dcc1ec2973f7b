//! The binary as a user runs it, against a tiny broker in this process.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use peer::{Act, Peer};
use said::{failure, stdout};
use serde_json::Value;

fn rheos(peer: &Peer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
    command.args(arguments).env("RHEOS_URL", peer.url()).env_remove("RHEOS_DATA").stdin(Stdio::null());
    command
}

fn run(peer: &Peer, arguments: &[&str]) -> Output {
    rheos(peer, arguments).output().unwrap()
}

fn run_with_input(peer: &Peer, arguments: &[&str], input: &str) -> Output {
    let mut child = start(rheos(peer, arguments).stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_listed_described_and_deleted() {
    let peer = Peer::start();
    let made = run(&peer, &["stream", "create", "orders", "--shards", "4", "--retention", "7d"]);
    assert!(stdout(&made).starts_with("stream orders is made: 4 shards, records up to 1 MiB"), "{made:?}");
    assert!(stdout(&run(&peer, &["stream", "list"])).contains("orders       4"));
    let described = stdout(&run(&peer, &["stream", "describe", "orders"]));
    assert!(
        described.contains("    1  open   0x40000000000000000000000000000000  0x7fffffffffffffffffffffffffffffff"),
        "{described}"
    );
    let json: Value =
        serde_json::from_str(&stdout(&run(&peer, &["stream", "describe", "orders", "--output", "json"]))).unwrap();
    assert_eq!(
        (json["shards"].as_array().unwrap().len(), &json["shards"][3]["last_hash"]),
        (4, &"f".repeat(32).into())
    );

    let again = failure(&run(&peer, &["stream", "create", "orders"]), 7);
    assert_eq!(again, "error: stream orders exists (error 11)");
    let unasked = failure(&run(&peer, &["stream", "delete", "orders"]), 1);
    assert!(unasked.contains("orders is not deleted") && unasked.contains("--yes"), "{unasked}");
    assert_eq!(stdout(&run(&peer, &["stream", "delete", "orders", "--yes"])), "stream orders is deleted\n");
    let gone = failure(&run(&peer, &["stream", "describe", "orders"]), 3);
    assert!(gone.contains("orders") && gone.contains("(error 10)"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_in_and_come_out() {
    let peer = Peer::start();
    peer.create("orders", 3);
    let directory = tempfile::tempdir().unwrap();
    let acks = directory.path().join("acks");
    let input: String = (0..5_000).map(|i| format!("line {i}\n")).collect::<String>() + "\nlast, without newline";
    let put = run_with_input(&peer, &["put", "orders", "--acks", acks.to_str().unwrap()], &input);
    assert_eq!(stdout(&put), "");
    let summary = String::from_utf8_lossy(&put.stderr).into_owned();
    assert!(summary.starts_with("5002 records (") && summary.contains("0 refused, 0 indeterminate"), "{summary}");

    let acked = std::fs::read_to_string(&acks).unwrap();
    let lines: Vec<&str> = input.lines().collect();
    let mut counted = 0;
    for (ack, number) in acked.lines().zip(1..) {
        let fields: Vec<usize> = ack.split(' ').map(|field| field.parse().unwrap()).collect();
        assert_eq!(fields[0], number);
        assert_eq!(peer.stored("orders", fields[1])[fields[2]], lines[number - 1]);
        counted += 1;
        if number > 200 {
            break;
        }
    }
    assert_eq!((counted, acked.lines().count()), (201, 5_002));
    assert!((0..3).all(|shard| peer.stored("orders", shard).len() > 1_000), "random keys spread the records");

    let mut got: Vec<String> = stdout(&run(&peer, &["get", "orders"])).lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
    assert_eq!(stdout(&run(&peer, &["get", "orders", "--limit", "7"])).lines().count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_csv_and_json() {
    let peer = Peer::start();
    peer.create("flights", 1);
    let directory = tempfile::tempdir().unwrap();
    let csv = write(directory.path(), "flights.csv", "carrier,note\nAA,\"two\nlines\"\nBB,\n");
    let json = write(directory.path(), "flights.jsonl", "{\"carrier\":\"CC\",\"delay\":3}\n");
    stdout(&run(&peer, &["put", "flights", "--key-from", "carrier", &csv, &json]));
    let got = stdout(&run(&peer, &["get", "flights", "--output", "json"]));
    let got: Vec<Value> = serde_json::from_str(&got).unwrap();
    let pairs: Vec<_> =
        got.iter().map(|at| (at["partition_key"].as_str().unwrap(), at["data"].as_str().unwrap())).collect();
    assert_eq!(pairs, [("AA", "AA,\"two\nlines\""), ("BB", "BB,"), ("CC", "{\"carrier\":\"CC\",\"delay\":3}")]);
    assert_eq!((&got[2]["sequence"], &got[2]["shard"]), (&2.into(), &0.into()));
    let from = stdout(&run(&peer, &["get", "flights", "--from", "1", "--limit", "1"]));
    assert_eq!(from, "BB,\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_that_failed_is_named() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let directory = tempfile::tempdir().unwrap();
    let json = write(directory.path(), "orders.jsonl", "{\"id\":1}\n{\"di\":2}\noops\n{\"id\":4}\n");
    let put = run(&peer, &["put", "orders", "--key-from", "id", &json]);
    let failed = failure(&put, 1);
    assert!(failed.starts_with("error: 2 records are not known to be stored; the first is "), "{failed}");
    assert!(
        failed.ends_with("orders.jsonl line 2: it has no field \"id\" to take the key from; did you mean di?"),
        "{failed}"
    );
    assert_eq!(peer.stored("orders", 0).len(), 2);

    let csv = write(directory.path(), "orders.csv", "id\n1\n");
    let failed = failure(&run(&peer, &["put", "orders", "--key-from", "key", &csv]), 1);
    assert!(failed.contains("orders.csv line 1: the header has no column \"key\""), "{failed}");
    let failed = failure(&run(&peer, &["put", "orders", "--key-from", "id"]), 2);
    assert!(failed.contains("--format json"), "{failed}");
    let failed = failure(&run(&peer, &["put", "orders", "nowhere.txt"]), 1);
    assert!(failed.starts_with("error: nowhere.txt: "), "{failed}");
    assert_eq!(run(&peer, &["put", "orders", "--key", ""]).status.code(), Some(2));
    assert_eq!(peer.stored("orders", 0).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_goes_on_over_broken_connections() {
    let peer = Peer::start();
    peer.create("orders", 1);
    peer.script([Act::Store, Act::StoreAndBreak, Act::Store, Act::Break, Act::Store, Act::StoreAndBreak]);
    let input: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    stdout(&run_with_input(&peer, &["put", "orders", "--key", "k"], &input));
    let stored: Vec<String> =
        peer.stored("orders", 0).iter().map(|data| String::from_utf8_lossy(data).into_owned()).collect();
    assert_eq!(stored, input.lines().collect::<Vec<_>>());
    assert!(peer.hellos() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_pipe_is_put_line_by_line_and_followed() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let mut get = start(&mut rheos(&peer, &["get", "orders", "--follow", "--limit", "3"]));
    let mut got = BufReader::new(get.stdout.take().unwrap());
    let mut put = start(rheos(&peer, &["put", "orders"]).stdin(Stdio::piped()));
    let mut input = put.stdin.take().unwrap();
    for text in ["one\n", "two\n", "three\n"] {
        input.write_all(text.as_bytes()).unwrap();
        // The line is printed before the next is written: nothing waits for more input.
        let mut line = String::new();
        got.read_line(&mut line).unwrap();
        assert_eq!(line, text);
    }
    assert!(get.wait().unwrap().success());
    drop(input);
    assert!(put.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pipe_ends_quietly() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let input: String = (0..100_000).map(|i| format!("a line of some length, number {i}\n")).collect();
    stdout(&run_with_input(&peer, &["put", "orders", "--key", "k"], &input));
    let mut get = start(&mut rheos(&peer, &["get", "orders"]));
    let mut first = [0u8; 10];
    get.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(get.stdout.take());
    let output = get.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_shards_and_bytes() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let failed = failure(&run(&peer, &["get", "orders", "--from", "5"]), 2);
    assert!(failed.contains("say which with --shard"), "{failed}");
    let failed = failure(&run(&peer, &["get", "orders", "--shard", "2"]), 3);
    assert_eq!(failed, "error: stream orders has no shard 2; its shards are 0 to 1");
    let failed = failure(&run(&peer, &["get", "orders", "--shard", "1", "--from", "5"]), 1);
    assert!(failed.contains("shard 1: the position is beyond the tip"), "{failed}");
    assert_eq!(stdout(&run(&peer, &["get", "orders", "--from", "latest"])), "");
    assert_eq!(run(&peer, &["get", "orders", "--from", "first"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_found_by_its_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let peer = Peer::start();
    peer.create("orders", 1);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let find = |url: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
        command.args(["stream", "list", "--data", data]).env_remove("RHEOS_URL").env_remove("RHEOS_DATA");
        url.map(|url| command.env("RHEOS_URL", url));
        command.output().unwrap()
    };
    let failed = failure(&find(None), 5);
    assert!(failed.contains("admin.url does not exist") && failed.contains("--url"), "{failed}");
    let path = write(directory.path(), "admin.url", &(peer.url() + "\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(failure(&find(None), 1).contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(stdout(&find(None)).contains("orders"));
    // What is typed is stronger than the environment.
    assert!(stdout(&find(Some("rheos://of:another@broker"))).contains("orders"));
}
