//! `rheos repair` as it is typed: what it says, its exit codes, and that it asks.

mod broker;
mod said;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use broker::{Broker, rheos, run};
use said::{failure, stdout};
use serde_json::Value;

fn put(data: &Path, records: std::ops::Range<u32>) -> Output {
    let mut command = rheos(data, &["put", "flights", "--key", "AA"]);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is built");
    let mut input = process.stdin.take().expect("it is piped");
    records.for_each(|record| writeln!(input, "record {record}").expect("it reads"));
    drop(input);
    process.wait_with_output().expect("it ends")
}

/// A stream of one log, three puts in its only segment; the broker was killed.
fn a_stream(data: &Path) -> PathBuf {
    let broker = Broker::start(data, "127.0.0.1:0");
    stdout(&run(data, &["stream", "create", "flights"]));
    for put_at in 0..3 {
        assert!(put(data, put_at * 10..put_at * 10 + 10).status.success());
    }
    drop(broker);
    data.join("logs/0000000000000001/0000000000/00000000000000000001.segment")
}

/// Changes one bit of a block of the first put after the first commit.
fn damage(segment: &Path, at: u64) {
    let bytes = fs::read(segment).expect("it is there");
    let commits = (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"RHC1"));
    let offset = commits.clone().nth(1).expect("there are three puts") as u64 + at;
    let file = OpenOptions::new().write(true).open(segment).expect("it is ours");
    file.write_all_at(&[bytes[offset as usize] ^ 1], offset).expect("it is ours");
}

#[test]
fn a_damaged_stream_is_told_and_repaired_when_the_loss_is_accepted() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let data = scratch.path().join("data");
    let segment = a_stream(&data);
    assert_eq!(stdout(&run(&data, &["repair", "flights"])), "stream flights has nothing to repair\n");
    damage(&segment, 220);
    let damaged = fs::read(&segment).expect("it is there");

    let told = run(&data, &["repair", "flights"]);
    let text = String::from_utf8(told.stdout.clone()).expect("it is text");
    let expected = [
        "1 log damaged",
        "takes no puts: commit 1",
        "lost      shard 0: 1",
        "kept      ",
        "goes on   shard 0 at 30",
        "segment 1 gets a footer; segment 2 is made",
    ];
    expected.iter().for_each(|part| assert!(text.contains(part), "{part:?} in {text}"));
    assert!(failure(&told, 1).contains("rheos repair flights --accept-loss"));
    assert!(failure(&run(&data, &["verify"]), 1).contains("rheos repair STREAM"));
    assert!(failure(&run(&data, &["repair", "fligths"]), 3).contains("did you mean flights?"));
    assert!(failure(&run(&data, &["repair", "flights", "--accept-loss"]), 1).contains("--yes is needed"));
    assert_eq!(run(&data, &["repair", "flights", "--yes"]).status.code(), Some(2), "--yes to what?");
    assert!(fs::read(&segment).expect("it is there") == damaged, "nothing was changed so far");

    let json: Value =
        serde_json::from_slice(&run(&data, &["repair", "flights", "--output", "json"]).stdout).expect("it is JSON");
    let lost = &json["logs"][0]["lost"][0];
    assert_eq!((json["needed"].as_bool(), json["repaired"].as_bool()), (Some(true), Some(false)));
    assert_eq!(lost["shard"], 0);

    let repaired = stdout(&run(&data, &["repair", "flights", "--accept-loss", "--yes"]));
    assert!(repaired.ends_with("stream flights is repaired\n"), "{repaired}");
    assert_eq!(stdout(&run(&data, &["repair", "flights"])), "stream flights has nothing to repair\n");
    let verified = stdout(&run(&data, &["verify"]));
    assert!(verified.contains("whole") && verified.contains("accepted as lost: shard 0"), "{verified}");

    let broker = Broker::start(&data, "127.0.0.1:0");
    assert!(failure(&run(&data, &["repair", "flights"]), 1).contains("in use by process"));
    assert!(put(&data, 30..40).status.success());
    let read = run(&data, &["get", "flights", "--from", "30"]);
    assert!(String::from_utf8_lossy(&read.stdout).contains("record 39"), "{read:?}");
    drop(broker);
}

#[test]
fn what_cannot_be_told_is_said_to_be_at_most() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let data = scratch.path().join("data");
    let segment = a_stream(&data);
    // The head, its copy and the label: whose file it is cannot be told.
    let file = OpenOptions::new().write(true).open(&segment).expect("it is ours");
    file.write_all_at(&[0x5a; 3 * 4096], 0).expect("it is ours");
    let told = run(&data, &["repair", "flights"]);
    let text = String::from_utf8(told.stdout).expect("it is text");
    assert!(text.contains("at most") && text.contains("cannot be told"), "{text}");
    assert!(text.contains("segment 1 cannot be read and stays as it is"), "{text}");
    assert!(text.contains("kept      0 records"), "{text}");
}
