//! A process that ends with the one that started it, in whatever way that ends.
//!
//! The kernel sees to it: it kills this process when its parent is gone, be it by a panic or by SIGKILL. The
//! parent's thread that started this process must live as long as the parent does, because the kernel goes
//! by threads.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::Failure;

/// From now on this process lives no longer than its parent, process `parent`.
///
/// # Errors
///
/// When the parent is gone already.
pub(crate) fn end_with(parent: u32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::new(format!("cannot ask the kernel to end this process with its parent: {error}")))?;
    // It may have ended before the kernel was asked.
    match getppid().map(Pid::as_raw_nonzero) {
        Some(found) if u32::try_from(found.get()) == Ok(parent) => Ok(()),
        _ => Err(Failure::new(format!("process {parent}, which this one was started to serve, is gone"))),
    }
}
