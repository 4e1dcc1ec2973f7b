//! The segments of a log: the one that is written, the spare that comes next, those whose footer is
//! on its way, and how many older ones there are.
//!
//! What must hold: numbers are dense from the lowest kept to the newest used; a segment is sealed
//! only after the first commit of its successor is durable, or when the log closes it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::retention::{Expiry, Sizes};
use super::{Effect, LogId, LogSettings};
use crate::arrival::Now;
use crate::catalog::StreamTerms;
use crate::commit::{CommitHeader, SegmentId};
use crate::footer::{self, SegmentEnd, Trailer};
use crate::index::{IndexEntry, SegmentIndex};
use crate::limits::{INDEX_ENTRIES_MAX, PREPARE_RETRY_MS, SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MAX};
use crate::planted::Bug;
use crate::recovery::{RecoveredSegment, RecoveredSegments};
use crate::segment::{self, HEADER_OFFSET, Header, Label, Predecessor};

/// What is known of a sealed segment without reading its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its number.
    pub segment: u64,
    /// Arrival of its last record; `None` when that could not be read, and then it is kept.
    pub last_arrival_ms: Option<u64>,
}

impl SegmentFacts {
    /// What the head and the last block of a segment say, as far as they can be believed: where the footer is
    /// missing, the last block holds records, and those may imitate one that names another salt.
    pub fn of(segment: SegmentId, head: &[u8], last_block: &[u8]) -> SegmentFacts {
        let salt = Label::decode(head).ok().filter(|label| label.segment == segment).map(|label| label.salt);
        let trailer = Trailer::decode(last_block, segment).ok().filter(|trailer| Some(trailer.salt) == salt);
        SegmentFacts { segment: segment.segment, last_arrival_ms: trailer.map(|trailer| trailer.last_arrival_ms) }
    }
}

/// Where a commit goes.
pub(super) struct Place {
    pub(super) segment: SegmentId,
    pub(super) salt: u64,
    pub(super) write_offset: u64,
    pub(super) commit_offset: u64,
    pub(super) head: BytesMut,
}

/// A segment whose index is in memory.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) salt: u64,
    pub(super) end: SegmentEnd,
    pub(super) index: SegmentIndex,
    last_arrival_ms: u64,
    /// Its footer is on its way.
    sealing: bool,
}

#[derive(Debug)]
pub(super) struct Active {
    segment: Segment,
    /// What is allocated for it; it may go on past that while its successor is being made.
    bytes: u64,
    first_arrival_ms: u64,
    since_boot_ms: u64,
    /// A write to it has failed: nothing more is written to it.
    given_up: bool,
    /// Whether a commit of it is durable.
    begun: bool,
}

#[derive(Debug)]
enum Spare {
    None,
    Asked { segment: u64, ask: u64, hurried: bool },
    Ready { segment: u64, salt: u64, bytes: u64 },
}

#[derive(Debug)]
enum Target {
    Active,
    Spare,
    Nowhere,
}

#[derive(Debug)]
pub(super) struct Segments {
    id: LogId,
    /// A segment whose first record is older than this is not written any more.
    age_ms_max: u64,
    lowest: u64,
    /// Highest number that was ever written; 0 when none was.
    newest: u64,
    active: Option<Active>,
    /// The predecessor of the active segment, until that has a durable commit; with its carry-out.
    rolled: Option<(Segment, Bytes)>,
    /// Not to be read by footer: it is on its way, or recovery has made the index. They follow one
    /// another up to the active segment. Oldest first.
    in_memory: VecDeque<Segment>,
    /// End of the newest segment when none is active.
    closed_end: Option<Predecessor>,
    spare: Spare,
    asks: u64,
    retry_boot_ms: Option<u64>,
    /// Last arrival of sealed segments, as far as known.
    last_arrivals: BTreeMap<u64, u64>,
    last_arrival_ms: u64,
    trimming: bool,
    /// Most bytes that are kept; 0 for no such bound.
    bytes_max: u64,
    sizes: Sizes,
}

impl Segments {
    pub(super) fn new(settings: &LogSettings, recovered: RecoveredSegments) -> Segments {
        let in_memory = |segment: RecoveredSegment| Segment {
            id: segment.id,
            salt: segment.salt,
            end: segment.end,
            index: segment.index,
            last_arrival_ms: segment.last_arrival_ms,
            sealing: false,
        };
        let lowest_known = recovered.lowest_facts.and_then(|facts| Some((facts.segment, facts.last_arrival_ms?)));
        let newest_known =
            (recovered.newest >= recovered.lowest).then_some((recovered.newest, recovered.last_arrival_ms));
        let scanned_known = recovered.in_memory.iter().map(|segment| (segment.id.segment, segment.last_arrival_ms));
        let last_arrivals = lowest_known.into_iter().chain(newest_known).chain(scanned_known).collect();
        // A reader goes from the sealed segments to those in memory, so nothing sealed may follow one of these.
        let before_newest =
            |segment: &RecoveredSegment, from_end: usize| recovered.newest - from_end as u64 == segment.id.segment;
        let kept = recovered
            .in_memory
            .iter()
            .rev()
            .enumerate()
            .take_while(|(at, segment)| before_newest(segment, *at))
            .count();
        let dropped = recovered.in_memory.len() - kept;
        Segments {
            id: settings.id,
            age_ms_max: age_ms_max(&settings.terms),
            lowest: recovered.lowest,
            newest: recovered.newest,
            active: None,
            rolled: None,
            in_memory: recovered.in_memory.into_iter().skip(dropped).map(in_memory).collect(),
            closed_end: recovered.end,
            spare: Spare::None,
            asks: 0,
            retry_boot_ms: None,
            last_arrivals,
            last_arrival_ms: recovered.last_arrival_ms,
            trimming: false,
            bytes_max: settings.terms.retention_bytes,
            sizes: Sizes::default(),
        }
    }

    pub(super) fn change_terms(&mut self, terms: &StreamTerms) {
        self.age_ms_max = age_ms_max(terms);
        self.bytes_max = terms.retention_bytes;
        if self.bytes_max == 0 {
            self.sizes = Sizes::default();
        }
    }

    pub(super) fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    /// The segments whose index is in memory, oldest first.
    pub(super) fn in_memory(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        let rolled = self.rolled.as_ref().map(|(segment, _)| segment);
        self.in_memory.iter().chain(rolled).chain(self.active.as_ref().map(|active| &active.segment))
    }

    /// The numbers of all segments that hold something: lowest and newest; none when lowest is greater.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.lowest, self.newest)
    }

    /// Whether a commit of so many bytes can be written now.
    pub(super) fn has_place(&self, len: u64) -> bool {
        !matches!(self.target(len), Target::Nowhere)
    }

    /// Whether no segment can be made and there is no room left for a small commit. It ends when a
    /// segment may be asked for again, because only a put that is staged makes the log ask.
    pub(super) fn is_starved(&self, now: Now) -> bool {
        self.retry_boot_ms.is_some_and(|at| now.boot_ms < at) && !self.has_place(CommitHeader::padded_len(0))
    }

    /// Whether a commit of so many bytes is the first of a new segment.
    pub(super) fn opens_segment(&self, len: u64) -> bool {
        matches!(self.target(len), Target::Spare)
    }

    pub(super) fn spare_is_ready(&self) -> bool {
        matches!(self.spare, Spare::Ready { .. })
    }

    fn target(&self, len: u64) -> Target {
        let spare = if self.spare_is_ready() { Target::Spare } else { Target::Nowhere };
        let Some(active) = &self.active else { return spare };
        let end = active.segment.end.offset + len;
        if active.given_up || active.segment.index.len() >= INDEX_ENTRIES_MAX {
            spare
        } else if !active.begun || (end <= active.bytes && !active.is_old(self.last_arrival_ms, self.age_ms_max)) {
            Target::Active
        } else if self.spare_is_ready() {
            Target::Spare
        } else if end <= 2 * active.bytes {
            // Its successor is late. Going on costs a journal commit a write, waiting would cost more.
            Target::Active
        } else {
            Target::Nowhere
        }
    }

    /// Takes the place of a commit; [`has_place`](Self::has_place) has said that there is one.
    pub(super) fn place(
        &mut self,
        now: Now,
        len: u64,
        number: u64,
        last_checksum: u64,
        first_arrival_ms: u64,
        carry_over: BytesMut,
    ) -> Place {
        match self.target(len) {
            Target::Active => {
                let segment = &self.active.as_ref().expect("the target is there").segment;
                let (id, salt, offset) = (segment.id, segment.salt, segment.end.offset);
                Place { segment: id, salt, write_offset: offset, commit_offset: offset, head: BytesMut::new() }
            }
            Target::Spare => self.open(now, number, last_checksum, first_arrival_ms, carry_over),
            Target::Nowhere => panic!("a commit is submitted only when it has a place"),
        }
    }

    /// Makes the spare the active segment; its head names where its predecessor ends.
    fn open(
        &mut self,
        now: Now,
        number: u64,
        last_checksum: u64,
        first_arrival_ms: u64,
        carry_over: BytesMut,
    ) -> Place {
        let Spare::Ready { segment, salt, bytes } = std::mem::replace(&mut self.spare, Spare::None) else {
            panic!("the target is there");
        };
        assert_eq!(segment, self.newest + 1, "segment numbers are dense");
        let predecessor = match self.active.take() {
            Some(active) => {
                let end = active.segment.end;
                self.rolled = Some((active.segment, carry_over.clone().freeze()));
                Some(Predecessor { end: end.offset, last_checksum: end.last_checksum })
            }
            None => self.closed_end.take(),
        };
        let id = SegmentId { incarnation: self.id.incarnation, log: self.id.log, segment };
        let header = Header {
            segment: id,
            carry_over_len: carry_over.len() as u32,
            carry_over_checksum: 0,
            first_commit: number,
            predecessor,
            first_arrival_ms,
        };
        let commit_offset = header.first_offset();
        let end = SegmentEnd { offset: commit_offset, next_commit: number, last_checksum, last_data_offset: 0 };
        let index = SegmentIndex::default();
        let segment = Segment { id, salt, end, index, last_arrival_ms: self.last_arrival_ms, sealing: false };
        self.newest = id.segment;
        self.active = Some(Active {
            segment,
            bytes,
            first_arrival_ms,
            since_boot_ms: now.boot_ms,
            given_up: false,
            begun: false,
        });
        let head = segment::encode_head(&header, &carry_over, salt);
        Place { segment: id, salt, write_offset: HEADER_OFFSET, commit_offset, head }
    }

    /// A commit in the active segment is durable: it is the segment's end now.
    pub(super) fn extend(&mut self, commit: &CommitHeader, checksum: u64, effects: &mut Vec<Effect>) {
        let active = self.active.as_mut().expect("commits are written to the active segment");
        let end = &mut active.segment.end;
        assert_eq!((commit.segment, commit.offset), (active.segment.id, end.offset), "commits are contiguous");
        *end = SegmentEnd {
            offset: commit.end(),
            next_commit: commit.number + 1,
            last_checksum: checksum,
            last_data_offset: if commit.batch_count > 0 { commit.offset } else { end.last_data_offset },
        };
        active.begun = true;
        if let Some((segment, carry_out)) = self.rolled.take() {
            self.seal(segment, &carry_out, effects);
        }
    }

    /// The first record of a shard in the commit that is the end now.
    pub(super) fn index(&mut self, shard: u32, entry: IndexEntry) {
        let active = self.active.as_mut().expect("commits are written to the active segment");
        active.segment.index.add(shard, entry);
        active.segment.last_arrival_ms = entry.arrival_ms;
        self.last_arrival_ms = entry.arrival_ms;
    }

    /// A write to the active segment has failed: nothing more is written to it.
    pub(super) fn give_up_active(&mut self) {
        self.active.as_mut().expect("commits are written to the active segment").given_up = true;
    }

    /// Seals the active segment, which has no successor yet, and gives the spare back.
    pub(super) fn close(&mut self, carry_out: Bytes, effects: &mut Vec<Effect>) {
        if let Some(active) = self.active.take() {
            let end = active.segment.end;
            self.closed_end = Some(Predecessor { end: end.offset, last_checksum: end.last_checksum });
            self.seal(active.segment, &carry_out, effects);
        }
        if let Spare::Ready { segment, .. } | Spare::Asked { segment, .. } =
            std::mem::replace(&mut self.spare, Spare::None)
        {
            effects.push(Effect::Discard { segment });
        }
    }

    fn seal(&mut self, segment: Segment, carry_out: &[u8], effects: &mut Vec<Effect>) {
        let footer =
            footer::encode(segment.id, segment.salt, segment.end, &segment.index, carry_out, segment.last_arrival_ms);
        let footer_len = footer.len() as u64;
        effects.push(Effect::Seal { segment: segment.id.segment, offset: segment.end.offset, footer });
        self.last_arrivals.insert(segment.id.segment, segment.last_arrival_ms);
        if self.bytes_max > 0 {
            self.sizes.add(segment.id.segment, segment.end.offset + footer_len);
        }
        self.in_memory.push_back(Segment { sealing: true, ..segment });
    }

    /// A footer is there. Segments leave memory in order, because readers take what is in memory to
    /// follow all that is sealed.
    pub(super) fn sealed(&mut self, number: u64) {
        self.in_memory.iter_mut().filter(|segment| segment.id.segment == number).for_each(|it| it.sealing = false);
        while self.in_memory.front().is_some_and(|segment| !segment.sealing) {
            self.in_memory.pop_front();
        }
    }

    /// Asks for the next segment in time, and hurries it when it is late. `next_len` is what the
    /// commit that waits for a place takes at most, if one does.
    pub(super) fn look_ahead(&mut self, now: Now, next_len: Option<u64>, effects: &mut Vec<Effect>) {
        let first_is_pending = self.active.as_ref().is_some_and(|active| !active.begun);
        // A number is asked for when the one before it is in use for sure: recovery counts on it.
        if first_is_pending || self.retry_boot_ms.is_some_and(|at| now.boot_ms < at) {
            return;
        }
        let needed = next_len.is_some();
        let (fill_eighths, given_up) = self.active.as_ref().map_or((0, false), |active| {
            let blocked = next_len.is_some_and(|len| !self.has_place(len));
            let fill_eighths = 8 * active.segment.end.offset / active.bytes;
            (fill_eighths, blocked || active.given_up || active.is_old(now.wall_ms, self.age_ms_max))
        });
        let wanted = if self.active.is_some() { fill_eighths >= 1 || (given_up && needed) } else { needed };
        match &mut self.spare {
            Spare::None if wanted => {
                let (segment, bytes) = (self.newest + 1, self.next_bytes(now));
                self.asks += 1;
                self.spare = Spare::Asked { segment, ask: self.asks, hurried: false };
                effects.push(Effect::Prepare { segment, ask: self.asks, bytes });
            }
            Spare::Asked { segment, hurried, .. } if !*hurried && (fill_eighths >= 7 || given_up) && needed => {
                *hurried = true;
                effects.push(Effect::Hurry { segment: *segment });
            }
            _ => {}
        }
    }

    /// A segment is to last a minute or so: the faster the active one fills, the larger the next.
    fn next_bytes(&self, now: Now) -> u64 {
        let Some(active) = &self.active else { return SEGMENT_BYTES_LEAST };
        let elapsed_ms = now.boot_ms.saturating_sub(active.since_boot_ms).max(1);
        let fill_ms = elapsed_ms.saturating_mul(active.bytes) / active.segment.end.offset.max(1);
        let bytes = match fill_ms {
            0..10_000 => active.bytes * 8,
            10_000..60_000 => active.bytes * 2,
            60_000..600_000 => active.bytes,
            _ => active.bytes / 2,
        };
        // Segments go whole, so a bound of bytes is kept the better the smaller they are.
        let most = if self.bytes_max > 0 { self.bytes_max / SEGMENTS_OF_BOUND } else { SEGMENT_BYTES_MAX };
        bytes.min(most).clamp(SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MAX)
    }

    pub(super) fn expects(&self, asked: u64) -> bool {
        matches!(self.spare, Spare::Asked { ask, .. } if ask == asked)
    }

    pub(super) fn ready(&mut self, segment: u64, answered: u64, salt: u64, bytes: u64) {
        // It may have been given back in the meantime, and asked for again.
        if self.expects(answered) {
            self.spare = Spare::Ready { segment, salt, bytes };
            self.retry_boot_ms = None;
        }
    }

    pub(super) fn failed(&mut self, answered: u64, now: Now) {
        if self.expects(answered) {
            self.spare = Spare::None;
            self.retry_boot_ms = Some(now.boot_ms + PREPARE_RETRY_MS);
        }
    }

    /// The segments whose files are to be measured, once, where their bytes are bounded.
    pub(super) fn unmeasured(&mut self) -> Option<Range<u64>> {
        (self.bytes_max > 0 && self.sizes.ask()).then(|| self.lowest..self.first_unsealed().max(self.lowest))
    }

    pub(super) fn measured(&mut self, sizes: &[(u64, u64)]) {
        if self.bytes_max > 0 {
            self.sizes.measured(sizes, self.lowest);
            // A file whose footer is on its way is still longer than it will be.
            let sealing = self.in_memory.iter().map(|segment| (segment.id.segment, segment.end.offset));
            sealing.for_each(|(segment, bytes)| self.sizes.add(segment, bytes));
        }
    }

    /// Which segments go because they have expired, or because there are too many bytes. The newest that is
    /// durable is always kept.
    pub(super) fn expired(&mut self, horizon_ms: u64) -> Option<Expiry> {
        let below = self.first_unsealed();
        if self.trimming || self.lowest >= below {
            return None;
        }
        let early_ms = if Bug::TrimmedEarly.is_planted() { 3_600_000 } else { 0 };
        let has_expired = self.last_arrivals.get(&self.lowest).is_some_and(|last_ms| *last_ms < horizon_ms + early_ms);
        let by_age = self.lowest + u64::from(has_expired);
        let open_bytes = self.active.as_ref().map_or(0, |active| active.segment.end.offset);
        let by_bytes = match self.bytes_max {
            0 => self.lowest,
            bytes_max => self.sizes.lowest_within(bytes_max, open_bytes, self.lowest..below),
        };
        let lowest = by_age.max(by_bytes);
        self.trimming = lowest > self.lowest;
        self.trimming.then_some(Expiry { from: self.lowest, lowest, horizon_ms, below })
    }

    /// The first segment that must stay whatever it holds: one that is not sealed, or the newest that holds anything.
    fn first_unsealed(&self) -> u64 {
        // One whose first commit is not durable holds nothing yet, not even what it inherits.
        let newest_begun = self.newest - u64::from(self.active.as_ref().is_some_and(|active| !active.begun));
        let sealing = self.in_memory.iter().filter(|segment| segment.sealing).map(|segment| segment.id.segment);
        let rolled = self.rolled.as_ref().map(|(segment, _)| segment.id.segment);
        sealing.chain(rolled).chain([newest_begun]).min().unwrap_or(newest_begun)
    }

    pub(super) fn trimmed(&mut self, lowest: SegmentFacts) {
        self.trimming = false;
        self.lowest = lowest.segment;
        self.sizes.keep_from(lowest.segment);
        self.last_arrivals = self.last_arrivals.split_off(&lowest.segment);
        self.in_memory.retain(|segment| segment.id.segment >= lowest.segment);
        if let Some(last_arrival_ms) = lowest.last_arrival_ms {
            self.last_arrivals.entry(lowest.segment).or_insert(last_arrival_ms);
        }
    }
}

/// A segment whose oldest record is older than this is sealed, so that it goes soon after that has expired.
fn age_ms_max(terms: &StreamTerms) -> u64 {
    terms.retention_ms / 10
}

/// How many segments make up a bound of bytes, at least.
const SEGMENTS_OF_BOUND: u64 = 10;

impl Active {
    fn is_old(&self, now_ms: u64, age_ms_max: u64) -> bool {
        self.begun && now_ms.saturating_sub(self.first_arrival_ms) >= age_ms_max
    }
}
