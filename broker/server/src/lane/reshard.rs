//! What a lane does when shards of its logs are closed, opened or forgotten. What it means is the log's.

use std::sync::Arc;

use rheos_core::arrival::Now;
use rheos_core::log::{Event, LogShard};

use super::inbox::{Ends, Resharding};
use super::logs::{OwnedLog, shards_of};
use super::{Lane, Slot};

impl Lane {
    pub(super) fn resharding(&mut self, now: Now, resharding: Resharding) {
        match resharding {
            Resharding::Close { log, shards, ends } => {
                // Whoever asked hears of a stream that is gone by the loss of the way to tell.
                let Some(slot) = self.logs.of_id(log) else { return };
                self.logs.at(slot).expect("a stream's slots are taken").closing = Some(ends);
                self.step(now, slot, Event::Close { shards });
            }
            Resharding::Reopen { log } => {
                if let Some(slot) = self.logs.of_id(log) {
                    self.step(now, slot, Event::Reopen);
                }
            }
            Resharding::Changed { record, done } => {
                for (log, slot) in self.logs.change(Arc::clone(&record)) {
                    self.change_shards(now, slot, shards_of(&record, log));
                }
                self.promise_all(record.incarnation);
                // Nobody need wait for it.
                let _ = done.send(());
            }
        }
    }

    /// Reports closed shards of a log whose records have expired. One that is not taken now is reported again.
    pub(super) fn report_expired(&mut self, now: Now, slot: Slot) {
        let log = &self.logs.at(slot).expect("a stream's slots are taken").log;
        let shards = log.expired_shards(now);
        if !shards.is_empty() {
            let _ = self.expired.try_send((log.id().incarnation, shards));
        }
    }

    fn change_shards(&mut self, now: Now, slot: Slot, shards: Vec<LogShard>) {
        let log = &self.logs.at(slot).expect("a stream's slots are taken").log;
        // A shard outlives its subscriptions.
        for gone in log.shards().filter(|shard| shards.binary_search_by_key(shard, |kept| kept.number).is_err()) {
            self.pushes.fan_out.shard_gone(log.id(), gone);
        }
        self.step(now, slot, Event::Resharded { shards });
    }
}

impl OwnedLog {
    /// Tells who waits for the shards that are to be closed, if somebody still does.
    pub(super) fn tell_ends(&mut self, ends: Ends) {
        if let Some(waiting) = self.closing.take() {
            let _ = waiting.send(ends);
        }
    }
}
