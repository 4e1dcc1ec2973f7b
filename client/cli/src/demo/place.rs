//! The directory in which the demo's broker lives.
//!
//! ```text
//! rheos-demo/            made by this demo, or it is not touched
//!     data/              the broker's
//!     broker.log         what it said on standard error
//! ```
//!
//! What must hold: it is a directory that this demo has made itself, on a file system that keeps what it is
//! given; nothing is removed but what is named above, and only while the directory is still the one that
//! was made.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rheos_broker::directory::{DirectoryOptions, check_file_system};
use rheos_broker::start_error::StartError;

use crate::failure::Failure;

/// What it is called when nothing is chosen, and with a number behind it when that is taken.
const NAME: &str = "rheos-demo";
/// Most demos that keep their directories in one place.
const NUMBER_MAX: u32 = 100;

/// A directory that this demo has made.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Place {
    /// Makes the directory: the chosen one, which must not be there yet, or the first that is free of
    /// `rheos-demo`, `rheos-demo-2` and so on.
    pub(super) fn make(chosen: Option<&Path>) -> Result<Place, Failure> {
        let root = chosen.unwrap_or(Path::new(NAME));
        match check_file_system(root, DirectoryOptions::default()) {
            // The broker warns of it too.
            Ok(_warnings) => {}
            Err(StartError::FileSystemRefused { name, why, .. }) => {
                return Err(Failure::new(format!(
                    "{} would be on {name}, {why}; choose a directory on a disk: rheos demo --dir DIR",
                    root.display()
                )));
            }
            Err(error) => return Err(Failure::new(error.to_string())),
        }
        let root = match chosen {
            Some(chosen) => made(chosen)?,
            None => first_free()?,
        };
        let about = fs::symlink_metadata(&root).map_err(|error| unusable(&root, &error))?;
        Ok(Place { root, identity: (about.dev(), about.ino()) })
    }

    /// The broker's data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where the broker's standard error goes.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("broker.log")
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what was made.
    ///
    /// # Errors
    ///
    /// When something is in the way, such as a file of somebody else's; that stays.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let left = |error: io::Error| Failure::new(format!("{} is not removed: {error}", self.root.display()));
        let about = fs::symlink_metadata(&self.root).map_err(left)?;
        if (about.dev(), about.ino()) != self.identity {
            return Err(left(io::Error::other("it is not the directory that this demo has made")));
        }
        unless_missing(fs::remove_dir_all(self.data())).map_err(left)?;
        unless_missing(fs::remove_file(self.log())).map_err(left)?;
        fs::remove_dir(&self.root).map_err(left)
    }
}

fn first_free() -> Result<PathBuf, Failure> {
    let numbered = (2..=NUMBER_MAX).map(|number| PathBuf::from(format!("{NAME}-{number}")));
    for root in std::iter::once(PathBuf::from(NAME)).chain(numbered) {
        match make(&root) {
            Ok(()) => return Ok(root),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&root, &error)),
        }
    }
    Err(Failure::new(format!(
        "{NAME} to {NAME}-{NUMBER_MAX} are all there already; remove those of earlier demos, or choose another: rheos demo --dir DIR"
    )))
}

fn made(root: &Path) -> Result<PathBuf, Failure> {
    make(root).map_err(|error| unusable(root, &error))?;
    Ok(root.to_owned())
}

/// Makes the directory and nothing above it; two demos that try at once do not get the same.
fn make(root: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(root)
}

fn unusable(root: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "the demo takes none that is there; choose a new one",
        _ => "choose another",
    };
    Failure::new(format!("cannot make directory {}: {error}; {hint}: rheos demo --dir DIR", root.display()))
}

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory on the disk: the one for temporary files may be in memory.
    fn scratch() -> tempfile::TempDir {
        let program = std::env::current_exe().unwrap();
        tempfile::tempdir_in(program.parent().unwrap()).unwrap()
    }

    #[test]
    fn what_it_made_goes_and_what_others_made_stays() {
        let scratch = scratch();
        let root = scratch.path().join("demo");
        let place = Place::make(Some(&root)).unwrap();
        fs::create_dir_all(place.data().join("logs")).unwrap();
        fs::write(place.log(), "said").unwrap();
        let again = Place::make(Some(&root)).unwrap_err();
        assert!(again.message().contains("takes none that is there"), "{}", again.message());
        fs::write(root.join("mine"), "precious").unwrap();
        let left = place.remove().unwrap_err();
        assert!(left.message().contains("is not removed"), "{}", left.message());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "the other file alone is left");

        fs::remove_dir_all(&root).unwrap();
        Place::make(Some(&root)).unwrap().remove().unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn another_directory_of_the_same_name_is_not_touched() {
        let scratch = scratch();
        let (root, moved) = (scratch.path().join("demo"), scratch.path().join("moved"));
        let place = Place::make(Some(&root)).unwrap();
        fs::rename(&root, moved).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        assert!(place.remove().unwrap_err().message().contains("is not the directory"));
        assert!(root.join("data").exists());
    }

    #[test]
    fn what_cannot_be_made_is_told_with_a_way_out() {
        let scratch = scratch();
        let failure = Place::make(Some(&scratch.path().join("no/demo"))).unwrap_err();
        assert!(failure.message().contains("--dir DIR"), "{}", failure.message());
    }
}
