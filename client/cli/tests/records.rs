//! Records as they go in and come out, against a tiny broker in this process.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod user;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peer::{ARRIVAL_MS, Peer};
use said::{failure, stdout};
use serde_json::Value;
use user::User;

/// A stream whose one shard has a batch with each of these records; the first arrives at `ARRIVAL_MS`, the
/// others a millisecond after the one before.
fn with_records(records: &[&str]) -> (Peer, User) {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    for record in records {
        stdout(&user.run(&["put", "orders", "--key", "k", "--template", record]));
    }
    (peer, user)
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// A record of the raw format.
fn raw(key: &str, hash_key: Option<u128>, data: &[u8]) -> Vec<u8> {
    let mut bytes = (key.len() as u32 | if hash_key.is_some() { 1 << 31 } else { 0 }).to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend(hash_key.into_iter().flat_map(u128::to_be_bytes));
    bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_raw_format_goes_round_byte_for_byte() {
    let peer = Peer::start();
    peer.create("orders", 3);
    peer.create("copy", 3);
    let user = User::of(&peer.url());
    let large = vec![0xa5; 300_000];
    let records: Vec<(String, Option<u128>, &[u8])> = (0..200)
        .map(|i| {
            let data: &[u8] = [&b"line\nwith \0 and \xff"[..], b"", &large][i % 3];
            (format!("k\u{e9}y-{i}"), (i % 5 == 0).then_some(u128::MAX / 200 * i as u128), data)
        })
        .collect();
    let input: Vec<u8> = records.iter().flat_map(|(key, hash, data)| raw(key, *hash, data)).collect();
    let put = user.run_with(&["put", "orders", "--format", "raw", "--output", "json"], &input);
    let summary: Value = serde_json::from_str(&stdout(&put)).unwrap();
    assert_eq!((&summary["records"], &summary["refused"]), (&200.into(), &0.into()));

    let got = user.run(&["get", "orders", "--format", "raw"]);
    assert!(got.status.success() && got.stdout.len() == input.len());
    stdout(&user.run_with(&["put", "copy", "--format", "raw"], &got.stdout));
    for shard in ["0", "1", "2"] {
        let of = |stream| user.run(&["get", stream, "--shard", shard, "--format", "raw"]).stdout;
        assert!(of("orders") == of("copy") && of("orders").len() > 1_000_000, "shard {shard}");
    }
    // Each record by itself, wherever it came to be.
    let mut left: Vec<Vec<u8>> = records.iter().map(|(key, hash, data)| raw(key, *hash, data)).collect();
    let mut bytes = &got.stdout[..];
    while !bytes.is_empty() {
        let place = left.iter().position(|record| bytes.starts_with(record)).expect("a record that was put");
        bytes = &bytes[left.swap_remove(place).len()..];
    }
    assert!(left.is_empty());

    let failed = failure(&user.run_with(&["put", "orders", "--format", "raw"], b"carrier,note\nAA,x\n"), 1);
    assert!(
        failed.contains("standard input record 1: its key would have") && failed.contains("raw format"),
        "{failed}"
    );
    let torn = raw(&records[0].0, records[0].1, records[0].2).len() + 7;
    let failed = failure(&user.run_with(&["put", "orders", "--format", "raw"], &input[..torn]), 1);
    assert!(failed.contains("record 2: the input ends within it"), "{failed}");
    assert!(failure(&user.run(&["put", "orders", "--format", "raw", "--key-from", "id"]), 2).contains("raw format"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_key_decides_the_shard() {
    let peer = Peer::start();
    peer.create("orders", 4);
    let user = User::of(&peer.url());
    for (hash_key, shard) in [("0", 0), ("0x40000000000000000000000000000000", 1), (&u128::MAX.to_string(), 3)] {
        stdout(&user.run_with(&["put", "orders", "--key", "k", "--explicit-hash-key", hash_key], b"one\n"));
        assert_eq!(peer.stored("orders", shard), ["one"]);
    }
    let shown = user.json(&["get", "orders", "--shard", "3"]);
    assert_eq!(shown[0]["explicit_hash_key"], u128::MAX.to_string());
    let refused = failure(&user.run(&["put", "orders", "--explicit-hash-key", "ff"]), 2);
    assert!(refused.contains("--help"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_made_up_at_a_rate() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    let made = ["put", "orders", "--template", "{\"n\":{{number}}}\\n", "--count", "30", "--rate", "100/s"];
    let begun = Instant::now();
    let put = user.run(&made);
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    let summary = String::from_utf8_lossy(&put.stderr).into_owned();
    assert!(summary.starts_with("30 records (") && summary.contains(" ms late; 0 refused"), "{summary}");
    assert_eq!(stdout(&put), "");
    let expected: Vec<String> = (1..=30).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(peer.stored("orders", 0), expected);
    assert!(user.json(&made)[0]["late_ms_max"].as_f64().is_some());

    // Lines of a file keep the schedule, too; without one nothing is late.
    let lines = user.write("lines", "one\ntwo\nthree\n", 0o600);
    let begun = Instant::now();
    let paced = user.json(&["put", "orders", &lines, "--rate", "20/s"]);
    assert!(begun.elapsed() >= Duration::from_millis(100) && paced[0]["records"] == 3, "{paced:?}");
    assert!(user.json(&["put", "orders", &lines])[0]["late_ms_max"].is_null());
    for arguments in [
        &["--rate", "fast"][..],
        &["--count", "3"],
        &["--template", "{{m}}"],
        &["--template", "x", "file"],
        &["--template", "x", "--format", "json"],
    ] {
        assert_eq!(user.run(&[&["put", "orders"], arguments].concat()).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_put_says_what_is_stored() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    let mut put = start(&mut user.rheos(&["put", "orders", "--acks", "acks"]));
    let input = put.stdin.as_mut().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    let acked = || std::fs::read_to_string(user.home.path().join("acks")).unwrap_or_default().lines().count();
    while acked() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&put);
    let output = put.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("waiting for what was sent") && lines[1].starts_with("2 records ("), "{said}");
    assert_eq!(lines[2], "error: interrupted before the end of the input");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_between_two_positions_is_printed() {
    let (_peer, user) = with_records(&["0", "1", "2", "3", "4"]);
    let (third, third_ms) = ("2023-11-14T22:13:20.002Z", format!("@{}", ARRIVAL_MS + 2));
    assert_eq!(ARRIVAL_MS, 1_700_000_000_000, "which is the first of these times");
    for (from, until, printed) in [
        ("trim-horizon", "latest", "01234"),
        ("latest", "latest", ""),
        ("1", "4", "123"),
        ("after:1", "after:3", "23"),
        ("after:3", "99", "4"),
        (third, "latest", "234"),
        (&third_ms, "4", "23"),
        ("2023-11-14T23:13:20.002+01:00", "after:2", "2"),
        ("trim-horizon", third, "01"),
        ("-15m", "latest", ""),
        ("trim-horizon", "-15m", "01234"),
        ("2023-11-01", "2023-11-30", "01234"),
        ("2023-11-16 12:00", "latest", ""),
    ] {
        for span in [&[][..], &["--follow"]] {
            // What has no end that is reached goes on.
            if !span.is_empty() && until == "99" {
                continue;
            }
            let arguments = [&["get", "orders", "--from", from, "--until", until], span].concat();
            let got = stdout(&user.run(&arguments)).replace('\n', "");
            assert_eq!(got, printed, "{arguments:?}");
        }
    }
    for (from, until, why) in [
        ("4", "4", "not behind"),
        ("1", "after:0", "not behind"),
        ("-5m", "-15m", "not behind"),
        ("0", "trim-horizon", "nothing comes before"),
    ] {
        let refused = failure(&user.run(&["get", "orders", "--from", from, "--until", until]), 2);
        assert!(refused.contains(why), "{from} {until}: {refused}");
    }
    let near = user.run(&["get", "orders", "--from", "trim-horizn"]);
    assert!(String::from_utf8_lossy(&near.stderr).contains("did you mean trim-horizon?"), "{near:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_shards_are_named_at_once() {
    let peer = Peer::start();
    peer.create("orders", 4);
    let user = User::of(&peer.url());
    for shard in 0..4u128 {
        let hash_key = (u128::MAX / 4 * shard + 5).to_string();
        stdout(&user.run(&["put", "orders", "--explicit-hash-key", &hash_key, "--template", &format!("of {shard}")]));
    }
    assert_eq!(stdout(&user.run(&["get", "orders", "--shard", "3,1"])), "of 1\nof 3\n");
    assert_eq!(stdout(&user.run(&["get", "orders", "--shard", "2", "--shard", "0,2"])), "of 0\nof 2\n");
    assert!(failure(&user.run(&["get", "orders", "--shard", "1,7"]), 3).contains("no shard 7"));
    assert_eq!(user.run(&["get", "orders", "--shard", "1;2"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_printed_as_a_template_says() {
    let (_peer, user) = with_records(&[r"one\ttwo", "three"]);
    let get = |template: &str| stdout(&user.run(&["get", "orders", "--template", template]));
    assert_eq!(get("{{shard}}/{{sequence}} {{key}}: {{data}}"), "0/0 k: one\ttwo\n0/1 k: three\n");
    assert_eq!(get(r"{{arrival}}\0\c"), "2023-11-14T22:13:20.000Z\x002023-11-14T22:13:20.001Z\0");
    let mut local = user.rheos(&["get", "orders", "--limit", "1", "--template", "{{arrival_local}} {{bytes}}"]);
    let local = stdout(&local.env("TZ", "Europe/Berlin").output().unwrap());
    assert_eq!(local, "2023-11-14T23:13:20.000+01:00 7\n");
    let near = user.run(&["get", "orders", "--template", "{{sequenc}}"]);
    assert!(String::from_utf8_lossy(&near.stderr).contains("did you mean sequence?"), "{near:?}");
    assert_eq!(user.run(&["get", "orders", "--template", "x", "--format", "raw"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_document_and_ndjson_an_object_a_line() {
    let (peer, user) = with_records(&["one", "two"]);
    let get = |arguments: &[&str]| user.run(&[&["get", "orders"], arguments].concat());
    let lines = stdout(&get(&["--output", "ndjson"]));
    assert_eq!(lines, stdout(&get(&["--format", "json"])));
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let document = stdout(&get(&["--output", "json"]));
    assert_eq!(serde_json::from_str::<Vec<Value>>(&document).unwrap(), objects);
    assert_eq!((&objects[1]["data"], &objects[1]["arrival"]), (&"two".into(), &"2023-11-14T22:13:20.001Z".into()));
    assert_eq!(stdout(&get(&["--from", "latest", "--output", "json"])), "[]\n");
    // What goes on has no end to close an array at.
    let followed = stdout(&get(&["--follow", "--limit", "2", "--output", "json"]));
    assert_eq!(followed, lines);
    // --format is stronger than --output.
    assert_eq!(stdout(&get(&["--format", "text", "--output", "json"])), "one\ntwo\n");

    // An array that is not whole is no document.
    peer.damage("orders", 0, 1, 1);
    let failed = get(&["--output", "json"]);
    let said = failure(&failed, 1);
    assert!(said.contains("damaged"), "{said}");
    assert!(serde_json::from_slice::<Value>(&failed.stdout).is_err(), "{failed:?}");

    // Lists: an array, or an object a line.
    let list = |how| stdout(&user.run(&["stream", "list", "--output", how]));
    assert_eq!(serde_json::from_str::<Vec<Value>>(&list("json")).unwrap().len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&list("ndjson")).unwrap()["name"], "orders");
    assert_eq!(user.run(&["stream", "list", "--output", "jsn"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_where_it_is_told_to() {
    let (_peer, user) = with_records(&["0", "1"]);
    let mut get = start(&mut user.rheos(&["get", "orders", "--follow", "--until", "after:2"]));
    let mut printed = BufReader::new(get.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([printed.next(), printed.next()].map(Option::unwrap), ["0", "1"]);
    stdout(&user.run(&["put", "orders", "--template", "{{number}}", "--count", "3"]));
    assert_eq!((printed.next().as_deref(), printed.next()), (Some("1"), None));
    assert!(get.wait().unwrap().success());

    let mut get = start(&mut user.rheos(&["get", "orders", "--follow", "--output", "ndjson"]));
    let mut lines = BufReader::new(get.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().take(5).all(|line| line.is_ok()));
    interrupt(&get);
    assert!(get.wait().unwrap().success(), "interrupting is how following ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_where_it_is_told_to_and_its_file_says_so() {
    let (peer, user) = with_records(&[]);
    // Ten records in few batches: the ends are within them.
    stdout(&user.run(&["put", "orders", "--key", "k", "--template", "{{number}}", "--count", "10"]));
    peer.register("orders", "board");
    let tail = |arguments: &[&str]| {
        let usual = ["tail", "orders", "--consumer", "board", "--positions", "file"];
        stdout(&user.run(&[&usual, arguments].concat())).replace('\n', " ")
    };
    let positions = || std::fs::read_to_string(user.home.path().join("file")).unwrap();
    assert_eq!(tail(&["--from", "trim-horizon", "--shard", "0", "--until", "4"]), "1 2 3 4 ");
    assert!(positions().ends_with("shard 0 next 4\n"), "{}", positions());
    assert_eq!(tail(&["--shard", "0", "--until", "after:4", "--template", "{{sequence}}"]), "4 ");
    // Nothing is left before that end.
    assert_eq!(tail(&["--shard", "0", "--until", "5"]), "");
    assert_eq!(tail(&["--until", "latest"]), "6 7 8 9 10 ");
    assert!(positions().ends_with("shard 0 next 10\n"), "{}", positions());
    // A moment that has passed: what arrived before it is there at once.
    assert_eq!(tail(&["--until", "-1m"]), "");
    std::fs::remove_file(user.home.path().join("file")).unwrap();
    assert_eq!(tail(&["--from", "7", "--shard", "0", "--until", "-1m"]), "8 9 10 ");
    let raw_bytes = user.run(&[
        "tail",
        "orders",
        "--consumer",
        "board",
        "--from",
        "9",
        "--shard",
        "0",
        "--until",
        "latest",
        "--format",
        "raw",
    ]);
    assert_eq!(raw_bytes.stdout, raw("k", None, b"10"));
    let refused = failure(&user.run(&["tail", "orders", "--consumer", "board", "--until", "4"]), 2);
    assert!(refused.contains("--until 4: a sequence belongs to one shard"), "{refused}");
}
