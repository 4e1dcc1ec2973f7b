//! The file of positions. It is replaced whole.

use std::fs;
use std::io;
use std::path::Path;

use rheos_client::Positions;

use crate::failure::Failure;

/// The file of positions, and what it says.
pub(super) struct Kept<'a> {
    file: Option<&'a Path>,
    positions: Positions,
}

impl<'a> Kept<'a> {
    /// A file that does not say more than `positions`.
    pub(super) fn new(file: Option<&'a Path>, positions: Positions) -> Kept<'a> {
        Kept { file, positions }
    }

    /// Writes positions down, unless the file says the same; asks for them only if there is a file.
    pub(super) fn keep(&mut self, positions: impl FnOnce() -> Positions) -> Result<(), Failure> {
        let Some(file) = self.file else { return Ok(()) };
        let positions = positions();
        if positions == self.positions && file.exists() {
            return Ok(());
        }
        let unfinished = file.with_added_extension("new");
        let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
        fs::write(&unfinished, positions.to_string()).map_err(failed)?;
        fs::rename(&unfinished, file).map_err(failed)?;
        self.positions = positions;
        Ok(())
    }
}

/// What a file of positions says; nothing when there is none yet.
pub(super) fn read(file: &Path) -> Result<Positions, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => text.parse().map_err(|error| Failure::new(format!("{}: {error}", file.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Positions::default()),
        Err(error) => Err(Failure::new(format!("cannot read {}: {error}", file.display()))),
    }
}
