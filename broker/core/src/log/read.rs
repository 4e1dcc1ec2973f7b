//! Reading a shard: what is in memory is answered at once, the rest becomes a [`ReadTask`] that
//! whoever owns the log performs.

use std::collections::VecDeque;

use rheos_protocol::batch::Batch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;

use super::segments::Segment;
use super::{Admission, Log, Shard};
use crate::arrival::Now;
use crate::fanout::Part;
use crate::index::{IndexEntry, entry_of_arrival, entry_of_sequence};
use crate::reader::{ReadOutcome, ReadTask, Target, Window};

/// A read that has begun.
#[derive(Debug)]
pub enum ReadStart {
    /// The answer.
    Ready(ReadOutcome),
    /// Blocks are to be read first.
    Disk(Box<ReadTask>),
}

/// Where a shard stands for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardTip {
    /// Everything before it is on the disk.
    pub durable_sequence: u64,
    /// Arrival of the last durable record; 0 when there is none.
    pub last_arrival_ms: u64,
    /// Whether no more records will come.
    pub closed: bool,
}

impl Log {
    /// Where a shard stands.
    ///
    /// # Errors
    /// `ShardNotFound`.
    pub fn tip(&self, shard: u32) -> Result<ShardTip, WireError> {
        Ok(self.shards[self.shard_at(shard)?].tip())
    }

    /// Where the shard ends, if a position is not beyond that.
    ///
    /// # Errors
    /// `ShardNotFound`, and `BeyondTip` for a sequence that does not exist yet.
    pub(crate) fn position_exists(&self, shard: u32, position: Position) -> Result<u64, WireError> {
        let tip = self.tip(shard)?.durable_sequence;
        let named = match position {
            Position::AtSequence(sequence) => sequence,
            Position::AfterSequence(sequence) => sequence.saturating_add(1),
            Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => return Ok(tip),
        };
        if named > tip {
            let message = format!("shard {shard} ends before sequence {tip}; {named} does not exist yet");
            return Err(WireError::new(ErrorCode::BeyondTip, message).with_detail(tip, 0));
        }
        Ok(tip)
    }

    /// Begins a read of at most `bytes_max` bytes of batches, at least one batch, from a position.
    ///
    /// # Errors
    /// `ShardNotFound`, and `BeyondTip` for a sequence that does not exist yet.
    pub fn read(&self, now: Now, shard: u32, position: Position, bytes_max: usize) -> Result<ReadStart, WireError> {
        let tip = self.position_exists(shard, position)?;
        let horizon_ms = self.horizon_ms(now);
        let target = match position {
            Position::Latest => Target::Sequence(tip),
            Position::AtSequence(sequence) => Target::Sequence(sequence),
            Position::AfterSequence(sequence) => Target::Sequence(sequence.saturating_add(1)),
            Position::AtTimestamp(ms) => Target::Arrival(ms.max(horizon_ms)),
            Position::TrimHorizon => Target::Arrival(horizon_ms),
        };
        if let Some(outcome) = self.read_memory(shard, tip, target, bytes_max) {
            return Ok(ReadStart::Ready(outcome));
        }
        let in_memory = self.segments.in_memory().next().map(|segment| segment.id.segment);
        let (lowest, newest) = self.segments.numbers();
        Ok(ReadStart::Disk(Box::new(ReadTask::new(
            self.id(),
            shard,
            target,
            horizon_ms,
            tip,
            bytes_max,
            lowest..in_memory.unwrap_or(newest + 1),
            self.windows(shard, target),
        ))))
    }

    /// What is in memory of a shard from a sequence below its tip on, up to `bytes_max`, at least one batch;
    /// `None` when the batch that holds the sequence is not.
    pub(crate) fn tail(&self, shard: u32, sequence: u64, bytes_max: usize) -> Option<Part> {
        self.tail.part(shard, sequence, bytes_max)
    }

    /// How many shards the log holds.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The shards that take what a closed one took; `None` for one that is not closed.
    pub fn children(&self, shard: u32) -> Option<&[u32]> {
        match &self.shards[self.shard_at(shard).ok()?].admission {
            Admission::Closed(closed) => Some(&closed.children),
            Admission::Open | Admission::Closing => None,
        }
    }

    fn read_memory(&self, shard: u32, tip: u64, target: Target, bytes_max: usize) -> Option<ReadOutcome> {
        let sequence = match target {
            Target::Sequence(sequence) => sequence,
            Target::Arrival(arrival_ms) if self.tip(shard).ok()?.last_arrival_ms < arrival_ms => tip,
            Target::Arrival(arrival_ms) => self.tail.sequence_at(shard, arrival_ms)?,
        };
        if sequence == tip {
            return Some(ReadOutcome {
                start_sequence: tip,
                next_sequence: tip,
                batches: Vec::new(),
                others: Vec::new(),
                read_bytes: 0,
                pieces: Vec::new(),
                next_arrival_ms: None,
            });
        }
        let batches = self.tail.from_sequence(shard, sequence, bytes_max)?;
        let next_sequence = batches.last().map_or(sequence, Batch::next_sequence);
        // How far a reader is behind the tip is the age of what comes next; in the tail it is there.
        let next_arrival_ms = self
            .tail
            .from_sequence(shard, next_sequence, 0)
            .and_then(|batches| batches.first().map(|batch| batch.header().arrival_ms));
        let pieces = batches.iter().map(|batch| batch.bytes().clone()).collect();
        let (others, read_bytes) = (Vec::new(), 0);
        Some(ReadOutcome {
            start_sequence: sequence,
            next_sequence,
            batches,
            others,
            read_bytes,
            pieces,
            next_arrival_ms,
        })
    }

    /// The parts of the indexes in memory from where the read begins, when it begins there; else from
    /// the beginning of what is in memory, for a read that comes to it from older segments.
    fn windows(&self, shard: u32, target: Target) -> VecDeque<Window> {
        let holds = |segment: &&Segment| !segment.index.of_shard(shard).is_empty();
        let begins_before = |segment: &&Segment| match (segment.index.of_shard(shard).first(), target) {
            (Some(first), Target::Sequence(sequence)) => first.first_sequence <= sequence,
            (Some(first), Target::Arrival(arrival_ms)) => first.arrival_ms < arrival_ms,
            (None, _) => false,
        };
        let found = self.segments.in_memory().rev().find(begins_before);
        let begins_here = found.is_some();
        let first = found.map(|segment| segment.id);
        let mut windows = VecDeque::new();
        let mut room = WINDOW_ENTRIES_MAX;
        for segment in self.segments.in_memory().filter(holds).filter(|segment| Some(segment.id) >= first) {
            let entries = segment.index.of_shard(shard);
            let at = match target {
                _ if first != Some(segment.id) => 0,
                Target::Sequence(sequence) => entry_of_sequence(entries, sequence).unwrap_or(0),
                Target::Arrival(arrival_ms) => entry_of_arrival(entries, arrival_ms),
            };
            let taken: Vec<IndexEntry> = entries[at..].iter().take(room).copied().collect();
            let Some(last) = taken.last() else { break };
            room -= taken.len();
            windows.push_back(Window {
                segment: segment.id,
                salt: segment.salt,
                end: segment.end.offset,
                begins_here,
                after: self.sequence_after(shard, segment, last.first_sequence),
                entries: taken,
            });
            if at + windows.back().map_or(0, |window| window.entries.len()) < entries.len() {
                break;
            }
        }
        windows
    }

    /// Where the shard goes on after the entry that begins at `last`, in this segment or a later one.
    fn sequence_after(&self, shard: u32, from: &Segment, last: u64) -> Option<u64> {
        self.segments
            .in_memory()
            .filter(|segment| segment.id >= from.id)
            .flat_map(|segment| segment.index.of_shard(shard))
            .find(|entry| entry.first_sequence > last)
            .map(|entry| entry.first_sequence)
    }
}

impl Shard {
    pub(super) fn tip(&self) -> ShardTip {
        let closed = matches!(self.admission, Admission::Closed(_));
        ShardTip { durable_sequence: self.durable_sequence, last_arrival_ms: self.last_arrival_ms, closed }
    }
}

/// Entries that one read takes from an index in memory: with 4 KiB commits, 4 MiB.
const WINDOW_ENTRIES_MAX: usize = 1024;
