//! The ballast: space held back so that a full disk still has room for the catalog.
//!
//! What must hold: the blocks are allocated, not merely a size; after a failed allocation none are
//! kept, because a partly allocated file would eat the room it was to give. The file itself stays,
//! empty, when the ballast is released: giving blocks back needs no directory entry.
//!
//! When to release and when to restore is the caller's choice.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::{DataDirectory, FILE_MODE};
use crate::durable;
use crate::start_error::StartError;

/// The most that is held back.
pub const BALLAST_BYTES_MAX: u64 = 64 << 20;
/// The unit in which `stat` counts blocks.
const STAT_BLOCK_BYTES: u64 = 512;
/// Sizes are multiples of this.
const BLOCK_BYTES: u64 = 4096;

/// The space held back on the file system of one data directory.
#[derive(Debug)]
pub struct Ballast {
    file: File,
    held_bytes: u64,
    directory: super::Layout,
}

impl Ballast {
    /// Takes over the ballast of an earlier run, or allocates one: [`BALLAST_BYTES_MAX`], or a
    /// hundredth of what is free when that is less. On a full disk it starts released.
    ///
    /// # Errors
    ///
    /// When the file cannot be made or opened.
    pub fn open(directory: &DataDirectory) -> Result<Ballast, StartError> {
        let path = directory.layout().ballast_path();
        let file = match durable::create_empty(&path, FILE_MODE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().read(true).write(true).open(&path).map_err(StartError::io("open", &path))?
            }
            made => made?,
        };
        let allocated = file.metadata().map_err(StartError::io("look at", &path))?.blocks() * STAT_BLOCK_BYTES;
        let mut ballast = Ballast { file, held_bytes: allocated, directory: directory.layout().clone() };
        if !ballast.is_held() {
            ballast.restore().map_err(StartError::io("allocate", &path))?;
        }
        Ok(ballast)
    }

    /// How many bytes are held back now.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether there is anything to release.
    pub fn is_held(&self) -> bool {
        self.held_bytes > 0
    }

    /// Gives the space back and says how much it was. The file system may take a moment to show it as free.
    ///
    /// # Errors
    ///
    /// When the system refuses; the ballast is then as it was.
    pub fn release(&mut self) -> io::Result<u64> {
        self.file.set_len(0)?;
        let released = std::mem::take(&mut self.held_bytes);
        self.file.sync_all()?;
        Ok(released)
    }

    /// Allocates the ballast again, sized for what is free now. Says whether it is held; false when
    /// there is no room, or the file system cannot allocate.
    ///
    /// # Errors
    ///
    /// When the system fails otherwise.
    pub fn restore(&mut self) -> io::Result<bool> {
        if self.is_held() {
            return Ok(true);
        }
        let bytes = (self.directory.free_bytes()? / 100).min(BALLAST_BYTES_MAX) / BLOCK_BYTES * BLOCK_BYTES;
        if bytes == 0 {
            return Ok(false);
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {
                self.file.sync_all()?;
                self.held_bytes = bytes;
                Ok(true)
            }
            Err(error) => {
                // The blocks that were found before the failure stay with the file otherwise.
                self.file.set_len(0)?;
                match error {
                    Errno::NOSPC | Errno::DQUOT | Errno::OPNOTSUPP | Errno::NOSYS => Ok(false),
                    error => Err(error.into()),
                }
            }
        }
    }
}
