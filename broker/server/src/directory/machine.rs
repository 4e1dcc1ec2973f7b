//! What the kernel must offer: Linux 5.19, and an io_uring for this process.
//!
//! Asked once, before the data directory is opened, so that a machine that will not do is told so
//! in one line rather than by a lane that fails. Offline tools do not ask.

use std::fs;
use std::io;

use io_uring::IoUring;
use rustix::io::Errno;
use rustix::system::uname;

use crate::start_error::StartError;

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
    let release = uname().release().to_string_lossy().into_owned();
    if !is_recent(&release) {
        return Err(StartError::KernelTooOld { release });
    }
    match IoUring::new(TRIAL_ENTRIES) {
        Ok(_) => Ok(()),
        Err(source) if is_denial(&source) => Err(StartError::IoUringDenied { sysctl: sysctl(), source }),
        Err(source) => Err(StartError::IoUringFailed { source }),
    }
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
