//! A read behind the tail, as a state machine: it says which blocks it needs and is given them.
//!
//! ```text
//!   search the segment ──► head, trailer ──► its index ──► commits
//!   (heads, by halves)         ▲                             │
//!                              └── next segment ◄────────────┤ no more entries
//!     begins at commits when the index is in memory          ▼
//!                                                    enough bytes: done
//! ```
//!
//! Everything is proved before it is believed, and every batch before it leaves. What is damaged is
//! named by the sequences that are missing; what is before and after it stays readable.
//!
//! Nothing here reads anything; the caller may keep blocks it has read, where it is said that they
//! are worth keeping.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::wire::FieldReader;

use crate::carry_over::{COUNTS_BYTES, SHARD_BYTES, ShardState, decode_shard};
use crate::commit::{BadCommit, COMMIT_HEADER_BYTES, Commit, CommitHeader, SegmentId};
use crate::footer::Trailer;
use crate::index::{IndexEntry, entry_of_arrival, entry_of_sequence};
use crate::limits::BLOCK_BYTES;
use crate::log::LogId;
use crate::recovery::rebuild;
use crate::segment::{HEAD_BYTES, Header, Label};

/// What a read looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The record with this sequence.
    Sequence(u64),
    /// The first record that arrived at or after this time, ms since 1970.
    Arrival(u64),
}

/// What a read has found.
#[derive(Debug, Clone)]
pub struct ReadOutcome {
    /// The sequence that the position meant.
    pub start_sequence: u64,
    /// Where to read on.
    pub next_sequence: u64,
    /// Whole batches; the first may begin before the start.
    pub batches: Vec<Batch>,
    /// The bytes of the batches in as few pieces as they lie in memory.
    pub pieces: Vec<Bytes>,
    /// Arrival of the record at `next_sequence`, when it is known without reading on.
    pub next_arrival_ms: Option<u64>,
}

/// What a read needs next.
#[derive(Debug)]
pub enum ReadStep {
    /// Bytes of a segment: fewer only at the end of the file.
    Read {
        /// Number of the segment.
        segment: u64,
        /// From where, in whole blocks.
        place: ReadPlace,
        /// Whether other reads will want the same bytes.
        keep: bool,
        /// What is asked for next of the same segment, unless something is wrong with this.
        ahead: Option<ReadPlace>,
    },
    /// It is done.
    Done(Result<ReadOutcome, WireError>),
}

/// Which bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadPlace {
    /// From an offset, so many bytes; both in whole blocks.
    At(u64, usize),
    /// The last block of the file.
    LastBlock,
    /// All of it, to rebuild an index that is missing.
    Whole,
}

/// The part of a segment's index where a read begins or arrives, for one shard.
#[derive(Debug, Clone)]
pub struct Window {
    /// The segment.
    pub segment: SegmentId,
    /// Its salt.
    pub salt: u64,
    /// Where its last commit ends.
    pub end: u64,
    /// Whether the read begins here, and not in an older segment.
    pub begins_here: bool,
    /// Where the shard goes on after the last entry, if anything follows.
    pub after: Option<u64>,
    /// Entries of the shard, in order, at least one.
    pub entries: Vec<IndexEntry>,
}

/// A read in progress.
#[derive(Debug)]
pub struct ReadTask {
    log: LogId,
    shard: u32,
    target: Target,
    horizon_ms: u64,
    tip: u64,
    bytes_max: usize,
    /// The segments that are on the disk with their footers.
    sealed: Range<u64>,
    /// What follows them, or where the read begins, oldest first.
    memory: VecDeque<Window>,
    state: State,
    gathered: Gathered,
    /// The position asked for has expired: the answer is where the shard begins now.
    trimmed: bool,
}

#[derive(Debug, Default)]
struct Gathered {
    start_sequence: Option<u64>,
    next_sequence: u64,
    batches: Vec<Batch>,
    /// Payloads of commits, and what of each is taken without a gap.
    pieces: Vec<(Bytes, Range<usize>)>,
    bytes: usize,
    next_arrival_ms: Option<u64>,
}

impl Gathered {
    /// Takes a batch of a commit with this payload.
    fn take(&mut self, batch: Batch, payload: &Bytes) {
        let from = batch.bytes().as_ptr() as usize - payload.as_ptr() as usize;
        let to = from + batch.bytes().len();
        match self.pieces.last_mut() {
            Some((last, taken)) if last.as_ptr() == payload.as_ptr() && taken.end == from => taken.end = to,
            _ => self.pieces.push((payload.clone(), from..to)),
        }
        self.next_sequence = batch.next_sequence();
        self.bytes += batch.bytes().len();
        self.batches.push(batch);
    }
}

#[derive(Debug)]
enum State {
    Start,
    /// The target lies in `low .. high`, if anywhere; the head of the middle one was asked for.
    SearchHead {
        low: u64,
        high: u64,
        middle: u64,
    },
    /// Its carry-over was asked for.
    SearchCarry {
        low: u64,
        high: u64,
        middle: u64,
        header: Header,
        salt: u64,
    },
    OpenHead {
        segment: u64,
    },
    Trailer {
        segment: u64,
        head: Bytes,
    },
    Index {
        trailer: Trailer,
    },
    /// The head of the successor, for the end of a segment that has no footer.
    Successor {
        segment: u64,
    },
    Whole {
        segment: u64,
        end: Option<u64>,
    },
    Commits(Scan),
    /// The carry-over of the segment after a damaged one, for where the damage ends.
    DamageHead {
        first: u64,
        segment: u64,
        why: String,
    },
    DamageCarry {
        first: u64,
        header: Header,
        salt: u64,
        why: String,
    },
    Over,
}

/// A walk over the commits of one segment.
#[derive(Debug)]
struct Scan {
    window: Window,
    /// The entry whose commit stands at `offset`.
    at: usize,
    /// Where the bytes asked for begin.
    offset: u64,
    len: usize,
}

impl ReadTask {
    #[allow(clippy::too_many_arguments, reason = "the log is its only caller; each is a fact of its own")]
    pub(crate) fn new(
        log: LogId,
        shard: u32,
        target: Target,
        horizon_ms: u64,
        tip: u64,
        bytes_max: usize,
        sealed: Range<u64>,
        memory: VecDeque<Window>,
    ) -> ReadTask {
        let gathered = Gathered::default();
        ReadTask {
            log,
            shard,
            target,
            horizon_ms,
            tip,
            bytes_max,
            sealed,
            memory,
            state: State::Start,
            gathered,
            trimmed: false,
        }
    }

    /// Begins, or goes on with the bytes that the last step asked for; `Err` when they could not be read.
    pub fn step(&mut self, input: Option<Result<Bytes, String>>) -> ReadStep {
        let state = std::mem::replace(&mut self.state, State::Over);
        let bytes = match input {
            Some(Ok(bytes)) => bytes,
            Some(Err(why)) => return self.unreadable(state, &why),
            None => Bytes::new(),
        };
        match state {
            State::Start => self.start(),
            State::SearchHead { low, high, middle } => self.search_head(low, high, middle, &bytes),
            State::SearchCarry { low, high, middle, header, salt } => {
                self.search_carry(low, high, middle, &header, salt, &bytes)
            }
            State::OpenHead { segment } => {
                self.ask(State::Trailer { segment, head: bytes }, segment, ReadPlace::LastBlock, true)
            }
            State::Trailer { segment, head } => self.trailer(segment, &head, &bytes),
            State::Index { trailer } => self.index(&trailer, &bytes),
            State::Successor { segment } => self.successor(segment, &bytes),
            State::Whole { segment, end } => self.whole(segment, end, &bytes),
            State::Commits(scan) => self.commits(scan, &bytes),
            State::DamageHead { first, segment, why } => self.damage_head(first, segment, &why, &bytes),
            State::DamageCarry { first, header, salt, why } => {
                let end = carry_of(&header, salt, &bytes, self.shard).map(|state| state.next_sequence);
                self.fail(damaged(first, end.unwrap_or(self.tip), &why))
            }
            State::Over => panic!("a read that is done is not stepped"),
        }
    }

    fn start(&mut self) -> ReadStep {
        if self.memory.front().is_some_and(|window| window.begins_here) {
            return self.leave_sealed();
        }
        self.search(self.sealed.start, self.sealed.end)
    }

    /// Looks for the last segment that the shard enters before the target, by halves. What the target
    /// is not before is the lowest: whether it is before that one too is asked there.
    fn search(&mut self, low: u64, high: u64) -> ReadStep {
        if high <= low {
            return self.leave_sealed();
        }
        let sequence_wanted = matches!(self.target, Target::Sequence(_));
        if high - low == 1 && !(low == self.sealed.start && sequence_wanted) {
            return self.open(low);
        }
        let middle = low + (high - low) / 2;
        self.ask(State::SearchHead { low, high, middle }, middle, HEAD, true)
    }

    fn search_head(&mut self, low: u64, high: u64, middle: u64, bytes: &[u8]) -> ReadStep {
        match head_of(self.segment(middle), bytes) {
            Some((header, salt)) => {
                let place = blocks(HEAD_BYTES, header.carry_over_len as usize);
                self.ask(State::SearchCarry { low, high, middle, header, salt }, middle, place, true)
            }
            None => self.search_beside(low, high, middle),
        }
    }

    fn search_carry(&mut self, low: u64, high: u64, middle: u64, header: &Header, salt: u64, bytes: &[u8]) -> ReadStep {
        let Some(entered) = carry_of(header, salt, bytes, self.shard) else {
            return self.search_beside(low, high, middle);
        };
        let before = match self.target {
            Target::Sequence(sequence) => entered.next_sequence <= sequence,
            Target::Arrival(arrival_ms) => entered.last_arrival_ms < arrival_ms,
        };
        match (before, high - low) {
            (true, 1) => self.open(middle),
            (false, 1) => self.fail(trimmed(entered.next_sequence)),
            (true, _) => self.search(middle, high),
            (false, _) => self.search(low, middle),
        }
    }

    /// The head in the middle is damaged: the search goes on without it.
    fn search_beside(&mut self, low: u64, high: u64, middle: u64) -> ReadStep {
        if middle + 1 < high {
            return self.ask(State::SearchHead { low, high, middle: middle + 1 }, middle + 1, HEAD, true);
        }
        if high - low == 1 {
            return self.open(low);
        }
        // All of them up to `high` are damaged: begin before them, and come to them in order.
        self.search(low, low + (high - low) / 2)
    }

    fn open(&mut self, segment: u64) -> ReadStep {
        self.ask(State::OpenHead { segment }, segment, HEAD, true)
    }

    /// A trailer names a salt, which anybody can; the head says whether it is the segment's.
    fn trailer(&mut self, segment: u64, head: &[u8], bytes: &[u8]) -> ReadStep {
        match Trailer::decode(bytes, self.segment(segment)) {
            Ok(trailer) if is_salt_of(self.segment(segment), head, trailer.salt) => {
                let (offset, len) = trailer.content();
                self.ask(State::Index { trailer }, segment, blocks(offset, len), true)
            }
            _ => self.rebuild(segment),
        }
    }

    fn index(&mut self, trailer: &Trailer, bytes: &[u8]) -> ReadStep {
        let segment = trailer.segment.segment;
        match trailer.entries_of(bytes, self.shard) {
            Ok(entries) => self.enter_entries(segment, trailer.salt, trailer.end.offset, entries),
            Err(_) => self.rebuild(segment),
        }
    }

    /// Without its footer a segment is read whole, up to the end that its successor names.
    fn rebuild(&mut self, segment: u64) -> ReadStep {
        if segment + 1 < self.sealed.end {
            return self.ask(State::Successor { segment }, segment + 1, HEAD, true);
        }
        self.ask(State::Whole { segment, end: None }, segment, ReadPlace::Whole, false)
    }

    fn successor(&mut self, segment: u64, bytes: &[u8]) -> ReadStep {
        let head = head_of(self.segment(segment + 1), bytes);
        let end = head.and_then(|(header, _)| header.predecessor).map(|predecessor| predecessor.end);
        self.ask(State::Whole { segment, end }, segment, ReadPlace::Whole, false)
    }

    fn whole(&mut self, segment: u64, end: Option<u64>, bytes: &Bytes) -> ReadStep {
        match rebuild(self.segment(segment), bytes, end) {
            Some((salt, end, index)) => self.enter_entries(segment, salt, end, index.of_shard(self.shard).to_vec()),
            None => self.damage(segment, None, "its label or head is damaged"),
        }
    }

    fn enter_entries(&mut self, segment: u64, salt: u64, end: u64, entries: Vec<IndexEntry>) -> ReadStep {
        if entries.is_empty() {
            return self.next_segment(segment);
        }
        let at = match self.wanted() {
            Some(sequence) => entry_of_sequence(&entries, sequence).unwrap_or(0),
            None => match self.target {
                Target::Arrival(arrival_ms) => entry_of_arrival(&entries, arrival_ms),
                Target::Sequence(_) => 0,
            },
        };
        let entries = entries[at..].to_vec();
        let segment = self.segment(segment);
        self.enter(Window { segment, salt, end, begins_here: true, after: None, entries })
    }

    fn enter(&mut self, window: Window) -> ReadStep {
        let offset = window.entries[0].offset;
        self.scan_from(Scan { window, at: 0, offset, len: 0 }, 0)
    }

    /// Asks for the commits from the current entry on: as many whole ones as the read can still take.
    fn scan_from(&mut self, scan: Scan, len_least: u64) -> ReadStep {
        let offset = scan.window.entries[scan.at].offset;
        let room = (self.bytes_max.saturating_sub(self.gathered.bytes) as u64).next_multiple_of(BLOCK_BYTES);
        let (len, next) = scan.window.span(scan.at, room);
        let len = len.max(len_least).min(scan.window.end.saturating_sub(offset));
        let ahead = scan.window.entries.get(next).filter(|_| len < room).map(|entry| {
            let (ahead, _) = scan.window.span(next, room - len);
            ReadPlace::At(entry.offset, ahead as usize)
        });
        let (segment, len) = (scan.window.segment.segment, len as usize);
        self.state = State::Commits(Scan { offset, len, ..scan });
        ReadStep::Read { segment, place: ReadPlace::At(offset, len), keep: false, ahead }
    }

    fn commits(&mut self, mut scan: Scan, bytes: &Bytes) -> ReadStep {
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
                    if let Some(step) = self.gather(&scan, commit) {
                        return step;
                    }
                }
                Err(BadCommit::Header) => {
                    return self.damage(segment.segment, Some(&scan), "a commit header is damaged");
                }
                Err(BadCommit::Payload) => return self.damage(segment.segment, Some(&scan), "a batch is damaged"),
            }
            if self.gathered.bytes >= self.bytes_max {
                return self.finish();
            }
            scan.at += 1;
            match scan.window.entries.get(scan.at) {
                Some(next) if next.offset < scan.offset + bytes.len() as u64 => {}
                Some(_) => return self.scan_from(scan, 0),
                None if segment.segment < self.sealed.end => return self.next_segment(segment.segment),
                None => return self.leave_window(&scan.window),
            }
        }
    }

    /// The entries of a window in memory are used up.
    fn leave_window(&mut self, window: &Window) -> ReadStep {
        match (self.memory.pop_front(), window.after) {
            (Some(next), _) => self.enter(next),
            (None, Some(after)) if self.trimmed => self.fail(trimmed(after)),
            (None, Some(after)) if self.gathered.start_sequence.is_none() => {
                self.fail(damaged(self.wanted().unwrap_or(after), after, "its commit is missing from the index"))
            }
            (None, _) => self.finish(),
        }
    }

    /// Takes what is wanted of a commit; `Some` when the read ends here.
    fn gather(&mut self, scan: &Scan, commit: Commit) -> Option<ReadStep> {
        for batch in commit.batches {
            let header = *batch.header();
            if header.shard != self.shard || self.is_before_target(&batch) {
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
            let wanted = self.wanted().unwrap_or(header.first_sequence);
            if self.trimmed {
                return Some(self.fail(trimmed(header.first_sequence)));
            }
            if header.first_sequence > wanted {
                let why = "its commit is missing from the index or the disk";
                return Some(self.damage_between(scan, wanted, header.first_sequence, why));
            }
            let bytes = batch.bytes().len();
            if self.gathered.bytes > 0 && self.gathered.bytes + bytes > self.bytes_max {
                self.gathered.next_arrival_ms = Some(header.arrival_ms);
                return Some(self.finish());
            }
            self.gathered.start_sequence.get_or_insert(wanted);
            self.gathered.take(batch, &commit.payload);
        }
        None
    }

    fn is_before_target(&self, batch: &Batch) -> bool {
        match (self.wanted(), self.target) {
            (Some(sequence), _) => batch.next_sequence() <= sequence,
            (None, Target::Arrival(arrival_ms)) => batch.header().arrival_ms < arrival_ms,
            (None, Target::Sequence(_)) => false,
        }
    }

    /// The sequence that has to come next, once it is known.
    fn wanted(&self) -> Option<u64> {
        match (self.gathered.start_sequence, self.target) {
            (Some(_), _) => Some(self.gathered.next_sequence),
            (None, Target::Sequence(sequence)) => Some(sequence),
            (None, Target::Arrival(_)) => None,
        }
    }

    fn next_segment(&mut self, segment: u64) -> ReadStep {
        if segment + 1 < self.sealed.end { self.open(segment + 1) } else { self.leave_sealed() }
    }

    fn leave_sealed(&mut self) -> ReadStep {
        match self.memory.pop_front() {
            Some(window) => self.enter(window),
            None => self.finish(),
        }
    }

    fn finish(&mut self) -> ReadStep {
        let gathered = std::mem::take(&mut self.gathered);
        let Some(start_sequence) = gathered.start_sequence else {
            return match self.target {
                _ if self.trimmed => self.fail(trimmed(self.tip)),
                // Nothing that is kept holds anything of the shard, and something has expired.
                Target::Sequence(sequence) if sequence < self.tip && self.lowest_is_in_memory() => {
                    self.fail(trimmed(self.tip))
                }
                Target::Sequence(sequence) if sequence < self.tip => {
                    self.fail(damaged(sequence, self.tip, "no segment holds it"))
                }
                _ => ReadStep::Done(Ok(ReadOutcome {
                    start_sequence: self.tip,
                    next_sequence: self.tip,
                    batches: Vec::new(),
                    pieces: Vec::new(),
                    next_arrival_ms: None,
                })),
            };
        };
        ReadStep::Done(Ok(ReadOutcome {
            start_sequence,
            next_sequence: gathered.next_sequence,
            batches: gathered.batches,
            pieces: gathered.pieces.into_iter().map(|(payload, range)| payload.slice(range)).collect(),
            next_arrival_ms: gathered.next_arrival_ms,
        }))
    }

    fn fail(&mut self, error: WireError) -> ReadStep {
        ReadStep::Done(Err(error))
    }

    /// What was wanted next cannot be read. What was gathered before it is answered first.
    fn damage(&mut self, segment: u64, scan: Option<&Scan>, why: &str) -> ReadStep {
        if self.gathered.start_sequence.is_some() {
            return self.finish();
        }
        let at = scan.map(|scan| scan.window.entries[scan.at].first_sequence);
        let first = self.wanted().or(at).unwrap_or(0);
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

    fn damage_between(&mut self, scan: &Scan, wanted: u64, found: u64, why: &str) -> ReadStep {
        if self.gathered.start_sequence.is_some() {
            return self.finish();
        }
        // Below the lowest segment nothing is missing: it was given up when it expired.
        let expired = self.lowest_is_in_memory() && !scan.window.begins_here;
        self.fail(if expired { trimmed(found) } else { damaged(wanted, found, why) })
    }

    /// Whether older segments have expired, and the oldest that is kept is not sealed: what a shard
    /// does not hold from there on is gone for good.
    fn lowest_is_in_memory(&self) -> bool {
        self.sealed.is_empty() && self.sealed.start > 1
    }

    fn damage_head(&mut self, first: u64, segment: u64, why: &str, bytes: &[u8]) -> ReadStep {
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
    fn unreadable(&mut self, state: State, why: &str) -> ReadStep {
        match state {
            State::SearchHead { low, high, middle } | State::SearchCarry { low, high, middle, .. } => {
                self.search_beside(low, high, middle)
            }
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

    fn ask(&mut self, state: State, segment: u64, place: ReadPlace, keep: bool) -> ReadStep {
        self.state = state;
        ReadStep::Read { segment, place, keep, ahead: None }
    }

    fn segment(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.log.incarnation, log: self.log.log, segment }
    }
}

impl Window {
    /// How much to read from an entry on, to have as many whole commits as fit in `room`, and which
    /// entry comes after them.
    fn span(&self, at: usize, room: u64) -> (u64, usize) {
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

/// The head of a segment file.
const HEAD: ReadPlace = ReadPlace::At(0, HEAD_BYTES as usize);
/// Most that is read at once where a shard's commits stand close together: one of the usual largest
/// and a small one ...
const DENSE_READ_BYTES: u64 = (1 << 20) + (256 << 10);
/// ... and where they are far apart, until a header says how long they are.
const SPARSE_READ_BYTES: u64 = 64 << 10;

/// The whole blocks that hold `len` bytes from `offset`, which begins a block.
fn blocks(offset: u64, len: usize) -> ReadPlace {
    assert_eq!(offset % BLOCK_BYTES, 0, "what is read stands at the beginning of a block");
    ReadPlace::At(offset, len.next_multiple_of(BLOCK_BYTES as usize))
}

/// Whether a salt is the one of a segment: its label says so, or a header is proved by it.
fn is_salt_of(segment: SegmentId, head: &[u8], salt: u64) -> bool {
    Label::decode(head).is_ok_and(|label| label.segment == segment && label.salt == salt)
        || Header::decode_either(head, segment, salt).is_ok()
}

fn head_of(segment: SegmentId, bytes: &[u8]) -> Option<(Header, u64)> {
    let label = Label::decode(bytes).ok().filter(|label| label.segment == segment)?;
    Some((Header::decode_either(bytes, segment, label.salt).ok()?, label.salt))
}

/// A shard's place in a carry-over, whose checksum is proved; its producers are not looked at.
fn carry_of(header: &Header, salt: u64, bytes: &[u8], shard: u32) -> Option<ShardState> {
    let bytes = bytes.get(..header.carry_over_len as usize)?;
    if xxhash_rust::xxh3::xxh3_64_with_seed(bytes, salt) != header.carry_over_checksum {
        return None;
    }
    let count = FieldReader::new("carry-over", bytes).u32().ok()? as usize;
    let table = bytes.get(COUNTS_BYTES..COUNTS_BYTES + count * SHARD_BYTES)?;
    let state = |at: usize| {
        decode_shard(&mut FieldReader::new("carry-over", &table[at * SHARD_BYTES..(at + 1) * SHARD_BYTES])).ok()
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = (low + high) / 2;
        let found = state(middle)?;
        match found.shard.cmp(&shard) {
            std::cmp::Ordering::Equal => return Some(found),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// Records `first .. end` are lost.
fn damaged(first: u64, end: u64, why: &str) -> WireError {
    let last = end.saturating_sub(1).max(first);
    let message = format!("records {first} to {last} are damaged on the disk ({why}); read on after them");
    WireError::new(ErrorCode::Damaged, message).with_detail(first, last)
}

fn trimmed(first_kept: u64) -> WireError {
    let message = format!("the record has outlived the stream's retention; the first that is kept is {first_kept}");
    WireError::new(ErrorCode::Trimmed, message).with_detail(first_kept, 0)
}
