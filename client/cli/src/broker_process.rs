//! A broker of a command's own, for the demo or to measure: this same program, in another process.
//!
//! What must hold: it never outlives the command, however that ends; nothing of the user's environment
//! configures it; when it ends by itself, what it said last is told.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::failure::Failure;

/// How long a broker that was told to stop may take.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether it has stopped.
const STOP_POLL: Duration = Duration::from_millis(10);
/// Most bytes of what the broker has said that are looked through for its last words.
const LAST_WORDS_BYTES_MAX: usize = 64 << 10;

/// A broker that runs, or has ended and was not looked at yet. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    child: Child,
    said: Receiver<String>,
    log: PathBuf,
    ready: Option<Ready>,
}

/// What the broker says when clients can connect.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
    pub(crate) started_ms: u64,
    pub(crate) lanes: u64,
    pub(crate) warnings: Vec<String>,
}

impl BrokerProcess {
    /// Starts a broker with its data there, with these flags, which writes to a log what it has to say. To be called
    /// on the main thread, with which the broker ends.
    pub(crate) fn start(
        data: &Path,
        log: PathBuf,
        listen: SocketAddr,
        flags: &[&str],
    ) -> Result<BrokerProcess, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("cannot start a broker: {error}"));
        let stderr = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = command(&program, data, listen).args(flags).stderr(stderr).spawn().map_err(failed)?;
        let stdout = child.stdout.take().expect("it is piped");
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // Nobody listens when the command has given up.
            if BufReader::new(stdout).read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                let _ = say.send(line);
            }
        });
        Ok(BrokerProcess { child, said, log, ready: None })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said when it was ready; `None` while it is not.
    ///
    /// # Errors
    ///
    /// When it has ended instead.
    pub(crate) fn ready(&mut self) -> Result<Option<Ready>, Failure> {
        if self.ready.is_none() {
            match self.said.try_recv() {
                Ok(line) => self.ready = Some(ready(&line).ok_or_else(|| self.strange(&line))?),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.check()?,
            }
        }
        Ok(self.ready.clone())
    }

    /// # Errors
    ///
    /// When it has ended, with its last words.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(Failure::new(format!("cannot look after the broker: {error}"))),
        }
    }

    /// Kills it with SIGKILL, and waits until nothing of it is left.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not stop cleanly.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        self.check()?;
        // It may be ending at this moment; then the wait below sees it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.ended(status)),
                _ => tokio::time::sleep(STOP_POLL).await,
            }
        }
        Err(Failure::new(format!("the broker (process {}) does not stop within {STOP_MAX:?}", self.pid())))
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let how = match (status.signal(), status.code()) {
            (Some(9), _) => "was killed by somebody else (SIGKILL)".to_owned(),
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, code) => format!("ended by itself with exit code {}", code.unwrap_or_default()),
        };
        let words = last_words(&self.log).map_or_else(String::new, |words| format!("; its last words: {words}"));
        Failure::new(format!("the broker (process {}) {how}{words}", self.pid()))
    }

    fn strange(&self, line: &str) -> Failure {
        Failure::new(format!("the broker (process {}) said something strange: {}", self.pid(), line.trim_end()))
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(program: &Path, data: &Path, listen: SocketAddr) -> Command {
    let mut command = Command::new(program);
    // What is set for another broker on this machine is not meant for this one.
    command.args(["serve", "--output", "json", "--config", "/dev/null"]).arg("--data").arg(data);
    command.arg("--listen").arg(listen.to_string()).arg("--end-with").arg(std::process::id().to_string());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RHEOS_")) {
        command.env_remove(name);
    }
    // A group of its own: Ctrl-C on the terminal is for the command, which ends the broker itself.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn ready(line: &str) -> Option<Ready> {
    let said: Value = serde_json::from_str(line).ok()?;
    let warnings = said["warnings"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Ready {
        address: said["address"].as_str()?.parse().ok()?,
        started_ms: said["started_ms"].as_u64()?,
        lanes: said["lanes"].as_u64()?,
        warnings,
    })
}

/// The last line of a log.
fn last_words(log: &Path) -> Option<String> {
    let length = File::open(log).and_then(|file| file.metadata()).ok()?.len();
    if length > LAST_WORDS_BYTES_MAX as u64 {
        return Some(format!("in {}", log.display()));
    }
    let text = fs::read_to_string(log).ok()?;
    text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ready_broker_says_is_understood() {
        let line = r#"{"event":"ready","address":"127.0.0.1:4567","started_ms":12,"lanes":1,"warnings":["a"]}"#;
        let said = ready(line).expect("it is understood");
        assert_eq!(
            (said.address.port(), said.started_ms, said.lanes, said.warnings),
            (4567, 12, 1, vec!["a".to_owned()])
        );
        assert!(ready("hello").is_none() && ready("{}").is_none());
    }
}
