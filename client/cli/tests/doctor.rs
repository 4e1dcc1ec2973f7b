//! `rheos doctor` as it is typed, on a machine that is well and on one where something is wrong.

mod broker;
mod said;

use std::net::UdpSocket;
use std::process::{Command, Output};

use broker::{Broker, rheos};
use said::{failure, stdout};
use serde_json::Value;

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room")
}

fn findings(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    report["findings"].as_array().expect("they are a list").clone()
}

/// The finding on a topic: its grade, and what and fix in one.
fn on(findings: &[Value], topic: &str) -> (String, String) {
    let finding =
        findings.iter().find(|finding| finding["topic"] == topic).unwrap_or_else(|| panic!("{topic}: {findings:#?}"));
    let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    (text("grade"), format!("{} {}", text("what"), text("fix")))
}

#[test]
fn a_machine_on_which_tests_run_is_well() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let output =
        rheos(&data, &["doctor", "--listen", "127.0.0.1:0", "--output", "json"]).output().expect("it is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let findings = findings(&output);
    for topic in
        ["kernel", "io_uring", "data directory", "file system", "direct write", "port", "lane steering", "broker"]
    {
        assert_eq!(on(&findings, topic).0, "ok", "{topic}: {findings:#?}");
    }
    for topic in [
        "open files",
        "locked memory",
        "write latency",
        "write cache",
        "free space",
        "UDP buffers",
        "UDP send offload",
        "UDP receive offload",
        "cores",
        "time of cores",
        "wall clock",
        "clock steps",
    ] {
        assert_ne!(on(&findings, topic).0, "problem", "{topic}");
    }
    let is_told =
        |finding: &Value| finding["grade"] == "ok" || finding["grade"] == "note" || finding["fix"].is_string();
    assert!(findings.iter().all(is_told), "every warning says what to do: {findings:#?}");
    assert!(!data.exists(), "nothing is made");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("it is there").count(), 0);

    let text = stdout(&rheos(&data, &["doctor", "--listen", "127.0.0.1:0"]).output().expect("it is built"));
    assert!(
        text.contains("ok       kernel               Linux ") && text.ends_with("a broker starts here\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no colours where it is no terminal");
}

#[test]
fn what_would_stop_a_start_is_a_problem_with_its_fix() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has it");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    let listen = taken.local_addr().expect("it is bound").to_string();
    let arguments = ["doctor", "--listen", &listen, "--lanes", "300", "--output", "json"];
    let output = rheos(memory.path(), &arguments).output().expect("it is built");
    assert_eq!(failure(&output, 1), "", "the report has said it");
    let findings = findings(&output);
    assert_eq!(on(&findings, "lane steering").0, "ok", "too many lanes are no fault of the network");
    for (topic, expected) in [
        ("file system", ["tmpfs", "ext4 or XFS"]),
        ("port", [&format!("process {}", std::process::id()), "--listen"]),
        ("cores", ["not 300", "--lanes"]),
    ] {
        let (grade, text) = on(&findings, topic);
        assert_eq!(grade, "problem", "{topic}: {text}");
        assert!(expected.iter().all(|part| text.contains(part)), "{topic}: {text}");
    }

    let foreign = scratch();
    std::fs::write(foreign.path().join("notes.txt"), "mine").expect("it is ours");
    let output = rheos(foreign.path(), &["doctor", "--listen", "127.0.0.1:0"]).output().expect("it is built");
    assert_eq!(failure(&output, 1), "", "the report has said it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("a broker does not start here\n"), "{text}");
    assert!(text.contains("problem  data directory") && text.contains("notes.txt"), "{text}");
    assert!(text.contains("-> choose an empty or a new directory"), "{text}");
}

#[test]
fn low_limits_are_warned_of_with_what_raises_them() {
    let scratch = scratch();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 256; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_rheos"),
        "doctor",
        "--output",
        "json",
    ]);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(scratch.path()).env_remove("RHEOS_URL");
    let output = command.output().expect("there is a shell");
    let (grade, text) = on(&findings(&output), "open files");
    assert_eq!(grade, "warning");
    assert!(
        text.contains("may open 256 files") && text.contains("ulimit -Hn") && text.contains("LimitNOFILE="),
        "{text}"
    );
}

#[test]
fn a_broker_that_serves_is_seen_and_not_disturbed() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let (broker, _) = Broker::serve(&data, &["--listen", "127.0.0.1:0"]);
    let output =
        rheos(&data, &["doctor", "--listen", &broker.address, "--output", "json"]).output().expect("it is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let findings = findings(&output);
    let process = format!("process {}", broker.process.id());
    for (topic, expected) in [
        ("data directory", process.as_str()),
        ("port", &process),
        ("broker", env!("CARGO_PKG_VERSION")),
        ("certificate", "for 364 days"),
    ] {
        let (grade, text) = on(&findings, topic);
        assert!(grade == "ok" && text.contains(expected), "{topic}: {grade} {text}");
    }
    stdout(&rheos(&data, &["stream", "list"]).output().expect("it is built"));
    drop(broker);
}
