//! Directories on the disk under test, and children that can be killed.
//!
//! A child is this test binary again, told by its environment to play a role: that is another process
//! with locks and a life of its own, without a binary made for tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const ROLE: &str = "RHEOS_TEST_ROLE";
const PLACE: &str = "RHEOS_TEST_PLACE";
const SAID: &str = "the child says: ";

/// A directory beside the build, on a disk rather than in memory.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build directory is writable")
}

/// The role that this process is to play, and where; `None` in the test run itself.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(PLACE)?.into()))
}

/// Tells the parent a word.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{SAID}{word}").and_then(|()| out.flush()).expect("the parent reads");
}

/// Tells the parent that the role is played, and stays until the parent lets go or kills.
pub(crate) fn ready(word: &str) {
    say(word);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A child that plays a role; killed when dropped.
pub(crate) struct Player(Child);

impl Player {
    /// Starts this binary's test `child` in a role.
    pub(crate) fn start(role: &str, place: &Path) -> Player {
        let child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PLACE, place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        Player(child)
    }

    /// Waits until the child has played its role, and returns its word.
    pub(crate) fn word(&mut self) -> String {
        self.words().next().expect("the child plays its role")
    }

    /// What the child says, word after word, until it ends.
    pub(crate) fn words(&mut self) -> impl Iterator<Item = String> + use<> {
        let out = self.0.stdout.take().expect("it is asked once");
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        lines.filter_map(|line| Some(line.split_once(SAID)?.1.to_owned()))
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_some()
    }

    /// SIGKILL; returns when the process is gone, and its locks with it.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
    }
}

/// Everything below a directory that a writer would change: times, sizes, permissions, content.
pub(crate) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, (i64, i64, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path).expect("nobody removes it");
        let content = if metadata.is_dir() { Vec::new() } else { fs::read(&path).expect("it is readable") };
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("it is readable").map(|entry| entry.expect("so is this").path()));
        }
        let changed = metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec();
        let modified = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        found.insert(path, (modified, changed, metadata.mode(), content));
    }
    found
}

/// How many files and directories lie below a directory, which others may be changing.
pub(crate) fn entries_below(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.flatten().map(|entry| 1 + entries_below(&entry.path())).sum()
}
