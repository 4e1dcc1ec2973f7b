//! Brokers in processes of their own, to be killed, stopped, paused and started again.
//!
//! What must hold: a broker never outlives the value that stands for it; one that aborts fails its test; a data directory lies on the
//! disk, never in memory, and goes with its [`Place`]; when a test fails, what its broker said last is
//! shown.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rheos_client::{Client, ConnectOptions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a broker may take to be ready, or to end when it was told to. Far more than it does.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a broker that are shown when a test fails.
const LINES_SHOWN: usize = 40;

/// Where a broker lives: its program, its data directory, its port.
#[derive(Debug)]
pub struct Place {
    program: PathBuf,
    launcher: Vec<String>,
    flags: Vec<String>,
    scratch: TempDir,
    data: PathBuf,
    listen: SocketAddr,
    starts: usize,
}

impl Place {
    /// A place for the program below `scratch`, a directory on a disk: from an integration test
    /// `env!("CARGO_BIN_EXE_test-broker")` and `env!("CARGO_TARGET_TMPDIR")`.
    ///
    /// # Panics
    /// When no directory can be made there.
    pub fn new(program: &str, scratch: &str) -> Place {
        fs::create_dir_all(scratch).expect("the build directory is writable");
        let scratch = tempfile::tempdir_in(scratch).expect("the build directory is writable");
        let data = scratch.path().join("data");
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Place { program: program.into(), launcher: Vec::new(), flags: Vec::new(), scratch, data, listen, starts: 0 }
    }

    /// The same place with a flag for the program.
    pub fn with_flag(mut self, flag: &str) -> Place {
        self.flags.push(flag.to_owned());
        self
    }

    /// The same place, whose program is started by another, which becomes it in the end.
    pub fn with_launcher(mut self, launcher: &[&str]) -> Place {
        self.launcher = launcher.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// The same place with its data elsewhere.
    pub fn with_data(mut self, data: impl Into<PathBuf>) -> Place {
        self.data = data.into();
        self
    }

    /// The same place, listening there.
    pub fn with_listen(mut self, listen: SocketAddr) -> Place {
        self.listen = listen;
        self
    }

    /// From the next start on with so many lanes.
    pub fn set_lanes(&mut self, lanes: u16) {
        self.set_flag("--lanes", Some(&lanes.to_string()));
    }

    /// From the next start on with a flag `NAME=VALUE`, in place of one of that name; or without it.
    pub fn set_flag(&mut self, name: &str, value: Option<&str>) {
        self.flags.retain(|flag| flag.strip_prefix(name).is_none_or(|rest| !rest.starts_with('=')));
        self.flags.extend(value.map(|value| format!("{name}={value}")));
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A directory for other things of the test, removed with the place.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts a broker and waits until it is ready. The first one chooses the port, later ones keep it.
    ///
    /// # Panics
    /// When it does not start; with what it said.
    pub fn start(&mut self) -> Broker {
        self.try_start().unwrap_or_else(|failed| panic!("the broker did not start ({}): {}", failed.0, failed.1))
    }

    /// As [`start`](Self::start), for a broker that may refuse.
    ///
    /// # Errors
    /// How the process ended, and what it said.
    pub fn try_start(&mut self) -> Result<Broker, (ExitStatus, String)> {
        let mut broker = self.begin_start();
        broker.wait_ready()?;
        self.listen = broker.address();
        Ok(broker)
    }

    /// Starts a broker and waits for nothing.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn begin_start(&mut self) -> Broker {
        self.starts += 1;
        let path = self.scratch.path().join(format!("stderr-{}", self.starts));
        let stderr = File::create(&path).expect("the scratch directory is writable");
        let said = File::open(&path).expect("it was just made");
        let program = self.program.to_str().expect("cargo gives a path in UTF-8").to_owned();
        let mut command = self.launcher.clone();
        command.push(program);
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .arg(&self.data)
            .arg(self.listen.to_string())
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program is built");
        let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
        let (tell, ready) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // Whoever waited may have killed the broker and gone.
            if out.read_line(&mut line).is_ok_and(|len| len > 0) {
                let _ = tell.send(line);
            }
        });
        let admin_url = self.data.join("admin.url");
        Broker { process, ready, address: None, said, admin_url, dev: self.flags.iter().any(|flag| flag == "--dev") }
    }
}

/// A broker's process; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    process: Child,
    ready: Receiver<String>,
    address: Option<SocketAddr>,
    /// Stays open, so that it can be shown when its directory is gone.
    said: File,
    admin_url: PathBuf,
    dev: bool,
}

impl Broker {
    /// Where it listens.
    ///
    /// # Panics
    /// Before it is ready.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("it is ready")
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        let (mut file, mut said) = (&self.said, Vec::new());
        file.rewind().and_then(|()| file.read_to_end(&mut said)).expect("it is open");
        String::from_utf8_lossy(&said).into_owned()
    }

    /// How to connect to it.
    ///
    /// # Panics
    /// When its data directory has no connection string.
    pub fn connect_options(&self) -> ConnectOptions {
        if self.dev {
            return ConnectOptions::dev(self.address()).expect("tests listen on loopback");
        }
        ConnectOptions::from_file(&self.admin_url).expect("a ready broker has written it")
    }

    /// A client of it.
    ///
    /// # Panics
    /// When it cannot connect.
    pub async fn client(&self) -> Client {
        Client::connect(self.connect_options()).await.unwrap_or_else(|error| panic!("{error}\n{}", self.said()))
    }

    /// Waits until it is ready, or has ended.
    ///
    /// # Errors
    /// How it ended, and what it said.
    ///
    /// # Panics
    /// When neither happens for a minute.
    pub fn wait_ready(&mut self) -> Result<(), (ExitStatus, String)> {
        match self.ready.recv_timeout(PATIENCE) {
            Ok(line) => {
                let address = line.trim().strip_prefix("ready ").and_then(|text| text.parse().ok());
                self.address = Some(address.unwrap_or_else(|| panic!("the broker said {line:?}")));
                Ok(())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = self.wait();
                Err((status, self.said()))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("the broker is not ready after {PATIENCE:?}:\n{}", self.said())
            }
        }
    }

    /// Kills it as a power cut would kill it, and waits until the process is gone. What it said is returned.
    pub fn kill(mut self) -> String {
        self.signal(Signal::KILL);
        self.process.wait().expect("it is our child");
        self.said()
    }

    /// Kills it and does not wait until it is gone.
    pub fn begin_kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Tells it to stop and waits until it has. What it said is returned.
    ///
    /// # Panics
    /// When it does not stop, or not with success.
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.wait();
        let said = self.said();
        assert!(status.success(), "the broker ended with {status}:\n{said}");
        said
    }

    /// Tells it to stop, or to do at once what it does, and waits for nothing.
    pub fn begin_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended. How, and what it said, is returned.
    ///
    /// # Panics
    /// When it does not end for a minute.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.wait();
        (status, self.said())
    }

    /// Holds its process until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its memory that is in use now, in bytes.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a live process has memory");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("the kernel says a number");
        kib << 10
    }

    /// Whether the process is still there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.process.id() as i32).expect("a process has a number");
        // It is not reaped yet, so the number is still its own.
        kill_process(process, signal).expect("it is our child");
    }

    fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the broker did not end within {PATIENCE:?}:\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Broker {
    #[allow(clippy::print_stderr, reason = "a failed test shows what its broker said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let has_aborted = self.process.wait().is_ok_and(|status| status.signal() == Some(Signal::ABORT.as_raw()));
        if thread::panicking() || has_aborted {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            eprintln!("the broker, process {}, said last:\n{shown}", self.process.id());
            assert!(thread::panicking() || !has_aborted, "the broker aborted");
        }
    }
}
