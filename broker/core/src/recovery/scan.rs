//! The scan of a segment: commit after commit, from its head to where the chain stops, and beyond
//! what is damaged.
//!
//! What must hold: nothing beyond the end that a successor or a trailer names is looked at; a put that may
//! be lost is neither acked again nor stored again.

use bytes::Bytes;
use rheos_protocol::batch::BatchHeader;

use super::verdict::{Here, Named, Stop, Verdict, verdict};
use crate::carry_over::CarryOver;
use crate::commit::{COMMIT_HEADER_BYTES, Commit, CommitHeader, SegmentId};
use crate::footer::SegmentEnd;
use crate::index::{IndexEntry, SegmentIndex};
use crate::limits::BLOCK_BYTES;
use crate::planted::Bug;
use crate::segment::{HEAD_BYTES, Header};

/// What a scan has found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) end: SegmentEnd,
    pub(crate) index: SegmentIndex,
    /// Where commits that may have been acknowledged cannot be read, in order.
    pub(crate) holes: Vec<Hole>,
    /// Why the log may not go on, if it may not.
    pub(crate) refused: Option<String>,
    /// Bytes from the end that are torn and were never acknowledged.
    pub(crate) cut_bytes: u64,
    /// Where the chain stopped, when it was followed from its beginning.
    pub(crate) stop: Option<Stop>,
    pub(crate) last_arrival_ms: u64,
}

/// A stretch of a segment in which commits were made and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Bytes of it whose records are not known by whole batch headers.
    pub(crate) unknown_bytes: u64,
}

/// Where a scan begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    end: SegmentEnd,
    head: Head,
}

/// What is left of a segment's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// All of it.
    Whole,
    /// A header, and not the carry-over.
    NoCarryOver,
    /// Nothing.
    Lost,
}

impl Start {
    /// At the first commit, where the header says that it is.
    pub(crate) fn after(header: &Header, head: Head) -> Start {
        let last_checksum = header.predecessor.map_or(0, |end| end.last_checksum);
        let (offset, next_commit) = (header.first_offset(), header.first_commit);
        Start { end: SegmentEnd { offset, next_commit, last_checksum, last_data_offset: 0 }, head }
    }

    /// At the first commit of at least this number.
    pub(crate) fn without_head(next_commit: u64) -> Start {
        let end = SegmentEnd { offset: HEAD_BYTES, next_commit, last_checksum: 0, last_data_offset: 0 };
        Start { end, head: Head::Lost }
    }
}

/// Scans a whole segment file and brings `state`, which the segment inherited, to its end. Where the
/// head is damaged, what it inherited is not known, and every sequence is believed as it comes.
pub(crate) fn scan(
    segment: SegmentId,
    salt: u64,
    start: Start,
    bytes: &Bytes,
    named_end: Option<u64>,
    state: &mut CarryOver,
) -> Scanned {
    let last_arrival_ms = state.last_arrival_ms();
    let refused = (start.head != Head::Whole).then(|| format!("the head of segment {} is damaged", segment.segment));
    let index = SegmentIndex::default();
    let found =
        Scanned { end: start.end, index, holes: Vec::new(), refused, cut_bytes: 0, stop: None, last_arrival_ms };
    let named_end = named_end.filter(|_| !Bug::SuccessorIgnored.is_planted());
    let limit = named_end.unwrap_or(u64::MAX).min(bytes.len() as u64);
    let mut scanner = Scanner { segment, salt, bytes, limit, state, found };
    match start.head {
        Head::Whole | Head::NoCarryOver => scanner.run(named_end),
        Head::Lost => scanner.go_on_after(HEAD_BYTES),
    }
    scanner.found
}

struct Scanner<'a> {
    segment: SegmentId,
    salt: u64,
    bytes: &'a Bytes,
    /// Where it ends at the latest.
    limit: u64,
    state: &'a mut CarryOver,
    found: Scanned,
}

impl Scanner<'_> {
    fn run(&mut self, named_end: Option<u64>) {
        loop {
            let offset = self.found.end.offset;
            let named = match named_end {
                None => Named::No,
                Some(end) if end == offset => Named::Here,
                Some(_) => Named::Later,
            };
            let commit = self.commit_at(offset).filter(|commit| self.follows(commit));
            let here = match (&commit, self.is_zero(offset)) {
                (Some(_), _) => Here::Commit,
                (None, true) => Here::Nothing,
                (None, false) => Here::Damage,
            };
            let later = if commit.is_some() { None } else { self.next_durable(offset, self.found.end.next_commit) };
            self.found.stop = Some(Stop { here, durable_later: later.is_some(), named });
            match (verdict(here, later.is_some(), named), commit) {
                (Verdict::GoOn, Some(commit)) => {
                    if let Err(why) = self.take(commit) {
                        self.refuse(why);
                        return self.leave_hole(offset, self.written_end(offset).min(self.limit));
                    }
                }
                (Verdict::Keep, _) if named == Named::Here => return,
                // A torn write may lack its first block alone, and then nothing stands here.
                (Verdict::Keep | Verdict::Cut, _) => {
                    self.found.cut_bytes = self.torn_bytes(offset);
                    return;
                }
                (Verdict::Refuse | Verdict::GoOn, _) => {
                    self.refuse(format!(
                        "commit {} at offset {offset} of segment {} is damaged",
                        self.found.end.next_commit, self.segment.segment
                    ));
                    return self.go_on_after(offset);
                }
            }
        }
    }

    fn commit_at(&self, offset: u64) -> Option<Commit> {
        let bytes = self.bytes.get(offset as usize..).map(|here| self.bytes.slice_ref(here))?;
        Commit::parse(&bytes, self.segment, offset, self.salt).ok()
    }

    fn follows(&self, commit: &Commit) -> bool {
        let end = &self.found.end;
        commit.header.number == end.next_commit && commit.header.previous_checksum == end.last_checksum
    }

    /// Believes a commit: its records count, and it is the end.
    fn take(&mut self, commit: Commit) -> Result<(), String> {
        let header = commit.header;
        for batch in &commit.batches {
            let at = *batch.header();
            if Bug::ChildrenUnknown.is_planted() && self.state.shard(at.shard).is_none() {
                return Err(format!("shard {} is not of this log", at.shard));
            }
            let shard = self.state.shard_or_new(at.shard);
            if at.first_sequence < shard.next_sequence
                || (self.found.refused.is_none() && at.first_sequence > shard.next_sequence)
            {
                return Err(format!(
                    "commit {} gives shard {} sequence {} where {} is next",
                    header.number, at.shard, at.first_sequence, shard.next_sequence
                ));
            }
            shard.next_sequence = batch.next_sequence();
            shard.last_arrival_ms = at.arrival_ms;
            self.found.last_arrival_ms = at.arrival_ms;
            self.found.index.add(
                at.shard,
                IndexEntry { first_sequence: at.first_sequence, arrival_ms: at.arrival_ms, offset: header.offset },
            );
            if at.producer.is_numbered() {
                self.state.producers.replay(at.producer, at.shard, (at.first_sequence, at.arrival_ms));
            }
        }
        self.found.end = SegmentEnd {
            offset: header.end(),
            next_commit: header.number + 1,
            last_checksum: commit.checksum,
            last_data_offset: if header.batch_count > 0 { header.offset } else { self.found.end.last_data_offset },
        };
        Ok(())
    }

    fn refuse(&mut self, why: String) {
        self.found.refused.get_or_insert(why);
    }

    /// What follows the damage stays readable: every whole commit further on is taken.
    fn go_on_after(&mut self, damage: u64) {
        let (mut hole, mut from) = (damage, damage + BLOCK_BYTES);
        while let Some(commit) = self.next_whole(from) {
            let (number, offset) = (commit.header.number, commit.header.offset);
            // Where no commit is missing, what stands between was never one.
            if number > self.found.end.next_commit {
                self.leave_hole(hole, offset);
            }
            hole = offset;
            if self.take(commit).is_err() {
                break;
            }
            (hole, from) = (self.found.end.offset, self.found.end.offset);
        }
        self.leave_hole(hole, self.written_end(hole).min(self.limit));
    }

    /// The next whole commit at or after `offset` that is none of those before the damage.
    fn next_whole(&self, offset: u64) -> Option<Commit> {
        (offset..self.limit)
            .step_by(BLOCK_BYTES as usize)
            .filter_map(|at| self.commit_at(at))
            .find(|commit| commit.header.number >= self.found.end.next_commit)
    }

    /// The records of damaged commits are lost, but where their batch headers are whole their sequences
    /// are known, and are not given again.
    fn leave_hole(&mut self, from: u64, to: u64) {
        if to <= from {
            return;
        }
        let known_to = self.pass_over(from, to);
        if known_to < to {
            // Whoever put what is not known could be anybody.
            self.state.producers.interrupt();
        }
        self.found.holes.push(Hole { offset: from, unknown_bytes: to - known_to });
    }

    /// Goes from commit to commit of a hole as far as its batch headers are whole, and says how far.
    fn pass_over(&mut self, from: u64, to: u64) -> u64 {
        let mut commit = from;
        while commit < to {
            let (mut at, mut batches) = (commit as usize + COMMIT_HEADER_BYTES, 0);
            while let Some(header) = self.bytes.get(at..to as usize).and_then(|here| BatchHeader::decode(here).ok()) {
                if !self.pass_over_batch(&header) {
                    return commit;
                }
                (at, batches) = (at + header.total_len(), batches + 1);
            }
            let end = (at as u64).next_multiple_of(BLOCK_BYTES);
            let padding = self.bytes.get(at..(end as usize).min(self.bytes.len())).unwrap_or(&[]);
            if end > to || padding.iter().any(|byte| *byte != 0) || (batches == 0 && !self.is_empty_commit(commit)) {
                return commit;
            }
            commit = end;
        }
        to
    }

    /// Counts the records of a batch as given away; false when it does not follow what is known.
    fn pass_over_batch(&mut self, header: &BatchHeader) -> bool {
        let known = self.state.shards.binary_search_by_key(&header.shard, |state| state.shard);
        let Ok(known) = known else { return false };
        let shard = &mut self.state.shards[known];
        if shard.next_sequence != header.first_sequence {
            return false;
        }
        shard.next_sequence += u64::from(header.record_count);
        shard.last_arrival_ms = header.arrival_ms;
        if header.producer.is_numbered() {
            self.state.producers.replay_lost(header.producer, header.shard);
        }
        true
    }

    fn is_empty_commit(&self, offset: u64) -> bool {
        self.commit_at(offset).is_some_and(|commit| commit.header.batch_count == 0)
    }

    /// The next place after `offset` with a commit header that was made when commit `number` was durable.
    fn next_durable(&self, offset: u64, number: u64) -> Option<u64> {
        let from = offset + BLOCK_BYTES;
        (from..self.bytes.len() as u64).step_by(BLOCK_BYTES as usize).find(|&at| {
            CommitHeader::decode(&self.bytes[at as usize..], self.segment, at, self.salt)
                .is_ok_and(|(header, _)| header.durable > number + u64::from(Bug::WatermarkOffByOne.is_planted()))
        })
    }

    fn is_zero(&self, offset: u64) -> bool {
        is_zero(self.bytes, offset)
    }

    /// How far the torn write reaches: up to the last block from here on that is not zero.
    fn torn_bytes(&self, offset: u64) -> u64 {
        self.written_end(offset) - offset
    }

    fn written_end(&self, offset: u64) -> u64 {
        written_end(self.bytes, offset)
    }
}

/// The end of the last block, from the block at `offset` on, that holds anything but zeros; `offset` when none does.
pub(crate) fn written_end(bytes: &[u8], offset: u64) -> u64 {
    let rest = bytes.get(offset as usize..).unwrap_or(&[]);
    let last = rest.chunks(BLOCK_BYTES as usize).rposition(|block| block.iter().any(|byte| *byte != 0));
    last.map_or(offset, |last| offset + (last as u64 + 1) * BLOCK_BYTES)
}

fn is_zero(bytes: &[u8], offset: u64) -> bool {
    let from = (offset as usize).min(bytes.len());
    let to = (from + BLOCK_BYTES as usize).min(bytes.len());
    bytes[from..to].iter().all(|byte| *byte == 0)
}

/// How many different commits of this segment have a valid header in the file, up to two: whether
/// its first write can have been acknowledged.
pub(crate) fn commits_in(segment: SegmentId, salt: u64, bytes: &[u8]) -> usize {
    let mut first = None;
    for at in (0..bytes.len().saturating_sub(COMMIT_HEADER_BYTES)).step_by(BLOCK_BYTES as usize) {
        let Ok((header, _)) = CommitHeader::decode(&bytes[at..], segment, at as u64, salt) else { continue };
        match first {
            None => first = Some(header.number),
            Some(number) if number != header.number => return 2,
            Some(_) => {}
        }
    }
    usize::from(first.is_some())
}
