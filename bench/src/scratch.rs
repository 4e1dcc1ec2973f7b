//! The files of a run: in one directory, without names as soon as they are open, so that nothing
//! stays behind however the run ends.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rheos_broker::disk::AlignedBuffer;
use rustix::fs::{OFlags, fstatfs};

use crate::Failure;

/// The directory of a run; removed at the end, if the run has made it and it is empty.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    made: bool,
}

impl Scratch {
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let made = !path.exists();
        fs::create_dir_all(path).map_err(|error| format!("cannot make the directory {}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), made })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.made {
            // Not empty means that somebody else put something there, which is theirs to remove.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// A nameless file in `directory`, opened as segments are, with `bytes` zeros already on the disk.
pub(crate) fn prewritten_file(directory: &Path, bytes: u64) -> Result<File, Failure> {
    let path = directory.join(format!("bench-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits() as i32)
        .open(&path)
        .map_err(|error| format!("cannot make a file for direct I/O in {}: {error}", directory.display()))?;
    fs::remove_file(&path)?;
    if fstatfs(&file)?.f_type == TMPFS_MAGIC {
        return Err(format!("{} is memory, not a disk: choose another --dir", directory.display()).into());
    }

    let mut zeros = AlignedBuffer::with_capacity(CHUNK_BYTES);
    zeros.extend_zeroed(CHUNK_BYTES);
    assert!(bytes.is_multiple_of(CHUNK_BYTES as u64), "whole chunks");
    for offset in (0..bytes).step_by(CHUNK_BYTES) {
        file.write_all_at(&zeros, offset)
            .map_err(|error| format!("cannot write {bytes} bytes in {}: {error}", directory.display()))?;
    }
    file.sync_all()?;
    Ok(file)
}

const CHUNK_BYTES: usize = 1 << 20;
/// As in linux/magic.h.
const TMPFS_MAGIC: i64 = 0x0102_1994;
