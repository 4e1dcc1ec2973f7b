//! Terms that change while the broker runs: retention up and down, a bound of bytes, limits, modes.

use rheos_core::catalog::StreamTerms;
use rheos_core::log::Event;
use rheos_core::scaler::ShardLoad;
use rheos_protocol::message::{Limit, StreamLimits, StreamMode};

use super::world::{Due, HOUR_US, RETENTION_MS, SECOND_US, World};

impl World {
    /// Somebody changes the terms of a stream, and the catalog has them.
    pub(crate) fn change_terms(&mut self) {
        let at = self.random.below(self.hosts.len() as u64) as usize;
        let now = self.now();
        let horizon_ms = self.hosts[at].log.as_ref().map(|log| log.horizon_ms(now));
        if let Some(horizon_ms) = horizon_ms.filter(|_| self.stopping.is_none()) {
            self.prove_loads(at);
            let terms = self.draw_terms(at, horizon_ms);
            self.note_what_may_expire(at);
            self.met.terms_changed += 1;
            self.trace.note(self.now_us, format_args!("log {at} has other terms: {terms:?}"));
            self.set_terms(at, terms);
        }
        let wait_us = self.random.one_of(&[SECOND_US, 20 * SECOND_US, 600 * SECOND_US, 10 * HOUR_US]);
        self.after(wait_us, Due::Terms);
    }

    fn draw_terms(&mut self, at: usize, horizon_ms: u64) -> StreamTerms {
        let before = self.hosts[at].settings.terms;
        let retention_ms = self.random.one_of(&[RETENTION_MS, RETENTION_MS, 2 * RETENTION_MS, 7 * RETENTION_MS]);
        let bounded = self.faults.bounds_bytes && self.random.per_mille(300);
        let retention_bytes = if bounded { self.random.one_of(&[1, 1 << 20, 4 << 20]) } else { 0 };
        let push_bytes = Limit::of(self.random.one_of(&[500, 20_000, 1_000_000]));
        let limits = match self.random.below(3) {
            0 => StreamLimits { in_records: Limit::of(self.random.within(1..200)), push_bytes, ..StreamLimits::NONE },
            1 => {
                let in_bytes = Limit::of(self.random.within(1_000..100_000));
                StreamLimits { in_bytes, push_bytes, ..StreamLimits::NONE }
            }
            _ => StreamLimits::NONE,
        };
        let trimmed_ms = if retention_ms > before.retention_ms { horizon_ms } else { 0 };
        let trimmed_ms = before.trimmed_ms.max(trimmed_ms);
        let mode = self.random.one_of(&[StreamMode::Provisioned, StreamMode::on_demand()]);
        StreamTerms { retention_ms, retention_bytes, trimmed_ms, limits, mode, ..before }
    }

    /// What an on-demand log tells its scaler is of its open shards, and no more than is on the disk.
    fn prove_loads(&mut self, at: usize) {
        let mode = self.hosts[at].settings.terms.mode;
        let Some(log) = &mut self.hosts[at].log else { return };
        let loads = log.take_loads(1);
        let is_true = |load: &ShardLoad| {
            let counted = log.shards_counted().find(|it| it.shard == load.shard);
            counted.is_some_and(|it| load.incoming.records <= it.tip.durable_sequence)
        };
        if !loads.iter().all(is_true) || (mode == StreamMode::Provisioned && !loads.is_empty()) {
            self.fail(format!("log {at}, which is {mode}, has loads that cannot be: {loads:?}"));
        }
    }

    fn set_terms(&mut self, at: usize, terms: StreamTerms) {
        let host = &mut self.hosts[at];
        host.is_bounded |= terms.retention_bytes > 0;
        host.settings.terms = terms;
        let log = host.settings.id;
        self.tell(at, Event::Terms { terms });
        if self.up {
            let lane = self.lane_of_log(at);
            self.lanes[lane].fan_out.limits_changed(log);
            self.wants_push(lane);
        }
    }

    /// From here on nothing is limited, so that everything comes to an end.
    pub(crate) fn lift_limits(&mut self) {
        for at in 0..self.hosts.len() {
            let terms = StreamTerms { limits: StreamLimits::NONE, ..self.hosts[at].settings.terms };
            self.set_terms(at, terms);
        }
    }

    /// What has expired under the terms as they were may stay so.
    fn note_what_may_expire(&mut self, at: usize) {
        let expired_ms = self.true_wall_ms() - self.hosts[at].settings.terms.retention_ms;
        self.hosts[at].expired_ms = self.hosts[at].expired_ms.max(expired_ms);
    }

    /// Nothing of a log that arrived from here on may have expired, as far as the right time goes; `None` where a
    /// bound of bytes, or a clock that was wrong at two starts, may have taken anything.
    pub(crate) fn kept_since_ms(&self, at: usize) -> Option<u64> {
        let host = &self.hosts[at];
        let expired_ms = host.expired_ms.max(self.true_wall_ms() - host.settings.terms.retention_ms);
        (!host.is_bounded && !self.horizon_distrusted).then_some(expired_ms + 120_000)
    }
}
