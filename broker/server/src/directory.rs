//! The data directory: what it must be before the broker trusts it, and the lock that keeps it ours.
//!
//! ```text
//! DIR/FORMAT                                  whose it is and which format and history it has
//!     LOCK                                    flock'ed by the broker that runs
//!     admin.url                               how a client on this host connects
//!     keys/                                   secrets, 0700
//!     catalog.redb  ballast  probe
//!     capacity                                what a lane can push, where somebody has measured or set it
//!     logs/INCARNATION/LOG/SEGMENT.segment
//!     logs/INCARNATION/LOG/accepted-losses.json   after a repair
//!     aside/                                  found, not known, kept
//! ```
//!
//! What must hold: one process at a time owns a directory, from [`DataDirectory::open`] until the
//! value is dropped; a directory that is refused for what it is or holds has not been touched; a
//! crash during the first start leaves a directory that the next start takes.
//!
//! Nothing here reads a log or the catalog, and nothing is ever deleted.

mod ballast;
mod file_system;
mod format;
mod layout;
mod lock;
mod machine;
mod probe;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::OFlags;

use crate::durable;
use crate::finding::Finding;
use crate::start_error::StartError;

pub use ballast::{BALLAST_BYTES_MAX, Ballast};
pub use layout::{Layout, SegmentPlace, Space};
pub(crate) use lock::holder_of;
pub use lock::{LOCK_POLL, SegmentLockError, lock_segment, waiting_message};
pub use machine::check_machine;
pub(crate) use machine::{io_uring, kernel};
pub(crate) use probe::direct_write;

use format::Format;
use lock::lock_directory;
use probe::Probe;

/// How a data directory is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectoryOptions {
    /// Take file systems that are not durable or not direct, with a warning.
    pub dev: bool,
}

/// Looks whether the file system of a directory, which need not be there yet, keeps what it is given, and
/// touches nothing.
///
/// # Errors
///
/// [`StartError::FileSystemRefused`], or that the place cannot be looked at.
pub fn check_file_system(path: &Path, options: DirectoryOptions) -> Result<Finding, StartError> {
    let path = std::path::absolute(path).map_err(StartError::io("find", path))?;
    file_system::check(nearest_directory(&path)?, &path, options.dev)
}

/// A data directory that is ours until this value is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    layout: Layout,
    format: Format,
    direct: bool,
    warnings: Vec<String>,
    /// Held, never read: closing it gives the directory free.
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory at `path` for a broker, after making it when it is absent or empty.
    ///
    /// # Errors
    ///
    /// Every reason of [`StartError`] that concerns a directory. What the directory is and holds is
    /// looked at before anything is written to it, and so is whether it is in use.
    pub fn open(path: &Path, options: DirectoryOptions) -> Result<DataDirectory, StartError> {
        let path = std::path::absolute(path).map_err(StartError::io("find", path))?;
        let mut warnings: Vec<String> = check_file_system(&path, options)?.said_at_start().into_iter().collect();
        create_missing(&path)?;
        let path = path.canonicalize().map_err(StartError::io("find", &path))?;
        let layout = Layout::new(path);

        survey(&layout)?;
        let lock = lock_directory(&layout, true)?;
        // Looked at again, now that nobody else can be making it.
        let format = match survey(&layout)? {
            Some(format) => format,
            None => write_format(&layout)?,
        };
        for directory in [layout.logs_dir(), layout.aside_dir()] {
            create_dir_if_missing(&directory, DIRECTORY_MODE)?;
        }
        let Probe { direct, warning } = probe::write(&layout, options.dev)?;
        warnings.extend(warning);
        Ok(DataDirectory { layout, format, direct, warnings, _lock: lock })
    }

    /// Takes a directory that a broker has made, for a tool that works while no broker runs.
    ///
    /// Makes and writes nothing but the name of this process in `LOCK`, and not even that where the
    /// directory is read-only; asks nothing of the file system and the kernel, so that a rescued disk
    /// can be looked at anywhere. Segments are to be
    /// read through the page cache ([`is_direct`](Self::is_direct) is false).
    ///
    /// # Errors
    ///
    /// When the directory is in use, of a newer format, damaged, or not one of ours.
    pub fn open_existing(path: &Path) -> Result<DataDirectory, StartError> {
        let path = path.canonicalize().map_err(StartError::io("find", path))?;
        let layout = Layout::new(path);
        let no_data = || StartError::NoData { path: layout.root().to_owned() };
        survey(&layout)?.ok_or_else(no_data)?;
        let lock = lock_directory(&layout, false)?;
        let format = survey(&layout)?.ok_or_else(no_data)?;
        Ok(DataDirectory { layout, format, direct: false, warnings: Vec::new(), _lock: lock })
    }

    /// Where everything in the directory is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The random number that this directory was given when it was made.
    pub fn id(&self) -> u64 {
        self.format.id
    }

    /// Which history of its records the directory holds: 1, and one more after each restore or
    /// repair that lost some. Part of every token.
    pub fn history(&self) -> u64 {
        self.format.history
    }

    /// Begins another history, because records are given up for lost.
    ///
    /// # Errors
    ///
    /// When the system refuses; after a failure it may have begun all the same.
    pub(crate) fn raise_history(&mut self) -> Result<(), durable::DurableError> {
        let format = Format { history: self.format.history + 1, ..self.format };
        durable::create_file(&self.layout.format_path(), format.to_string().as_bytes(), FILE_MODE)?;
        self.format = format;
        Ok(())
    }

    /// Whether segments are to be opened with `O_DIRECT`. False only with `--dev` and for tools.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The flags with which a segment is opened for commits.
    pub fn segment_flags(&self) -> OFlags {
        if self.direct { OFlags::DSYNC | OFlags::DIRECT } else { OFlags::DSYNC }
    }

    /// What the operator should know, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many bytes of the file system an ordinary user can still write.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.layout.free_bytes()
    }

    /// Makes the directory of a log and of its incarnation, where they are missing, and says where it is.
    ///
    /// # Errors
    ///
    /// When the system refuses to make one.
    pub fn create_log_dir(&self, incarnation: u64, log: u32) -> Result<PathBuf, durable::DurableError> {
        let log_dir = self.layout.log_dir(incarnation, log);
        for directory in [&self.layout.incarnation_dir(incarnation), &log_dir] {
            create_dir_if_missing(directory, DIRECTORY_MODE)?;
        }
        Ok(log_dir)
    }
}

/// Whether a directory is one that a start takes, and which process has it; touches nothing.
///
/// # Errors
///
/// That it is somebody else's, of a newer format, damaged, or that its keys can be read by others.
pub(crate) fn look_at(path: &Path) -> Result<Finding, StartError> {
    let path = std::path::absolute(path).map_err(StartError::io("find", path))?;
    let shown = path.display();
    let nearest = nearest_directory(&path)?;
    if nearest != path {
        return Ok(Finding::ok(DIRECTORY, format!("{shown} is not there yet and will be made")));
    }
    let layout = Layout::new(path.canonicalize().map_err(StartError::io("find", &path))?);
    let Some(format) = survey(&layout)? else {
        return Ok(Finding::ok(DIRECTORY, format!("{shown} is empty and will be filled by the first start")));
    };
    if layout.keys_dir().exists() {
        refuse_if_open_to_others(&layout.keys_dir())?;
    }
    let history = if format.history > 1 { format!(", history {}", format.history) } else { String::new() };
    Ok(Finding::ok(DIRECTORY, format!("{shown} is one of ours{history}")))
}

const DIRECTORY: &str = "data directory";

/// Permissions of the directories that the broker makes: records are nobody else's business.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of the files that hold no secret but are nobody else's business either.
pub(crate) const FILE_MODE: u32 = 0o600;

/// Refuses a file or directory of secrets that group or other can read, write or enter.
pub(crate) fn refuse_if_open_to_others(path: &Path) -> Result<(), StartError> {
    let mode = fs::metadata(path).map_err(StartError::io("look at", path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StartError::KeysOpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Random bytes that nobody can guess; `what` they are for is said when there are none.
pub(crate) fn random_bytes<const COUNT: usize>(what: &'static str) -> Result<[u8; COUNT], StartError> {
    let mut bytes = [0; COUNT];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(StartError::Cryptography { what, why: error.to_string() }),
    }
}

/// Makes a directory unless it is there, and its place in its parent durable in either case: one that
/// is there may be what a killed process has made and not yet synced.
fn create_dir_if_missing(path: &Path, mode: u32) -> Result<(), durable::DurableError> {
    match durable::create_dir(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => durable::sync_parent(path),
        made => made,
    }
}

/// The directory itself, or the nearest one above it that is there: it shows on which file system
/// the directory is or will be.
pub(crate) fn nearest_directory(path: &Path) -> Result<&Path, StartError> {
    for ancestor in path.ancestors() {
        match fs::metadata(ancestor) {
            Ok(metadata) if metadata.is_dir() => return Ok(ancestor),
            Ok(_) => return Err(StartError::NotADirectory { path: ancestor.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(StartError::io("look at", ancestor)(error)),
        }
    }
    Err(StartError::NotADirectory { path: path.to_owned() })
}

fn create_missing(path: &Path) -> Result<(), StartError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for directory in missing.into_iter().rev() {
        // Another first start may be making it at this moment; the lock will tell who goes on.
        create_dir_if_missing(directory, DIRECTORY_MODE)?;
    }
    Ok(())
}

/// Reads whose directory it is: `None` when it is empty, or as good as that.
///
/// The entries are listed before `FORMAT` is looked for. The other way round, a first start of another
/// process between the two would make its own files look like somebody else's.
fn survey(layout: &Layout) -> Result<Option<Format>, StartError> {
    let foreign = foreign_entry(layout)?;
    match (Format::read(layout)?, foreign) {
        (Some(format), _) => Ok(Some(format)),
        (None, None) => Ok(None),
        (None, Some(name)) => {
            let found = name.to_string_lossy().into_owned();
            Err(StartError::Foreign { path: layout.root().to_owned(), found })
        }
    }
}

/// The first entry that no start of ours leaves in a directory without `FORMAT`.
fn foreign_entry(layout: &Layout) -> Result<Option<OsString>, StartError> {
    let root = layout.root();
    for entry in fs::read_dir(root).map_err(StartError::io("list", root))? {
        let name = entry.map_err(StartError::io("list", root))?.file_name();
        if !is_of_a_first_start(layout, &name)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether an entry of a directory without `FORMAT` is what a crash in our own first start leaves,
/// or what mkfs puts into every new ext4.
fn is_of_a_first_start(layout: &Layout, name: &OsStr) -> Result<bool, StartError> {
    if name == layout::LOCK_NAME {
        return lock::is_ours(&layout.lock_path());
    }
    Ok(name == "lost+found" || name == format::UNFINISHED_NAME)
}

fn write_format(layout: &Layout) -> Result<Format, StartError> {
    let format = Format { id: u64::from_le_bytes(random_bytes("the directory's id")?), history: 1 };
    durable::create_file(&layout.format_path(), format.to_string().as_bytes(), FILE_MODE)?;
    Ok(format)
}
