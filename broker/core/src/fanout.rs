//! Fan-out: what is pushed to which subscription, in which order, and how a subscription ends.
//!
//! ```text
//!   Subscribe ─► find the start ─► Subscribed
//!                                     │
//!   records become durable ─► in line ─► its peer's turn ─► from the tail      ─► Push
//!   credit comes           ─►   ▲                        ├► from a scan's piece ─► Push
//!   the peer takes bytes   ─►   │                        └► nowhere: Scan ... the disk ... piece
//!                               └────────────────────────────────────────────────────┘
//! ```
//!
//! A *peer* is whoever has subscriptions together, a consumer for one; peers have turns (deficit round robin), and within a
//! peer its subscriptions do. Nothing is queued for a subscription: it has a place in its shard, and
//! in its turn it is given what follows that place. One that has no credit, or whose peer takes
//! nothing, costs its place; when it goes on it is served from the disk. A scan that one subscription
//! needs serves all that stand where it reads, of every shard whose batches it meets.
//!
//! What must hold:
//! - a subscription is given what is durable, whole batches, each beginning where the last one ended;
//! - it is never given more than its credit and one batch;
//! - where pushes are limited, a consumer is given no more of a shard than the limit and one batch: a subscription
//!   is simply not due until its bucket has tokens, and nothing is queued for it;
//! - what is promised to a consumer is pushed to it before anything is to those without a promise (`fanout/lines.rs`);
//! - it ends once, with one reason, after which nothing more is pushed to it;
//! - nothing is said to a peer that has gone;
//! - of two subscriptions of one consumer to one shard the newer epoch stays.
//!
//! This has no clock and sends nothing. Whoever owns it asks [`FanOut::poll`] for what is to be done,
//! as often as it has room to do it.

mod counts;
mod lines;
mod paces;
mod pieces;
mod promises;
mod scans;
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{CREDIT_BYTES_MAX, PUSH_BYTES_TARGET, SUBSCRIPTIONS_MAX};
use rheos_protocol::message::{Position, PushEnd};

use crate::arrival::Now;
use crate::counts::Amount;
use crate::limits::SCAN_BYTES;
use crate::log::{Log, LogId, ReadStart};
use crate::reader::{ReadTask, waited_ms};

pub use counts::ConsumerCounted;
use counts::Counts;
use lines::Lines;
use paces::Paces;
use pieces::Pieces;
use scans::Scan;

/// Names a subscription: the peer, and the number that the peer gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId {
    /// Which peer.
    pub peer: u64,
    /// Chosen by it.
    pub id: u64,
}

/// A subscription that is asked for. That the consumer is registered, and may, was seen to before.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What it will be called.
    pub id: SubscriptionId,
    /// The log that holds the shard.
    pub log: LogId,
    /// The shard.
    pub shard: u32,
    /// Name of the consumer.
    pub consumer: Arc<str>,
    /// Its epoch.
    pub epoch: u64,
    /// Where to begin.
    pub position: Position,
    /// Bytes that may be pushed.
    pub credit: u64,
}

/// What is to be done.
#[derive(Debug)]
pub enum FanOutEffect {
    /// Answer the subscription's request: this is the next sequence that will be pushed, or why there
    /// is no subscription.
    Answer {
        /// Which subscription.
        id: SubscriptionId,
        /// The answer.
        outcome: Result<u64, WireError>,
    },
    /// Push batches.
    Push {
        /// To which subscription.
        id: SubscriptionId,
        /// Of which shard.
        shard: u32,
        /// How far it is behind the tip after them, in ms.
        behind_ms: u64,
        /// Next sequence of the shard.
        tip_sequence: u64,
        /// The batches, in order.
        batches: Vec<Bytes>,
    },
    /// Say that the subscription has ended.
    End {
        /// Which subscription.
        id: SubscriptionId,
        /// Of which shard.
        shard: u32,
        /// Why.
        end: PushEnd,
    },
    /// Perform a read; [`FanOut::scanned`] follows.
    Scan {
        /// Which scan.
        scan: u64,
        /// Of which log.
        log: LogId,
        /// The read.
        task: Box<ReadTask>,
    },
}

impl FanOutEffect {
    /// Who it is for; a scan is for many.
    fn peer(&self) -> Option<u64> {
        match self {
            FanOutEffect::Answer { id, .. } | FanOutEffect::Push { id, .. } | FanOutEffect::End { id, .. } => {
                Some(id.peer)
            }
            FanOutEffect::Scan { .. } => None,
        }
    }
}

/// All subscriptions of a lane.
#[derive(Debug, Default)]
pub struct FanOut {
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// The subscriptions to each shard.
    shards: BTreeMap<(LogId, u32), BTreeSet<SubscriptionId>>,
    /// Who is subscribed as which consumer: by incarnation, shard and name.
    seats: BTreeMap<Seat, SubscriptionId>,
    turns: Lines,
    /// What is promised to a consumer of each shard, in bytes a second.
    promises: BTreeMap<(u64, Arc<str>), NonZeroU64>,
    /// Whether somebody was late with what is promised, when that was last looked at.
    is_late: bool,
    /// When that was.
    looked_ms: Option<u64>,
    pieces: Pieces,
    paces: Paces,
    scans: BTreeMap<u64, Scan>,
    next_scan: u64,
    /// Subscriptions that need a scan and found all in use, or others waiting; oldest first.
    scans_wanted: VecDeque<SubscriptionId>,
    /// Bytes pushed since one of them last began its scan.
    pushed_bytes: usize,
    /// What is to be done before anything is pushed.
    said: VecDeque<FanOutEffect>,
    counts: Counts,
}

#[derive(Debug)]
struct Subscription {
    log: LogId,
    shard: u32,
    consumer: Arc<str>,
    epoch: u64,
    place: Place,
    /// Bytes that may be pushed; below zero by at most one batch.
    credit: i64,
    /// It waits for a scan, which puts it in line again.
    waits_for_scan: bool,
    /// It has waited for another's scan, which did not reach its place.
    waited_in_vain: bool,
    /// What it was given.
    pushed: Amount,
    /// Arrival of the record at its place, or of the last one before it, once it was given something.
    next_arrival_ms: Option<u64>,
    /// It has been given what it may have, and is in line again at this time.
    due_boot_ms: Option<u64>,
}

/// Who is subscribed: incarnation, shard and name of the consumer.
type Seat = (u64, u32, Arc<str>);

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not found yet.
    Sought(Position),
    /// The next sequence it is given.
    At(u64),
}

/// What a turn of a subscription came to.
enum Turn {
    /// It is to be pushed so many bytes, with so many of records, and may have more.
    Pushed { effect: FanOutEffect, bytes: usize, record_bytes: u64 },
    /// A scan is to be performed.
    Scan(FanOutEffect),
    /// It has nothing to be given for now, or has ended.
    Over,
}

/// Why a subscription is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It is its turn.
    InTurn,
    /// It has waited longest for a scan and is to begin one, if it still needs it; it is given nothing.
    ForScan,
}

impl FanOut {
    /// Takes a subscription; [`FanOutEffect::Answer`] follows.
    pub fn subscribe(&mut self, ask: Ask, log: &mut Log) {
        if let Err(error) = self.admit(&ask, log) {
            return self.said.push_back(FanOutEffect::Answer { id: ask.id, outcome: Err(error) });
        }
        let Ask { id, log: of, shard, consumer, epoch, position, credit } = ask;
        let seat = (of.incarnation, shard, Arc::clone(&consumer));
        if let Some(older) = self.seats.get(&seat).copied() {
            self.counts.superseded(of.incarnation, &consumer);
            self.end(older, PushEnd::Superseded);
        }
        self.seats.insert(seat, id);
        self.shards.entry((of, shard)).or_default().insert(id);
        log.watch(shard);
        let place = Place::Sought(position);
        let credit = credit.min(CREDIT_BYTES_MAX) as i64;
        let subscription = Subscription {
            log: of,
            shard,
            consumer,
            epoch,
            place,
            credit,
            waits_for_scan: false,
            waited_in_vain: false,
            pushed: Amount::default(),
            next_arrival_ms: None,
            due_boot_ms: None,
        };
        let promise = self.promises.get(&(of.incarnation, Arc::clone(&subscription.consumer))).copied();
        self.subscriptions.insert(id, subscription);
        self.turns.enter(id.peer);
        self.turns.promise(id, promise);
        self.turns.line_up(id);
    }

    /// Allows more bytes to be pushed to a subscription. One that has ended meanwhile takes none.
    pub fn credit(&mut self, id: SubscriptionId, bytes: u64) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let most = CREDIT_BYTES_MAX as i64;
        subscription.credit = subscription.credit.saturating_add(i64::try_from(bytes).unwrap_or(most)).min(most);
        if subscription.may_be_given() {
            self.turns.line_up(id);
        }
    }

    /// Ends a subscription without a word.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.forget(id);
    }

    /// A peer has gone, and with it all its subscriptions. Nothing is said to it any more, not even what
    /// was to be said of those that have ended.
    pub fn disconnect(&mut self, peer: u64) {
        let all = SubscriptionId { peer, id: 0 }..=SubscriptionId { peer, id: u64::MAX };
        let gone: Vec<_> = self.subscriptions.range(all).map(|(id, _)| *id).collect();
        // Together first where many may stand in line, then one by one where each has its place.
        self.turns.leave(peer);
        self.scans_wanted.retain(|wanted| wanted.peer != peer);
        self.scans.values_mut().for_each(|scan| scan.waiting.retain(|waiting| waiting.peer != peer));
        for id in gone {
            self.subscriptions.get_mut(&id).expect("it was just seen").waits_for_scan = false;
            self.forget(id);
        }
        self.said.retain(|said| said.peer() != Some(peer));
    }

    /// A consumer was deregistered.
    pub fn deregister(&mut self, incarnation: u64, consumer: &str) {
        let is_its = |it: &Subscription| it.log.incarnation == incarnation && *it.consumer == *consumer;
        for id in self.subscriptions_that(is_its) {
            self.end(id, PushEnd::Deregistered);
        }
        self.counts.forget_consumer(incarnation, consumer);
        self.promises.remove(&(incarnation, Arc::from(consumer)));
    }

    /// What may be pushed of a log has changed: who has waited by the old limit is looked at by the new one.
    pub fn limits_changed(&mut self, log: LogId) {
        for id in self.subscriptions_that(|it| it.log == log && it.due_boot_ms.is_some()) {
            let subscription = self.subscriptions.get_mut(&id).expect("it was just seen");
            self.paces.forget(subscription.due_boot_ms.take().expect("it was just seen"), id);
            self.turns.line_up(id);
        }
    }

    /// A stream was deleted.
    pub fn delete(&mut self, incarnation: u64, why: &WireError) {
        for id in self.subscriptions_that(|it| it.log.incarnation == incarnation) {
            self.end(id, PushEnd::Error(why.clone()));
        }
        self.pieces.forget(incarnation);
        self.counts.forget_stream(incarnation);
        self.promises.retain(|(of, _), _| *of != incarnation);
    }

    /// A closed shard has gone with its last records. Who has not read to its end is told that it will not.
    pub fn shard_gone(&mut self, log: LogId, shard: u32) {
        let message = format!("shard {shard} was closed and its records have expired; its children go on");
        let why = WireError::new(ErrorCode::ShardNotFound, message);
        for id in self.subscriptions_that(|it| it.log == log && it.shard == shard) {
            self.end(id, PushEnd::Error(why.clone()));
        }
        self.counts.forget_shard(log, shard);
    }

    /// The broker stops: clients are to come again after the wait.
    pub fn stop(&mut self, wait_ms: u32) {
        for id in self.subscriptions_that(|_| true) {
            self.end(id, PushEnd::GoingAway(wait_ms));
        }
    }

    /// More records of a shard are durable. False when nobody is subscribed to it any more.
    pub fn advanced(&mut self, log: LogId, shard: u32) -> bool {
        let Some(watching) = self.shards.get(&(log, shard)) else { return false };
        for id in watching {
            let subscription = &self.subscriptions[id];
            if subscription.may_be_given() {
                self.turns.line_up(*id);
            }
        }
        true
    }

    /// A peer that had no room has some.
    pub fn writable(&mut self, peer: u64) {
        self.turns.unpark(peer);
    }

    /// Time has passed; to be told every 100 ms.
    pub fn tick(&mut self, now: Now) {
        self.pieces.expire(now.boot_ms);
        self.paces.expire(now.boot_ms);
        self.look_for_late(now);
    }

    /// What is to be done next. `room` says how many bytes a peer takes now; one that takes none is not
    /// asked for again before [`writable`](Self::writable).
    pub fn poll<'a>(
        &mut self,
        now: Now,
        log_of: impl Fn(LogId) -> Option<&'a Log>,
        mut room: impl FnMut(u64) -> usize,
    ) -> Option<FanOutEffect> {
        self.line_up_due(now);
        loop {
            if let Some(said) = self.said.pop_front() {
                return Some(said);
            }
            // Who waits for a scan waits for no silence of the others: as much comes from the disk as goes out.
            let is_due = self.pushed_bytes >= SCAN_BYTES && self.may_begin_wanted();
            let next = if is_due { None } else { self.turns.next(now, &mut room) };
            let turn = match next {
                Some((id, _)) => self.turn(now, id, Asks::InTurn, &log_of),
                None => self.begin_wanted(now, &log_of)?,
            };
            match (turn, next) {
                (Turn::Pushed { effect, bytes, record_bytes }, Some((id, line))) => {
                    self.turns.spend(now, (id, line), bytes, record_bytes);
                    self.turns.line_up(id);
                    self.pushed_bytes = self.pushed_bytes.saturating_add(bytes);
                    return Some(effect);
                }
                (Turn::Pushed { .. }, None) => unreachable!("who begins a scan is given nothing"),
                (Turn::Scan(effect), _) => return Some(effect),
                (Turn::Over, _) => {}
            }
        }
    }

    /// Whether a subscription waits for nothing but time.
    pub fn waits_for_time(&self) -> bool {
        self.paces.is_waited_for()
    }

    /// Subscriptions that there are.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether nobody is subscribed.
    pub fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    fn admit(&self, ask: &Ask, log: &Log) -> Result<(), WireError> {
        if self.subscriptions.contains_key(&ask.id) {
            let message = format!("subscription {} is there already; each has a number of its own", ask.id.id);
            return Err(WireError::new(ErrorCode::BadRequest, message));
        }
        if self.turns.subscriptions(ask.id.peer) >= SUBSCRIPTIONS_MAX as usize {
            let message =
                format!("a subscription stream has at most {SUBSCRIPTIONS_MAX} subscriptions; end some first");
            return Err(WireError::new(ErrorCode::LimitExceeded, message));
        }
        log.position_exists(ask.shard, ask.position)?;
        let seat = (ask.log.incarnation, ask.shard, Arc::clone(&ask.consumer));
        match self.seats.get(&seat).map(|holder| self.subscriptions[holder].epoch) {
            Some(epoch) if epoch > ask.epoch => {
                let message = format!(
                    "consumer {} is subscribed to shard {} with epoch {epoch}, which is newer than {}",
                    ask.consumer, ask.shard, ask.epoch
                );
                Err(WireError::new(ErrorCode::Superseded, message).with_detail(epoch, 0))
            }
            _ => Ok(()),
        }
    }

    /// One turn of a subscription.
    fn turn<'a>(
        &mut self,
        now: Now,
        id: SubscriptionId,
        asks: Asks,
        log_of: &impl Fn(LogId) -> Option<&'a Log>,
    ) -> Turn {
        let Some(subscription) = self.subscriptions.get(&id) else { return Turn::Over };
        let log = log_of(subscription.log).expect("a log outlives its subscriptions");
        match subscription.place {
            Place::Sought(position) => self.seek(now, id, asks, position, log),
            Place::At(next) => self.give(now, id, asks, next, log),
        }
    }

    /// Finds where a subscription begins.
    fn seek(&mut self, now: Now, id: SubscriptionId, asks: Asks, position: Position, log: &Log) -> Turn {
        // Where a sequence is needs no looking; that it may have expired is seen when it is read.
        let shard = self.subscriptions[&id].shard;
        if let Some(sequence) = named(position) {
            self.found(id, sequence);
            self.turns.line_up(id);
            return Turn::Over;
        }
        if !self.may_scan(id, asks, None) {
            return Turn::Over;
        }
        match log.read(now, shard, position, SCAN_BYTES) {
            Ok(ReadStart::Ready(outcome)) => {
                self.found(id, outcome.start_sequence);
                self.turns.line_up(id);
                Turn::Over
            }
            Ok(ReadStart::Disk(task)) => self.scan(id, None, *task, log.shard_count()),
            Err(error) => {
                self.failed(id, error);
                Turn::Over
            }
        }
    }

    /// Gives a subscription what follows its place.
    fn give(&mut self, now: Now, id: SubscriptionId, asks: Asks, next: u64, log: &Log) -> Turn {
        let Subscription { shard, credit, .. } = self.subscriptions[&id];
        let tip = log.tip(shard).expect("a shard outlives its subscriptions");
        if next >= tip.durable_sequence {
            if let (Some(children), true) = (log.children(shard), next == tip.durable_sequence) {
                self.end(id, PushEnd::ShardEnd(children.to_vec()));
            }
            return Turn::Over;
        }
        if credit <= 0 {
            return Turn::Over;
        }
        if self.is_paced(now, id, log) {
            return Turn::Over;
        }
        let bytes_max = (PUSH_BYTES_TARGET as usize).min(credit as usize);
        let found = log.tail(shard, next, bytes_max).or_else(|| self.pieces.from(log.id(), shard, next, bytes_max));
        let Some(part) = found else {
            if !self.may_scan(id, asks, Some(next)) {
                return Turn::Over;
            }
            return match log.read(now, shard, Position::AtSequence(next), SCAN_BYTES) {
                Ok(ReadStart::Disk(task)) => self.scan(id, Some(next), *task, log.shard_count()),
                Ok(ReadStart::Ready(_)) => unreachable!("what is in the tail was looked for there"),
                Err(error) => {
                    self.failed(id, error);
                    Turn::Over
                }
            };
        };
        if asks == Asks::ForScan {
            self.turns.line_up(id);
            return Turn::Over;
        }
        let subscription = self.subscriptions.get_mut(&id).expect("it was just seen");
        subscription.place = Place::At(part.next_sequence);
        subscription.credit -= part.bytes as i64;
        subscription.waited_in_vain = false;
        subscription.pushed += part.amount;
        subscription.next_arrival_ms = Some(part.next_arrival_ms);
        if let Some(rate) = log.push_rate() {
            self.paces.spend(subscription.seat(), rate, part.amount.bytes, now.boot_ms);
        }
        let behind_ms = match part.next_sequence >= tip.durable_sequence {
            true => 0,
            false => waited_ms(part.next_arrival_ms, now.wall_ms),
        };
        let tip_sequence = tip.durable_sequence;
        let (bytes, record_bytes) = (part.bytes, part.amount.bytes);
        let effect = FanOutEffect::Push { id, shard, behind_ms, tip_sequence, batches: part.batches };
        Turn::Pushed { effect, bytes, record_bytes }
    }

    /// Whether a subscription has been given what it may have for now; then it is in line again when it may have more.
    fn is_paced(&mut self, now: Now, id: SubscriptionId, log: &Log) -> bool {
        let Some(rate) = log.push_rate() else { return false };
        let subscription = self.subscriptions.get_mut(&id).expect("the caller has seen it");
        let Some(wait_ms) = self.paces.wait_ms(&subscription.seat(), rate, now.boot_ms) else { return false };
        let due_boot_ms = now.boot_ms + wait_ms;
        if let Some(before) = subscription.due_boot_ms.replace(due_boot_ms) {
            self.paces.forget(before, id);
        }
        self.paces.wait(due_boot_ms, id);
        true
    }

    /// Puts those in line whose time has come.
    fn line_up_due(&mut self, now: Now) {
        while let Some(id) = self.paces.next_due(now.boot_ms) {
            self.subscriptions.get_mut(&id).expect("who ends is forgotten there too").due_boot_ms = None;
            self.turns.line_up(id);
        }
    }

    /// The place of a subscription is known: its request is answered, if it was not before.
    fn found(&mut self, id: SubscriptionId, sequence: u64) {
        let subscription = self.subscriptions.get_mut(&id).expect("the caller has seen it");
        if matches!(subscription.place, Place::Sought(_)) {
            subscription.place = Place::At(sequence);
            self.counts.subscribed(subscription.log.incarnation, &subscription.consumer);
            self.said.push_back(FanOutEffect::Answer { id, outcome: Ok(sequence) });
        }
    }

    /// What a subscription asks for cannot be read.
    fn failed(&mut self, id: SubscriptionId, error: WireError) {
        match self.subscriptions[&id].place {
            Place::Sought(_) => {
                self.forget(id);
                self.said.push_back(FanOutEffect::Answer { id, outcome: Err(error) });
            }
            Place::At(_) if error.code == ErrorCode::Trimmed => self.end(id, PushEnd::Trimmed(error.detail)),
            Place::At(_) => self.end(id, PushEnd::Error(error)),
        }
    }

    /// Ends a subscription, with a reason.
    fn end(&mut self, id: SubscriptionId, end: PushEnd) {
        let ended = self.forget(id).expect("a subscription ends once");
        if let Place::Sought(_) = ended.place {
            return self.said.push_back(FanOutEffect::Answer { id, outcome: Err(refusal(end)) });
        }
        self.said.push_back(FanOutEffect::End { id, shard: ended.shard, end });
    }

    fn forget(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let gone = self.subscriptions.remove(&id)?;
        let watching = self.shards.get_mut(&(gone.log, gone.shard)).expect("every subscription watches its shard");
        watching.remove(&id);
        if watching.is_empty() {
            self.shards.remove(&(gone.log, gone.shard));
        }
        if let Some(due_boot_ms) = gone.due_boot_ms {
            self.paces.forget(due_boot_ms, id);
        }
        let seat = gone.seat();
        if self.seats.get(&seat) == Some(&id) {
            self.seats.remove(&seat);
        }
        if gone.waits_for_scan {
            // Its number may name another one day, to which a scan that is under way says nothing.
            self.scans.values_mut().for_each(|scan| scan.waiting.retain(|waiting| *waiting != id));
            self.scans_wanted.retain(|wanted| *wanted != id);
        }
        self.turns.forget(id);
        self.counts.ended(&gone);
        Some(gone)
    }

    fn subscriptions_that(&self, is_meant: impl Fn(&Subscription) -> bool) -> Vec<SubscriptionId> {
        self.subscriptions.iter().filter(|(_, it)| is_meant(it)).map(|(id, _)| *id).collect()
    }
}

impl Subscription {
    fn seat(&self) -> Seat {
        (self.log.incarnation, self.shard, Arc::clone(&self.consumer))
    }

    /// Whether it is in its turn given what there is; if not, it is put in line by what it waits for.
    fn may_be_given(&self) -> bool {
        self.credit > 0 && !self.waits_for_scan && self.due_boot_ms.is_none()
    }
}

/// The sequence that a position names, if it names one.
fn named(position: Position) -> Option<u64> {
    match position {
        Position::AtSequence(sequence) => Some(sequence),
        // There is none after the last: that was refused.
        Position::AfterSequence(sequence) => Some(sequence.saturating_add(1)),
        Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => None,
    }
}

/// The answer to a request whose subscription ends before its beginning was found.
fn refusal(end: PushEnd) -> WireError {
    match end {
        PushEnd::Error(error) => error,
        PushEnd::Deregistered => WireError::new(ErrorCode::ConsumerNotFound, "the consumer was deregistered"),
        PushEnd::GoingAway(wait_ms) => {
            WireError::retry_after(ErrorCode::GoingAway, wait_ms, "the broker is stopping; connect again")
        }
        PushEnd::Superseded | PushEnd::ShardEnd(_) | PushEnd::Trimmed(_) => {
            WireError::new(ErrorCode::Superseded, "a later subscription of the consumer took over")
        }
    }
}

/// What follows a place.
#[derive(Debug)]
pub(crate) struct Part {
    /// Whole batches, in order, at least one; the first may begin before the place.
    pub(crate) batches: Vec<Bytes>,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Their records.
    pub(crate) amount: Amount,
    /// Where it goes on.
    pub(crate) next_sequence: u64,
    /// Arrival of the record there, or of the last one before it when that is not known.
    pub(crate) next_arrival_ms: u64,
}

impl Part {
    /// Gathers what follows a place, up to `bytes_max`, at least one batch, as far as each begins where the
    /// one before it ended; `None` when the first does not hold the place.
    pub(crate) fn gather<'a>(
        following: impl IntoIterator<Item = &'a Batch>,
        sequence: u64,
        bytes_max: usize,
    ) -> Option<Part> {
        let (amount, next_sequence) = (Amount::default(), sequence);
        let mut part = Part { batches: Vec::new(), bytes: 0, amount, next_sequence, next_arrival_ms: 0 };
        for batch in following {
            let first = batch.header().first_sequence;
            let joins = match part.batches.is_empty() {
                true => first <= sequence && batch.next_sequence() > sequence,
                false => first == part.next_sequence,
            };
            if !joins {
                break;
            }
            part.next_arrival_ms = batch.header().arrival_ms;
            if !part.batches.is_empty() && part.bytes + batch.bytes().len() > bytes_max {
                break;
            }
            part.bytes += batch.bytes().len();
            part.amount += Amount::of(batch.header());
            part.next_sequence = batch.next_sequence();
            part.batches.push(batch.bytes().clone());
        }
        (!part.batches.is_empty()).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::hash::HashRange;

    use super::*;
    use crate::catalog::StreamTerms;
    use crate::log::{LogSettings, LogShard};
    use crate::recovery::{LogOnDisk, Recovery, RecoveryStep};

    const NOW: Now = Now { boot_ms: 0, wall_ms: 1_700_000_000_000 };

    /// A log of one shard that has no file yet.
    fn empty_log() -> Log {
        let (id, files) = (LogId { incarnation: 1, log: 0 }, Default::default());
        let ends = Default::default();
        let on_disk = LogOnDisk { id, directory: 7, shards: vec![0], ends, lowest_kept: 1, highest_prepared: 0, files };
        let RecoveryStep::Done(recovered) = Recovery::new(on_disk).step(None) else { panic!("it has no file") };
        let shards = vec![LogShard { number: 0, range: HashRange::FULL, closed: None }];
        let settings = LogSettings { id, shards, terms: StreamTerms::new(86_400_000, 1 << 20) };
        Log::new(NOW, settings, *recovered)
    }

    fn subscribe(fan_out: &mut FanOut, log: &mut Log, peer: u64, epoch: u64) {
        let (id, position) = (SubscriptionId { peer, id: 1 }, Position::AtSequence(0));
        fan_out.subscribe(Ask { id, log: log.id(), shard: 0, consumer: "one".into(), epoch, position, credit: 1 }, log);
    }

    fn poll(fan_out: &mut FanOut, log: &Log) -> Option<FanOutEffect> {
        fan_out.poll(NOW, |_| Some(log), |_| usize::MAX)
    }

    #[test]
    fn nothing_is_said_to_a_peer_that_has_gone() {
        let mut log = empty_log();
        let ends: [fn(&mut FanOut, &mut Log); 4] = [
            |fan_out, _| fan_out.deregister(1, "one"),
            |fan_out, _| fan_out.stop(1_000),
            |fan_out, _| fan_out.delete(1, &WireError::new(ErrorCode::StreamNotFound, "it was deleted")),
            |fan_out, log| subscribe(fan_out, log, 8, 2),
        ];
        for end in ends {
            for is_found in [true, false] {
                let mut fan_out = FanOut::default();
                subscribe(&mut fan_out, &mut log, 7, 1);
                if is_found {
                    assert!(matches!(poll(&mut fan_out, &log), Some(FanOutEffect::Answer { outcome: Ok(0), .. })));
                }
                end(&mut fan_out, &mut log);
                fan_out.disconnect(7);
                while let Some(said) = poll(&mut fan_out, &log) {
                    let (FanOutEffect::Answer { id, .. } | FanOutEffect::End { id, .. }) = said else {
                        panic!("there is no record: {said:?}")
                    };
                    assert_eq!(id.peer, 8, "{said:?}");
                }
            }
        }
    }
}
