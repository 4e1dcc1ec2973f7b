//! The segments before the newest: footers that are missing are made, and what is known of the lowest.
//!
//! Damage here is named by whoever reads it; the log's end is not touched by it.

use bytes::Bytes;

use super::scan::{Head, Start, scan};
use super::{Newest, Recovery, RecoveryStep, State, is_end_of, open_whole};
use crate::commit::SegmentId;
use crate::footer::Trailer;
use crate::log::SegmentFacts;
use crate::reader::ReadPlace;
use crate::segment::{HEAD_BYTES, Header, Label, Predecessor};

impl Recovery {
    /// A footer may be missing from older segments too, when the broker stopped before it was written.
    pub(super) fn older(&mut self, newer: Newest) -> RecoveryStep {
        let segment = newer.id.segment - 1;
        match newer.header.predecessor {
            Some(end) if self.files.contains(&segment) => {
                self.ask(State::OlderTrailer { segment, end }, segment, ReadPlace::LastBlock)
            }
            _ => self.look_at_lowest(),
        }
    }

    pub(super) fn older_trailer(&mut self, segment: u64, end: Predecessor, bytes: &Bytes) -> RecoveryStep {
        match Trailer::decode(bytes, self.id(segment)) {
            Ok(trailer) if is_end_of(&trailer, Some(end)) => self.look_at_lowest(),
            _ => self.ask(State::OlderWhole { segment, end }, segment, ReadPlace::Whole),
        }
    }

    pub(super) fn older_whole(&mut self, segment: u64, end: Predecessor, bytes: &Bytes) -> RecoveryStep {
        let id = self.id(segment);
        let Some((salt, header, mut state)) = open_whole(id, bytes) else {
            // Its records are damaged, and reading them says so; the log's end is not touched by that.
            return self.look_at_lowest();
        };
        let scanned = scan(id, salt, Start::after(&header, Head::Whole), bytes, Some(end.end), &mut state);
        if scanned.refused.is_none() {
            self.seal_chore(id, salt, &scanned, &state);
        }
        self.keep_in_memory(id, salt, scanned);
        self.older(Newest { id, salt, header })
    }

    fn look_at_lowest(&mut self) -> RecoveryStep {
        match self.files.first() {
            Some(&segment) if segment == self.recovered.segments.lowest && segment < self.recovered.segments.newest => {
                self.ask(State::LowestHead, segment, ReadPlace::At(0, HEAD_BYTES as usize))
            }
            Some(&segment) if segment < self.recovered.segments.newest => self.look_after_lowest(0),
            _ => self.finish(),
        }
    }

    pub(super) fn lowest_head(&mut self, head: Bytes) -> RecoveryStep {
        self.ask(State::LowestFacts { head }, self.recovered.segments.lowest, ReadPlace::LastBlock)
    }

    pub(super) fn lowest_facts(&mut self, head: &[u8], last_block: &[u8]) -> RecoveryStep {
        let lowest = self.id(self.recovered.segments.lowest);
        match SegmentFacts::of(lowest, head, last_block).last_arrival_ms {
            Some(arrival_ms) => self.know_lowest(arrival_ms),
            None => self.look_after_lowest(1),
        }
    }

    /// A segment without a footer, or that is lost, expires with what its successors begin with: arrivals
    /// of a log never go back.
    fn look_after_lowest(&mut self, at: usize) -> RecoveryStep {
        match self.files.get(at) {
            Some(&segment) if segment <= self.recovered.segments.newest => {
                self.ask(State::LowestSuccessor { at }, segment, ReadPlace::At(0, HEAD_BYTES as usize))
            }
            _ => {
                let segment = self.recovered.segments.lowest;
                self.recovered.segments.lowest_facts = Some(SegmentFacts { segment, last_arrival_ms: None });
                self.finish()
            }
        }
    }

    pub(super) fn lowest_successor(&mut self, at: usize, bytes: &Bytes) -> RecoveryStep {
        match first_arrival_ms(self.id(self.files[at]), bytes) {
            Some(arrival_ms) => self.know_lowest(arrival_ms),
            None => self.look_after_lowest(at + 1),
        }
    }

    fn know_lowest(&mut self, last_arrival_ms: u64) -> RecoveryStep {
        let segment = self.recovered.segments.lowest;
        self.recovered.segments.lowest_facts = Some(SegmentFacts { segment, last_arrival_ms: Some(last_arrival_ms) });
        self.finish()
    }
}

/// Arrival of the first record of a segment, from its label and headers: all that is in segments before it
/// came no later.
pub fn first_arrival_ms(segment: SegmentId, head: &[u8]) -> Option<u64> {
    let label = Label::decode(head).ok().filter(|label| label.segment == segment)?;
    Header::decode_either(head, segment, label.salt).ok().map(|header| header.first_arrival_ms)
}
