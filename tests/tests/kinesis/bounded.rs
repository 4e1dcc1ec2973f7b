//! Programs that are run to their end, within a bound.
//!
//! What must hold: no test waits for ever, neither for a program nor for what it started; so output goes to files, which
//! nobody who lives on can keep open for a reader.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How a program ended.
pub(crate) struct Ended {
    /// None when it had to be killed, with all that it started.
    pub(crate) status: Option<ExitStatus>,
    /// Its standard output.
    pub(crate) said: String,
    /// Its standard error.
    pub(crate) complaint: String,
}

/// Runs a program for no longer than `patience`.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(command: &mut Command, patience: Duration) -> std::io::Result<Ended> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let child =
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?).process_group(0).spawn()?;
    let status = end_of(child, patience);
    Ok(Ended { status, said: text_of(&mut out), complaint: text_of(&mut err) })
}

fn end_of(mut child: Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let group = Pid::from_raw(child.id() as i32).expect("a process has a number");
    kill_process_group(group, Signal::KILL).expect("it is our child's own");
    child.wait().expect("it is our child");
    None
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("it was made above");
    String::from_utf8_lossy(&bytes).into_owned()
}
