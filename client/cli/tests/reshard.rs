//! Shards that are split, merged and scaled by command, on a broker that is the binary itself; and what is read
//! afterwards.

mod broker;
mod said;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use broker::{Broker, rheos, run};
use said::{failure, stdout};
use serde_json::Value;

#[test]
fn a_stream_is_resharded_by_command_and_every_key_stays_in_order() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let data = &scratch.path().join("data");
    let _broker = Broker::start(data, "127.0.0.1:0");
    stdout(&run(data, &["stream", "create", "orders", "--shards", "2"]));
    put(data, 0..100);
    let said = stdout(&run(data, &["stream", "split", "orders", "0"]));
    assert_eq!(said, "stream orders: closed shard 0; opened shards 2, 3; 3 open shards\n");
    put(data, 100..200);
    let said: Value = json(data, &["stream", "merge", "orders", "3", "1"]);
    assert_eq!(said["closed"], serde_json::json!([1, 3]));
    assert_eq!(said["opened"], serde_json::json!([4]));
    put(data, 200..300);
    assert_eq!(json(data, &["stream", "scale", "orders", "5"])["open_shards"], 5);
    put(data, 300..400);

    let described = stdout(&run(data, &["stream", "describe", "orders"]));
    assert!(described.contains("0 closed\n├─ 2 closed\n"), "{described}");
    assert!(described.contains("1 closed, merged into 4\n"), "{described}");
    let shards = &json(data, &["stream", "describe", "orders"])["shards"];
    let open = shards.as_array().expect("it is a list").iter().filter(|shard| shard["open"] == true);
    assert_eq!(open.count(), 5);
    assert_eq!(json(data, &["stream", "list"])[0]["open_shards"], 5);

    // What one key has is in the order in which it was put, whichever shards it was in.
    let mut of_key: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in stdout(&run(data, &["get", "orders"])).lines() {
        let record: Value = serde_json::from_str(line).expect("it is what was put");
        let number = record["number"].as_u64().expect("it is a number");
        of_key.entry(number % KEYS).or_default().push(number);
    }
    assert_eq!(of_key.values().map(Vec::len).sum::<usize>(), 400);
    assert!(of_key.values().all(|numbers| numbers.is_sorted_by(|a, b| a < b)), "{of_key:?}");
}

#[test]
fn what_cannot_be_done_says_why_and_changes_nothing() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let data = &scratch.path().join("data");
    let _broker = Broker::start(data, "127.0.0.1:0");
    stdout(&run(data, &["stream", "create", "orders", "--shards", "3"]));
    stdout(&run(data, &["stream", "split", "orders", "0"]));
    let before = stdout(&run(data, &["stream", "describe", "orders"]));
    for (words, code, why) in [
        (&["stream", "split", "orders", "0"][..], 1, "shard 0 of stream orders was split or merged before"),
        (&["stream", "split", "orders", "9"], 3, "stream orders has no shard 9"),
        (&["stream", "split", "orders", "3", "--at", "0"], 1, "hash key 0 is not strictly inside shard 3"),
        (&["stream", "split", "orders", "3", "--at", "x"], 2, "invalid value 'x'"),
        (&["stream", "merge", "orders", "3", "2"], 1, "do not lie side by side"),
        (&["stream", "merge", "orders", "0", "1"], 1, "shard 0 of stream orders was split or merged before"),
        (&["stream", "scale", "orders", "4"], 1, "has 4 open shards already"),
        (&["stream", "scale", "orders", "0"], 1, "a stream has 1 to 10000 open shards, not 0"),
        (&["stream", "scale", "order", "2"], 3, "orders"),
    ] {
        let output = run(data, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{words:?}: {said}");
        failure(&output, code);
    }
    assert_eq!(stdout(&run(data, &["stream", "describe", "orders"])), before);
}

/// Keys that the records have in turn.
const KEYS: u64 = 7;

fn put(data: &Path, numbers: std::ops::Range<u64>) {
    let mut command = rheos(data, &["put", "orders", "--format", "json", "--key-from", "key"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().expect("it is piped");
    for number in numbers {
        writeln!(input, "{{\"key\":\"k{}\",\"number\":{number}}}", number % KEYS).unwrap();
    }
    drop(input);
    stdout(&child.wait_with_output().unwrap());
}

fn json(data: &Path, words: &[&str]) -> Value {
    serde_json::from_str(&stdout(&run(data, &[words, &["--output", "json"]].concat()))).expect("it is JSON")
}
