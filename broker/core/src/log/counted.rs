//! What a log counts, and what it tells of it.

use rheos_protocol::error::ErrorCode;

use super::{Log, ShardTip};
use crate::arrival::Now;
use crate::counts::{Amount, LastRead, LogCounts, Refusal, ShardCounts};
use crate::index::entry_of_sequence;

/// A shard of a log, with what was counted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCounted {
    /// Its number.
    pub shard: u32,
    /// Where it stands.
    pub tip: ShardTip,
    /// What was counted.
    pub counts: ShardCounts,
}

impl Log {
    /// What was counted of all shards together.
    pub fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// The shards in order of their numbers, each with what was counted of it.
    pub fn shards_counted(&self) -> impl ExactSizeIterator<Item = ShardCounted> {
        self.shards.iter().map(|shard| ShardCounted { shard: shard.number, tip: shard.tip(), counts: shard.counts })
    }

    /// Counts a read of a shard that was answered: what it was given, which its ceiling is charged with, and the age of
    /// the last of it.
    pub fn count_read(&mut self, now: Now, shard: u32, given: Amount, iterator_age_ms: u64) {
        self.counts.reads += 1;
        self.counts.read += given;
        self.take_read(now, shard, given);
        // A shard that is gone by now was counted with the others.
        let Ok(shard_at) = self.shard_at(shard) else { return };
        let counts = &mut self.shards[shard_at].counts;
        counts.read += given;
        counts.last_read = Some(LastRead { boot_ms: now.boot_ms, iterator_age_ms });
    }

    /// Counts the records of a put that is answered with an error.
    pub(super) fn count_refused(&mut self, shard_at: Option<usize>, record_count: u32, code: ErrorCode) {
        self.counts.refused.add(Refusal::of(code), record_count.into());
        if let Some(shard_at) = shard_at {
            self.shards[shard_at].counts.refused_records += u64::from(record_count);
        }
    }

    /// When the record of this sequence arrived, or a little earlier: the arrival of the first record of its
    /// shard in its commit. Nothing where that is known on the disk alone.
    pub(crate) fn arrival_of(&self, shard: u32, sequence: u64) -> Option<u64> {
        if let Some(arrival_ms) = self.tail.arrival_of(shard, sequence) {
            return Some(arrival_ms);
        }
        let entries = self.segments.in_memory().rev().map(|segment| segment.index.of_shard(shard));
        entries.filter_map(|entries| Some(entries[entry_of_sequence(entries, sequence)?].arrival_ms)).next()
    }
}
