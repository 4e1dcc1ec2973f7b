//! What the kernel must offer: Linux 5.19, and an io_uring for this process.
//!
//! Asked once, before the data directory is opened, so that a machine that will not do is told so
//! in one line rather than by a lane that fails. Offline tools do not ask.

use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};
use rustix::io::Errno;
use rustix::system::uname;

use crate::finding::Finding;
use crate::start_error::StartError;

const KERNEL: &str = "kernel";
const IO_URING: &str = "io_uring";
/// The oldest kernel that has everything the lanes use.
const KERNEL_LEAST: (u32, u32) = (5, 19);
/// Entries of the ring that is made to see whether one can be made.
const TRIAL_ENTRIES: u32 = 4;

/// Looks whether a broker can run on this machine at all.
///
/// # Errors
///
/// [`StartError::KernelTooOld`], [`StartError::IoUringDenied`] or [`StartError::IoUringFailed`].
pub fn check_machine() -> Result<(), StartError> {
    kernel()?;
    io_uring().map(drop)
}

/// Looks at the kernel's age.
pub(crate) fn kernel() -> Result<Finding, StartError> {
    let release = uname().release().to_string_lossy().into_owned();
    match is_recent(&release) {
        true => Ok(Finding::ok(KERNEL, format!("Linux {release}"))),
        false => Err(StartError::KernelTooOld { release }),
    }
}

/// Looks whether a ring can be made that does what the lanes want of it.
pub(crate) fn io_uring() -> Result<Finding, StartError> {
    let mut probe = Probe::new();
    let tried = IoUring::new(TRIAL_ENTRIES).and_then(|ring| ring.submitter().register_probe(&mut probe));
    tried.map_err(|source| match is_denial(&source) {
        true => StartError::IoUringDenied { sysctl: sysctl(), source },
        false => StartError::IoUringFailed { source },
    })?;
    if let Some((_, name)) = OPERATIONS.into_iter().find(|(code, _)| !probe.is_supported(*code)) {
        let source = io::Error::new(io::ErrorKind::Unsupported, format!("it has no operation to {name}"));
        return Err(StartError::IoUringDenied { sysctl: sysctl(), source });
    }
    let filtered = if is_filtered() { ", and this process's seccomp filter lets it pass" } else { "" };
    Ok(Finding::ok(IO_URING, format!("allowed (kernel.io_uring_disabled = {}){filtered}", sysctl())))
}

/// What the rings are asked to do.
const OPERATIONS: [(u8, &str); 3] =
    [(opcode::Write::CODE, "write"), (opcode::Read::CODE, "read"), (opcode::PollAdd::CODE, "poll")];

/// Whether a seccomp filter stands between this process and the kernel.
fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

/// A release that is not numbered as Linux is gets the benefit of the doubt.
fn is_recent(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= KERNEL_LEAST,
        _ => true,
    }
}

fn is_denial(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS))
}

fn sysctl() -> String {
    match fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
        Ok(value) => value.trim().to_owned(),
        Err(_) => "not known to this kernel".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, recent) in [
            ("5.19.0-50-generic", true),
            ("5.18.19", false),
            ("5.2.0", false),
            ("4.19.0", false),
            ("6.1.0-18-amd64", true),
            ("10.0", true),
            ("5.19", true),
            ("5.19-rc1", true),
            ("strange", true),
        ] {
            assert_eq!(is_recent(release), recent, "{release}");
        }
    }
}
