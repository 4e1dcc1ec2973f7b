//! Ends of segments: footers that are to be written, and spares that are to go.
//!
//! Many are settled at once by several threads, because a disk makes many small changes about as fast as one: it
//! commits and flushes for all that wait. A thousand logs that are sealed at a stop would else wait for two thousand
//! flushes, one after the other.
//!
//! What must hold: a log hears that its segment is sealed only after the footer is on the disk; everything is
//! settled before the jobs that came after are finished.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;
use rheos_core::log::LogId;
use rustix::fs::OFlags;
use tracing::warn;

use crate::disk::AlignedBuffer;
use crate::durable;
use crate::lane::{Arrival, Inboxes, name};

/// Most threads that settle.
const THREADS_MAX: usize = 16;
/// What is not worth another thread.
const ENDS_OF_THREAD: usize = 4;

/// Ends that wait to be settled: a few for each log, of as many jobs as were taken at once.
#[derive(Debug, Default)]
pub(super) struct Ends(Vec<End>);

#[derive(Debug)]
enum End {
    Seal(Footer),
    Discard(PathBuf),
}

/// The footer of a segment.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) log: LogId,
    pub(super) segment: u64,
    pub(super) path: PathBuf,
    pub(super) flags: OFlags,
    /// Where it goes.
    pub(super) offset: u64,
    /// Whole blocks.
    pub(super) bytes: Bytes,
}

impl Ends {
    /// A footer is to be written, and the file cut after it.
    pub(super) fn seal(&mut self, footer: Footer) {
        self.0.push(End::Seal(footer));
    }

    /// A segment that was never used is to go.
    pub(super) fn discard(&mut self, path: PathBuf) {
        self.0.push(End::Discard(path));
    }

    /// Has everything on the disk and tells the lanes of it.
    pub(super) fn settle(&mut self, inboxes: &Inboxes) {
        let ends = std::mem::take(&mut self.0);
        let threads = ends.len().div_ceil(ENDS_OF_THREAD).min(THREADS_MAX);
        if threads <= 1 {
            return ends.iter().for_each(|end| end.settle(inboxes));
        }
        thread::scope(|scope| {
            for share in ends.chunks(ends.len().div_ceil(threads)) {
                scope.spawn(|| share.iter().for_each(|end| end.settle(inboxes)));
            }
        });
    }
}

impl End {
    fn settle(&self, inboxes: &Inboxes) {
        match self {
            End::Seal(footer) => {
                let (log, segment) = (footer.log, footer.segment);
                if let Err(error) = footer.write() {
                    warn!(log = %name(log), segment, "cannot write a footer, reading will rebuild it: {error}");
                }
                inboxes.of_log(log).push(Arrival::Sealed { log, segment });
            }
            End::Discard(path) => match durable::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => warn!("a spare segment stays: {error}"),
                _ => {}
            },
        }
    }
}

impl Footer {
    fn write(&self) -> io::Result<()> {
        write_footer(&self.path, self.flags, self.offset, &self.bytes)
    }
}

/// Writes a footer, whole blocks, and cuts the file after it.
///
/// # Errors
/// What the system says; the index is then made anew by whoever needs it.
pub(crate) fn write_footer(path: &Path, flags: OFlags, offset: u64, footer: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path)?;
    let mut buffer = AlignedBuffer::with_capacity(footer.len());
    buffer.extend_from_slice(footer);
    file.write_all_at(&buffer, offset)?;
    file.set_len(offset + footer.len() as u64)?;
    file.sync_all()
}
