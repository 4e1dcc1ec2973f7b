//! The walk over the commits of a segment: read, proved, and what is wanted of them taken.

use bytes::Bytes;
use rheos_protocol::batch::Batch;

use super::damage::{damaged, trimmed};
use super::{ReadPlace, ReadStep, ReadTask, Scan, State, Target, Window};
use crate::commit::{BadCommit, COMMIT_HEADER_BYTES, Commit, CommitHeader};
use crate::limits::BLOCK_BYTES;

impl ReadTask {
    pub(super) fn enter(&mut self, window: Window) -> ReadStep {
        let offset = window.entries[0].offset;
        self.scan_from(Scan { window, at: 0, offset, len: 0 }, 0)
    }

    /// Asks for the commits from the current entry on: as many whole ones as the read can still take.
    pub(super) fn scan_from(&mut self, scan: Scan, len_least: u64) -> ReadStep {
        let offset = scan.window.entries[scan.at].offset;
        let room = (self.bytes_max.saturating_sub(self.gathered.bytes) as u64).next_multiple_of(BLOCK_BYTES);
        let (span, next) = scan.window.span(scan.at, room);
        // Who takes what there is of others reads on where the shard itself has nothing.
        let len = if self.keeps_others { span.max(DENSE_READ_BYTES) } else { span };
        let len = len.max(len_least).min(scan.window.end.saturating_sub(offset));
        let ahead = scan.window.entries.get(next).filter(|_| len < room && !self.keeps_others).map(|entry| {
            let (ahead, _) = scan.window.span(next, room - len);
            ReadPlace::At(entry.offset, ahead as usize)
        });
        let (segment, len) = (scan.window.segment.segment, len as usize);
        self.state = State::Commits(Scan { offset, len, ..scan });
        ReadStep::Read { segment, place: ReadPlace::At(offset, len), keep: false, ahead }
    }

    pub(super) fn commits(&mut self, mut scan: Scan, bytes: &Bytes) -> ReadStep {
        loop {
            let entry = scan.window.entries[scan.at];
            let from = (entry.offset - scan.offset) as usize;
            let here = bytes.slice(from.min(bytes.len())..);
            if here.len() < COMMIT_HEADER_BYTES && from > 0 {
                return self.scan_from(scan, 0);
            }
            let (segment, salt) = (scan.window.segment, scan.window.salt);
            if let Ok((header, _)) = CommitHeader::decode(&here, segment, entry.offset, salt)
                && here.len() < header.len() as usize
                && (from > 0 || scan.len < header.len() as usize)
            {
                return self.scan_from(scan, header.len());
            }
            match Commit::parse(&here, segment, entry.offset, salt) {
                Ok(commit) => {
                    let end = entry.offset + commit.header.len();
                    if let Some(step) = self.gather(&scan, commit) {
                        return step;
                    }
                    self.take_between(&scan, bytes, end);
                }
                Err(BadCommit::Header) => {
                    return self.damage(segment.segment, Some(&scan), "a commit header is damaged");
                }
                Err(BadCommit::Payload) => return self.damage(segment.segment, Some(&scan), "a batch is damaged"),
            }
            if self.gathered.bytes >= self.bytes_max && !self.gathered.batches.is_empty() {
                return self.finish();
            }
            scan.at += 1;
            match scan.window.entries.get(scan.at) {
                Some(next) if next.offset < scan.offset + bytes.len() as u64 => {}
                Some(_) if self.keeps_others && !self.gathered.batches.is_empty() => return self.finish(),
                Some(_) => return self.scan_from(scan, 0),
                None if segment.segment < self.sealed.end => return self.next_segment(segment.segment),
                None => return self.leave_window(&scan.window),
            }
        }
    }

    /// The entries of a window in memory are used up.
    pub(super) fn leave_window(&mut self, window: &Window) -> ReadStep {
        match (self.memory.pop_front(), window.after) {
            (Some(next), _) => self.enter(next),
            (None, Some(after)) if self.trimmed => self.fail(trimmed(after)),
            (None, Some(after)) if self.gathered.start_sequence.is_none() => {
                self.fail(damaged(self.expected().unwrap_or(after), after, "its commit is missing from the index"))
            }
            (None, _) => self.finish(),
        }
    }

    /// Takes what is wanted of a commit; `Some` when the read ends here.
    pub(super) fn gather(&mut self, scan: &Scan, commit: Commit) -> Option<ReadStep> {
        for batch in commit.batches {
            let header = *batch.header();
            if header.shard != self.shard {
                self.take_other(batch);
                continue;
            }
            if self.is_before_target(&batch) {
                self.passed = Some(batch.next_sequence());
                continue;
            }
            if header.arrival_ms < self.horizon_ms && self.gathered.start_sequence.is_none() {
                // The record asked for has outlived the retention: find where the shard begins now.
                self.trimmed = true;
                self.target = Target::Arrival(self.horizon_ms);
                if scan.window.segment.segment < self.sealed.end {
                    return Some(self.search(self.sealed.start, self.sealed.end));
                }
                continue;
            }
            let wanted = self.expected().unwrap_or(header.first_sequence);
            if self.trimmed {
                return Some(self.fail(trimmed(header.first_sequence)));
            }
            if header.first_sequence > wanted {
                let why = "its commit is missing from the index or the disk";
                return Some(self.damage_between(scan, wanted, header.first_sequence, why));
            }
            let bytes = batch.bytes().len();
            if !self.gathered.batches.is_empty() && self.gathered.bytes + bytes > self.bytes_max {
                self.gathered.next_arrival_ms = Some(header.arrival_ms);
                return Some(self.finish());
            }
            self.gathered.start_sequence.get_or_insert(wanted);
            self.gathered.take(batch, &commit.payload);
        }
        None
    }

    /// Takes the commits from `offset` on, up to the shard's next one, that were read on the way, if those are
    /// asked for. What is damaged there is found by whoever needs it.
    fn take_between(&mut self, scan: &Scan, bytes: &Bytes, mut offset: u64) {
        let end = scan.window.entries.get(scan.at + 1).map_or(scan.window.end, |next| next.offset);
        while self.keeps_others && offset < end && self.gathered.bytes < self.bytes_max {
            let here = bytes.slice(((offset - scan.offset) as usize).min(bytes.len())..);
            let Ok(commit) = Commit::parse(&here, scan.window.segment, offset, scan.window.salt) else { return };
            offset += commit.header.len();
            commit.batches.into_iter().for_each(|batch| self.take_other(batch));
        }
    }

    /// Keeps a batch of another shard, if those are asked for. The read ends with the commit in which one
    /// has no room: a commit may hold far more than was asked for.
    fn take_other(&mut self, batch: Batch) {
        if !self.keeps_others {
            return;
        }
        let gathered = &mut self.gathered;
        let bytes = gathered.bytes + batch.bytes().len();
        if bytes <= self.bytes_max {
            gathered.others.push(batch);
        }
        gathered.bytes = gathered.bytes.max(bytes.min(self.bytes_max));
    }
}

impl Window {
    /// How much to read from an entry on, to have as many whole commits as fit in `room`, and which
    /// entry comes after them.
    pub(super) fn span(&self, at: usize, room: u64) -> (u64, usize) {
        let offset = self.entries[at].offset;
        let ends = self.entries[at + 1..].iter().map(|entry| entry.offset).chain([self.end]);
        // Where the shard's commits stand one after the other, the next one's place is this one's end.
        let mut ends = ends.map(|end| end - offset).zip(at + 1..).take_while(|(len, _)| *len <= DENSE_READ_BYTES);
        match ends.next() {
            Some(first) => ends.take_while(|(len, _)| *len <= room.max(first.0)).last().unwrap_or(first),
            None => (SPARSE_READ_BYTES.min(self.end - offset), at + 1),
        }
    }
}

/// Most that is read at once where a shard's commits stand close together: one of the usual largest
/// and a small one ...
const DENSE_READ_BYTES: u64 = (1 << 20) + (256 << 10);
/// ... and where they are far apart, until a header says how long they are.
const SPARSE_READ_BYTES: u64 = 64 << 10;
