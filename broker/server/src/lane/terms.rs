//! What a lane does when the terms of a stream change. What it means is the log's.

use std::sync::Arc;

use rheos_core::arrival::Now;
use rheos_core::catalog::StreamRecord;
use rheos_core::log::Event;

use super::Lane;

impl Lane {
    /// The stream has other terms, or other tags, which are nothing to its logs.
    pub(super) fn update(&mut self, now: Now, record: Arc<StreamRecord>) {
        let terms = record.terms.of_log(record.log_count, self.limits);
        for (_, slot) in self.logs.change(record) {
            self.step(now, slot, Event::Terms { terms });
            let log = self.logs.at(slot).expect("a stream's slots are taken").log.id();
            self.pushes.fan_out.limits_changed(log);
        }
    }

    /// The time before which everything of a stream has expired, as far as this lane serves it; `None` when it does
    /// not.
    pub(super) fn horizon_ms(&mut self, now: Now, incarnation: u64) -> Option<u64> {
        self.logs
            .slots_of(incarnation)
            .into_iter()
            .filter_map(|slot| Some(self.logs.at(slot)?.log.horizon_ms(now)))
            .min()
    }
}
