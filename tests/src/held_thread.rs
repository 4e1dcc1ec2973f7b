//! One thread of another process, held where it is while the others go on: what a thread that is stuck looks like
//! to them.
//!
//! What must hold: the thread goes on, or its process may end, when the value is dropped or the process is killed.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How often it is looked whether the thread still is.
const LOOK: Duration = Duration::from_millis(5);

/// A thread that is held until this is dropped.
#[derive(Debug)]
pub struct HeldThread {
    release: Option<Sender<()>>,
    /// The one thread that may speak to the held one.
    holder: Option<JoinHandle<()>>,
}

impl HeldThread {
    /// Holds the thread of this name of a child process.
    ///
    /// # Panics
    /// When there is no such thread, or the system does not let it be held.
    pub fn hold(process: u32, name: &str) -> HeldThread {
        let thread = thread_named(process, name).unwrap_or_else(|| panic!("process {process} has no thread {name}"));
        let (release, released) = mpsc::channel();
        let (tell, held) = mpsc::channel();
        let holder = thread::spawn(move || {
            ptrace::seize(thread, Options::empty()).expect("a parent may trace its child");
            ptrace::interrupt(thread).expect("it was just seized");
            let held = waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it is traced");
            tell.send(()).expect("it is waited for");
            assert!(matches!(held, WaitStatus::PtraceEvent(..)), "it was to be held, and is {held:?}");
            loop {
                match released.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    // It may have gone meanwhile.
                    _ => {
                        let _ = ptrace::detach(thread, None);
                        return;
                    }
                }
                // A thread that was killed is not gone before whoever traces it has looked.
                let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
                if !matches!(waitpid(thread, Some(flags)), Ok(WaitStatus::StillAlive | WaitStatus::PtraceEvent(..))) {
                    return;
                }
            }
        });
        held.recv().expect("the thread is held");
        HeldThread { release: Some(release), holder: Some(holder) }
    }
}

impl Drop for HeldThread {
    fn drop(&mut self) {
        drop(self.release.take());
        drop(self.holder.take().map(JoinHandle::join));
    }
}

fn thread_named(process: u32, name: &str) -> Option<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let is_it = fs::read_to_string(task.path().join("comm")).is_ok_and(|found| found.trim() == name);
        is_it.then(|| task.file_name().to_str()?.parse().ok().map(Pid::from_raw))?
    })
}
