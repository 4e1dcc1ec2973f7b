//! Verification of a data directory while no broker runs: every segment is read, every batch proved.
//!
//! It changes no segment. Opening the catalog of a broker that was killed may repair that file.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use rheos_core::catalog::{LogRecord, StreamTerms};
use rheos_core::log::{Log, LogId, ReadStart};
use rheos_core::reader::{ReadPlace, ReadStep};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::{Position, StreamLimits};
use serde::Serialize;

use crate::catalog::Catalog;
use crate::clock;
use crate::directory::{DataDirectory, Layout};
use crate::lane::settings_of;
use crate::recover::{Found, read_place, recover_log};
use crate::start_error::StartError;

/// Bytes of batches that are read at once.
const READ_BYTES: usize = 8 << 20;

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
    /// What is lost, a line for each stretch of sequences.
    pub damaged: Vec<String>,
}

impl VerifyReport {
    /// Whether everything that was acknowledged is there.
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
            let recovered = recover_log(&directory, record, log, known, files)?;
            let mut report = LogReport {
                log,
                segments,
                batches: 0,
                records: 0,
                bytes: 0,
                torn: recovered.cut.clone(),
                refused: recovered.refused.clone(),
                damaged: Vec::new(),
            };
            // Expired records are nobody's loss: what is kept is read whatever its age.
            let mut settings = settings_of(record, log, StreamLimits::NONE);
            settings.terms = StreamTerms { retention_ms: u64::MAX, trimmed_ms: 0, ..settings.terms };
            let log = Log::new(clock::now(), settings, recovered);
            for shard in record.shards_of_log(id.log) {
                read_shard(directory.layout(), &log, shard.shard, &mut report, &mut progress);
            }
            logs.push(report);
        }
        streams.push(StreamReport { name: record.name.to_string(), logs });
    }
    let condemned = |incarnation: &&u64| !at_start.condemned.contains(incarnation);
    let unknown = found.incarnations.iter().filter(condemned).map(|incarnation| format!("{incarnation:016x}"));
    let strange = found.strange.iter().map(|name| name.to_string_lossy().into_owned());
    Ok(VerifyReport { streams, unknown: unknown.chain(strange).collect() })
}

fn read_shard(layout: &Layout, log: &Log, shard: u32, report: &mut LogReport, progress: &mut impl FnMut(u64)) {
    let mut position = Position::TrimHorizon;
    loop {
        let outcome = match log.read(clock::now(), shard, position, READ_BYTES) {
            Ok(ReadStart::Ready(outcome)) => Ok(outcome),
            Ok(ReadStart::Disk(mut task)) => {
                let mut step = task.step(None);
                loop {
                    match step {
                        ReadStep::Done(outcome) => break outcome,
                        ReadStep::Read { segment, place, .. } => {
                            step = task.step(Some(read(layout, log.id(), segment, place).map_err(|e| e.to_string())));
                        }
                    }
                }
            }
            Err(error) => Err(error),
        };
        position = match outcome {
            Ok(outcome) if outcome.batches.is_empty() => return,
            Ok(outcome) => {
                for batch in &outcome.batches {
                    report.batches += 1;
                    report.records += u64::from(batch.header().record_count);
                    report.bytes += batch.bytes().len() as u64;
                    progress(batch.bytes().len() as u64);
                }
                Position::AtSequence(outcome.next_sequence)
            }
            Err(error) => {
                report.damaged.push(format!("shard {shard}: {}", error.message));
                match error.code {
                    ErrorCode::Damaged => Position::AtSequence(error.detail_2 + 1),
                    _ => return,
                }
            }
        };
    }
}

fn read(layout: &Layout, log: LogId, segment: u64, place: ReadPlace) -> io::Result<Bytes> {
    read_place(&File::open(layout.segment_path(log.incarnation, log.log, segment))?, place)
}
