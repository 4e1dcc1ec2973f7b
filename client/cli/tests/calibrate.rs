//! `rheos calibrate` as it is typed: a measurement, a number that is set, and a directory that a broker has.

mod broker;
mod said;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use broker::{Broker, rheos, run};
use said::{failure, stdout};
use serde_json::Value;

fn json(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&run(data, &[arguments, &["--output", "json"]].concat()))).expect("it is JSON")
}

/// Starts a broker there and gives what it warns of.
fn start(data: &Path) -> (Broker, Vec<String>) {
    let (broker, ready) = Broker::serve(data, &["--listen", "127.0.0.1:0"]);
    let warnings = ready["warnings"].as_array().expect("they are a list");
    let warnings = warnings.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (broker, warnings)
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room")
}

#[test]
fn a_lane_is_measured_and_the_number_kept_for_the_broker() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let assumed = json(&data, &["calibrate", "--show"]);
    assert_eq!((&assumed["found"], &assumed["bytes_per_second"]), (&"assumed".into(), &(64 << 20).into()));
    assert!(!data.exists(), "showing makes nothing");

    let measured = json(&data, &["calibrate"]);
    let [pushed, put] =
        ["bytes_per_second", "put_bytes_per_second"].map(|name| measured[name].as_u64().expect("it is a number"));
    assert_eq!(measured["found"], "measured");
    // Four consumers are pushed everything that is put.
    assert!(pushed > 2 * put && pushed < 6 * put && put > 0, "{measured}");
    let busy = measured["lane_busy"].as_f64().expect("it is a number");
    assert!(busy > 0.0 && busy <= 1.0, "{measured}");
    assert_eq!(measured["reservable_bytes_per_second"], pushed * 60 / 100);
    let shown = json(&data, &["calibrate", "--show"]);
    assert_eq!((&shown["bytes_per_second"], &shown["found_ms"]), (&pushed.into(), &measured["found_ms"]));
    assert!(!data.join("calibration").exists(), "nothing of it is left");

    let (broker, warnings) = start(&data);
    assert!(warnings.iter().all(|warning| !warning.contains("calibrate")), "{warnings:?}");
    stdout(&run(&data, &["stream", "create", "flights"]));
    let too_much = format!("{}B/s", pushed * 60 / 100 + 1);
    let refused = failure(&run(&data, &["consumer", "register", "flights", "board", "--reserve", &too_much]), 1);
    assert!(refused.contains("(measured)") && refused.contains("(error 37)"), "{refused}");
    let enough = format!("{}B/s", pushed * 60 / 100);
    let registered = stdout(&run(&data, &["consumer", "register", "flights", "board", "--reserve", &enough]));
    assert!(registered.contains("is registered and has"), "{registered}");
    drop(broker);
}

#[test]
fn a_number_is_set_by_hand_and_a_damaged_one_is_not_believed() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let text = stdout(&run(&data, &["calibrate", "--set", "200MiB/s"]));
    assert!(text.starts_with("a lane pushes 200 MiB/s (set "), "{text}");
    assert!(text.ends_with("120 MiB/s of it may be reserved\n"), "{text}");
    assert_eq!(json(&data, &["calibrate", "--show"])["found"], "set");
    for bad in ["0/s", "200", "1KiB/s", "2000000GiB/s"] {
        assert_eq!(run(&data, &["calibrate", "--set", bad]).status.code(), Some(2), "{bad}");
    }
    assert_eq!(
        json(&data, &["calibrate", "--show"])["bytes_per_second"],
        200 << 20,
        "what was refused changes nothing"
    );

    std::fs::write(data.join("capacity"), "a lot").expect("it is ours");
    let error = failure(&run(&data, &["calibrate", "--show"]), 1);
    assert!(error.contains("capacity cannot be used") && error.contains("rheos calibrate"), "{error}");
    let (broker, warnings) = start(&data);
    assert!(warnings.iter().any(|warning| warning.contains("capacity cannot be used")), "{warnings:?}");
    drop(broker);
    stdout(&run(&data, &["calibrate", "--set", "1GiB/s"]));
}

#[test]
fn a_directory_that_a_broker_has_is_left_alone() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let (broker, _) = start(&data);
    for arguments in [&["calibrate"][..], &["calibrate", "--set", "200MiB/s"]] {
        let error = failure(&run(&data, arguments), 1);
        let holder = format!("process {}", broker.process.id());
        assert!(error.contains("nothing was measured or kept") && error.contains(&holder), "{error}");
        assert!(error.contains("stop") || error.contains("for itself"), "{error}");
    }
    assert_eq!(json(&data, &["calibrate", "--show"])["found"], "assumed");
    assert!(!data.join("calibration").exists());
}

#[test]
fn ctrl_c_ends_a_measurement_and_leaves_nothing() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let mut child = rheos(&data, &["calibrate"]).stderr(Stdio::null()).spawn().expect("it is built");
    let calibration = data.join("calibration");
    let until = Instant::now() + Duration::from_secs(30);
    while !calibration.join("data").join("admin.url").exists() {
        assert!(Instant::now() < until && child.try_wait().expect("it is ours").is_none(), "it begins");
        std::thread::sleep(Duration::from_millis(10));
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!calibration.exists(), "nothing of it is left");
    assert_eq!(json(&data, &["calibrate", "--show"])["found"], "assumed");
}
