//! Recovery of all logs at a start, and of one for `verify`: performs what [`Recovery`] asks for.
//!
//! What must hold: a segment that a dying process may still be writing is locked and flushed before a
//! byte of it is believed; nothing is changed here, what is to be changed is left to the file thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rheos_core::catalog::{LogRecord, StreamRecord};
use rheos_core::limits::{BLOCK_BYTES, SEGMENT_FILE_BYTES_MAX};
use rheos_core::log::LogId;
use rheos_core::reader::ReadPlace;
use rheos_core::recovery::{LogOnDisk, Recovered, Recovery, RecoveryStep};
use rheos_protocol::message::StreamLimits;
use tracing::warn;

use crate::directory::{DataDirectory, Layout, lock_segment, waiting_message};
use crate::durable::is_unfinished;
use crate::lane::settings_of;
use crate::start_error::StartError;

/// How long a start waits for writes of a process that was killed.
const DYING_WAIT_MAX: Duration = Duration::from_secs(60);

/// What is in the directory `logs`.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Segment numbers by log.
    pub(crate) segments: BTreeMap<LogId, BTreeSet<u64>>,
    /// Incarnations that have a directory.
    pub(crate) incarnations: BTreeSet<u64>,
    /// Names in `logs` that are nobody's.
    pub(crate) strange: Vec<OsString>,
    /// Segments in the making when their broker was killed.
    pub(crate) unfinished: Vec<PathBuf>,
}

impl Found {
    /// Lists the directory once.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(crate) fn list(layout: &Layout) -> Result<Found, StartError> {
        let mut found = Found::default();
        for name in names(&layout.logs_dir())? {
            let Some(incarnation) = Layout::incarnation_of(&name) else {
                found.strange.push(name);
                continue;
            };
            found.incarnations.insert(incarnation);
            for log_name in names(&layout.incarnation_dir(incarnation))? {
                let Some(log) = Layout::log_of(&log_name) else { continue };
                let segments = names(&layout.log_dir(incarnation, log))?;
                let numbers = segments.iter().filter_map(|name| Layout::segment_of(name)).collect();
                let unfinished = segments.iter().filter(|name| is_unfinished(name));
                found.unfinished.extend(unfinished.map(|name| layout.log_dir(incarnation, log).join(name)));
                found.segments.insert(LogId { incarnation, log }, numbers);
            }
        }
        Ok(found)
    }
}

/// What is known of a log before its files are read.
pub(crate) fn on_disk(
    directory: &DataDirectory,
    stream: &StreamRecord,
    log: u32,
    record: LogRecord,
    files: BTreeSet<u64>,
) -> LogOnDisk {
    let settings = settings_of(stream, log, StreamLimits::NONE);
    LogOnDisk {
        id: settings.id,
        directory: directory.id(),
        shards: settings.shard_numbers().collect(),
        ends: settings.ends(),
        lowest_kept: record.lowest_kept,
        highest_prepared: record.highest_prepared,
        files,
    }
}

/// Reads a log's files as far as recovery wants them.
///
/// # Errors
/// When a segment is still being written by another process after a minute.
pub(crate) fn recover_log(directory: &DataDirectory, log: LogOnDisk) -> Result<Recovered, StartError> {
    let id = log.id;
    let mut opened: BTreeMap<u64, File> = BTreeMap::new();
    recover_from(log, |segment, place| {
        if let std::collections::btree_map::Entry::Vacant(vacant) = opened.entry(segment) {
            match open_at_rest(&directory.layout().segment_path(id.incarnation, id.log, segment)) {
                Ok(file) => drop(vacant.insert(file)),
                Err(Opening::Start(error)) => return Err(error),
                Err(Opening::Io(error)) => return Ok(Err(error)),
            }
        }
        Ok(read_place(&opened[&segment], place))
    })
}

/// Recovers a log whose bytes come from `read`; its outer error ends the recovery, the inner one is the disk's.
pub(crate) fn recover_from<E>(
    log: LogOnDisk,
    mut read: impl FnMut(u64, ReadPlace) -> Result<io::Result<Bytes>, E>,
) -> Result<Recovered, E> {
    let mut recovery = Recovery::new(log);
    let mut step = recovery.step(None);
    loop {
        match step {
            RecoveryStep::Done(recovered) => return Ok(*recovered),
            RecoveryStep::Read { segment, place } => {
                let bytes = read(segment, place)?;
                step = recovery.step(Some(bytes.map_err(|error| error.to_string())));
            }
        }
    }
}

enum Opening {
    Start(StartError),
    Io(io::Error),
}

/// Opens a segment once nobody writes it any more: a killed process's last writes land later.
fn open_at_rest(path: &Path) -> Result<File, Opening> {
    // A rescued disk may be mounted read-only: then nobody writes.
    let file =
        OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path)).map_err(Opening::Io)?;
    let say = |_| warn!("{}", waiting_message(path));
    lock_segment(&file, path, DYING_WAIT_MAX, say)
        .map_err(|error| Opening::Start(StartError::SegmentHeld { why: error.to_string() }))?;
    // What landed may be in the device's cache only.
    match file.sync_data() {
        Err(error) if error.kind() != io::ErrorKind::ReadOnlyFilesystem => Err(Opening::Io(error)),
        _ => Ok(file),
    }
}

/// Reads a place of a segment through the page cache.
pub(crate) fn read_place(file: &File, place: ReadPlace) -> io::Result<Bytes> {
    let file_len = file.metadata()?.len();
    let (offset, len) = match place {
        ReadPlace::At(offset, len) => (offset, len as u64),
        ReadPlace::LastBlock => ((file_len / BLOCK_BYTES).saturating_sub(1) * BLOCK_BYTES, BLOCK_BYTES),
        ReadPlace::Whole => (0, file_len.min(SEGMENT_FILE_BYTES_MAX)),
    };
    let mut bytes = vec![0; len.min(file_len.saturating_sub(offset)) as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

fn names(path: &Path) -> Result<Vec<OsString>, StartError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StartError::io("list", path))?,
    };
    entries.map(|entry| Ok(entry.map_err(StartError::io("list", path))?.file_name())).collect()
}
