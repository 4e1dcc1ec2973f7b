//! A segment in the making: allocated, labelled, pre-written piece by piece, and given its name.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rheos_core::commit::SegmentId;
use rheos_core::limits::{BLOCK_BYTES, PREWRITE_BYTES_PER_S, SEGMENT_BYTES_LEAST};
use rheos_core::log::LogId;
use rheos_core::segment::Label;
use rheos_protocol::error::WireError;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};

use super::Prepared;
use crate::catalog::Catalog;
use crate::directory::{DataDirectory, FILE_MODE};
use crate::disk::AlignedBuffer;
use crate::durable;

/// Pre-written first, with the label, also of a segment that is hurried: all of a log's first one.
const FIRST_PIECE_BYTES: u64 = SEGMENT_BYTES_LEAST;
/// Pre-written at once after that. A commit may have to wait for it on the disk.
const PIECE_BYTES: u64 = 256 << 10;
/// Longest wait for the pace: other jobs wake the thread anyway.
const PACE_WAIT_MAX: Duration = Duration::from_millis(100);

/// A segment that has no name yet.
#[derive(Debug)]
pub(super) struct Preparing {
    pub(super) log: LogId,
    pub(super) ask: u64,
    segment: u64,
    label: Label,
    bytes: u64,
    written: u64,
    file: File,
    unfinished: PathBuf,
    hurry: Arc<AtomicBool>,
}

impl Preparing {
    /// Allocates the file; as much as there is room for, when there is not room for all.
    pub(super) fn begin(
        directory: &DataDirectory,
        log: LogId,
        segment: u64,
        ask: u64,
        bytes: u64,
        hurry: Arc<AtomicBool>,
    ) -> io::Result<Preparing> {
        let log_dir = directory.create_log_dir(log.incarnation, log.log)?;
        let unfinished = log_dir.join(format!(".{segment}.tmp"));
        let mut salt = [0; 8];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        drop(durable::create_unfinished(&unfinished, FILE_MODE)?);
        let flags = if directory.is_direct() { OFlags::DIRECT.bits() as i32 } else { 0 };
        let file = OpenOptions::new().write(true).custom_flags(flags).open(&unfinished)?;
        let bytes = allocate(&file, bytes).inspect_err(|_| drop(durable::remove_unfinished(&unfinished)))?;
        let id = SegmentId { incarnation: log.incarnation, log: log.log, segment };
        let label = Label { directory: directory.id(), segment: id, salt: u64::from_le_bytes(salt) };
        Ok(Preparing { log, ask, segment, label, bytes, written: 0, file, unfinished, hurry })
    }

    pub(super) fn is(&self, log: LogId, segment: u64) -> bool {
        self.log == log && self.segment == segment
    }

    /// Whether it can be given its name: pre-written to its end, or needed as it is.
    pub(super) fn is_done(&self) -> bool {
        self.written >= self.bytes || (self.written > 0 && self.hurry.load(Ordering::Relaxed))
    }

    /// Whether somebody waits for the next step of it.
    pub(super) fn is_urgent(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) || self.is_done()
    }

    /// Writes the next piece, the label with the first, and says how many bytes it was.
    pub(super) fn write_piece(&mut self) -> io::Result<u64> {
        let piece_bytes = if self.written == 0 { FIRST_PIECE_BYTES } else { PIECE_BYTES };
        let len = piece_bytes.min(self.bytes - self.written);
        let mut piece = AlignedBuffer::with_capacity(len as usize);
        if self.written == 0 {
            piece.extend_from_slice(&self.label.encode());
        }
        piece.extend_zeroed(len as usize - piece.len());
        self.file.write_all_at(&piece, self.written)?;
        self.written += len;
        Ok(len)
    }

    /// Gives it its name, once everything in it is on the disk, and opens it for commits.
    pub(super) fn finish(self, directory: &DataDirectory) -> io::Result<Prepared> {
        let unfinished = self.unfinished.clone();
        let path = directory.layout().segment_path(self.log.incarnation, self.log.log, self.segment);
        self.give_name(directory, &path).inspect_err(|error| {
            // It may have its name already; nothing was written to it, and its number is asked for again.
            let renamed = !unfinished.exists() && error.kind() != io::ErrorKind::NotFound;
            drop(durable::remove_file(if renamed { &path } else { &unfinished }));
        })
    }

    fn give_name(self, directory: &DataDirectory, path: &Path) -> io::Result<Prepared> {
        self.file.sync_all()?;
        durable::rename(&self.unfinished, path)?;
        let flags = directory.segment_flags().bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        // The kernel keeps this lock until the last write of it has landed, also after a kill.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Prepared { segment: self.segment, salt: self.label.salt, bytes: self.bytes, file: Arc::new(file) })
    }

    /// Removes it.
    pub(super) fn abandon(self) {
        drop(durable::remove_unfinished(&self.unfinished));
    }
}

/// Which of the segments in the making goes next: one that somebody waits for, else the first.
pub(super) fn next_of(preparing: &VecDeque<Preparing>) -> Option<usize> {
    preparing.iter().position(Preparing::is_urgent).or((!preparing.is_empty()).then_some(0))
}

/// The pace of pre-writing.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn allows(&self) -> bool {
        self.next.is_none_or(|next| Instant::now() >= next)
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        let now = Instant::now();
        let from = self.next.map_or(now, |next| next.max(now));
        self.next = Some(from + Duration::from_nanos(bytes * 1_000_000_000 / PREWRITE_BYTES_PER_S));
    }

    /// How long to wait for other jobs before the next piece.
    pub(super) fn wait(&self, preparing: &VecDeque<Preparing>) -> Duration {
        if preparing.iter().any(Preparing::is_urgent) {
            return Duration::ZERO;
        }
        let left = self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()));
        left.min(PACE_WAIT_MAX)
    }
}

fn allocate(file: &File, wanted: u64) -> io::Result<u64> {
    let mut bytes = wanted;
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(bytes),
            Err(rustix::io::Errno::NOSPC) if bytes > SEGMENT_BYTES_LEAST => {
                file.set_len(0)?;
                bytes = (bytes / 4 / BLOCK_BYTES * BLOCK_BYTES).max(SEGMENT_BYTES_LEAST);
            }
            // Only `--dev` goes on such a file system: the file grows as it is written.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                file.set_len(bytes)?;
                return Ok(bytes);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Raises the highest prepared segment of many logs in one transaction.
pub(super) fn raise_all(catalog: &Catalog, raises: &[(LogId, u64)]) -> Result<(), WireError> {
    block_on(async {
        let raise = |&(log, segment): &(LogId, u64)| {
            let catalog = catalog.clone();
            tokio::spawn(async move { catalog.raise_highest_prepared(log.incarnation, log.log, segment).await })
        };
        let raising: Vec<_> = raises.iter().map(raise).collect();
        for raised in raising {
            raised.await.map_err(|error| crate::internal_error(&error.to_string()))??;
        }
        Ok(())
    })
}

pub(super) fn raise_lowest(catalog: &Catalog, log: LogId, lowest: u64) -> Result<(), WireError> {
    block_on(catalog.raise_lowest_kept(log.incarnation, log.log, lowest))
}

pub(super) fn forget_condemned(catalog: &Catalog, incarnation: u64) -> Result<(), WireError> {
    block_on(catalog.forget_condemned(incarnation))
}

/// The file thread may block: it waits for the catalog here.
fn block_on<T>(work: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime =
        runtime.map_err(|error| crate::internal_error(&format!("no runtime for the file thread: {error}")))?;
    runtime.block_on(work)
}
