//! Repair of a log that takes no puts: how it can go on without giving a sequence twice.
//!
//! ```text
//!   newest file ──► down to the last segment whose state is known          (Down)
//!                                      │
//!   up again, commit by commit, ◄──────┘                                   (Up)
//!   counting what cannot be read ──► the plan: gap marks for what is missing, footers for what
//!                                    has none, a new segment with the state to go on from
//! ```
//!
//! What must hold: a sequence that may have been acknowledged is never given again. Where damage hides
//! how many there were, each shard goes on after as many as its bytes could have held. No damaged byte is
//! changed or removed: footers stand after all that is written, and the new segment comes after all that
//! there are.
//!
//! A state machine like recovery: it says which file it needs and is given it, whole.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rheos_protocol::limits::RECORD_ENCODED_BYTES_LEAST;

use super::salvage::{Salvaged, salvage};
use super::scan::{Head, Start, scan, written_end};
use super::{Chore, LogOnDisk, Recovered, with_shards};
use crate::carry_over::CarryOver;
use crate::commit::SegmentId;
use crate::footer::SegmentEnd;
use crate::limits::SEGMENT_FILE_BYTES_MAX;
use crate::segment::Predecessor;

pub use plan::{Loss, RepairChore, RepairPlan};

use plan::Unsealed;

/// What a repair needs next.
#[derive(Debug)]
pub enum RepairStep {
    /// The whole file of a segment; unreadable blocks as anything but zeros, or an error.
    Read {
        /// Its number.
        segment: u64,
    },
    /// It is known what is to be done.
    Done(Box<RepairPlan>),
}

/// A place in a log: segment and offset.
type Place = (u64, u64);

/// A repair that is being planned.
#[derive(Debug)]
pub struct Repair {
    log: LogOnDisk,
    now_ms: u64,
    /// The highest segment that was in use.
    top: u64,
    stage: Stage,
    /// Where segments end, as their successors say.
    named: BTreeMap<u64, Predecessor>,
    state: CarryOver,
    next_commit: u64,
    /// Up to where each shard is known; where it is not there, up to `anchor`.
    known: BTreeMap<u32, Place>,
    anchor: Place,
    /// What cannot be read, and how many bytes it may have held.
    hidden: Vec<(Place, u64)>,
    unsealed: Vec<Unsealed>,
    unreadable: Vec<u64>,
    predecessor: Option<Predecessor>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Begin,
    Down(u64),
    Up(u64),
    Over,
}

impl Repair {
    /// Begins, for a log that recovery has refused; `now_ms` is the wall clock.
    pub fn new(log: LogOnDisk, recovered: &Recovered, now_ms: u64) -> Repair {
        let spares: BTreeSet<u64> = recovered
            .chores
            .iter()
            .filter_map(|chore| match chore {
                Chore::Remove(segment) => Some(*segment),
                _ => None,
            })
            .collect();
        let in_use = |segment: &u64| (log.lowest_kept..=log.highest_prepared).contains(segment);
        let files: BTreeSet<u64> =
            log.files.iter().copied().filter(|segment| in_use(segment) && !spares.contains(segment)).collect();
        // One below the highest prepared was in use, whether it is there or not.
        let top = files.last().copied().max(log.highest_prepared.checked_sub(1)).unwrap_or(0);
        let state = CarryOver::new(log.shards.iter().copied());
        Repair {
            log: LogOnDisk { files, ..log },
            now_ms,
            top,
            stage: Stage::Begin,
            named: BTreeMap::new(),
            state,
            next_commit: 0,
            known: BTreeMap::new(),
            anchor: (0, 0),
            hidden: Vec::new(),
            unsealed: Vec::new(),
            unreadable: Vec::new(),
            predecessor: None,
        }
    }

    /// Begins, or goes on with the file that the last step asked for; `Err` when it could not be read.
    pub fn step(&mut self, input: Option<Result<Bytes, String>>) -> RepairStep {
        let bytes = input.and_then(Result::ok).unwrap_or_default();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => self.down(self.top),
            Stage::Down(segment) => self.look(segment, &bytes),
            Stage::Up(segment) => self.raise(segment, &bytes),
            Stage::Over => panic!("a repair that is planned is not stepped"),
        }
    }

    /// Asks for the next file from `segment` on downwards; without one the log is taken from its beginning.
    fn down(&mut self, segment: u64) -> RepairStep {
        match self.log.files.range(..=segment).next_back() {
            Some(&segment) => self.ask(Stage::Down(segment), segment),
            None => {
                let lowest = self.log.lowest_kept;
                if let Some(before) = lowest.checked_sub(1).filter(|before| *before > 0) {
                    self.hidden.push(((before, 0), before.saturating_mul(SEGMENT_FILE_BYTES_MAX)));
                }
                self.up(lowest)
            }
        }
    }

    /// Looks whether the state at the end or at the beginning of a segment is known.
    fn look(&mut self, segment: u64, bytes: &Bytes) -> RepairStep {
        let Some(salvaged) = salvage(self.id(segment), self.log.directory, bytes) else {
            return self.down(segment - 1);
        };
        if let Some(end) = salvaged.header.and_then(|header| header.predecessor) {
            self.named.insert(segment - 1, end);
        }
        let Salvaged { header, inherited, trailer, left, .. } = salvaged;
        match (left.zip(trailer), inherited.zip(header)) {
            (Some((left, trailer)), _) => {
                self.begin_at((segment, u64::MAX), left, trailer.end.next_commit);
                if segment == self.top {
                    let end = trailer.end;
                    self.predecessor = Some(Predecessor { end: end.offset, last_checksum: end.last_checksum });
                }
                self.up(segment + 1)
            }
            (None, Some((inherited, header))) => {
                self.begin_at((segment, 0), inherited, header.first_commit);
                self.up(segment)
            }
            (None, None) => self.down(segment - 1),
        }
    }

    fn begin_at(&mut self, anchor: Place, state: CarryOver, next_commit: u64) {
        (self.anchor, self.next_commit) = (anchor, next_commit);
        self.state = with_shards(state, &self.log.shards);
    }

    /// Asks for the file of the next segment in use from `segment` on; what has none may have held anything.
    fn up(&mut self, segment: u64) -> RepairStep {
        for number in segment..=self.top {
            if self.log.files.contains(&number) {
                return self.ask(Stage::Up(number), number);
            }
            self.hide(number);
        }
        RepairStep::Done(Box::new(self.plan()))
    }

    /// A segment of which nothing can be read may have held anything.
    fn hide(&mut self, segment: u64) {
        self.hidden.push(((segment, 0), SEGMENT_FILE_BYTES_MAX));
        self.state.producers.interrupt();
    }

    /// Brings the state over a segment, as far as that can be read.
    fn raise(&mut self, segment: u64, bytes: &Bytes) -> RepairStep {
        let id = self.id(segment);
        let Some(salvaged) = salvage(id, self.log.directory, bytes) else {
            self.unreadable.push(segment);
            self.hide(segment);
            return self.up(segment + 1);
        };
        let start = match (&salvaged.header, &salvaged.inherited) {
            (Some(header), Some(_)) => Start::after(header, Head::Whole),
            (Some(header), None) => Start::after(header, Head::NoCarryOver),
            (None, _) => Start::without_head(self.next_commit),
        };
        let named = self.named.get(&segment).copied();
        let limit = named.map(|end| end.end).or(salvaged.trailer.map(|trailer| trailer.end.offset));
        let scanned = scan(id, salvaged.salt, start, bytes, limit, &mut self.state);
        for (shard, entries) in scanned.index.shards() {
            self.known.insert(shard, (segment, entries.last().expect("a shard is there with its entries").offset));
        }
        let hidden = scanned.holes.iter().filter(|hole| hole.unknown_bytes > 0);
        self.hidden.extend(hidden.map(|hole| ((segment, hole.offset), hole.unknown_bytes)));
        self.next_commit = self.next_commit.max(scanned.end.next_commit);
        // What stands beyond an end that the successor names is nobody's; else nothing is written over.
        let offset = named.map_or_else(|| written_end(bytes, scanned.end.offset), |end| end.end);
        let end = SegmentEnd { offset, ..scanned.end };
        if segment == self.top {
            self.predecessor = Some(Predecessor { end: offset, last_checksum: end.last_checksum });
        }
        let left = self.state.clone();
        self.unsealed.push(Unsealed { id, salt: salvaged.salt, end, index: scanned.index, left });
        self.up(segment + 1)
    }

    fn plan(&mut self) -> RepairPlan {
        let mut state = std::mem::take(&mut self.state);
        // Of a log of which nothing is left it is only known that it came before now.
        let last_arrival_ms = Some(state.last_arrival_ms()).filter(|known| *known > 0).unwrap_or(self.now_ms);
        let mut doubted = BTreeMap::new();
        // The catalog knows which shards there are, and where closed ones ended; nothing is put to those again.
        state.shards.retain(|shard| self.log.shards.contains(&shard.shard));
        for shard in &mut state.shards {
            let end = self.log.ends.get(&shard.shard);
            shard.closed = end.is_some();
            if let Some(end) = end {
                shard.next_sequence = *end;
                continue;
            }
            let known = self.known.get(&shard.shard).copied().unwrap_or(self.anchor);
            let hidden = self.hidden.iter().filter(|(place, _)| *place > known);
            let bytes = hidden.fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
            if bytes > 0 {
                doubted.insert(shard.shard, shard.next_sequence);
                shard.next_sequence = shard.next_sequence.saturating_add(bytes / RECORD_ENCODED_BYTES_LEAST as u64);
                // Whoever reads from a time on is to be told, too.
                shard.last_arrival_ms = last_arrival_ms;
            }
        }
        let files = &self.log.files;
        RepairPlan {
            missing: (self.log.lowest_kept..=self.top).filter(|segment| !files.contains(segment)).collect(),
            state,
            next_commit: self.next_commit,
            predecessor: self.predecessor,
            unsealed: std::mem::take(&mut self.unsealed),
            next_segment: self.top + 1,
            doubted,
            unreadable: std::mem::take(&mut self.unreadable),
            log: self.log.clone(),
        }
    }

    fn ask(&mut self, stage: Stage, segment: u64) -> RepairStep {
        self.stage = stage;
        RepairStep::Read { segment }
    }

    fn id(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.log.id.incarnation, log: self.log.id.log, segment }
    }
}
