//! The scaler of an on-demand stream: what its shards have taken goes in, at most one step and its reason come out.
//!
//! ```text
//!   every tick: counters of the open shards ─► load of each and of all ─► Verdict: a step, or why there is none
//!                                                                          │
//!              cool-off, from the end of the reshard ◄─ reshard ◄──────────┘
//! ```
//!
//! Kinesis gives an on-demand stream twice what it has taken at most lately. So does this: a stream that is busy for a
//! minute is scaled until its load fits twice; a shard that is hot while the others are not is split where its load
//! is halved; and what has been idle for three days is merged. Limits of shards are not looked at: where there are
//! some (`--limits kinesis`) a full shard shows as busy, where there are none it may be far more than full.
//!
//! What must hold:
//! - one step at a time, none while a reshard is unfinished, and none within the cool-off after one;
//! - steps up and down never follow each other on one load: what leads up, at more than 0.7 of what the shards are
//!   for, is far from what leads down, at most a quarter of it for days;
//! - the bounds hold after every step, and every step has its reason;
//! - memory is bounded: a few hundred bytes for each open shard.
//!
//! It forgets with the process how quiet the stream was, so after a start three days pass before a step down. The
//! cool-off it takes from the stream's record.

mod decide;
mod pace;
mod watch;

use std::collections::BTreeMap;

use rheos_protocol::message::{ScalingReason, ShardBounds};

use crate::arrival::Now;
use crate::catalog::{Reshard, StreamRecord};
use crate::counts::Amount;
use crate::keys::KeyHistogram;

pub use pace::{
    BUSY_MILLI, COLD_PAIR_MILLI, CUT_SHARE_MAX, HOT_KEY_SHARE, HOT_MILLI, ScalerPace, load_milli, record_weight,
};

use watch::{Highest, Recent, ShardWatch};

/// What is known of one open shard at a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLoad {
    /// Its number.
    pub shard: u32,
    /// Everything that was put into it in this run.
    pub incoming: Amount,
    /// The hash keys of what came since the last tick; nothing of a shard that had little.
    pub keys: Option<KeyHistogram>,
}

/// What the scaler wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The step; none when the reason is what stands against one.
    pub step: Option<Reshard>,
    /// Open shards now.
    pub from: u32,
    /// Open shards after it.
    pub to: u32,
    /// Why.
    pub reason: ScalingReason,
}

/// Watches one life of an on-demand stream.
#[derive(Debug)]
pub struct Scaler {
    pace: ScalerPace,
    /// Since when it watches without a gap, by the boot clock.
    since_boot_ms: u64,
    /// The last tick that counted.
    seen_boot_ms: Option<u64>,
    shards: BTreeMap<u32, ShardWatch>,
    /// What the open shards took together, without what one key alone brings.
    recent: Recent,
    highest: Highest,
    /// When the last reshard ended, or the last step failed.
    cooling_since_boot_ms: Option<u64>,
    /// The newest shard that is known.
    newest_shard: Option<u32>,
    /// Whether a step was given out that is not over.
    is_stepping: bool,
    /// Whether it was said that the stream has as many shards as it may.
    at_max_told: bool,
}

impl Scaler {
    /// Begins to watch a stream.
    pub fn new(pace: ScalerPace, now: Now, stream: &StreamRecord) -> Scaler {
        Scaler {
            pace,
            since_boot_ms: now.boot_ms,
            seen_boot_ms: None,
            shards: BTreeMap::new(),
            recent: Recent::default(),
            highest: Highest::default(),
            cooling_since_boot_ms: last_reshard_boot_ms(now, stream),
            newest_shard: newest(stream),
            is_stepping: false,
            at_max_told: false,
        }
    }

    /// A tick: what the open shards have taken until now, sorted by number. A step that comes of it is to be told
    /// [over](Self::step_over), whatever came of it, before there is another.
    ///
    /// Nothing is decided, and the next tick stands for this one too, when an open shard is not among them.
    pub fn observe(&mut self, now: Now, stream: &StreamRecord, loads: Vec<ShardLoad>) -> Option<Verdict> {
        let bounds = stream.terms.mode.bounds()?;
        if !is_whole(stream, &loads) {
            return None;
        }
        self.notice_reshard(now, stream);
        let Some(seen_boot_ms) = self.seen_boot_ms else {
            self.begin(now, loads);
            return None;
        };
        let passed_ms = now.boot_ms.saturating_sub(seen_boot_ms);
        if passed_ms < self.pace.tick_ms / 2 {
            return None;
        }
        self.measure(now, passed_ms, stream, loads);
        if stream.resharding.is_some() || self.is_stepping {
            return None;
        }
        let verdict = self.decide(now, stream, bounds)?;
        self.is_stepping = verdict.step.is_some();
        Some(verdict)
    }

    /// The step that was given out is over, done or not: the cool-off begins.
    pub fn step_over(&mut self, now: Now) {
        self.is_stepping = false;
        self.cool(now);
    }

    fn begin(&mut self, now: Now, loads: Vec<ShardLoad>) {
        self.seen_boot_ms = Some(now.boot_ms);
        self.shards = loads.into_iter().map(|load| (load.shard, ShardWatch::new(load.shard, load.incoming))).collect();
    }

    fn measure(&mut self, now: Now, passed_ms: u64, stream: &StreamRecord, loads: Vec<ShardLoad>) {
        self.seen_boot_ms = Some(now.boot_ms);
        let slot = self.pace.slot(now.boot_ms);
        // What is left in it when the open shards have taken theirs are the parents of new ones.
        let mut before = std::mem::take(&mut self.shards);
        let mut spreadable_milli = 0;
        for load in loads {
            let shard = load.shard;
            let mut watch = before.remove(&shard).unwrap_or_else(|| ShardWatch::child(stream, shard, &before));
            watch.measure(passed_ms, slot, load);
            spreadable_milli += watch.spreadable_milli();
            self.shards.insert(shard, watch);
        }
        self.recent.push(spreadable_milli);
        self.highest.raise(slot, self.recent.mean().unwrap_or(spreadable_milli));
    }

    /// What was measured of other shards, or while puts waited for their children, says nothing of these.
    fn notice_reshard(&mut self, now: Now, stream: &StreamRecord) {
        if stream.resharding.is_some() {
            self.recent = Recent::default();
            self.shards.values_mut().for_each(ShardWatch::forget_recent);
        }
        if newest(stream) != self.newest_shard {
            self.newest_shard = newest(stream);
            self.recent = Recent::default();
            self.cool(now);
        }
    }

    fn cool(&mut self, now: Now) {
        self.cooling_since_boot_ms = Some(now.boot_ms);
    }

    fn has_cooled(&self, now: Now, cool_ms: u64) -> bool {
        self.cooling_since_boot_ms.is_none_or(|since| now.boot_ms.saturating_sub(since) >= cool_ms)
    }
}

/// Whether all open shards are there, and nothing else.
fn is_whole(stream: &StreamRecord, loads: &[ShardLoad]) -> bool {
    let open = stream.open_shards();
    assert!(loads.is_sorted_by(|one, next| one.shard < next.shard), "loads come sorted by number");
    let is_there = |shard: u32| loads.binary_search_by_key(&shard, |load| load.shard).is_ok();
    open.len() == loads.len() && stream.open_shards().all(|shard| is_there(shard.shard))
}

/// Its number grows with every reshard.
fn newest(stream: &StreamRecord) -> Option<u32> {
    stream.shards.last().map(|shard| shard.shard)
}

/// When the last reshard ended, by the boot clock of now. A wall clock that has gone back since makes it now.
fn last_reshard_boot_ms(now: Now, stream: &StreamRecord) -> Option<u64> {
    let children = stream.shards.iter().filter(|shard| shard.parent.is_some());
    let ended_ms = children.map(|shard| shard.opened_ms).max()?;
    now.boot_ms.checked_sub(now.wall_ms.saturating_sub(ended_ms))
}

/// As many as the bounds allow.
fn within(bounds: ShardBounds, shards: u64) -> u32 {
    shards.clamp(bounds.min.into(), bounds.max.into()) as u32
}

#[cfg(test)]
mod tests;
