//! What is in a log: every record of it read and proved, while no broker runs.

use std::fmt;

use bytes::Bytes;
use rheos_core::catalog::StreamTerms;
use rheos_core::log::{Log, LogSettings, ReadStart};
use rheos_core::reader::{ReadOutcome, ReadPlace, ReadStep};
use rheos_core::recovery::{Loss, Recovered};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;
use serde::Serialize;

use crate::clock;

/// Bytes of batches that are read at once.
const READ_BYTES: usize = 8 << 20;

/// What was read of a log.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Whole batches.
    pub(crate) batches: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Bytes of the batches.
    pub(crate) bytes: u64,
    /// What is lost, by shard and in order.
    pub(crate) lost: Vec<LostRecords>,
}

/// A stretch of records that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostRecords {
    /// Of which shard.
    pub shard: u32,
    /// Sequence of the first.
    pub first_sequence: u64,
    /// Sequence of the last.
    pub last_sequence: u64,
    /// What is wrong with them, in the operator's words.
    pub why: String,
}

impl LostRecords {
    /// The sequences.
    pub(crate) fn loss(&self) -> Loss {
        let LostRecords { shard, first_sequence, last_sequence, .. } = *self;
        Loss { shard, first_sequence, last_sequence }
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.last_sequence - self.first_sequence + 1
    }
}

impl fmt::Display for LostRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}: {}", self.shard, self.why)
    }
}

/// Reads everything of a recovered log that is kept, whatever its age; `progress` is told bytes as they are read.
pub(crate) fn read_log(
    settings: &LogSettings,
    recovered: Recovered,
    mut read: impl FnMut(u64, ReadPlace) -> std::io::Result<Bytes>,
    progress: &mut impl FnMut(u64),
) -> Contents {
    // Expired records are nobody's loss.
    let terms = StreamTerms { retention_ms: u64::MAX, trimmed_ms: 0, ..settings.terms };
    let settings = LogSettings { terms, ..settings.clone() };
    let shards: Vec<u32> = settings.shard_numbers().collect();
    let log = Log::new(clock::now(), settings, recovered);
    let mut contents = Contents::default();
    for shard in shards {
        read_shard(&log, shard, &mut read, &mut contents, progress);
    }
    contents
}

fn read_shard(
    log: &Log,
    shard: u32,
    read: &mut impl FnMut(u64, ReadPlace) -> std::io::Result<Bytes>,
    contents: &mut Contents,
    progress: &mut impl FnMut(u64),
) {
    let mut position = Position::TrimHorizon;
    loop {
        position = match read_once(log, shard, position, read) {
            Ok(outcome) if outcome.batches.is_empty() => return,
            Ok(outcome) => {
                for batch in &outcome.batches {
                    contents.batches += 1;
                    contents.records += u64::from(batch.header().record_count);
                    contents.bytes += batch.bytes().len() as u64;
                    progress(batch.bytes().len() as u64);
                }
                Position::AtSequence(outcome.next_sequence)
            }
            Err(error) => {
                let is_damage = error.code == ErrorCode::Damaged;
                let (first_sequence, last_sequence) = if is_damage { (error.detail, error.detail_2) } else { (0, 0) };
                contents.lost.push(LostRecords { shard, first_sequence, last_sequence, why: error.message });
                if !is_damage {
                    return;
                }
                Position::AtSequence(last_sequence + 1)
            }
        };
    }
}

fn read_once(
    log: &Log,
    shard: u32,
    position: Position,
    read: &mut impl FnMut(u64, ReadPlace) -> std::io::Result<Bytes>,
) -> Result<ReadOutcome, WireError> {
    let mut task = match log.read(clock::now(), shard, position, READ_BYTES)? {
        ReadStart::Ready(outcome) => return Ok(outcome),
        ReadStart::Disk(task) => task,
    };
    let mut step = task.step(None);
    loop {
        match step {
            ReadStep::Done(outcome) => return outcome,
            ReadStep::Read { segment, place, .. } => {
                step = task.step(Some(read(segment, place).map_err(|error| error.to_string())));
            }
        }
    }
}
