//! A broker that is the binary itself, and the binary's commands beside it.
#![allow(dead_code, reason = "no test needs all of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A running broker; it is killed when the test ends before it stopped.
pub(crate) struct Broker {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Broker {
    pub(crate) fn start(data: &Path, listen: &str) -> Broker {
        Broker::start_with(data, listen, &[]).0
    }

    /// The same with more arguments; also gives what the broker said of itself.
    pub(crate) fn start_with(data: &Path, listen: &str, arguments: &[&str]) -> (Broker, Value) {
        Broker::serve(data, &[&["--dev", "--listen", listen], arguments].concat())
    }

    /// A broker with these arguments alone; also gives what it said of itself.
    pub(crate) fn serve(data: &Path, arguments: &[&str]) -> (Broker, Value) {
        let mut command = rheos(data, &[&["serve", "--output", "json"], arguments].concat());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the broker says that it is ready, or why not above");
        let address = ready["address"].as_str().unwrap().to_owned();
        (Broker { process, address }, ready)
    }

    pub(crate) fn kill(mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.address.clone()
    }

    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(told.success() && self.process.wait().unwrap().success(), "a told broker stops with success");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn rheos(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
    command.args(arguments).arg("--data").arg(data).env_remove("RHEOS_URL").env_remove("RHEOS_DATA");
    command.stdin(Stdio::null());
    command
}

pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    rheos(data, arguments).output().unwrap()
}
