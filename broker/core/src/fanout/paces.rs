//! Limits of what is pushed: a bucket for each consumer and shard, and who waits for one to fill.
//!
//! What must hold: a consumer that subscribes anew finds its bucket as it left it; a bucket that is full again is
//! not kept, so what is kept is bounded by who was given something within the time that fills one.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use rheos_protocol::limits::PUSH_BYTES_TARGET;

use super::{Seat, SubscriptionId};
use crate::bucket::Bucket;

#[derive(Debug, Default)]
pub(super) struct Paces {
    buckets: BTreeMap<Seat, (NonZeroU64, Bucket)>,
    /// When whose turn comes.
    waiting: BTreeSet<(u64, SubscriptionId)>,
    /// When buckets were last looked through.
    looked_ms: u64,
}

impl Paces {
    /// How long until a push may be given, in ms; `None` when it may be now. A push is mostly of this size, so less
    /// is not worth a turn.
    pub(super) fn wait_ms(&mut self, seat: &Seat, rate: NonZeroU64, now_ms: u64) -> Option<u64> {
        self.buckets.get_mut(seat)?.1.wait_ms(rate, PUSH_BYTES_TARGET.into(), now_ms)
    }

    /// So many bytes were pushed.
    pub(super) fn spend(&mut self, seat: Seat, rate: NonZeroU64, bytes: u64, now_ms: u64) {
        let (of, bucket) = self.buckets.entry(seat).or_insert_with(|| (rate, Bucket::full(rate, now_ms)));
        *of = rate;
        bucket.take(rate, bytes, now_ms);
    }

    /// A subscription waits until then.
    pub(super) fn wait(&mut self, due_ms: u64, id: SubscriptionId) {
        self.waiting.insert((due_ms, id));
    }

    /// Whether somebody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// It waits no more.
    pub(super) fn forget(&mut self, due_ms: u64, id: SubscriptionId) {
        self.waiting.remove(&(due_ms, id));
    }

    /// The next whose time has come; it waits no more.
    pub(super) fn next_due(&mut self, now_ms: u64) -> Option<SubscriptionId> {
        let (due_ms, _) = self.waiting.first()?;
        if *due_ms > now_ms {
            return None;
        }
        self.waiting.pop_first().map(|(_, id)| id)
    }

    /// Forgets what is as good as new, now and then.
    pub(super) fn expire(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.looked_ms) < EXPIRE_EVERY_MS {
            return;
        }
        self.looked_ms = now_ms;
        self.buckets.retain(|_, (rate, bucket)| !bucket.is_full(*rate, now_ms));
    }
}

/// How often buckets are looked through: what fills in a second is kept two at most.
const EXPIRE_EVERY_MS: u64 = 1_000;
