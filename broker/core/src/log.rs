//! The log: events in, effects out. Everything rheos promises about a record is decided here.
//!
//! ```text
//!   Put ──► admit, order, stamp, stage ──► Flush ──► Effect::Write ... the kernel ... Durable
//!           (append.rs)                    (commit.rs)                                  │
//!           Reply(refused)                                   Reply(acked), tail ◄───────┘
//! ```
//!
//! A batch is *staged* when it has its sequence, *submitted* when its commit is in flight, *durable*
//! when that commit's completion has come, and *acked* by the effect that follows. One commit is in
//! flight at a time; while it is, the next one fills.
//!
//! What must hold:
//! - nothing at or after a shard's durable sequence is ever acked or shown;
//! - a sequence is given once: what was submitted and failed is written again elsewhere with the
//!   same sequences, or stays unanswered for ever;
//! - the successor of a segment names its end before anything in the successor is acked.
//!
//! The log has no clock and does nothing itself: whoever owns it performs its [`Effect`]s in order
//! and reports back as [`Event`]s.

mod append;
mod ceilings;
mod commit;
mod counted;
mod loads;
mod read;
mod reshard;
mod retention;
mod segments;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{Batch, PutBatch};
use rheos_protocol::error::WireError;
use rheos_protocol::hash::HashRange;

use crate::arrival::{ArrivalClock, Now};
use crate::budget::LaneBudget;
use crate::carry_over::{self, ShardState};
use crate::catalog::StreamTerms;
use crate::commit::CommitHeader;
use crate::counts::{LogCounts, ShardCounts};
use crate::keys::KeyHistogram;
use crate::limits::{CLOSE_MS, SETTLE_MS};
use crate::planted::Bug;
use crate::producer::ProducerTable;
use crate::recovery::Recovered;
use crate::tail::Tail;

pub use counted::ShardCounted;
pub use read::{ReadStart, ShardTip};
pub use retention::Expiry;
pub use segments::SegmentFacts;

use ceilings::Ceilings;
use commit::Submitted;
use segments::Segments;

/// Which log of which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Number within the stream.
    pub log: u32,
}

/// What the catalog says about a log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Which log.
    pub id: LogId,
    /// Its shards, sorted by number.
    pub shards: Vec<LogShard>,
    /// What may change while it is served; its part where they are about the stream as a whole.
    pub terms: StreamTerms,
}

impl LogSettings {
    /// The numbers of its shards.
    pub fn shard_numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.shards.iter().map(|shard| shard.number)
    }

    /// Where its closed shards end.
    pub fn ends(&self) -> BTreeMap<u32, u64> {
        let end_of = |shard: &LogShard| Some((shard.number, shard.closed.as_ref()?.end_sequence));
        self.shards.iter().filter_map(end_of).collect()
    }
}

/// What the catalog says about a shard of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogShard {
    /// Its number.
    pub number: u32,
    /// Its stretch of the hash space.
    pub range: HashRange,
    /// How it ended, if it is closed.
    pub closed: Option<ClosedShard>,
}

/// What the catalog says about a closed shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedShard {
    /// The sequence after its last record.
    pub end_sequence: u64,
    /// When it was closed, in ms since 1970.
    pub closed_ms: u64,
    /// The shards that take what it took.
    pub children: Vec<u32>,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A producer has put a batch; its reply will carry the token.
    Put {
        /// Chosen by the owner.
        token: u64,
        /// What was put.
        batch: PutBatch,
    },
    /// All that has happened in this turn is in: begin a commit if one can begin.
    Flush,
    /// The write in flight has completed in full.
    Durable,
    /// The write in flight has failed or was short.
    WriteFailed {
        /// What the system said.
        why: String,
    },
    /// The segment asked for can be written.
    SegmentReady {
        /// Its number.
        segment: u64,
        /// Which asking this answers.
        ask: u64,
        /// The salt in its label.
        salt: u64,
        /// Bytes that are allocated for it.
        bytes: u64,
    },
    /// The segment asked for could not be made.
    SegmentFailed {
        /// Which asking this answers.
        ask: u64,
        /// What the system said.
        why: String,
    },
    /// The footer of a segment is on the disk, or could not be written and will be rebuilt when it is needed.
    Sealed {
        /// The segment's number.
        segment: u64,
    },
    /// The segments below this one are gone.
    Trimmed {
        /// What is now known of the oldest segment.
        lowest: SegmentFacts,
    },
    /// How long the files of segments are that were to be measured, as far as they are there.
    Measured {
        /// Number and bytes.
        sizes: Vec<(u64, u64)>,
    },
    /// These shards are to be closed: nothing new is admitted to them from here on.
    /// [`Effect::Drained`] follows.
    Close {
        /// Their numbers.
        shards: Vec<u32>,
    },
    /// Shards that were to be closed stay open.
    Reopen,
    /// The catalog has changed the log's shards: some are closed, others are new, or have gone.
    Resharded {
        /// What it says now.
        shards: Vec<LogShard>,
    },
    /// The stream's terms have changed.
    Terms {
        /// What they are now.
        terms: StreamTerms,
    },
    /// Time has passed. Comes a few times a second while [`Log::is_open`].
    Tick,
    /// Finish what is staged, seal and stop.
    Stop,
}

/// What is to be done. Effects are performed in order.
#[derive(Debug)]
pub enum Effect {
    /// Answer a put.
    Reply {
        /// The put's token.
        token: u64,
        /// Where it went, or why not.
        outcome: Result<Acked, WireError>,
    },
    /// Write a commit; [`Event::Durable`] or [`Event::WriteFailed`] follows.
    Write(Write),
    /// Make the file of a segment; [`Event::SegmentReady`] or [`Event::SegmentFailed`] follows.
    Prepare {
        /// Its number.
        segment: u64,
        /// Counts the askings: a number that was discarded is asked for again.
        ask: u64,
        /// How much to allocate, and as time permits to pre-write.
        bytes: u64,
    },
    /// The segment being made is needed: report it ready as it is.
    Hurry {
        /// Its number.
        segment: u64,
    },
    /// Remove a segment that was made and never used.
    Discard {
        /// Its number.
        segment: u64,
    },
    /// Write a footer and cut the file after it; [`Event::Sealed`] follows.
    Seal {
        /// The segment's number.
        segment: u64,
        /// Where the footer goes.
        offset: u64,
        /// The footer, whole blocks.
        footer: Bytes,
    },
    /// Remove segments that have expired, after the catalog knows; [`Event::Trimmed`] follows.
    Trim(Expiry),
    /// Find out how long the files of these segments are; [`Event::Measured`] follows.
    Measure {
        /// Their numbers.
        segments: Range<u64>,
    },
    /// A commit has made more records of a watched shard durable. Comes after the replies of the commit.
    Advanced {
        /// The shard.
        shard: u32,
    },
    /// Everything that was admitted to the shards that are to be closed is on the disk.
    Drained {
        /// Each with the sequence after its last record; or why they cannot be closed.
        ends: Result<Vec<(u32, u64)>, WireError>,
    },
    /// The log takes no more puts; for the operator.
    ReadOnly {
        /// Why.
        why: String,
    },
    /// What [`Event::Stop`] asked for is done.
    Stopped,
}

/// A put that is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Sequence of its first record.
    pub first_sequence: u64,
    /// Arrival of its records.
    pub arrival_ms: u64,
}

/// One write: the pieces one after the other, then zeros to `len`.
#[derive(Debug)]
pub struct Write {
    /// Number of the segment.
    pub segment: u64,
    /// Where in the segment.
    pub offset: u64,
    /// Bytes to write, whole blocks.
    pub len: usize,
    /// The head of a new segment, else empty.
    pub head: Bytes,
    /// The commit header.
    pub header: [u8; crate::commit::COMMIT_HEADER_BYTES],
    /// The batches.
    pub batches: Vec<Bytes>,
}

/// What a log is doing, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// `serving`, `read-only`, `stopping` or `stopped`.
    pub health: &'static str,
    /// `idle`, `staged`, `submitted` or `failed`: how far its newest put is.
    pub stage: &'static str,
}

/// A log and its shards.
#[derive(Debug)]
pub struct Log {
    settings: LogSettings,
    shards: Vec<Shard>,
    producers: ProducerTable,
    clock: ArrivalClock,
    /// What arrived before has expired, for good.
    trimmed_ms: u64,
    staged: VecDeque<Staged>,
    stage: Stage,
    health: Health,
    /// Resends of batches that are not durable yet.
    waiting: Vec<Waiting>,
    segments: Segments,
    tail: Tail,
    /// Number of the next commit.
    next_commit: u64,
    /// Checksum of the last durable commit.
    last_checksum: u64,
    /// When the last commit became durable.
    quiet_since_boot_ms: u64,
    /// Whether the last commit was an empty one, which proves the one before it.
    settled: bool,
    /// Whether somebody waits for the shards that are to be closed.
    draining: bool,
    counts: LogCounts,
}

#[derive(Debug)]
struct Shard {
    number: u32,
    range: HashRange,
    admission: Admission,
    /// Given to the next record that is staged.
    next_sequence: u64,
    /// Everything before it is on the disk.
    durable_sequence: u64,
    last_arrival_ms: u64,
    /// Whether somebody is told when it grows.
    watched: bool,
    /// Whether that is to be said of the commit that is being looked at.
    advanced: bool,
    counts: ShardCounts,
    /// What is left of its ceilings, once something was taken of one.
    ceilings: Option<Box<Ceilings>>,
    /// What came of which hash keys since that was last asked for; of a provisioned stream, nothing.
    keys: Option<Box<KeyHistogram>>,
}

/// Whether a shard takes puts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Admission {
    Open,
    /// No more, until it is known whether it is closed.
    Closing,
    Closed(ClosedShard),
}

#[derive(Debug)]
struct Staged {
    token: u64,
    shard_at: usize,
    batch: Batch,
}

/// A resend that waits for its original.
#[derive(Debug)]
struct Waiting {
    token: u64,
    shard_at: usize,
    acked: Acked,
    record_count: u32,
}

/// Where the newest commit is.
#[derive(Debug)]
enum Stage {
    /// None is in flight.
    Idle,
    /// One is in flight.
    Submitted(Submitted),
    /// One has failed; its batches wait to be written at the head of the next segment.
    Failed(Submitted),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Serving,
    ReadOnly { why: String },
    Stopping,
    Stopped,
}

impl Log {
    /// The log as recovery has found it, or a new one.
    pub fn new(now: Now, settings: LogSettings, recovered: Recovered) -> Log {
        let state = recovered.state;
        let shards =
            settings.shards.iter().map(|shard| Shard::new(shard, state.shard(shard.number))).collect::<Vec<_>>();
        assert!(shards.is_sorted_by(|a, b| a.number < b.number), "shards come sorted by number");
        let health = match recovered.refused {
            Some(why) => Health::ReadOnly { why },
            None => Health::Serving,
        };
        Log {
            clock: ArrivalClock::new(now, state.last_arrival_ms()),
            trimmed_ms: settings.terms.trimmed_ms,
            shards,
            producers: state.producers,
            staged: VecDeque::new(),
            stage: Stage::Idle,
            health,
            waiting: Vec::new(),
            segments: Segments::new(&settings, recovered.segments),
            tail: Tail::default(),
            next_commit: recovered.next_commit,
            last_checksum: recovered.last_checksum,
            quiet_since_boot_ms: now.boot_ms,
            settled: true,
            draining: false,
            counts: LogCounts::default(),
            settings,
        }
    }

    /// Which log it is.
    pub fn id(&self) -> LogId {
        self.settings.id
    }

    /// Takes one event and appends what is to be done.
    ///
    /// A commit begins at [`Event::Flush`] alone. The owner sends one, in its own order over all logs,
    /// to a log that [`wants_commit`](Self::wants_commit) after an event, so that a busy log does not
    /// keep the lane's places for commits to itself.
    pub fn step(&mut self, now: Now, event: Event, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        match event {
            Event::Put { token, batch } => self.put(now, token, batch, budget, effects),
            Event::Flush => self.flush(now, budget, effects),
            Event::Durable => self.durable(now, budget, effects),
            Event::WriteFailed { .. } if Bug::FailedWriteAcked.is_planted() => self.durable(now, budget, effects),
            Event::WriteFailed { why } => self.write_failed(&why, budget, effects),
            Event::SegmentReady { segment, ask, salt, bytes } => {
                self.segments.ready(segment, ask, salt, bytes);
            }
            Event::SegmentFailed { ask, why } => self.segment_failed(now, ask, &why, budget, effects),
            Event::Sealed { segment } => self.segments.sealed(segment),
            Event::Trimmed { lowest } => {
                self.segments.trimmed(lowest);
                self.expire(now, effects);
            }
            Event::Measured { sizes } => {
                self.segments.measured(&sizes);
                self.expire(now, effects);
            }
            Event::Terms { terms } => self.change_terms(now, terms, effects),
            Event::Close { shards } => self.close_shards(&shards),
            Event::Reopen => self.reopen_shards(),
            Event::Resharded { shards } => self.resharded(&shards, effects),
            Event::Tick => self.tick(now, budget, effects),
            Event::Stop => self.stop(now, budget, effects),
        }
        self.tell_when_drained(effects);
        self.look_ahead(now, effects);
    }

    /// Whether the log has a segment open, or anything else that time changes.
    pub fn is_open(&self) -> bool {
        self.segments.active().is_some() || !self.staged.is_empty() || !matches!(self.stage, Stage::Idle)
    }

    /// Whether a [`Flush`](Event::Flush) would submit a commit if the lane had a place for it and the
    /// log a segment.
    pub fn wants_commit(&self) -> bool {
        match self.stage {
            Stage::Idle => !self.staged.is_empty() || self.must_settle(),
            Stage::Submitted(_) => false,
            Stage::Failed(_) => true,
        }
    }

    /// Whether puts wait for a segment to be made.
    pub fn waits_for_segment(&self) -> bool {
        self.wants_commit() && !self.segments.has_place(CommitHeader::padded_len(0))
    }

    /// Whether a segment is still wanted that was asked for with this asking.
    pub fn expects_segment(&self, ask: u64) -> bool {
        self.segments.expects(ask)
    }

    /// What it is doing, in words.
    pub fn state(&self) -> LogState {
        let health = match self.health {
            Health::Serving => "serving",
            Health::ReadOnly { .. } => "read-only",
            Health::Stopping => "stopping",
            Health::Stopped => "stopped",
        };
        let stage = match self.stage {
            Stage::Idle if self.staged.is_empty() => "idle",
            Stage::Idle => "staged",
            Stage::Submitted(_) => "submitted",
            Stage::Failed(_) => "failed",
        };
        LogState { health, stage }
    }

    /// Why the log takes no puts, when it does not for good.
    pub fn read_only(&self) -> Option<&str> {
        match &self.health {
            Health::ReadOnly { why } => Some(why),
            _ => None,
        }
    }

    /// Has [`Effect::Advanced`] said of a shard of this log from now on.
    pub fn watch(&mut self, shard: u32) {
        self.set_watched(shard, true);
    }

    /// Ends [`watch`](Self::watch).
    pub fn unwatch(&mut self, shard: u32) {
        self.set_watched(shard, false);
    }

    fn set_watched(&mut self, shard: u32, watched: bool) {
        if let Ok(shard_at) = self.shard_at(shard) {
            self.shards[shard_at].watched = watched;
        }
    }

    /// Gives back to the lane's budget what the log holds of it, before it is dropped.
    ///
    /// Puts that are staged are answered with the refusal, those in flight as indeterminate. When a
    /// write is in flight its place is given back by [`write_ended`](Self::write_ended).
    pub fn release(&mut self, refusal: &WireError, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        self.give_up_submitted(refusal, budget, effects);
        self.refuse_staged(refusal, budget, effects);
        self.tail.clear(budget);
        self.health = Health::Stopped;
    }

    /// The write that was in flight when the log was released has ended, in whatever way.
    pub fn write_ended(&mut self, budget: &mut LaneBudget) {
        assert_eq!(self.health, Health::Stopped, "the end of a write of a living log is an event");
        budget.complete();
    }

    fn tick(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        self.tail.expire(now.boot_ms, budget);
        self.clock.follow(now);
        self.expire(now, effects);
        let quiet_ms = now.boot_ms.saturating_sub(self.quiet_since_boot_ms);
        let idle = matches!(self.stage, Stage::Idle) && self.staged.is_empty();
        let writes = matches!(self.health, Health::Serving | Health::Stopping);
        if !idle || !writes || self.segments.active().is_none() {
            return;
        }
        if !self.settled && quiet_ms >= SETTLE_MS {
            self.settle(now, budget, effects);
        } else if self.settled && quiet_ms >= CLOSE_MS {
            self.close_segment(effects);
        }
    }

    fn stop(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        match self.health {
            Health::Serving => {
                self.health = Health::Stopping;
                self.stop_when_quiet(now, budget, effects);
            }
            Health::ReadOnly { .. } => {
                self.health = Health::Stopped;
                effects.push(Effect::Stopped);
            }
            Health::Stopping => self.stop_when_quiet(now, budget, effects),
            Health::Stopped => {}
        }
    }

    /// Seals once everything staged is durable and an empty commit has proved it. What would need a segment
    /// that is still to be made is refused: it was never submitted, and comes again.
    fn stop_when_quiet(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        if self.health != Health::Stopping || !matches!(self.stage, Stage::Idle) {
            return;
        }
        if !self.staged.is_empty() {
            if self.has_place_for_staged() {
                return;
            }
            self.refuse_staged(&append::going_away(), budget, effects);
        }
        if self.settled || !self.segments.has_place(CommitHeader::padded_len(0)) {
            self.close_segment(effects);
            self.health = Health::Stopped;
            effects.push(Effect::Stopped);
        } else {
            self.settle(now, budget, effects);
        }
    }

    /// Whether it stops and only an empty commit is missing before it can seal.
    fn must_settle(&self) -> bool {
        let is_quiet = matches!(self.stage, Stage::Idle) && self.staged.is_empty();
        let stopping = self.health == Health::Stopping;
        stopping && is_quiet && !self.settled && self.segments.has_place(CommitHeader::padded_len(0))
    }

    fn close_segment(&mut self, effects: &mut Vec<Effect>) {
        let mut carry_out = BytesMut::new();
        carry_over::encode(self.shard_states(), &self.producers, &mut carry_out);
        self.segments.close(carry_out.freeze(), effects);
    }

    /// The state between the last durable commit and the next one.
    fn shard_states(&self) -> impl ExactSizeIterator<Item = ShardState> {
        self.shards.iter().map(|shard| ShardState {
            shard: shard.number,
            closed: matches!(shard.admission, Admission::Closed(_)),
            next_sequence: shard.durable_sequence,
            last_arrival_ms: shard.last_arrival_ms,
        })
    }
}
