//! What a lane tells when it is asked: everything it has counted, as of one moment.
//!
//! Logs are in order of their ids; their shards are listed until enough are, streams that were made first
//! before later ones, so that the lists of all lanes together begin with the same shards.

use std::time::Duration;

use rheos_core::counts::{Amount, LogCounts, Refused};
use rheos_core::fanout::ConsumerCounted;
use rheos_core::log::LogId;
use rheos_core::readiness::LaneReadiness;

use super::histogram::Histogram;

/// Most shards that a page lists.
pub(crate) const SHARDS_MAX: usize = 1_000;

/// The report of a lane.
#[derive(Debug)]
pub(crate) struct LaneReport {
    /// CPU time of the lane's thread.
    pub(crate) busy: Duration,
    pub(crate) counts: LaneCounts,
    /// Puts of the lane's connections that were acknowledged: from when the lane saw them to the reply.
    pub(crate) put_ack: Histogram,
    /// Connections that have said an accepted Hello.
    pub(crate) connections: u64,
    pub(crate) commits_in_flight: u64,
    pub(crate) memory: Vec<MemoryUse>,
    pub(crate) readiness: LaneReadiness,
    pub(crate) logs: Vec<LogReport>,
    pub(crate) consumers: Vec<ConsumerCounted>,
    /// What this lane refused of shards that another lane serves, by incarnation and shard.
    pub(crate) turned_away: Vec<((u64, u32), Away)>,
}

/// What a lane counts beside its logs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LaneCounts {
    pub(crate) turns: u64,
    /// Commits that have become durable.
    pub(crate) commits: u64,
    /// Their bytes as they were written, heads of segments and padding included.
    pub(crate) commit_bytes: u64,
    /// The bytes of batches among them.
    pub(crate) commit_payload_bytes: u64,
    /// From their submission to their completion.
    pub(crate) commit: Histogram,
    /// Puts that no log saw: malformed, not allowed, or to no stream or shard.
    pub(crate) puts_rejected: u64,
}

/// Memory of a lane for one use, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryUse {
    /// For machines, one word.
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
    pub(crate) limit_bytes: u64,
}

/// What was refused because the way to its lane was full.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Away {
    pub(crate) refused: Refused,
    pub(crate) reads: u64,
}

/// A log, as its lane tells of it.
#[derive(Debug)]
pub(crate) struct LogReport {
    pub(crate) id: LogId,
    pub(crate) counts: LogCounts,
    /// Age of the last record that a reader was given, of the shard whose reader is farthest behind; nothing when
    /// nobody reads.
    pub(crate) iterator_age_ms: Option<u64>,
    /// The first of its shards.
    pub(crate) shards: Vec<ShardReport>,
}

/// A shard, as its lane tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardReport {
    pub(crate) shard: u32,
    pub(crate) tip_sequence: u64,
    pub(crate) incoming: Amount,
    pub(crate) refused_records: u64,
    /// Read and pushed.
    pub(crate) outgoing: Amount,
    pub(crate) iterator_age_ms: Option<u64>,
}
