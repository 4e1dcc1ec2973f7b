//! One shard of a consumer: where its next record is due, what it may still be sent, what waits for the
//! program. No clock and no connection is in here.
//!
//! ```text
//!   Waiting (for parents) -> Running: subscribe -> subscribed -> pushed ... -> an end
//!      the end of a connection or a busy broker: subscribe again, where the next record is due
//!      trimmed, shard end, a fault: marked in the queue; nothing is asked for until the program is there
//!   -> Ended: the program has taken everything
//! ```
//!
//! What must hold: records in the queue are proved and dense up to where the next one is due; the position
//! of the next subscription is exactly that; what is granted and queued together stays within the credit,
//! but for the last batch, which the broker may send beyond it.

use std::collections::VecDeque;

use rheos_protocol::batch::{Batch, HEADER_BYTES};
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::limits::BATCH_BODY_BYTES_MAX;
use rheos_protocol::message::{Position, Push, PushEnd};

use super::positions::Place;
use crate::error::Error;
use crate::reader::ReadBatches;
use crate::reader::proof::{Head, exact, taken_apart};

/// The largest batch, which may exceed the credit.
const BATCH_BYTES_MAX: u64 = BATCH_BODY_BYTES_MAX as u64 + HEADER_BYTES as u64;
/// Wait after a broker that stops and does not say how long.
const STOPPING_WAIT_MS: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) shard: u32,
    pub(super) lane: u16,
    /// The shards whose records come before.
    pub(super) parents: Vec<u32>,
    incarnation: u64,
    phase: Phase,
    /// Where the next subscription begins.
    position: Position,
    /// The next sequence that the program takes, once it is known.
    taken: Option<u64>,
    subscription: Option<Subscription>,
    queue: VecDeque<Item>,
    queued_bytes: u64,
    /// Whether the last of the queue is an end.
    halted: bool,
    /// Whether it stands in the line of its carrier, and among those that the program takes from.
    pub(super) in_line: bool,
    pub(super) is_ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Ended,
}

#[derive(Debug)]
struct Subscription {
    id: u64,
    granted: u64,
    received: u64,
    state: Subscribed,
}

#[derive(Debug)]
enum Subscribed {
    /// Not answered yet: what overtook the answer is held, within the credit.
    Asked(Vec<Held>),
    /// Nothing was pushed yet: the first batch may begin before the record that is due.
    At(u64),
    /// The record that is due.
    Due(u64),
}

#[derive(Debug)]
enum Held {
    Push(Push),
    End(PushEnd),
}

/// What the program takes.
#[derive(Debug)]
pub(super) enum Item {
    Batches(ReadBatches),
    /// Records before this sequence are no longer kept.
    Trimmed(u64),
    /// The shard is read to its end; its children follow.
    Ended(Vec<u32>),
    /// It cannot go on.
    Failed(Error),
}

/// What an answer or a push means beyond the feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    /// Subscribe again after so many ms.
    Wait(u32),
    /// Somebody else consumes.
    Superseded,
    /// The consumer is gone.
    Deregistered,
}

/// What the carrier is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Subscribe(Position, u64),
    Credit(u64, u64),
}

impl Feed {
    pub(super) fn new(incarnation: u64, shard: u32, lane: u16, parents: Vec<u32>, position: Position) -> Feed {
        Feed {
            shard,
            lane,
            parents,
            incarnation,
            phase: Phase::Waiting,
            position,
            taken: exact(position),
            subscription: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            halted: false,
            in_line: false,
            is_ready: false,
        }
    }

    /// One that was read to its end in an earlier life of the program.
    pub(super) fn ended(incarnation: u64, shard: u32, lane: u16) -> Feed {
        let phase = Phase::Ended;
        Feed { phase, ..Feed::new(incarnation, shard, lane, Vec::new(), Position::TrimHorizon) }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    pub(super) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether the broker has said where it begins, or why it does not.
    pub(super) fn is_started(&self) -> bool {
        let subscribed = self.subscription.as_ref().is_some_and(|sub| !matches!(sub.state, Subscribed::Asked(_)));
        self.phase != Phase::Running || subscribed || self.halted
    }

    pub(super) fn has_items(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How far the program is.
    pub(super) fn place(&self) -> Option<Place> {
        match self.phase {
            Phase::Ended => Some(Place::Ended),
            _ => self.taken.map(Place::Next),
        }
    }

    /// The parents' records are taken.
    pub(super) fn release(&mut self) {
        assert!(self.is_waiting(), "a shard begins once");
        self.phase = Phase::Running;
    }

    /// What is to be sent, when the shard may hold `credit` bytes.
    pub(super) fn want(&self, credit: u64) -> Option<Want> {
        if self.phase != Phase::Running || self.halted {
            return None;
        }
        let room = credit.saturating_sub(self.queued_bytes);
        let Some(subscription) = &self.subscription else { return Some(Want::Subscribe(self.position, room)) };
        // Not before the program has taken enough, however much was sent beyond the credit; that is owed.
        let open = subscription.granted.saturating_sub(subscription.received);
        let is_due = room.saturating_sub(open) >= credit.div_ceil(2);
        let grant = (room + subscription.received).saturating_sub(subscription.granted);
        is_due.then_some(Want::Credit(subscription.id, grant))
    }

    /// What was wanted is sent, under this subscription.
    pub(super) fn sent(&mut self, id: u64, want: Want) {
        match (want, &mut self.subscription) {
            (Want::Subscribe(_, granted), subscription) => {
                let state = Subscribed::Asked(Vec::new());
                *subscription = Some(Subscription { id, granted, received: 0, state });
            }
            (Want::Credit(_, bytes), Some(subscription)) => subscription.granted += bytes,
            (Want::Credit(..), None) => unreachable!("credit is given to a subscription"),
        }
    }

    /// The broker has said that it pushes from `next` on.
    pub(super) fn subscribed(&mut self, id: u64, next: u64) -> Then {
        let Some(subscription) = self.subscription.as_mut().filter(|sub| sub.id == id) else { return Then::GoOn };
        let held = match std::mem::replace(&mut subscription.state, Subscribed::At(next)) {
            Subscribed::Asked(held) => held,
            _ => return self.fail(Error::protocol("a subscription was answered twice")),
        };
        self.queued_bytes -= bytes_held(&held);
        if let Some(expected) = exact(self.position).filter(|expected| *expected != next) {
            return self.fail(Error::Gap { shard: self.shard, expected, found: next });
        }
        self.position = Position::AtSequence(next);
        self.taken.get_or_insert(next);
        for held in held {
            let then = match held {
                Held::Push(push) => self.take_in(push, None),
                Held::End(end) => self.end(end),
            };
            if then != Then::GoOn || self.subscription.is_none() {
                return then;
            }
        }
        Then::GoOn
    }

    /// Batches were pushed. `proved` are those of the push, each proved by itself.
    pub(super) fn pushed(&mut self, id: u64, push: Push, proved: Result<VecDeque<Batch>, Error>) -> Then {
        let shard = self.shard;
        let Some(subscription) = self.subscription.as_mut().filter(|sub| sub.id == id) else { return Then::GoOn };
        subscription.received += push.batches.len() as u64;
        if subscription.received > subscription.granted + BATCH_BYTES_MAX {
            let (received, granted) = (subscription.received, subscription.granted);
            let why = format!("it pushed {received} bytes of shard {shard} where {granted} were granted");
            return self.fail(Error::protocol(why));
        }
        if let Subscribed::Asked(held) = &mut subscription.state {
            self.queued_bytes += push.batches.len() as u64;
            held.push(Held::Push(push));
            return Then::GoOn;
        }
        self.take_in(push, Some(proved))
    }

    /// The subscription has ended.
    pub(super) fn push_ended(&mut self, id: u64, end: PushEnd) -> Then {
        let Some(subscription) = self.subscription.as_mut().filter(|sub| sub.id == id) else { return Then::GoOn };
        if let Subscribed::Asked(held) = &mut subscription.state {
            held.push(Held::End(end));
            return Then::GoOn;
        }
        self.end(end)
    }

    /// The broker has not made the subscription.
    pub(super) fn refused(&mut self, id: u64, error: WireError) -> Then {
        match self.subscription.as_ref().filter(|sub| sub.id == id) {
            Some(_) => self.end(PushEnd::Error(error)),
            None => Then::GoOn,
        }
    }

    /// The connection is gone, and with it what was not received.
    pub(super) fn lost(&mut self) {
        let Some(subscription) = self.subscription.take() else { return };
        if let Subscribed::Asked(held) = &subscription.state {
            self.queued_bytes -= bytes_held(held);
        }
    }

    /// The next item for the program, which counts as taken from now on.
    pub(super) fn take(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        match &item {
            Item::Batches(read) => {
                self.queued_bytes -= bytes_of(read);
                self.taken = Some(read.next_sequence);
            }
            Item::Trimmed(first) => {
                (self.position, self.taken) = (Position::AtSequence(*first), Some(*first));
                self.halted = false;
            }
            Item::Ended(_) => self.phase = Phase::Ended,
            Item::Failed(_) => {}
        }
        Some(item)
    }

    fn take_in(&mut self, push: Push, proved: Option<Result<VecDeque<Batch>, Error>>) -> Then {
        let subscription = self.subscription.as_mut().expect("only a subscription that stands is pushed to");
        let (due, head) = match subscription.state {
            Subscribed::Asked(_) => unreachable!("until it is answered, pushes are held"),
            Subscribed::At(due) => (due, Head::MayBeginBefore),
            Subscribed::Due(due) => (due, Head::IsDue),
        };
        let proved = proved.unwrap_or_else(|| prove(self.shard, &push));
        let joined = proved.and_then(|batches| match batches.is_empty() {
            true => Err(Error::protocol(format!("a push to shard {} holds no batch", self.shard))),
            false => ReadBatches::joined(batches, self.incarnation, self.shard, due, head),
        });
        match joined {
            Ok(mut read) => {
                (read.behind_ms, read.tip_sequence) = (push.behind_ms, push.tip_sequence);
                subscription.state = Subscribed::Due(read.next_sequence);
                self.position = Position::AtSequence(read.next_sequence);
                self.queued_bytes += bytes_of(&read);
                self.queue.push_back(Item::Batches(read));
                Then::GoOn
            }
            Err(error) => self.fail(error),
        }
    }

    fn end(&mut self, end: PushEnd) -> Then {
        self.lost();
        let error = match end {
            PushEnd::ShardEnd(children) => return self.halt(Item::Ended(children)),
            PushEnd::Superseded => return Then::Superseded,
            PushEnd::Deregistered => return Then::Deregistered,
            PushEnd::Trimmed(first) => return self.trimmed(first),
            PushEnd::GoingAway(wait_ms) => return Then::Wait(wait_ms),
            PushEnd::Error(error) => error,
        };
        match (error.code, error.retry) {
            (ErrorCode::Superseded, _) => Then::Superseded,
            (ErrorCode::ConsumerNotFound, _) => Then::Deregistered,
            (_, Retry::After(wait_ms)) => Then::Wait(wait_ms),
            (ErrorCode::GoingAway, _) => Then::Wait(STOPPING_WAIT_MS),
            (ErrorCode::Trimmed, _) => self.trimmed(error.detail),
            _ => self.fail(Error::of_shard(self.shard, error)),
        }
    }

    fn trimmed(&mut self, first: u64) -> Then {
        match exact(self.position) {
            // Going on there would repeat records, or ask for the same for ever.
            Some(due) if first <= due => {
                let why = format!("shard {}: it says that {first} is kept and {due} is not", self.shard);
                self.fail(Error::protocol(why))
            }
            _ => self.halt(Item::Trimmed(first)),
        }
    }

    fn fail(&mut self, error: Error) -> Then {
        self.lost();
        self.halt(Item::Failed(error))
    }

    fn halt(&mut self, item: Item) -> Then {
        self.queue.push_back(item);
        self.halted = true;
        Then::GoOn
    }
}

/// Takes apart what was pushed, and proves each batch by itself.
pub(super) fn prove(shard: u32, push: &Push) -> Result<VecDeque<Batch>, Error> {
    taken_apart(push.batches.clone()).map_err(|bad| Error::protocol(format!("a push to shard {shard}: {bad}")))
}

fn bytes_held(held: &[Held]) -> u64 {
    let bytes = |held: &Held| match held {
        Held::Push(push) => push.batches.len() as u64,
        Held::End(_) => 0,
    };
    held.iter().map(bytes).sum()
}

fn bytes_of(read: &ReadBatches) -> u64 {
    read.batches().map(|batch| batch.bytes().len() as u64).sum()
}

#[cfg(test)]
mod tests;
