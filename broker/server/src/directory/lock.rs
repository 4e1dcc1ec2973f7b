//! Locks: the directory's, which answers at once, and a segment's, which is waited for.
//!
//! They are different cases. A directory is in use while a broker runs, and waiting would only hide
//! a mistake; only one that was killed is waited for. A segment is locked also after its broker was killed, for as long as the kernel still
//! has writes of it in flight: the lock belongs to the open file, and each write keeps that open.
//!
//! What must hold: a process that does not get a lock has changed nothing; nobody waits without a
//! deadline. The lock is the file's, so a duplicate of its descriptor holds it too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::FILE_MODE;
use super::layout::Layout;
use crate::durable;
use crate::start_error::StartError;

/// How often a segment's lock is tried.
pub const LOCK_POLL: Duration = Duration::from_millis(10);
/// What stands in `LOCK` before the number of the process.
const HOLDER: &str = "rheos process ";
/// More than the file ever holds.
const HOLDER_BYTES_MAX: u64 = 64;

/// Why a segment's lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum SegmentLockError {
    /// Somebody else still had it at the deadline.
    #[error(
        "{} is still being written by a previous process after {} s; see whether that process hangs on its disk, and \
         start again when it is gone",
        path.display(),
        waited.as_secs()
    )]
    Held {
        /// The segment.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The system refused.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the lock of a segment, trying every [`LOCK_POLL`] for as long as `wait_max`.
///
/// `path` is only for messages. `on_wait` is called when the waiting begins and then about once a
/// second, with how long it has been; [`waiting_message`] is what to say then. Blocks; for the file
/// thread.
///
/// # Errors
///
/// When the time is over, or the system refuses.
pub fn lock_segment(
    file: &File,
    path: &Path,
    wait_max: Duration,
    mut on_wait: impl FnMut(Duration),
) -> Result<(), SegmentLockError> {
    let began = Instant::now();
    let mut said_at = None;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(SegmentLockError::Io { path: path.to_owned(), source: error.into() }),
        }
        let waited = began.elapsed();
        if waited >= wait_max {
            return Err(SegmentLockError::Held { path: path.to_owned(), waited });
        }
        if said_at.is_none_or(|said_at| waited >= said_at + Duration::from_secs(1)) {
            said_at = Some(waited);
            on_wait(waited);
        }
        sleep(LOCK_POLL.min(wait_max - waited));
    }
}

/// What to tell the operator while [`lock_segment`] waits.
pub fn waiting_message(path: &Path) -> String {
    format!("waiting: a previous process is still writing to {}", path.display())
}

/// Takes the directory's lock, or says at once who has it. Makes the file where it is missing, if it may.
pub(super) fn lock_directory(layout: &Layout, may_create: bool) -> Result<File, StartError> {
    let path = layout.lock_path();
    let file = match open(&path) {
        // A tool that only looks needs no more than a descriptor to lock.
        Err(error) if is_refusal(&error) && !may_create => File::open(&path).map_err(StartError::io("open", &path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
            match durable::create_empty(&path, FILE_MODE) {
                // Another first start was quicker.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    open(&path).map_err(StartError::io("open", &path))?
                }
                made => made?,
            }
        }
        Err(error) if is_refusal(&error) => {
            return Err(StartError::NotWritable { path: layout.root().to_owned(), source: error });
        }
        opened => opened.map_err(StartError::io("open", &path))?,
    };
    lock_unless_alive(&file, layout)?;
    // Only for the message of the next one who tries; it need not be durable, nor fit on a full disk.
    let name = format!("{HOLDER}{}\n", std::process::id());
    let _ = file.write_all_at(name.as_bytes(), 0).and_then(|()| file.set_len(name.len() as u64));
    Ok(file)
}

/// The process that holds a directory, as far as the kernel tells; without trying its lock, because a start
/// that tries it at that moment would be refused.
pub(crate) fn holder_of(layout: &Layout) -> Option<u32> {
    let about = std::fs::metadata(layout.lock_path()).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = about.dev();
    holder_among(&locks, (rustix::fs::major(device), rustix::fs::minor(device), about.ino()))
}

/// A line is: number, FLOCK, ADVISORY, WRITE, process, major:minor:inode (the first two in hex), range.
fn holder_among(locks: &str, (major, minor, inode): (u32, u32, u64)) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let kind = fields.next()?;
        let (process, at) = (fields.nth(2)?, fields.next()?);
        (kind == "FLOCK" && at == place).then(|| process.parse().ok())?
    })
}

/// Whether a `LOCK` in a directory without `FORMAT` is one that we made.
pub(super) fn is_ours(path: &Path) -> Result<bool, StartError> {
    let mut text = Vec::new();
    let mut file = File::open(path).map_err(StartError::io("open", path))?.take(HOLDER_BYTES_MAX);
    file.read_to_end(&mut text).map_err(StartError::io("read", path))?;
    Ok(text.is_empty() || text.starts_with(HOLDER.as_bytes()))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Takes the lock; waits for it only while its holder is a process that has been killed and is not
/// gone yet, because freeing what it held takes the kernel a moment.
fn lock_unless_alive(file: &File, layout: &Layout) -> Result<(), StartError> {
    let began = Instant::now();
    let mut said = false;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(StartError::io("lock", layout.lock_path())(error.into())),
        }
        let process = holder(file);
        if !process.is_some_and(is_dying) || began.elapsed() >= DYING_WAIT_MAX {
            let holder = process.map_or("another process".to_owned(), |process| format!("process {process}"));
            return Err(StartError::InUse { path: layout.root().to_owned(), holder });
        }
        if !said {
            said = true;
            tracing::warn!("{}", waiting_message(layout.root()));
        }
        sleep(LOCK_POLL);
    }
}

/// Whether a process has been killed, or is gone but for what the kernel still does in its name.
fn is_dying(process: u32) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
    let (Ok(stat), Ok(status)) = (read("stat"), read("status")) else { return true };
    // The fields follow the name, which may itself hold anything: see proc_pid_stat(5).
    let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    let state = fields.next().unwrap_or("");
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    let killed = |line: &str| {
        let pending = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(pending.trim(), 16).ok().map(|signals| signals & SIGKILL_BIT != 0)
    };
    matches!(state, "Z" | "X" | "x")
        || flags & PF_EXITING != 0
        || status.lines().filter_map(killed).any(|killed| killed)
}

/// How long a directory is waited for whose broker was killed.
const DYING_WAIT_MAX: Duration = Duration::from_secs(60);
/// `PF_EXITING` of the kernel's `include/linux/sched.h`.
const PF_EXITING: u64 = 0x4;
/// Signal 9 in a set of pending signals.
const SIGKILL_BIT: u64 = 1 << 8;

fn holder(file: &File) -> Option<u32> {
    let mut text = [0; HOLDER_BYTES_MAX as usize];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    let process = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.strip_prefix(HOLDER)?.lines().next());
    process.and_then(|number| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_its_inode() {
        let locks = "1: FLOCK  ADVISORY  WRITE 25683 fe:00:5431840 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 12 08:11:7 0 EOF\nodd\n";
        assert_eq!(holder_among(locks, (0xfe, 0, 5_431_840)), Some(25_683));
        assert_eq!(holder_among(locks, (0xfe, 0, 7)), None, "that is another kind of lock");
        assert_eq!(holder_among(locks, (8, 0x11, 7)), Some(12));
        assert_eq!(holder_among("", (8, 0x11, 7)), None);
    }
}
