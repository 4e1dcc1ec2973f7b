//! The file of `--acks`: which record of the input is on the broker's disk, and where.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

pub(super) struct Acks {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Acks {
    pub(super) fn create(path: &Path) -> Result<Acks, Failure> {
        let file = File::create(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Acks { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub(super) fn write(&mut self, number: u64, shard: u32, sequence: u64) -> Result<(), Failure> {
        let written = writeln!(self.file, "{number} {shard} {sequence}");
        written.map_err(|error| Failure::new(format!("{}: {error}", self.path.display())))
    }

    /// Gives what was written to the system, which keeps it when this process is killed.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| Failure::new(format!("{}: {error}", self.path.display())))
    }
}
