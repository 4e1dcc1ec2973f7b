//! The plan of a repair, and the files that carry it out.
//!
//! What must hold: the new segment is well formed and sealed, so that recovery needs nothing else to go on
//! from it: its state stands in its head and again in its footer, and two empty commits prove that it was
//! in use. The chores are done in their order; after any of them a start either refuses the log as before
//! or goes on from the new state.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::LogOnDisk;
use crate::carry_over::CarryOver;
use crate::commit::{CommitHeader, HeaderDigest, SegmentId};
use crate::footer::{self, SegmentEnd};
use crate::gap::GapMark;
use crate::index::SegmentIndex;
use crate::limits::BLOCK_BYTES;
use crate::segment::{Header, Label, Predecessor, encode_head};

/// How a log can take puts again.
#[derive(Debug)]
pub struct RepairPlan {
    pub(super) log: LogOnDisk,
    pub(super) state: CarryOver,
    pub(super) next_commit: u64,
    /// Where the segment before the new one ends, if it can be read.
    pub(super) predecessor: Option<Predecessor>,
    /// Oldest first.
    pub(super) unsealed: Vec<Unsealed>,
    pub(super) missing: Vec<u64>,
    pub(super) unreadable: Vec<u64>,
    pub(super) next_segment: u64,
    pub(super) doubted: BTreeMap<u32, u64>,
}

/// A segment that can be read and has no footer.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub(super) id: SegmentId,
    pub(super) salt: u64,
    /// Where its footer goes, and what was last before it.
    pub(super) end: SegmentEnd,
    pub(super) index: SegmentIndex,
    /// What it leaves behind.
    pub(super) left: CarryOver,
}

/// Records that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Of which shard.
    pub shard: u32,
    /// Sequence of the first.
    pub first_sequence: u64,
    /// Sequence of the last.
    pub last_sequence: u64,
}

impl Loss {
    /// Whether a record is among them.
    pub fn holds(&self, shard: u32, sequence: u64) -> bool {
        self.shard == shard && (self.first_sequence..=self.last_sequence).contains(&sequence)
    }
}

/// A change to the files of a log that repairs it. Each is done whole, and is on the disk, before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairChore {
    /// Write a footer and cut the file after it. Nothing is written over but zeros.
    Seal {
        /// The segment.
        segment: u64,
        /// Where the footer goes.
        offset: u64,
        /// Its bytes.
        footer: Bytes,
    },
    /// Make a file of these bytes, in place of what may be there: that is a spare.
    Create {
        /// The segment.
        segment: u64,
        /// Its bytes.
        bytes: Bytes,
    },
}

impl RepairChore {
    /// The segment that it changes.
    pub fn segment(&self) -> u64 {
        match self {
            RepairChore::Seal { segment, .. } | RepairChore::Create { segment, .. } => *segment,
        }
    }
}

impl RepairPlan {
    /// The state from which the log goes on.
    pub fn state(&self) -> &CarryOver {
        &self.state
    }

    /// For shards of which it cannot be told how many records are lost: the first sequence in doubt. The
    /// shard goes on after as many as there can have been.
    pub fn doubted(&self) -> &BTreeMap<u32, u64> {
        &self.doubted
    }

    /// Segments without a file, in order.
    pub fn missing(&self) -> &[u64] {
        &self.missing
    }

    /// Segments whose file cannot be told to be theirs.
    pub fn unreadable(&self) -> &[u64] {
        &self.unreadable
    }

    /// Segments that get a footer, oldest first.
    pub fn sealed(&self) -> impl Iterator<Item = u64> + '_ {
        self.unsealed.iter().map(|unsealed| unsealed.id.segment)
    }

    /// Number of the new segment. The catalog has to know it before the file is there.
    pub fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// The files of the log when the chores are done.
    pub fn repaired(&self) -> LogOnDisk {
        let mut files = self.log.files.clone();
        files.extend(self.missing.iter().copied().chain([self.next_segment]));
        let highest_prepared = self.log.highest_prepared.max(self.next_segment);
        LogOnDisk { files, highest_prepared, ..self.log.clone() }
    }

    /// Forgets which puts the lost records were: a resend of one is neither acked nor stored again.
    pub fn forget_lost(&mut self, losses: &[Loss]) {
        self.state.producers.forget_lost(|shard, sequence| losses.iter().any(|loss| loss.holds(shard, sequence)));
    }

    /// What is to be done, in order. `salt` is for the new segment: random and secret.
    pub fn chores(&self, salt: u64) -> Vec<RepairChore> {
        let seals = self.unsealed.iter().map(|unsealed| self.seal(unsealed));
        let end = RepairChore::Create { segment: self.next_segment, bytes: self.new_segment(salt) };
        // While one of these is missing the log is refused, so they come last.
        let gaps = self.missing.iter().map(|segment| {
            let mark = GapMark { directory: self.log.directory, segment: self.id(*segment) };
            RepairChore::Create { segment: *segment, bytes: mark.encode() }
        });
        seals.chain([end]).chain(gaps).collect()
    }

    fn seal(&self, unsealed: &Unsealed) -> RepairChore {
        let Unsealed { id, salt, end, index, left } = unsealed;
        // With the last one sealed a start may believe its footer, so that has to say all.
        let left = if id.segment + 1 == self.next_segment { &self.state } else { left };
        let footer = footer::encode(*id, *salt, *end, index, &encoded(left), left.last_arrival_ms());
        RepairChore::Seal { segment: id.segment, offset: end.offset, footer }
    }

    fn new_segment(&self, salt: u64) -> Bytes {
        let segment = self.id(self.next_segment);
        let carry_over = encoded(&self.state);
        let last_arrival_ms = self.state.last_arrival_ms();
        let header = Header {
            segment,
            carry_over_len: carry_over.len() as u32,
            carry_over_checksum: 0,
            first_commit: self.next_commit,
            predecessor: self.predecessor,
            first_arrival_ms: last_arrival_ms,
        };
        let mut out = BytesMut::from(&Label { directory: self.log.directory, segment, salt }.encode()[..]);
        out.put_slice(&encode_head(&header, &carry_over, salt));
        let mut last_checksum = self.predecessor.map_or(0, |end| end.last_checksum);
        for number in self.next_commit..self.next_commit + COMMITS {
            let (bytes, checksum) = empty_commit(segment, number, out.len() as u64, last_checksum).encode(salt);
            out.put_slice(&bytes);
            out.resize(out.len().next_multiple_of(BLOCK_BYTES as usize), 0);
            last_checksum = checksum;
        }
        let (offset, next_commit) = (out.len() as u64, self.next_commit + COMMITS);
        let end = SegmentEnd { offset, next_commit, last_checksum, last_data_offset: 0 };
        out.put_slice(&footer::encode(segment, salt, end, &SegmentIndex::default(), &carry_over, last_arrival_ms));
        out.freeze()
    }

    fn id(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.log.id.incarnation, log: self.log.id.log, segment }
    }
}

fn encoded(state: &CarryOver) -> BytesMut {
    let mut out = BytesMut::new();
    state.encode(&mut out);
    out
}

fn empty_commit(segment: SegmentId, number: u64, offset: u64, previous_checksum: u64) -> CommitHeader {
    CommitHeader {
        segment,
        number,
        offset,
        payload_len: 0,
        batch_count: 0,
        digest: HeaderDigest::default().finish(),
        durable: number,
        previous_checksum,
    }
}

/// Commits of the new segment: with one alone a damaged head would pass for a torn first write.
const COMMITS: u64 = 2;
