//! Retention: what of a log has expired, and which of its segments go.
//!
//! ```text
//!   Tick, Terms, Trimmed ─► the horizon moves forward ─► Trim: the catalog knows, files go ─► Trimmed
//!   a bound of bytes ─► Measure: how long the sealed segments are ─► Measured
//! ```
//!
//! What must hold: the horizon is logical and holds at once; it never goes back, whatever the clocks do and
//! however retention is changed; a segment goes because of its age only when its last record has expired, and
//! because of a bound of bytes only when all before it have gone.

use std::collections::BTreeMap;
use std::ops::Range;

use super::segments::SegmentFacts;
use super::{Effect, Log};
use crate::arrival::Now;
use crate::catalog::StreamTerms;
use crate::limits::TRIM_SEGMENTS_MAX;
use crate::planted::Bug;

/// Segments that are to go: those that are known to, and those after them that turn out to have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The lowest that there is.
    pub from: u64,
    /// The lowest that may have to be kept.
    pub lowest: u64,
    /// What arrived before this time has expired.
    pub horizon_ms: u64,
    /// This one and those above are kept in any case.
    pub below: u64,
}

impl Expiry {
    /// What is known of the lowest segment that is kept; `facts` looks at a segment. Few are looked at in one
    /// go: if more have expired, that is another's.
    pub fn lowest_kept(&self, mut facts: impl FnMut(u64) -> SegmentFacts) -> SegmentFacts {
        let mut lowest = facts(self.lowest);
        for _ in 0..TRIM_SEGMENTS_MAX {
            let has_expired = lowest.last_arrival_ms.is_some_and(|last_ms| last_ms < self.horizon_ms);
            if lowest.segment >= self.below || !has_expired {
                break;
            }
            lowest = facts(lowest.segment + 1);
        }
        lowest
    }
}

impl Log {
    /// What arrived before this time has expired.
    pub fn horizon_ms(&self, now: Now) -> u64 {
        let early_ms = if Bug::ExpiredEarly.is_planted() { 3_600_000 } else { 0 };
        let retention_ms = self.settings.terms.retention_ms - early_ms;
        self.trimmed_ms.max(self.clock.expiry_ms(now).saturating_sub(retention_ms))
    }

    /// The broker has stored a record at this time, perhaps in another log: the wall clock is believed up to it.
    pub fn witness(&mut self, arrival_ms: u64) {
        self.clock.witness(arrival_ms);
    }

    /// The newest arrival that the log has stored; 0 when there is none.
    pub fn last_arrival_ms(&self) -> u64 {
        self.shards.iter().map(|shard| shard.last_arrival_ms).max().unwrap_or(0)
    }

    /// Lets the horizon follow the time, and has segments removed that have expired.
    pub(super) fn expire(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.trimmed_ms = self.horizon_ms(now);
        if let Some(segments) = self.segments.unmeasured() {
            effects.push(Effect::Measure { segments });
        }
        if let Some(expiry) = self.segments.expired(self.trimmed_ms) {
            effects.push(Effect::Trim(expiry));
        }
    }

    pub(super) fn change_terms(&mut self, now: Now, terms: StreamTerms, effects: &mut Vec<Effect>) {
        // What has expired under the old terms stays so under the new ones.
        self.trimmed_ms = self.horizon_ms(now).max(terms.trimmed_ms);
        self.segments.change_terms(&terms);
        self.settings.terms = terms;
        self.forget_ceilings();
        self.shards.iter_mut().for_each(|shard| shard.keys = None);
        self.expire(now, effects);
    }
}

/// How long the sealed segments of a log are, where their bytes are bounded.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// By number.
    of_segments: BTreeMap<u64, u64>,
    bytes: u64,
    state: Measured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Measured {
    #[default]
    No,
    Asked,
    Yes,
}

impl Sizes {
    /// Whether a measurement is to be asked for; it is, once.
    pub(super) fn ask(&mut self) -> bool {
        let asks = self.state == Measured::No;
        if asks {
            self.state = Measured::Asked;
        }
        asks
    }

    /// Takes a measurement of the segments from `lowest` on. What was sealed meanwhile is known better.
    pub(super) fn measured(&mut self, sizes: &[(u64, u64)], lowest: u64) {
        self.state = Measured::Yes;
        for (segment, bytes) in sizes.iter().filter(|(segment, _)| *segment >= lowest) {
            if !self.of_segments.contains_key(segment) {
                self.add(*segment, *bytes);
            }
        }
    }

    pub(super) fn add(&mut self, segment: u64, bytes: u64) {
        self.bytes += bytes;
        self.bytes -= self.of_segments.insert(segment, bytes).unwrap_or(0);
    }

    pub(super) fn keep_from(&mut self, lowest: u64) {
        let kept = self.of_segments.split_off(&lowest);
        self.bytes -= std::mem::replace(&mut self.of_segments, kept).values().sum::<u64>();
    }

    /// The lowest segment to be kept of these so that no more than `bytes_max` are, with `open_bytes` that are not
    /// sealed yet. Nothing goes before all are measured.
    pub(super) fn lowest_within(&self, bytes_max: u64, open_bytes: u64, segments: Range<u64>) -> u64 {
        let mut lowest = segments.start;
        if self.state != Measured::Yes {
            return lowest;
        }
        let mut bytes = self.bytes + open_bytes;
        while bytes > bytes_max && lowest < segments.end {
            bytes -= self.of_segments.get(&lowest).copied().unwrap_or(0);
            lowest += 1;
        }
        lowest
    }
}
