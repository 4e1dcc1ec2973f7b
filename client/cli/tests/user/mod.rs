//! Somebody who types commands.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::said::stdout;

/// A user with a home of its own and nothing said in the environment.
pub(crate) struct User {
    pub(crate) home: TempDir,
}

#[allow(dead_code, reason = "no test needs all of it")]
impl User {
    pub(crate) fn new() -> User {
        User { home: tempfile::tempdir().unwrap() }
    }

    /// A user who has a context of this connection string in use.
    pub(crate) fn of(url: &str) -> User {
        let user = User::new();
        stdout(&user.run(&["context", "add", "here", url]));
        user
    }

    /// A command in the home, with an empty input.
    pub(crate) fn rheos(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
        for name in ["RHEOS_URL", "RHEOS_DATA", "RHEOS_CONTEXT", "RHEOS_CONFIG_DIR", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).current_dir(self.home.path()).stdin(Stdio::null()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.rheos(arguments).output().unwrap()
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.rheos(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The JSON objects that a command printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[arguments, &["--output", "ndjson"]].concat());
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes a file in the home and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Where contexts are kept.
    pub(crate) fn config(&self) -> PathBuf {
        self.home.path().join(".config/rheos")
    }
}
