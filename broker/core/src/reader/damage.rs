//! What cannot be read: named by the sequences that are missing.

use rheos_protocol::error::{ErrorCode, WireError};

use super::search::{blocks, head_of};
use super::{HEAD, ReadPlace, ReadStep, ReadTask, Scan, State};
use crate::segment::HEAD_BYTES;

impl ReadTask {
    /// What was wanted next cannot be read. What was gathered before it is answered first.
    pub(super) fn damage(&mut self, segment: u64, scan: Option<&Scan>, why: &str) -> ReadStep {
        if self.gathered.start_sequence.is_some() {
            return self.finish();
        }
        let at = scan.map(|scan| scan.window.entries[scan.at].first_sequence);
        let first = self.expected().or(at).unwrap_or(0);
        let known = scan.and_then(|scan| scan.window.entries.get(scan.at + 1).map(|entry| entry.first_sequence));
        match known.or(scan.and_then(|scan| scan.window.after)) {
            Some(end) => self.fail(damaged(first, end, why)),
            None if segment + 1 < self.sealed.end => {
                let why = why.to_owned();
                self.ask(State::DamageHead { first, segment: segment + 1, why }, segment + 1, HEAD, true)
            }
            None => {
                let end = self.memory.front().map_or(self.tip, |window| window.entries[0].first_sequence);
                self.fail(damaged(first, end, why))
            }
        }
    }

    pub(super) fn damage_between(&mut self, scan: &Scan, wanted: u64, found: u64, why: &str) -> ReadStep {
        if self.gathered.start_sequence.is_some() {
            return self.finish();
        }
        // Below the lowest segment nothing is missing: it was given up when it expired.
        let expired = self.wanted().is_some() && self.lowest_is_in_memory() && !scan.window.begins_here;
        self.fail(if expired { trimmed(found) } else { damaged(wanted, found, why) })
    }

    /// Whether older segments have expired, and the oldest that is kept is not sealed: what a shard
    /// does not hold from there on is gone for good.
    pub(super) fn lowest_is_in_memory(&self) -> bool {
        self.sealed.is_empty() && self.sealed.start > 1
    }

    pub(super) fn damage_head(&mut self, first: u64, segment: u64, why: &str, bytes: &[u8]) -> ReadStep {
        match head_of(self.segment(segment), bytes) {
            Some((header, salt)) => {
                let place = blocks(HEAD_BYTES, header.carry_over_len as usize);
                self.ask(State::DamageCarry { first, header, salt, why: why.to_owned() }, segment, place, true)
            }
            None if segment + 1 < self.sealed.end => {
                let why = why.to_owned();
                self.ask(State::DamageHead { first, segment: segment + 1, why }, segment + 1, HEAD, true)
            }
            None => self.fail(damaged(first, self.tip, why)),
        }
    }

    /// What was asked for cannot be read, or is not there: the read goes around it where it can.
    pub(super) fn unreadable(&mut self, state: State, why: &str) -> ReadStep {
        match state {
            State::SearchHead { low, high, middle } | State::SearchCarry { low, high, middle, .. } => {
                self.search_beside(low, high, middle)
            }
            State::EntryHead | State::EntryCarry { .. } => self.search(self.sealed.start, self.sealed.end),
            State::Index { trailer } => self.rebuild(trailer.segment.segment),
            State::Successor { segment } => {
                self.ask(State::Whole { segment, end: None }, segment, ReadPlace::Whole, false)
            }
            State::OpenHead { segment } | State::Trailer { segment, .. } | State::Whole { segment, .. } => {
                self.damage(segment, None, why)
            }
            State::Commits(scan) => self.damage(scan.window.segment.segment, Some(&scan), why),
            State::DamageHead { first, segment, why } => self.damage_head(first, segment, &why, &[]),
            State::DamageCarry { first, why, .. } => self.fail(damaged(first, self.tip, &why)),
            State::Start | State::Over => panic!("nothing was asked for"),
        }
    }
}

/// Records `first .. end` are lost.
pub(super) fn damaged(first: u64, end: u64, why: &str) -> WireError {
    let last = end.saturating_sub(1).max(first);
    let message = format!("records {first} to {last} are damaged on the disk ({why}); read on after them");
    WireError::new(ErrorCode::Damaged, message).with_detail(first, last)
}

pub(super) fn trimmed(first_kept: u64) -> WireError {
    let message = format!("the record has outlived the stream's retention; the first that is kept is {first_kept}");
    WireError::new(ErrorCode::Trimmed, message).with_detail(first_kept, 0)
}
