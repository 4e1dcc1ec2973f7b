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
mod commits;
mod damage;
mod search;

use std::ops::Range;

use bytes::Bytes;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::WireError;

use crate::commit::SegmentId;
use crate::counts::Amount;
use crate::footer::Trailer;
use crate::index::IndexEntry;
use crate::log::{LogId, ShardTip};
use crate::segment::{HEAD_BYTES, Header};

use damage::{damaged, trimmed};
use search::{blocks, carry_of, head_of};

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
    /// Batches of other shards that stood in the same commits, where those were asked for.
    pub others: Vec<Batch>,
    /// Bytes of commits that were read for them.
    pub read_bytes: usize,
    /// The bytes of the batches in as few pieces as they lie in memory.
    pub pieces: Vec<Bytes>,
    /// Arrival of the record at `next_sequence`, when it is known without reading on.
    pub next_arrival_ms: Option<u64>,
}

impl ReadOutcome {
    /// What was given, in whole batches.
    pub fn given(&self) -> Amount {
        let mut given = Amount::default();
        self.batches.iter().for_each(|batch| given += Amount::of(batch.header()));
        given
    }

    /// How far behind the tip of its shard whoever was given this is: age of the first durable record that is
    /// not in it, in ms, or of the last one that is when that is not known; 0 when there is none.
    pub fn behind_ms(&self, tip: ShardTip, wall_ms: u64) -> u64 {
        if self.next_sequence >= tip.durable_sequence {
            return 0;
        }
        // What follows came after what was read, and not after the last one.
        let read_ms = self.batches.last().map_or(0, |batch| batch.header().arrival_ms);
        let arrival_ms = self.next_arrival_ms.unwrap_or(read_ms).min(tip.last_arrival_ms);
        waited_ms(arrival_ms, wall_ms)
    }

    /// Age of the last record that was given, in ms; 0 when it is the last one of its shard. What Kinesis calls
    /// the age of an iterator.
    pub fn iterator_age_ms(&self, tip: ShardTip, wall_ms: u64) -> u64 {
        match self.batches.last() {
            Some(batch) if self.next_sequence < tip.durable_sequence => {
                wall_ms.saturating_sub(batch.header().arrival_ms)
            }
            _ => 0,
        }
    }
}

/// How long a record has waited for who reads its shard, in ms, at least 1: 0 says that no record waits, and some
/// readers stop there.
pub fn waited_ms(arrival_ms: u64, wall_ms: u64) -> u64 {
    wall_ms.saturating_sub(arrival_ms).max(1)
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
    /// Where the shard stands before what is looked at, while the target is a time: what begins after it
    /// has a hole before it.
    passed: Option<u64>,
    /// Whether batches of other shards are kept too.
    keeps_others: bool,
    /// The position asked for has expired: the answer is where the shard begins now.
    trimmed: bool,
}

#[derive(Debug, Default)]
struct Gathered {
    start_sequence: Option<u64>,
    next_sequence: u64,
    batches: Vec<Batch>,
    others: Vec<Batch>,
    read_bytes: usize,
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
    /// The head of the lowest segment was asked for, for what the shard begins with.
    EntryHead,
    /// Its carry-over was asked for.
    EntryCarry {
        header: Header,
        salt: u64,
    },
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
            passed: None,
            keeps_others: false,
            trimmed: false,
        }
    }

    /// The same read, which also gives what it meets of other shards; their bytes count too.
    pub fn with_others(mut self) -> ReadTask {
        self.keeps_others = true;
        self
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
            State::EntryHead => self.entry_head(&bytes),
            State::EntryCarry { header, salt } => {
                self.passed = carry_of(&header, salt, &bytes, self.shard).map(|entered| entered.next_sequence);
                self.search(self.sealed.start, self.sealed.end)
            }
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
            State::Commits(scan) => {
                self.gathered.read_bytes += bytes.len();
                self.commits(scan, &bytes)
            }
            State::DamageHead { first, segment, why } => self.damage_head(first, segment, &why, &bytes),
            State::DamageCarry { first, header, salt, why } => {
                let end = carry_of(&header, salt, &bytes, self.shard).map(|state| state.next_sequence);
                self.fail(damaged(first, end.unwrap_or(self.tip), &why))
            }
            State::Over => panic!("a read that is done is not stepped"),
        }
    }

    /// What the bytes are for that were asked for last: one of [`LOOKS_AT`].
    pub fn looks_at(&self) -> &'static str {
        match self.state {
            State::Start | State::Over => "nothing",
            State::EntryHead => "lowest head",
            State::EntryCarry { .. } => "lowest carry-over",
            State::SearchHead { .. } => "middle head",
            State::SearchCarry { .. } => "middle carry-over",
            State::OpenHead { .. } => "head",
            State::Trailer { .. } => "trailer",
            State::Index { .. } => "index",
            State::Successor { .. } => "successor's head",
            State::Whole { .. } => "whole segment",
            State::Commits(_) => "commits",
            State::DamageHead { .. } => "head after damage",
            State::DamageCarry { .. } => "carry-over after damage",
        }
    }

    fn start(&mut self) -> ReadStep {
        if self.memory.front().is_some_and(|window| window.begins_here) {
            return self.leave_sealed();
        }
        match (self.target, self.sealed.start) {
            (Target::Sequence(_), _) => {}
            (Target::Arrival(_), 1) => self.passed = Some(0),
            (Target::Arrival(_), lowest) => return self.ask(State::EntryHead, lowest, HEAD, true),
        }
        self.search(self.sealed.start, self.sealed.end)
    }

    fn entry_head(&mut self, bytes: &[u8]) -> ReadStep {
        let lowest = self.sealed.start;
        match head_of(self.segment(lowest), bytes) {
            Some((header, salt)) => {
                let place = blocks(HEAD_BYTES, header.carry_over_len as usize);
                self.ask(State::EntryCarry { header, salt }, lowest, place, true)
            }
            None => self.search(self.sealed.start, self.sealed.end),
        }
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

    /// The sequence that comes next when nothing is missing, where that is known.
    fn expected(&self) -> Option<u64> {
        self.wanted().or(self.passed)
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
                // The shard's last record came after the time that is looked for.
                Target::Arrival(_) if self.passed.is_some_and(|passed| passed < self.tip) => {
                    self.fail(damaged(self.passed.unwrap_or(0), self.tip, "no segment holds it"))
                }
                _ => ReadStep::Done(Ok(ReadOutcome {
                    start_sequence: self.tip,
                    next_sequence: self.tip,
                    batches: Vec::new(),
                    others: Vec::new(),
                    read_bytes: 0,
                    pieces: Vec::new(),
                    next_arrival_ms: None,
                })),
            };
        };
        ReadStep::Done(Ok(ReadOutcome {
            start_sequence,
            next_sequence: gathered.next_sequence,
            batches: gathered.batches,
            others: gathered.others,
            read_bytes: gathered.read_bytes,
            pieces: gathered.pieces.into_iter().map(|(payload, range)| payload.slice(range)).collect(),
            next_arrival_ms: gathered.next_arrival_ms,
        }))
    }

    fn fail(&mut self, error: WireError) -> ReadStep {
        ReadStep::Done(Err(error))
    }

    fn ask(&mut self, state: State, segment: u64, place: ReadPlace, keep: bool) -> ReadStep {
        self.state = state;
        ReadStep::Read { segment, place, keep, ahead: None }
    }

    fn segment(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.log.incarnation, log: self.log.log, segment }
    }
}

/// The head of a segment file.
const HEAD: ReadPlace = ReadPlace::At(0, HEAD_BYTES as usize);

/// Everything that a read may have to look at.
pub const LOOKS_AT: [&str; 12] = [
    "lowest head",
    "lowest carry-over",
    "middle head",
    "middle carry-over",
    "head",
    "trailer",
    "index",
    "successor's head",
    "whole segment",
    "commits",
    "head after damage",
    "carry-over after damage",
];
