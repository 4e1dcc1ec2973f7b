//! `rheos demo` as a newcomer runs it: what it proves, what it leaves, and how it ends.

mod said;
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::statfs;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::termios::LocalModes;
use said::{failure, stdout};
use serde_json::Value;
use tempfile::TempDir;
use terminal::OnTerminal;

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds of a demo that is waited for, and of one that is ended.
const SHORT: &str = "4";
const LONG: &str = "60";
/// The number by which the kernel knows a file system in memory.
const TMPFS: i64 = 0x0102_1994;

/// A directory on the disk to run demos in.
fn ground() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn demo(ground: &Path, seconds: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
    command.arg("demo").args(["--seconds", seconds, "--rate", "400"]).args(arguments).current_dir(ground);
    // What the environment says of other brokers is not for the demo and its own.
    command.env("RHEOS_DATA", "/nowhere").env("RHEOS_URL", "rheos://of:another@broker");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a demo that is as short as it can be.
fn run(ground: &Path, arguments: &[&str]) -> Output {
    demo(ground, SHORT, arguments).output().unwrap()
}

fn entries(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

fn report(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("the report is one object")
}

/// What a report says of each witness: its records and everything that is wrong.
fn witnesses(report: &Value) -> Vec<(String, u64, u64)> {
    let wrong = ["duplicates", "out_of_order", "missing", "altered", "unknown"];
    let of = |witness: &Value| {
        let wrong = wrong.iter().map(|fault| witness[fault].as_u64().expect("it is a count")).sum();
        (witness["name"].as_str().unwrap().to_owned(), witness["records"].as_u64().unwrap(), wrong)
    };
    report["witnesses"].as_array().unwrap().iter().map(of).collect()
}

/// A demo that runs, and its broker's process.
struct Running {
    demo: Child,
    broker: Pid,
}

impl Running {
    /// Starts a demo, and waits until its standard error has told what holds `awaited`.
    fn start(ground: &Path, awaited: &str) -> Running {
        let mut demo = demo(ground, LONG, &[]).spawn().unwrap();
        let (mut lines, mut broker) = (BufReader::new(demo.stderr.take().unwrap()).lines(), None);
        for line in lines.by_ref().map(Result::unwrap) {
            if let Some((_, rest)) = line.split_once("broker (process ") {
                let pid = rest.split_once(')').unwrap().0.parse().unwrap();
                broker = Pid::from_raw(pid);
            }
            if line.contains(awaited) {
                // Nobody may be held up by a pipe that is full.
                thread::spawn(move || lines.for_each(drop));
                return Running { demo, broker: broker.expect("the broker was named before") };
            }
        }
        panic!("the demo never said {awaited:?}: {:?}", demo.wait_with_output());
    }

    fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.demo), signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.demo.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process).is_err()
}

#[test]
fn it_proves_what_it_promises_and_leaves_nothing_behind() {
    let ground = ground();
    let output = run(ground.path(), &["--output", "json"]);
    let report = report(&output);
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((report["proved"].as_bool(), number("put"), number("acknowledged")), (Some(true), 1_360, 1_360));
    assert!(number("acknowledged_before_kill") > 100 && number("acknowledged_after_kill") > 100, "{report}");
    assert_eq!(number("acknowledged_before_kill") + number("acknowledged_after_kill"), 1_360);
    let expected = ["alerts", "archive", "read back by polling"].map(|name| (name.to_owned(), 1_360, 0));
    assert_eq!(witnesses(&report), expected);
    // It was dead for a 25th of the time, and no ack came meanwhile.
    assert!(report["outage"]["without_ack_ms"].as_u64().unwrap() >= 160, "{report}");
    assert!(report["consumers"][1]["farthest_behind"]["records"].as_u64().unwrap() > 100, "the slow one fell behind");
    assert!(report["put_to_ack"]["usual"]["p99_us"].as_f64().unwrap() > 0.0);
    assert_eq!(entries(ground.path()), [""; 0]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("SIGKILL") && told.contains("has recovered") && !told.contains('\x1b'), "{told}");
}

#[test]
fn its_words_are_plain_where_there_is_no_terminal() {
    let ground = ground();
    let output = run(ground.path(), &[]);
    let text = stdout(&output);
    assert!(
        text.trim_end().ends_with("PROVED: every acknowledged record came back once, in order, unchanged"),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80 && !line.contains('\x1b'), "{line:?}");
    }
    let of = |title: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(title)).unwrap_or_else(|| panic!("{text}"));
        line.trim_start().trim_start_matches(title).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("acknowledged")[0], "1,360");
    for witness in ["pushed to alerts", "pushed to archive", "read back by polling"] {
        assert_eq!(of(witness), ["1,360", "0", "0", "0", "0"]);
    }
    assert_eq!((of("indeterminate"), of("refused")), (vec!["0".to_owned()], vec!["0".to_owned()]));
}

#[test]
fn two_at_once_keep_apart_and_what_is_kept_can_be_verified() {
    let ground = ground();
    fs::write(ground.path().join("mine"), "precious").unwrap();
    let demos: Vec<Child> =
        (0..2).map(|_| demo(ground.path(), SHORT, &["--keep", "--output", "json"]).spawn().unwrap()).collect();
    let mut kept: Vec<String> = Vec::new();
    for demo in demos {
        let report = report(&demo.wait_with_output().unwrap());
        assert_eq!(report["proved"].as_bool(), Some(true));
        kept.push(report["kept"].as_str().unwrap().to_owned());
    }
    kept.sort_unstable();
    assert_eq!(kept, ["rheos-demo-2/data", "rheos-demo/data"]);
    assert_eq!(entries(ground.path()), ["mine", "rheos-demo", "rheos-demo-2"]);
    for data in kept {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_rheos"));
        let output = verify.args(["verify", "--output", "json", "--data", &data]).current_dir(ground.path()).output();
        let verified: Value = serde_json::from_str(&stdout(&output.unwrap())).unwrap();
        let logs = verified["streams"][0]["logs"].as_array().unwrap();
        assert_eq!(logs.iter().map(|log| log["records"].as_u64().unwrap()).sum::<u64>(), 1_360);
    }
}

#[test]
fn a_file_can_be_put_in_place_of_trades() {
    let ground = ground();
    let write = |name: &str, text: &str| fs::write(ground.path().join(name), text).unwrap();
    write("flights.csv", "carrier,flight\nAA,1141\nUA,\"17\n14\"\nB6,725\n");
    let with = |file: &str| run(ground.path(), &["--input", file, "--key-from", "carrier", "--output", "json"]);
    let report = report(&with("flights.csv"));
    assert_eq!((report["proved"].as_bool(), report["records"].as_str()), (Some(true), Some("rows of flights.csv")));
    assert_eq!(report["put_bytes"].as_u64(), Some(1_360 * (7 + 10 + 6) / 3));

    write("wrong.csv", "carrier,flight\nAA,1141\n,1714\n");
    let failed = failure(&with("wrong.csv"), 1);
    assert!(failed.starts_with("error: wrong.csv line 3: the partition key is empty"), "{failed}");
    assert!(failure(&with("nowhere.csv"), 1).contains("nowhere.csv"), "what is not there is named");
    assert_eq!(entries(ground.path()), ["flights.csv", "wrong.csv"], "what cannot be put leaves nothing");
    assert_eq!(run(ground.path(), &["--key-from", "carrier"]).status.code(), Some(2));
}

#[test]
fn an_interrupt_ends_it_cleanly() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let ground = ground();
        let mut running = Running::start(ground.path(), "warm up: put");
        running.tell(signal);
        assert_eq!(running.code(), Some(code));
        assert!(is_gone(running.broker));
        assert_eq!(entries(ground.path()), [""; 0]);
    }
}

#[test]
fn its_broker_does_not_outlive_it_even_when_it_is_killed() {
    let ground = ground();
    let mut running = Running::start(ground.path(), "warm up: put");
    assert!(!is_gone(running.broker));
    running.tell(Signal::KILL);
    assert_eq!(running.code(), None);
    wait_for("the broker ends with the demo", || is_gone(running.broker));
    // Nobody was left to remove it, and the next demo takes another.
    assert_eq!(entries(ground.path()), ["rheos-demo"]);
}

#[test]
fn a_broker_that_dies_for_good_fails_it() {
    let ground = ground();
    let mut demo = demo(ground.path(), LONG, &[]).spawn().unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines().map(Result::unwrap);
    let served = lines.find(|line| line.contains("serves at")).unwrap();
    let pid: i32 = served.split_once("(process ").unwrap().1.split_once(')').unwrap().0.parse().unwrap();
    lines.find(|line| line.contains("warm up: put")).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let last = lines.last().unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    let expected = format!("error: the broker (process {pid}) was killed by somebody else (SIGKILL)");
    assert!(last.starts_with(&expected) && last.ends_with("(kept for a look: rheos-demo)"), "{last}");
    assert_eq!(entries(ground.path()), ["rheos-demo"]);
}

#[test]
fn it_takes_no_directory_that_will_not_do() {
    let ground = ground();
    fs::create_dir(ground.path().join("there")).unwrap();
    let taken = failure(&run(ground.path(), &["--dir", "there"]), 1);
    assert!(taken.contains("there") && taken.contains("choose a new one: rheos demo --dir DIR"), "{taken}");
    assert_eq!(entries(&ground.path().join("there")), [""; 0]);
    for typed in [["--data", "x"], ["--url", "dev:127.0.0.1:1"], ["--context", "x"]] {
        let refused = failure(&run(ground.path(), &typed), 2);
        assert!(refused.contains("--dir"), "{refused}");
    }
    let mut many = Command::new(env!("CARGO_BIN_EXE_rheos"));
    let many = many.args(["demo", "--seconds", "3600", "--rate", "5000"]).current_dir(ground.path()).output().unwrap();
    assert!(failure(&many, 2).contains("lower --rate or --seconds"), "{many:?}");

    // Where there is no file system in memory at the usual place, none can be refused.
    let memory = Path::new("/dev/shm");
    if statfs(memory).is_ok_and(|about| about.f_type == TMPFS) {
        let directory = memory.join(format!("rheos-demo-{}", std::process::id()));
        let refused = failure(&run(ground.path(), &["--dir", directory.to_str().unwrap()]), 1);
        assert!(refused.contains("is gone when the machine stops; choose a directory on a disk"), "{refused}");
        assert!(!directory.exists());
    }
}

#[test]
fn a_terminal_is_drawn_on_and_given_back() {
    let ground = ground();
    let mut terminal = OnTerminal::start(demo(ground.path(), LONG, &[]));
    terminal.wait_for("rate/s");
    assert!(!terminal.settings().local_modes.contains(LocalModes::ICANON), "keys come one by one");
    terminal.press("\x03");
    let (code, last) = terminal.end();
    assert_eq!(code, Some(130));
    assert!(last.contains("\x1b[?25h"), "the cursor is shown again: {last:?}");
    assert_eq!(entries(ground.path()), [""; 0]);
}
