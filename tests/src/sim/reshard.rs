//! Reshards in the simulation: shards of a log are split and merged at any time, and the broker dies between any two
//! steps.
//!
//! The catalog is what outlives a crash: the settings of a log, and the intent. What must hold: where a shard was
//! closed, the log ends for ever; whoever is told that it is closed has lost nothing by going on in a child.

use rheos_core::log::{ClosedShard, Event, LogShard};
use rheos_protocol::error::WireError;

use super::world::{Due, HOUR_US, SECOND_US, World};
use crate::checker::Seen;
use crate::rig::whole;

/// How far a reshard of a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resharding {
    /// The intent is in the catalog.
    Begun { parents: Vec<u32>, children: u32 },
    /// The log has said where its parents end; a crash forgets that.
    Drained { parents: Vec<u32>, children: u32, ends: Vec<(u32, u64)> },
    /// The catalog has the children; the log has not heard of them.
    Committed,
}

impl World {
    /// Begins a reshard of some log, and plans the next one.
    pub(crate) fn reshard_something(&mut self) {
        let at = self.random.below(self.hosts.len() as u64) as usize;
        self.reshard_now(at);
        let most_us = self.random.one_of(&[SECOND_US / 20, 2 * SECOND_US, 60 * SECOND_US, 2 * HOUR_US]);
        let wait_us = self.random.within(1..most_us);
        self.after(wait_us, Due::Reshard);
    }

    /// Begins a reshard of a log that can be resharded.
    pub(crate) fn reshard_now(&mut self, at: usize) {
        if self.up && self.stopping.is_none() && self.hosts[at].resharding.is_none() {
            self.begin_reshard(at);
        }
    }

    fn begin_reshard(&mut self, at: usize) {
        let open = |shard: &&LogShard| shard.closed.is_none();
        let mut open: Vec<u32> = self.hosts[at].settings.shards.iter().filter(open).map(|shard| shard.number).collect();
        if self.hosts[at].settings.shards.len() > SHARDS_MAX {
            return;
        }
        // A shard that somebody puts to, mostly.
        let target = self.producers[self.random.below(self.producers.len() as u64) as usize].target();
        let first = match open.iter().position(|shard| target == (at, *shard)) {
            Some(place) => open.swap_remove(place),
            None => open.swap_remove(self.random.below(open.len() as u64) as usize),
        };
        let mut parents = vec![first];
        let children = if open.is_empty() || self.random.per_mille(600) { 2 } else { 1 };
        if children == 1 {
            parents.push(open.swap_remove(self.random.below(open.len() as u64) as usize));
        }
        self.trace.note(self.now_us, format_args!("log {at}: {parents:?} become {children}"));
        self.hosts[at].resharding = Some(Resharding::Begun { parents, children });
        self.drain(at);
    }

    /// Has the parents closed of a reshard that has begun, at a start too.
    pub(crate) fn drain(&mut self, at: usize) {
        if let Some(Resharding::Begun { parents, .. }) = &self.hosts[at].resharding {
            let shards = parents.clone();
            self.tell(at, Event::Close { shards });
        }
    }

    /// The log has said where the parents end, or that it cannot.
    pub(crate) fn drained(&mut self, at: usize, ends: Result<Vec<(u32, u64)>, WireError>) {
        let Some(Resharding::Begun { parents, children }) = self.hosts[at].resharding.clone() else {
            return self.fail(format!("log {at} says where shards end that nobody closes"));
        };
        if let Ok(ends) = ends {
            self.hosts[at].resharding = Some(Resharding::Drained { parents, children, ends });
        }
        let wait_us = self.random.within(1..20_000);
        self.after(wait_us, Due::ReshardStep(at));
        self.on_its_way(wait_us);
    }

    /// The next step of a reshard: the catalog's, or the log's.
    pub(crate) fn reshard_step(&mut self, at: usize) {
        match self.hosts[at].resharding.clone() {
            Some(Resharding::Drained { children, ends, .. }) if self.random.per_mille(850) => {
                self.commit_reshard(at, children, &ends);
                let wait_us = self.random.within(1..20_000);
                self.after(wait_us, Due::ReshardStep(at));
                self.on_its_way(wait_us);
            }
            Some(Resharding::Committed) => {
                self.hosts[at].resharding = None;
                self.met.reshards += 1;
                let shards = self.hosts[at].settings.shards.clone();
                self.tell(at, Event::Resharded { shards });
            }
            Some(Resharding::Drained { .. } | Resharding::Begun { .. }) => {
                self.hosts[at].resharding = None;
                self.met.reshards_undone += 1;
                self.tell(at, Event::Reopen);
            }
            None => {}
        }
    }

    fn commit_reshard(&mut self, at: usize, children: u32, ends: &[(u32, u64)]) {
        let closed_ms = self.now().wall_ms;
        let host = &mut self.hosts[at];
        let first = host.settings.shards.last().map_or(0, |shard| shard.number) + 1;
        let children: Vec<u32> = (first..first + children).collect();
        for &(shard, end_sequence) in ends {
            let said = host.settings.shards.iter_mut().find(|said| said.number == shard).expect("it is of this log");
            said.closed = Some(ClosedShard { end_sequence, closed_ms, children: children.clone() });
        }
        host.settings.shards.extend(children.iter().copied().map(whole));
        host.resharding = Some(Resharding::Committed);
        for &(shard, end_sequence) in ends {
            let (shard, children) = (self.hosts[at].shard(shard), children.clone());
            self.see(&Seen::Closed { shard, end_sequence, children });
        }
    }

    /// After a crash: what the catalog does not have is to be done anew.
    pub(crate) fn forget_drained(&mut self) {
        for host in &mut self.hosts {
            host.resharding = match host.resharding.take() {
                Some(Resharding::Begun { parents, children } | Resharding::Drained { parents, children, .. }) => {
                    Some(Resharding::Begun { parents, children })
                }
                // The log is told of them when it starts.
                Some(Resharding::Committed) | None => None,
            };
        }
    }

    /// How a shard ended, if the catalog has closed it.
    pub(crate) fn closed(&self, log: usize, shard: u32) -> Option<&ClosedShard> {
        let shards = &self.hosts[log].settings.shards;
        shards.iter().find(|said| said.number == shard)?.closed.as_ref()
    }
}

/// Most shards of a log, the closed ones included.
const SHARDS_MAX: usize = 80;
