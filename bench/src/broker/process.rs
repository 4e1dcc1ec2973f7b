//! The process of a broker: started on a core, awaited, looked at, stopped or killed.
//!
//! What must hold: a process ends with its value, and its data directory with [`Data`]. What it says
//! goes to a file beside its data, and into the failure when it does not start.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::access::Access;
use crate::Failure;
use crate::machine::{Cores, disk_bytes, process_time};

/// How every broker of a run is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    /// The core of each lane.
    pub(crate) lane_cores: Vec<usize>,
    pub(crate) mtu_bound: u16,
    /// The cores that the rig had before it kept to one.
    pub(crate) cores: Cores,
}

/// A data directory of a run; gone with this value.
#[derive(Debug)]
pub(crate) struct Data {
    path: PathBuf,
}

/// A running broker.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    access: Access,
    /// From its start as a process until it said that it was ready.
    pub(crate) start_took: Duration,
}

impl Data {
    /// A new directory below `scratch`; the broker makes it.
    pub(crate) fn new(scratch: &Path, name: &str) -> Self {
        Self { path: scratch.join(format!("broker-{name}-{}", std::process::id())) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that its files take on the disk; files that go meanwhile count as nothing.
    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.path)
    }

    fn log_path(&self) -> PathBuf {
        self.path.with_extension("log")
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // What is not there need not go.
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(self.log_path());
    }
}

impl Broker {
    /// Starts a broker on `data` and waits until it is ready.
    pub(crate) fn start(launch: &Launch, data: &Data) -> Result<Self, Failure> {
        let log = File::create(data.log_path())?;
        let mut command = Command::new(&launch.program);
        command
            .args(["serve", "--output", "json", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data.path())
            .args(lane_arguments(&launch.lane_cores))
            .args(["--mtu", &launch.mtu_bound.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let cores = launch.cores.clone();
        let begun = Instant::now();
        // From a thread that may run everywhere, because a child may run where its parent does.
        let spawned = std::thread::spawn(move || cores.keep_to().map(|()| command.spawn()));
        let spawned = spawned.join().map_err(|_| "starting a process panicked")??;
        let mut child = spawned.map_err(|error| format!("cannot start {}: {error}", launch.program.display()))?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut broker = Self { child, access: nobody(), start_took: Duration::ZERO };
        let address = wait_until_ready(stdout).map_err(|why| {
            let said = fs::read_to_string(data.log_path()).unwrap_or_default();
            format!("the broker {why}; it said: {}", last_lines(&said))
        })?;
        broker.start_took = begun.elapsed();
        let url = data.path().join("admin.url");
        let url = fs::read_to_string(&url).map_err(|error| format!("cannot read {}: {error}", url.display()))?;
        broker.access = Access { address, ..Access::parse(&url)? };
        Ok(broker)
    }

    /// How to connect to it as the administrator.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The time that its process has run, on all its threads.
    pub(crate) fn ran(&self) -> Result<Duration, Failure> {
        process_time(self.child.id())
    }

    /// Its memory that is in RAM, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse::<u64>().ok());
        Ok(kib.ok_or("the kernel does not say how much memory the broker has")? << 10)
    }

    /// Bytes that it has read from files so far: what its calls read, or what the disk gave, whichever is
    /// more. The one leaves out what a ring reads, the other what was in the kernel's cache.
    pub(crate) fn read_bytes(&self) -> Result<u64, Failure> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let counter = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        Ok(counter("rchar:").max(counter("read_bytes:")).ok_or("the kernel does not say what the broker read")?)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("the broker has no process id")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_MAX;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the broker stopped with {status}").into()),
                None if Instant::now() >= deadline => {
                    return Err(format!("the broker did not stop within {} s", STOP_MAX.as_secs()).into());
                }
                None => std::thread::sleep(POLL),
            }
        }
    }

    /// Kills it, as a crash does.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // By its own id. It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a broker is told its lanes: as many as their cores, in order.
fn lane_arguments(cores: &[usize]) -> [String; 2] {
    let list: Vec<String> = cores.iter().map(usize::to_string).collect();
    [CORES_OPTION.to_owned(), list.join(",")]
}

/// A line that a broker prints for programs; the one with an address says that it is ready, unless it
/// names another event.
#[derive(Debug, Deserialize)]
struct Event {
    event: Option<String>,
    address: Option<SocketAddr>,
}

/// The address on the line that says ready; lines before it say other things.
fn wait_until_ready(stdout: ChildStdout) -> Result<SocketAddr, String> {
    let (said, ready) = mpsc::channel();
    // Goes on to read when the broker is ready, so that it can always write; ends with the broker.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = ready_address(&line) {
                let _ = said.send(address);
            }
        }
    });
    ready.recv_timeout(START_MAX).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => format!("was not ready within {} s", START_MAX.as_secs()),
        mpsc::RecvTimeoutError::Disconnected => "ended before it was ready".to_owned(),
    })
}

fn ready_address(line: &str) -> Option<SocketAddr> {
    let event: Event = serde_json::from_str(line).ok()?;
    let is_ready = event.event.is_none_or(|event| event == "ready");
    if is_ready { event.address } else { None }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join(" | ")
}

/// Stands where an access will be once the broker is ready.
fn nobody() -> Access {
    Access { address: ([0, 0, 0, 0], 0).into(), key_id: String::new(), secret: String::new(), ca_sha256: [0; 32] }
}

const CORES_OPTION: &str = "--cores";
const START_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
const LOG_LINES_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ready_line_is_ready() {
        let ready = r#"{"event":"ready","address":"127.0.0.1:4567","pid":12,"more":true}"#;
        assert_eq!(ready_address(ready), Some(([127, 0, 0, 1], 4567).into()));
        let unnamed = r#"{"address":"127.0.0.1:4567","streams":3}"#;
        assert_eq!(ready_address(unnamed), Some(([127, 0, 0, 1], 4567).into()));
        for other in ["", "listening", r#"{"event":"recovered","address":"127.0.0.1:1"}"#, r#"{"event":"ready"}"#] {
            assert_eq!(ready_address(other), None, "{other}");
        }
    }

    #[test]
    fn lanes_are_told_by_their_cores() {
        assert_eq!(lane_arguments(&[3]), [CORES_OPTION, "3"]);
        assert_eq!(lane_arguments(&[3, 5]), [CORES_OPTION, "3,5"]);
    }

    #[test]
    fn a_program_that_does_not_start_is_named() {
        let scratch = tempfile::tempdir().expect("there is a temporary directory");
        let cores = Cores::now().expect("the kernel says");
        let data = Data::new(scratch.path(), "test");
        let mut launch = Launch { program: "/nowhere/rheos".into(), lane_cores: vec![0], mtu_bound: 1452, cores };
        let failure = Broker::start(&launch, &data).expect_err("it is not there").to_string();
        assert!(failure.contains("/nowhere/rheos"), "{failure}");
        launch.program = "/bin/ls".into();
        let failure = Broker::start(&launch, &data).expect_err("it is no broker").to_string();
        assert!(failure.contains("ended before it was ready"), "{failure}");
        drop(data);
        assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 0, "nothing stays");
    }
}
