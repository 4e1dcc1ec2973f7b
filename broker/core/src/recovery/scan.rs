//! The scan of a segment: commit after commit, from its head to where the chain stops, and beyond
//! what is damaged.

use bytes::Bytes;
use rheos_protocol::batch::BatchHeader;

use super::verdict::{Here, Named, Verdict, verdict};
use crate::carry_over::CarryOver;
use crate::commit::{COMMIT_HEADER_BYTES, Commit, CommitHeader, SegmentId};
use crate::footer::SegmentEnd;
use crate::index::{IndexEntry, SegmentIndex};
use crate::limits::BLOCK_BYTES;
use crate::segment::Header;

/// What a scan has found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) end: SegmentEnd,
    pub(crate) index: SegmentIndex,
    /// Why the log may not go on, if it may not.
    pub(crate) refused: Option<String>,
    /// Bytes from the end that are torn and were never acknowledged.
    pub(crate) cut_bytes: u64,
    pub(crate) last_arrival_ms: u64,
}

/// Scans a whole segment file and brings `state`, which the segment inherited, to its end. Where the
/// head is damaged, what it inherited is not known, and every sequence is believed as it comes.
pub(crate) fn scan(
    segment: SegmentId,
    salt: u64,
    header: &Header,
    head_is_whole: bool,
    bytes: &Bytes,
    named_end: Option<u64>,
    state: &mut CarryOver,
) -> Scanned {
    let end = SegmentEnd {
        offset: header.first_offset(),
        next_commit: header.first_commit,
        last_checksum: header.predecessor.map_or(0, |end| end.last_checksum),
        last_data_offset: 0,
    };
    let last_arrival_ms = state.last_arrival_ms();
    let refused = (!head_is_whole).then(|| format!("the head of segment {} is damaged", segment.segment));
    let found = Scanned { end, index: SegmentIndex::default(), refused, cut_bytes: 0, last_arrival_ms };
    let mut scanner = Scanner { segment, salt, bytes, state, found };
    scanner.run(named_end);
    scanner.found
}

struct Scanner<'a> {
    segment: SegmentId,
    salt: u64,
    bytes: &'a Bytes,
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
            match (verdict(here, later.is_some(), named), commit) {
                (Verdict::GoOn, Some(commit)) => {
                    if let Err(why) = self.take(commit) {
                        return self.refuse(why);
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
            let known = self.state.shards.binary_search_by_key(&at.shard, |state| state.shard);
            let Ok(known) = known else {
                return Err(format!(
                    "commit {} holds records of shard {}, which is not of this log",
                    header.number, at.shard
                ));
            };
            let shard = &mut self.state.shards[known];
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
        self.pass_over(damage);
        let mut offset = damage;
        while let Some(next) = self.next_durable(offset, 0) {
            match self.commit_at(next) {
                Some(commit) if commit.header.number >= self.found.end.next_commit => {
                    if self.take(commit).is_err() {
                        return;
                    }
                    offset = self.found.end.offset - BLOCK_BYTES;
                }
                _ => offset = next,
            }
        }
    }

    /// The records of a damaged commit are lost, but where its batch headers are whole their sequences
    /// are known, and are not given again.
    fn pass_over(&mut self, damage: u64) {
        let mut at = damage as usize + COMMIT_HEADER_BYTES;
        while let Some(header) = self.bytes.get(at..).and_then(|here| BatchHeader::decode(here).ok()) {
            let known = self.state.shards.binary_search_by_key(&header.shard, |state| state.shard);
            match known.map(|known| &mut self.state.shards[known]) {
                Ok(shard) if shard.next_sequence == header.first_sequence => {
                    shard.next_sequence += u64::from(header.record_count);
                }
                _ => return,
            }
            at += header.total_len();
        }
    }

    /// The next place after `offset` with a commit header that was made when commit `number` was durable.
    fn next_durable(&self, offset: u64, number: u64) -> Option<u64> {
        let from = offset + BLOCK_BYTES;
        (from..self.bytes.len() as u64).step_by(BLOCK_BYTES as usize).find(|&at| {
            CommitHeader::decode(&self.bytes[at as usize..], self.segment, at, self.salt)
                .is_ok_and(|(header, _)| header.durable > number)
        })
    }

    fn is_zero(&self, offset: u64) -> bool {
        let from = (offset as usize).min(self.bytes.len());
        let to = (from + BLOCK_BYTES as usize).min(self.bytes.len());
        self.bytes[from..to].iter().all(|byte| *byte == 0)
    }

    /// How far the torn write reaches: up to the last block from here on that is not zero.
    fn torn_bytes(&self, offset: u64) -> u64 {
        let blocks = (offset..self.bytes.len() as u64).step_by(BLOCK_BYTES as usize);
        blocks.filter(|at| !self.is_zero(*at)).last().map_or(0, |last| last + BLOCK_BYTES - offset)
    }
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
