//! What is counted of pushes, by consumer and by shard.
//!
//! What must hold: what a subscription was given stays counted when it has ended; a consumer that is
//! deregistered, and a shard or stream that is gone, leave nothing behind. A push pays for an addition alone: the
//! sums are made when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{FanOut, Place, Subscription};
use crate::arrival::Now;
use crate::counts::Amount;
use crate::log::{Log, LogId};
use crate::reader::waited_ms;

/// A consumer of one life of a stream, with what was counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerCounted {
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Name of the consumer.
    pub consumer: Arc<str>,
    /// Subscriptions that it has now.
    pub subscriptions: u64,
    /// Subscriptions that were begun.
    pub subscribed: u64,
    /// Subscriptions that a newer one of the same consumer has ended.
    pub superseded: u64,
    /// Records that were pushed.
    pub pushed: Amount,
    /// For how long this lane was late with what is promised to it, in ms.
    pub missed_ms: u64,
    /// Age of the oldest record, of all shards that are subscribed to, that was not pushed yet, in ms; 0 when
    /// there is none. Nothing without a subscription whose place is known.
    pub behind_ms: Option<u64>,
}

/// What is counted of subscriptions that have ended, and of how they began and ended.
#[derive(Debug, Default)]
pub(super) struct Counts {
    consumers: BTreeMap<(u64, Arc<str>), Ended>,
    shards: BTreeMap<(LogId, u32), Amount>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    subscribed: u64,
    superseded: u64,
    pushed: Amount,
    missed_ms: u64,
}

impl Counts {
    pub(super) fn subscribed(&mut self, incarnation: u64, consumer: &Arc<str>) {
        self.consumer(incarnation, consumer).subscribed += 1;
    }

    pub(super) fn superseded(&mut self, incarnation: u64, consumer: &Arc<str>) {
        self.consumer(incarnation, consumer).superseded += 1;
    }

    /// For so long the lane was late with what is promised to it.
    pub(super) fn missed(&mut self, incarnation: u64, consumer: &Arc<str>, ms: u64) {
        self.consumer(incarnation, consumer).missed_ms += ms;
    }

    pub(super) fn ended(&mut self, subscription: &Subscription) {
        let Subscription { log, shard, consumer, pushed, .. } = subscription;
        self.consumer(log.incarnation, consumer).pushed += *pushed;
        *self.shards.entry((*log, *shard)).or_default() += *pushed;
    }

    pub(super) fn forget_consumer(&mut self, incarnation: u64, consumer: &str) {
        self.consumers.retain(|(of, name), _| *of != incarnation || **name != *consumer);
    }

    pub(super) fn forget_shard(&mut self, log: LogId, shard: u32) {
        self.shards.remove(&(log, shard));
    }

    pub(super) fn forget_stream(&mut self, incarnation: u64) {
        self.consumers.retain(|(of, _), _| *of != incarnation);
        self.shards.retain(|(log, _), _| log.incarnation != incarnation);
    }

    fn consumer(&mut self, incarnation: u64, consumer: &Arc<str>) -> &mut Ended {
        self.consumers.entry((incarnation, Arc::clone(consumer))).or_default()
    }
}

impl FanOut {
    /// Every consumer that has subscribed to a shard of this lane and is still registered, by incarnation and
    /// name.
    pub fn consumers_counted<'a>(&self, now: Now, log_of: impl Fn(LogId) -> Option<&'a Log>) -> Vec<ConsumerCounted> {
        let begun = self.counts.consumers.iter().map(|((incarnation, consumer), ended)| {
            let Ended { subscribed, superseded, pushed, missed_ms } = *ended;
            let (incarnation, name) = (*incarnation, Arc::clone(consumer));
            let counted = ConsumerCounted {
                incarnation,
                consumer: name,
                subscriptions: 0,
                subscribed,
                superseded,
                pushed,
                missed_ms,
                behind_ms: None,
            };
            ((incarnation, Arc::clone(consumer)), counted)
        });
        let mut counted: BTreeMap<(u64, Arc<str>), ConsumerCounted> = begun.collect();
        for subscription in self.subscriptions.values() {
            let Subscription { log, consumer, pushed, place, .. } = subscription;
            // One whose place is sought was not begun; it has been given nothing.
            let Some(counted) = counted.get_mut(&(log.incarnation, Arc::clone(consumer))) else { continue };
            counted.pushed += *pushed;
            if matches!(place, Place::At(_)) {
                counted.subscriptions += 1;
                counted.behind_ms =
                    counted.behind_ms.max(log_of(*log).and_then(|log| subscription.behind_ms(now, log)));
            }
        }
        counted.into_values().collect()
    }

    /// What was pushed of a shard, all consumers together.
    pub fn shard_pushed(&self, log: LogId, shard: u32) -> Amount {
        let mut pushed = self.counts.shards.get(&(log, shard)).copied().unwrap_or_default();
        let subscribed = self.shards.get(&(log, shard)).into_iter().flatten();
        subscribed.for_each(|id| pushed += self.subscriptions[id].pushed);
        pushed
    }
}

impl Subscription {
    /// Age of the first record that it was not given yet; 0 when it was given all, nothing when that is not
    /// known.
    fn behind_ms(&self, now: Now, log: &Log) -> Option<u64> {
        let Place::At(next) = self.place else { return None };
        if next >= log.tip(self.shard).ok()?.durable_sequence {
            return Some(0);
        }
        let arrival_ms = log.arrival_of(self.shard, next).or(self.next_arrival_ms)?;
        Some(waited_ms(arrival_ms, now.wall_ms))
    }
}
