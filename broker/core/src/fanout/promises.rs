//! What is promised to consumers, and whether this lane keeps it.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::{FanOut, Subscription};
use crate::arrival::Now;
use crate::limits::AWAY_MS;

impl FanOut {
    /// So many bytes a second of each shard of a stream are promised to a consumer, or nothing any more.
    pub fn promise(&mut self, incarnation: u64, consumer: &str, rate: Option<NonZeroU64>) {
        let key = (incarnation, Arc::from(consumer));
        if rate == self.promises.get(&key).copied() {
            return;
        }
        match rate {
            Some(rate) => drop(self.promises.insert(key, rate)),
            None => drop(self.promises.remove(&key)),
        }
        for id in self.subscriptions_that(|it| it.log.incarnation == incarnation && *it.consumer == *consumer) {
            self.turns.promise(id, rate);
        }
    }

    /// Whether somebody waited too long for what is promised to it, when that was last looked at: puts give way.
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    /// Looks who is late.
    pub(super) fn look_for_late(&mut self, now: Now) {
        let passed_ms = now.boot_ms.saturating_sub(self.looked_ms.replace(now.boot_ms).unwrap_or(now.boot_ms));
        let subscriptions = &self.subscriptions;
        let may_be_given = |id| subscriptions.get(&id).is_some_and(Subscription::may_be_given);
        let late = self.turns.tick(now, passed_ms >= AWAY_MS, may_be_given);
        // A consumer that is late in several shards is late once.
        let of_late = |id| (subscriptions[id].log.incarnation, &subscriptions[id].consumer);
        let consumers: BTreeSet<(u64, &Arc<str>)> = late.iter().map(of_late).collect();
        self.is_late = !consumers.is_empty();
        consumers.into_iter().for_each(|(of, consumer)| self.counts.missed(of, consumer, passed_ms));
    }
}
