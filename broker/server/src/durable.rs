//! Directory entries that survive a crash: every file and directory is made, renamed and removed here.
//!
//! What must hold: when a function returns `Ok`, its change is on the disk, because the directory
//! that holds the entry has been synced; and a file made by [`create_file`] is there whole or not
//! at all. `clippy.toml` bans the standard ways everywhere else in this crate, with the reason: on
//! ext4 a forgotten sync is nearly always masked by another file's, so no crash test would find it.
//!
//! Nothing here decides what is to be kept. The calls block; a lane leaves them to the file thread.
#![allow(clippy::disallowed_methods, reason = "this is the one module that may")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// How deep [`remove_dir_all`] goes below the directory it is given. Ours are two deep at most.
pub const REMOVE_DEPTH_MAX: usize = 4;

/// A change of a directory entry that failed, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct DurableError {
    /// What was tried.
    pub doing: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DurableError {
    /// The kind of what the system said; `StorageFull` is the one worth asking for.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl From<DurableError> for io::Error {
    fn from(error: DurableError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

/// Puts a file with these bytes and permission bits at `path`, replacing what is there.
///
/// After a crash there is the old file, if any, or the new one; perhaps also an unfinished one
/// (see [`is_unfinished`]), which the next call for the same path removes.
///
/// # Errors
///
/// When the system refuses a step; the old file is then still there, except when only the last
/// sync failed.
pub fn create_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    let unfinished = unfinished(path);
    let written = write_whole(&unfinished, bytes, mode)
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(naming("create", path));
    if let Err(error) = written {
        // Best effort: a disk that has just filled up wants its blocks back.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_parent(path)
}

/// Makes a new empty file, to be filled in place by its owner, and opens it for reading and writing.
///
/// # Errors
///
/// `AlreadyExists` when something is at `path`, and whatever else the system says.
pub fn create_empty(path: &Path, mode: u32) -> Result<File, DurableError> {
    let file = (|| {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(file)
    })()
    .map_err(naming("create", path))?;
    sync_parent(path)?;
    Ok(file)
}

/// Makes a new empty file that gets its name with [`rename`] once it is whole, in place of what an
/// unfinished run has left there. A crash may keep or lose it; its name says that it may be removed.
///
/// # Errors
///
/// Whatever the system says.
///
/// # Panics
///
/// When the name does not say so: see [`is_unfinished`].
pub fn create_unfinished(path: &Path, mode: u32) -> Result<File, DurableError> {
    assert!(path.file_name().is_some_and(is_unfinished), "an unfinished file has a name that says so");
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(naming("remove", path)(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(naming("create", path))
}

/// Makes one directory. Its parent must be there.
///
/// # Errors
///
/// `AlreadyExists` when something is at `path`, and whatever else the system says.
pub fn create_dir(path: &Path, mode: u32) -> Result<(), DurableError> {
    DirBuilder::new().mode(mode).create(path).map_err(naming("create", path))?;
    sync_dir(path)?;
    sync_parent(path)
}

/// Makes a directory with these files, by name and text, under the name `unfinished` and then moves it to `path`:
/// it is there whole or not at all. What an unfinished run has left is replaced. The modes are the
/// directory's and the files'.
///
/// # Errors
///
/// `AlreadyExists` when something is at `path`, and whatever else the system says.
pub fn create_dir_with(
    unfinished: &Path,
    path: &Path,
    files: &[(&str, String)],
    (mode, file_mode): (u32, u32),
) -> Result<(), DurableError> {
    if unfinished.exists() {
        remove_dir_all(unfinished)?;
    }
    DirBuilder::new().mode(mode).create(unfinished).map_err(naming("create", unfinished))?;
    for (name, text) in files {
        let file = unfinished.join(name);
        write_whole(&file, text.as_bytes(), file_mode).map_err(naming("create", &file))?;
    }
    // The names of all of them at once, before the directory has its own.
    sync_dir(unfinished)?;
    rename(unfinished, path)
}

/// Moves a file or directory within one file system. Never replaces what is at `to`.
///
/// The new name is on the disk before the loss of the old one is waited for.
///
/// # Errors
///
/// `AlreadyExists` when something is at `to`, and whatever else the system says.
pub fn rename(from: &Path, to: &Path) -> Result<(), DurableError> {
    rename_to_free_name(from, to).map_err(naming("rename", from))?;
    sync_parent(to)?;
    if from.parent() != to.parent() {
        sync_parent(from)?;
    }
    Ok(())
}

/// Removes one file.
///
/// # Errors
///
/// `NotFound` when it is not there, and whatever else the system says.
pub fn remove_file(path: &Path) -> Result<(), DurableError> {
    fs::remove_file(path).map_err(naming("remove", path))?;
    sync_parent(path)
}

/// Removes what an unfinished run, or one that was given up, has left of a file that is still to get its name.
/// A crash may bring it back; its name says that it may be removed.
///
/// # Errors
///
/// Whatever the system says.
///
/// # Panics
///
/// When the name does not say so: see [`is_unfinished`].
pub fn remove_unfinished(path: &Path) -> Result<(), DurableError> {
    assert!(path.file_name().is_some_and(is_unfinished), "an unfinished file has a name that says so");
    fs::remove_file(path).map_err(naming("remove", path))
}

/// Removes a directory and what is in it, following no links, [`REMOVE_DEPTH_MAX`] levels deep.
///
/// A crash on the way leaves a part of the content behind under the same name.
///
/// # Errors
///
/// When the directory is deeper than that, and then nothing that deep is removed; and whatever the
/// system says.
pub fn remove_dir_all(path: &Path) -> Result<(), DurableError> {
    remove_tree(path, 0)?;
    sync_parent(path)
}

/// Syncs the entries of a directory, after another library has made files in it.
///
/// # Errors
///
/// When the system cannot open or sync it.
pub fn sync_dir(path: &Path) -> Result<(), DurableError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(naming("sync directory", path))
}

/// Syncs the directory that holds `path`: for an entry that is there and may not have been synced.
///
/// # Errors
///
/// When the system cannot open or sync it.
pub fn sync_parent(path: &Path) -> Result<(), DurableError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Whether a file of this name is what a crash left of a [`create_file`]; it may always be removed.
pub fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() > 5 && name.starts_with('.') && name.ends_with(".tmp"))
}

fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().expect("a file to be created has a name").to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // A left-over is not opened again but replaced: another process may hold it open from the time
    // before its permissions were narrowed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems do not know the flag. Nobody else writes in our directories, so that
        // looking first is as good.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
        },
        renamed => Ok(renamed?),
    }
}

fn remove_tree(path: &Path, depth: usize) -> Result<(), DurableError> {
    if depth > REMOVE_DEPTH_MAX {
        let source = io::Error::other("it lies deeper than anything the broker makes; remove it by hand");
        return Err(DurableError { doing: "remove", path: path.to_owned(), source });
    }
    for entry in fs::read_dir(path).map_err(naming("list", path))? {
        let entry = entry.map_err(naming("list", path))?;
        if entry.file_type().map_err(naming("look at", path))?.is_dir() {
            remove_tree(&entry.path(), depth + 1)?;
        } else {
            fs::remove_file(entry.path()).map_err(naming("remove", &entry.path()))?;
        }
    }
    fs::remove_dir(path).map_err(naming("remove", path))
}

fn naming(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    move |source| DurableError { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn unfinished_names_are_known_again_and_no_others() {
        assert_eq!(unfinished(Path::new("/a/FORMAT")), Path::new("/a/.FORMAT.tmp"));
        assert!(is_unfinished(unfinished(Path::new("/a/FORMAT")).file_name().expect("it has one")));
        for other in ["FORMAT", "FORMAT.tmp", ".FORMAT", ".tmp", ""] {
            assert!(!is_unfinished(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_left_over_does_not_matter() {
        let scratch = tempfile::tempdir().expect("there is room");
        let path = scratch.path().join("FORMAT");
        fs::write(unfinished(&path), "half of an earl").expect("it is writable");
        for text in ["first", "second"] {
            create_file(&path, text.as_bytes(), 0o600).expect("there is room");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 1);

        let error = create_file(&scratch.path().join("not/there"), b"", 0o600).expect_err("it has no directory");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("not/there"), "{error}");
    }

    #[test]
    fn nothing_that_is_there_is_replaced_by_a_new_one() {
        let scratch = tempfile::tempdir().expect("there is room");
        let [one, other] = ["one", "other"].map(|name| scratch.path().join(name));
        drop(create_empty(&one, 0o600).expect("there is room"));
        create_dir(&other, 0o700).expect("there is room");
        for refused in [create_empty(&one, 0o600).map(drop), create_dir(&one, 0o700), rename(&one, &other)] {
            assert_eq!(refused.expect_err("something is there").kind(), io::ErrorKind::AlreadyExists);
        }
        remove_file(&one).expect("it is there");
        rename(&other, &one).expect("the name is free");
        assert!(one.is_dir() && !other.exists());
    }

    #[test]
    fn a_tree_is_removed_without_following_links_and_not_too_deep() {
        let scratch = tempfile::tempdir().expect("there is room");
        let [tree, outside] = ["tree", "outside"].map(|name| scratch.path().join(name));
        fs::create_dir_all(tree.join("1/2/3/4")).expect("there is room");
        fs::write(&outside, "not ours").expect("there is room");
        std::os::unix::fs::symlink(&outside, tree.join("1/link")).expect("there is room");
        std::os::unix::fs::symlink(scratch.path(), tree.join("1/2/link")).expect("there is room");
        remove_dir_all(&tree).expect("it is four deep");
        assert!(!tree.exists() && outside.exists());

        fs::create_dir_all(tree.join("1/2/3/4/5")).expect("there is room");
        let error = remove_dir_all(&tree).expect_err("it is five deep").to_string();
        assert!(error.contains("1/2/3/4/5") && tree.join("1/2/3/4/5").exists(), "{error}");
    }
}
