//! Everything that is known of a running demo, in one place: puts, acks, pushes, the broker, the phase.
//!
//! The load's thread and the tasks write on it, the sampler reads it. What must hold: the lock is never held
//! across an await, and nothing that may wait is done under it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use rheos_client::{Outcome, PutRefused, ReadBatches};

use super::ledger::{Fate, Fingerprint, Ledger};
use super::timing::{Clock, Latencies, Outage};
use super::witness::Witness;

/// The part of the demo that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    WarmUp,
    Steady,
    Kill,
    Recovered,
    Drain,
    Proof,
}

impl Phase {
    pub(super) const ALL: [Phase; 6] =
        [Phase::WarmUp, Phase::Steady, Phase::Kill, Phase::Recovered, Phase::Drain, Phase::Proof];

    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::WarmUp => "warm up",
            Phase::Steady => "steady",
            Phase::Kill => "KILL",
            Phase::Recovered => "recovered",
            Phase::Drain => "drain",
            Phase::Proof => "proof",
        }
    }
}

/// How the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Starting,
    Serving,
    Killed,
    Recovering,
}

impl Health {
    pub(super) fn name(self) -> &'static str {
        match self {
            Health::Starting => "starting",
            Health::Serving => "serving",
            Health::Killed => "killed",
            Health::Recovering => "recovering",
        }
    }
}

/// What happened, and when on the demo's clock.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at_ns: u64,
    pub(super) text: String,
}

/// Most refusals that are told in words.
const REFUSALS_TOLD_MAX: usize = 3;

/// What is known.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) clock: Clock,
    pub(super) phase: Phase,
    pub(super) health: Health,
    pub(super) pid: u32,
    pub(super) ledger: Ledger,
    pub(super) put_bytes: u64,
    pub(super) put_to_ack: Latencies,
    pub(super) outage: Outage,
    pub(super) consumers: Vec<Consuming>,
    pub(super) events: Vec<Event>,
    /// Why the first puts were refused or are indeterminate.
    pub(super) refusals: Vec<String>,
}

/// A consumer, and what is known of what it was pushed.
#[derive(Debug)]
pub(super) struct Consuming {
    pub(super) witness: Witness,
    pub(super) put_to_push: Latencies,
    pub(super) farthest_behind: Behind,
    /// For each shard what was given and not measured, because its ack has not come yet.
    unmeasured: Vec<VecDeque<(u64, u64)>>,
}

/// How far a consumer is behind what was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) records: u64,
    pub(super) ns: u64,
}

/// A board that is shared by a thread and many tasks.
#[derive(Debug, Clone)]
pub(super) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    pub(super) fn new(board: Board) -> SharedBoard {
        SharedBoard(Arc::new(Mutex::new(board)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().expect("nothing panics while the board is locked")
    }
}

impl Board {
    pub(super) fn new(shards: usize, consumers: &[&'static str]) -> Board {
        Board {
            clock: Clock::start(),
            phase: Phase::WarmUp,
            health: Health::Starting,
            pid: 0,
            ledger: Ledger::new(shards),
            put_bytes: 0,
            put_to_ack: Latencies::new(),
            outage: Outage::default(),
            consumers: consumers.iter().map(|name| Consuming::new(name, shards)).collect(),
            events: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Notes what happens now.
    pub(super) fn tell(&mut self, text: impl Into<String>) {
        self.events.push(Event { at_ns: self.clock.now_ns(), text: text.into() });
    }

    /// Notes a put, and gives its place among those of its shard.
    pub(super) fn put(&mut self, shard: usize, fingerprint: Fingerprint, bytes: usize, intended_ns: u64) -> usize {
        self.put_bytes += bytes as u64;
        self.ledger.put(shard, fingerprint, intended_ns)
    }

    /// Notes what became of a put.
    pub(super) fn settle(&mut self, shard: usize, place: usize, outcome: &Outcome) {
        let fate = match outcome {
            Outcome::Acked { sequence, .. } => Fate::Acked(*sequence),
            Outcome::Refused(why) => {
                self.tell_refusal(|| refusal(why));
                Fate::Refused
            }
            Outcome::Indeterminate(why) => {
                self.tell_refusal(|| format!("indeterminate: {why}"));
                Fate::Indeterminate
            }
        };
        let put = self.ledger.settle(shard, place, fate);
        if let Fate::Acked(_) = fate {
            let now_ns = self.clock.now_ns();
            self.outage.acked(now_ns);
            self.put_to_ack.record(put.intended_ns, now_ns, &self.outage);
        }
    }

    /// Notes what a consumer was given.
    pub(super) fn give(&mut self, consumer: usize, read: &ReadBatches) {
        let now_ns = self.clock.now_ns();
        let consuming = &mut self.consumers[consumer];
        let unmeasured = &mut consuming.unmeasured[read.shard as usize];
        unmeasured.extend(read.records().map(|at| (at.sequence, now_ns)));
        consuming.witness.give_all(read);
    }

    /// Measures what was given and acknowledged since the last time, and how far each consumer is behind.
    pub(super) fn measure(&mut self) -> Vec<Behind> {
        let now_ns = self.clock.now_ns();
        let Board { ledger, outage, consumers, .. } = self;
        consumers.iter_mut().map(|consuming| consuming.measure(ledger, outage, now_ns)).collect()
    }

    /// Forgets the latencies so far.
    pub(super) fn forget_latencies(&mut self) {
        self.measure();
        self.put_to_ack.forget();
        self.consumers.iter_mut().for_each(|consuming| consuming.put_to_push.forget());
    }

    fn tell_refusal(&mut self, text: impl FnOnce() -> String) {
        if self.refusals.len() < REFUSALS_TOLD_MAX {
            self.refusals.push(text());
        }
    }
}

impl Consuming {
    fn new(name: &'static str, shards: usize) -> Consuming {
        Consuming {
            witness: Witness::new(name, shards),
            put_to_push: Latencies::new(),
            farthest_behind: Behind::default(),
            unmeasured: vec![VecDeque::new(); shards],
        }
    }

    fn measure(&mut self, ledger: &Ledger, outage: &Outage, now_ns: u64) -> Behind {
        for (shard, unmeasured) in self.unmeasured.iter_mut().enumerate() {
            while let Some((sequence, given_ns)) = unmeasured.front() {
                match ledger.at(shard, *sequence) {
                    Some((_, put)) => self.put_to_push.record(put.intended_ns, *given_ns, outage),
                    // Its ack is still to come. Where one of a later record has come, it never will.
                    None if ledger.at_or_after(shard, *sequence).is_none() => break,
                    None => {}
                }
                unmeasured.pop_front();
            }
        }
        let records = ledger.counts().acked.saturating_sub(self.witness.count());
        let since_ns = self.witness.behind_since_ns(ledger);
        let behind = Behind { records, ns: since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns)) };
        if behind.records > self.farthest_behind.records {
            self.farthest_behind = behind;
        }
        behind
    }
}

fn refusal(why: &PutRefused) -> String {
    format!("refused: {why}")
}
