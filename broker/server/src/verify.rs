//! Verification of a data directory while no broker runs: every segment is read, every batch proved.
//!
//! It changes no segment. Opening the catalog of a broker that was killed may repair that file.

use std::path::Path;

use rheos_core::catalog::LogRecord;
use rheos_core::log::LogId;
use rheos_protocol::message::StreamLimits;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::contents::{Contents, LostRecords, read_log};
use crate::directory::DataDirectory;
use crate::lane::settings_of;
use crate::log_files::LogFiles;
use crate::recover::{Found, on_disk, recover_log};
use crate::repair::AcceptedLosses;
use crate::start_error::StartError;

/// What is in a data directory.
#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// Every stream, sorted by name.
    pub streams: Vec<StreamReport>,
    /// Directories and files in `logs` that the catalog does not know.
    pub unknown: Vec<String>,
}

/// What is in a stream.
#[derive(Debug, Serialize)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// Its logs.
    pub logs: Vec<LogReport>,
}

/// What is in a log.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// Its number.
    pub log: u32,
    /// Segment files.
    pub segments: usize,
    /// Whole batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the batches.
    pub bytes: u64,
    /// What a torn write has left, and a start would cut: nothing in it was acknowledged.
    pub torn: Option<String>,
    /// Why a start would take no puts for it.
    pub refused: Option<String>,
    /// What is lost, by shard and in order.
    pub damaged: Vec<LostRecords>,
    /// What is lost and was accepted as that in a repair.
    pub accepted: Vec<LostRecords>,
}

impl VerifyReport {
    /// Whether everything that was acknowledged is there, but for what somebody has accepted as lost.
    pub fn is_whole(&self) -> bool {
        self.streams.iter().flat_map(|stream| &stream.logs).all(|log| log.refused.is_none() && log.damaged.is_empty())
    }
}

/// Reads a whole data directory and reports what is in it; `progress` is told bytes as they are read.
///
/// # Errors
///
/// When the directory is in use, is none of ours, or its catalog is damaged.
pub fn verify(path: &Path, mut progress: impl FnMut(u64)) -> Result<VerifyReport, StartError> {
    let directory = DataDirectory::open_existing(path)?;
    let (catalog, at_start) = Catalog::open(&directory)?;
    catalog.close();
    let mut found = Found::list(directory.layout())?;
    let mut streams = Vec::new();
    for record in &at_start.streams {
        found.incarnations.remove(&record.incarnation);
        let mut logs = Vec::new();
        for log in 0..record.log_count {
            let id = LogId { incarnation: record.incarnation, log };
            let known = at_start.logs.get(&(id.incarnation, log)).copied().unwrap_or(LogRecord::NEW);
            let files = found.segments.remove(&id).unwrap_or_default();
            let segments = files.len();
            let recovered = recover_log(&directory, on_disk(&directory, record, log, known, files))?;
            let (torn, refused) = (recovered.cut.clone(), recovered.refused.clone());
            let files = LogFiles::new(directory.layout(), id);
            let read = |segment, place| files.read(segment, place);
            let contents = read_log(&settings_of(record, log, StreamLimits::NONE), recovered, read, &mut progress);
            let accepted = AcceptedLosses::read(directory.layout(), id)?;
            let Contents { batches, records, bytes, lost } = contents;
            let (accepted, damaged) = lost.into_iter().partition(|lost| accepted.hold(&lost.loss()));
            logs.push(LogReport { log, segments, batches, records, bytes, torn, refused, damaged, accepted });
        }
        streams.push(StreamReport { name: record.name.to_string(), logs });
    }
    let condemned = |incarnation: &&u64| !at_start.condemned.contains(incarnation);
    let unknown = found.incarnations.iter().filter(condemned).map(|incarnation| format!("{incarnation:016x}"));
    let strange = found.strange.iter().map(|name| name.to_string_lossy().into_owned());
    Ok(VerifyReport { streams, unknown: unknown.chain(strange).collect() })
}
