//! The trial write: whether this disk takes what a commit will be, and gives it back.
//!
//! What must hold: the write is made as a commit is, 4 KiB from aligned memory with `O_DIRECT` and
//! `O_DSYNC`. The probe file stays, and is written over at each start, so that a start with a full
//! disk needs no room for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process;

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};

use super::FILE_MODE;
use super::layout::Layout;
use crate::disk::{AlignedBuffer, BLOCK_BYTES};
use crate::durable;
use crate::start_error::StartError;

/// What the trial has shown.
#[derive(Debug)]
pub(super) struct Probe {
    /// Whether direct writes are taken.
    pub(super) direct: bool,
    /// What the operator should know.
    pub(super) warning: Option<String>,
}

/// Writes the probe file and reads it back. With `dev`, goes on without direct writes where they are refused.
pub(super) fn write(layout: &Layout, dev: bool) -> Result<Probe, StartError> {
    let path = layout.probe_path();
    match durable::create_empty(&path, FILE_MODE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    let root = layout.root();
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).expect("these flags are low bits");
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)
    };
    match direct_write(root, &path, open) {
        Ok(_) => Ok(Probe { direct: true, warning: None }),
        Err(StartError::DirectWriteRefused { source, .. }) if dev => {
            let file = open(OFlags::DSYNC).map_err(StartError::io("open", &path))?;
            trial(root, &file).map_err(StartError::io("write", &path))??;
            let warning = format!(
                "{} takes no direct writes ({source}): they go through the page cache, for --dev only",
                root.display()
            );
            Ok(Probe { direct: false, warning: Some(warning) })
        }
        Err(error) => Err(error),
    }
}

/// Writes a block to a file as a commit does and reads it back. `open` opens the file at `path`, on the file
/// system of `root`, with the flags that it is given; the file is returned.
pub(crate) fn direct_write(
    root: &Path,
    path: &Path,
    open: impl FnOnce(OFlags) -> io::Result<File>,
) -> Result<File, StartError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartError::Full { path: path.to_owned() },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StartError::NotWritable { path: path.to_owned(), source }
        }
        _ => StartError::DirectWriteRefused { path: root.to_owned(), source },
    };
    let file = open(OFlags::DIRECT | OFlags::DSYNC).map_err(refused)?;
    if let Some(bytes) = alignment(&file).map_err(StartError::io("look at", path))? {
        if bytes == 0 {
            return Err(refused(io::Error::other("the file system says it has none")));
        }
        if bytes as usize > BLOCK_BYTES {
            return Err(StartError::AlignmentTooCoarse { path: root.to_owned(), bytes });
        }
    }
    trial(root, &file).map_err(refused)??;
    Ok(file)
}

/// The alignment that direct writes to this file need; `None` where the kernel (before 6.1) or the
/// file system does not tell.
fn alignment(file: &File) -> io::Result<Option<u32>> {
    let answer = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
    let told = answer.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    Ok(told.then_some(answer.stx_dio_mem_align.max(answer.stx_dio_offset_align)))
}

/// The outer error is the system's, the inner one is about what came back.
fn trial(root: &Path, file: &File) -> io::Result<Result<(), StartError>> {
    let mut written = AlignedBuffer::with_capacity(BLOCK_BYTES);
    written.extend_from_slice(format!("rheos probe of process {}\n", process::id()).as_bytes());
    written.pad_to_block();
    file.write_all_at(&written, 0)?;

    let mut read = AlignedBuffer::with_capacity(BLOCK_BYTES);
    read.extend_zeroed(BLOCK_BYTES);
    file.read_exact_at(&mut read, 0)?;
    if read[..] != written[..] {
        return Ok(Err(StartError::ProbeMismatch { path: root.to_owned() }));
    }
    Ok(Ok(()))
}
