//! The file of a data directory in which the capacity of a lane is kept: written while no broker runs, read at
//! each start.
//!
//! What must hold: after a crash there is the old capacity or the new one. A file that cannot be believed stops no
//! start: the broker says so and goes by what is assumed.

use std::fs;
use std::io;
use std::path::Path;

use rheos_core::capacity::Capacity;

use crate::directory::{DataDirectory, FILE_MODE, Layout};
use crate::durable;
use crate::start_error::StartError;

/// The capacity of a lane that is kept in a data directory, which need not be there: then it is what is assumed.
///
/// # Errors
///
/// That the file cannot be read or believed.
pub fn capacity_of(data: &Path) -> Result<Capacity, StartError> {
    let path = Layout::new(data).capacity_path();
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Capacity::ASSUMED),
        bytes => bytes.map_err(StartError::io("read", &path))?,
    };
    Capacity::decode(&bytes).map_err(|why| StartError::CapacityDamaged { path, why: why.to_string() })
}

/// Keeps the capacity of a lane in a data directory that is ours, for the next start. What is assumed is not kept.
///
/// # Errors
///
/// When the system refuses to write; the old capacity is then still there.
pub fn keep_capacity(directory: &DataDirectory, capacity: &Capacity) -> Result<(), StartError> {
    let Some(bytes) = capacity.encode() else { return Ok(()) };
    Ok(durable::create_file(&directory.layout().capacity_path(), &bytes, FILE_MODE)?)
}

#[cfg(test)]
mod tests {
    use rheos_core::capacity::Found;

    use super::*;
    use crate::directory::DirectoryOptions;

    #[test]
    fn a_capacity_is_kept_until_there_is_another() {
        let place = tempfile::tempdir().expect("there is room");
        assert_eq!(capacity_of(place.path()).expect("nothing is wrong"), Capacity::ASSUMED);
        let directory = DataDirectory::open(place.path(), DirectoryOptions { dev: true }).expect("it is empty");
        keep_capacity(&directory, &Capacity::ASSUMED).expect("there is nothing to do");
        assert_eq!(capacity_of(place.path()).expect("nothing is wrong"), Capacity::ASSUMED);
        for found in [Found::Measured { at_ms: 7 }, Found::Set { at_ms: 8 }] {
            let capacity = Capacity::new(99 << 20, found).expect("it is in range");
            keep_capacity(&directory, &capacity).expect("there is room");
            assert_eq!(capacity_of(place.path()).expect("it was kept"), capacity);
        }
        fs::write(directory.layout().capacity_path(), "99 MiB/s").expect("it is ours");
        let error = capacity_of(place.path()).expect_err("it is no capacity").to_string();
        assert!(error.contains("capacity") && error.contains("rheos calibrate"), "{error}");
    }
}
