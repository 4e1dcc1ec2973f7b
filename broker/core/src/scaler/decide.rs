//! The decision: bounds first, then what is hot, then what is busy, then what is quiet.

use rheos_protocol::message::{ScalingReason, ShardBounds};

use super::pace::{BUSY_MILLI, COLD_PAIR_MILLI, CUT_SHARE_MAX, HEADROOM, HOT_MILLI, MERGED_MILLI_MAX, SKEW};
use super::watch::ShardWatch;
use super::{Scaler, Verdict, within};
use crate::arrival::Now;
use crate::catalog::{Reshard, StreamRecord, plan_scale};

impl Scaler {
    pub(super) fn decide(&mut self, now: Now, stream: &StreamRecord, bounds: ShardBounds) -> Option<Verdict> {
        if !self.has_cooled(now, self.pace.cool_up_ms) {
            return None;
        }
        let verdict = self
            .out_of_bounds(stream, bounds)
            .or_else(|| self.hot(stream, bounds))
            .or_else(|| self.busy(stream, bounds))
            .or_else(|| self.quiet(now, stream, bounds));
        self.forget_told(stream);
        verdict
    }

    fn out_of_bounds(&self, stream: &StreamRecord, bounds: ShardBounds) -> Option<Verdict> {
        let open = open_count(stream);
        let reason = match open {
            _ if open < bounds.min => ScalingReason::BelowMin,
            _ if open > bounds.max => ScalingReason::AboveMax,
            _ => return None,
        };
        Some(scale(stream, within(bounds, open.into()), reason))
    }

    /// Hot shards, the hottest first: the first that a split helps is split.
    fn hot(&mut self, stream: &StreamRecord, bounds: ShardBounds) -> Option<Verdict> {
        let open = open_count(stream);
        let together = self.recent.mean()?;
        let is_hot = |held_milli: u64| held_milli > HOT_MILLI && held_milli * u64::from(open) >= SKEW * together;
        let held = |watch: &ShardWatch| watch.recent.held().unwrap_or(0);
        let mut hot: Vec<(u64, u32)> =
            self.shards.values().map(|watch| (held(watch), watch.number())).filter(|(load, _)| is_hot(*load)).collect();
        hot.sort_unstable_by(|one, other| other.cmp(one));
        let mut told = None;
        for (load_milli, shard) in hot {
            let verdict = self.hot_shard(stream, shard, load_milli);
            match verdict {
                Some(Verdict { step: Some(_), .. }) if open < bounds.max => return verdict,
                Some(Verdict { step: Some(_), .. }) => told = told.or_else(|| self.at_max(stream, together)),
                _ => told = told.or(verdict),
            }
        }
        told
    }

    fn hot_shard(&mut self, stream: &StreamRecord, shard: u32, load_milli: u64) -> Option<Verdict> {
        let range = stream.shard(shard)?.range;
        let watch = self.shards.get_mut(&shard)?;
        if let Some((key, share_percent)) = watch.hot_key() {
            let was_told = std::mem::replace(&mut watch.hot_key_told, true);
            let reason = ScalingReason::HotKey { shard, key, load_milli, share_percent };
            return (!was_told).then(|| no_step(stream, reason));
        }
        let cut = watch.keys.as_ref()?.cut(range.first, range.last)?;
        if cut.share_percent > CUT_SHARE_MAX {
            return None;
        }
        let reason = ScalingReason::HotShard { shard, at: cut.at, load_milli, share_percent: cut.share_percent };
        let from = open_count(stream);
        Some(Verdict { step: Some(Reshard::Split { shard, at: cut.at }), from, to: from + 1, reason })
    }

    /// More shards for a stream that is busy: doubled until its load fits twice, so that widths stay even.
    fn busy(&mut self, stream: &StreamRecord, bounds: ShardBounds) -> Option<Verdict> {
        let (held_milli, load_milli) = (self.recent.held()?, self.recent.mean()?);
        let open = open_count(stream);
        if held_milli <= BUSY_MILLI * u64::from(open) {
            return None;
        }
        if open >= bounds.max {
            return self.at_max(stream, load_milli);
        }
        let needed = shards_for(load_milli);
        let mut target = u64::from(open) * 2;
        while target < needed {
            target *= 2;
        }
        Some(scale(stream, within(bounds, target), ScalingReason::Busy { load_milli }))
    }

    /// Fewer shards for a stream that had little to do for days: halved while twice its load fits.
    fn quiet(&self, now: Now, stream: &StreamRecord, bounds: ShardBounds) -> Option<Verdict> {
        let watched_ms = now.boot_ms.saturating_sub(self.since_boot_ms);
        if watched_ms < self.pace.quiet_ms || !self.has_cooled(now, self.pace.cool_down_ms) {
            return None;
        }
        let (open, load_milli) = (open_count(stream), self.highest.highest());
        let needed = within(bounds, shards_for(load_milli));
        let mut target = open;
        while target.div_ceil(2) >= needed && target > 1 {
            target = target.div_ceil(2);
        }
        if target < open && self.stays_cool(stream, target) {
            return Some(scale(stream, target, ScalingReason::Quiet { load_milli }));
        }
        if open > needed { self.quiet_neighbours(stream) } else { None }
    }

    /// Whether no shard would have much after a scale down, by the highest of the shards it is merged from.
    fn stays_cool(&self, stream: &StreamRecord, target: u32) -> bool {
        let Ok(plan) = plan_scale(stream, target) else { return false };
        let mut before = stream.open_shards().peekable();
        let mut open: Vec<_> = plan.made.iter().filter(|made| made.is_open).map(|made| made.range).collect();
        open.sort_unstable();
        open.iter().all(|range| {
            while before.next_if(|shard| shard.range.last < range.first).is_some() {}
            let mut merged_milli = 0u64;
            while let Some(shard) = before.next_if(|shard| shard.range.last <= range.last) {
                merged_milli = self.highest_of(shard.shard).saturating_add(merged_milli);
            }
            merged_milli <= MERGED_MILLI_MAX
        })
    }

    fn quiet_neighbours(&self, stream: &StreamRecord) -> Option<Verdict> {
        let open: Vec<u32> = stream.open_shards().map(|shard| shard.shard).collect();
        let pairs = open.windows(2).map(|pair| (self.highest_of(pair[0]) + self.highest_of(pair[1]), pair[0], pair[1]));
        let (load_milli, shard, adjacent) = pairs.min().filter(|(load, ..)| *load <= COLD_PAIR_MILLI)?;
        let reason = ScalingReason::QuietNeighbours { shard, adjacent, load_milli };
        let from = open_count(stream);
        Some(Verdict { step: Some(Reshard::Merge { shard, adjacent }), from, to: from - 1, reason })
    }

    fn highest_of(&self, shard: u32) -> u64 {
        self.shards.get(&shard).map_or(u64::MAX / 4, |watch| watch.highest.highest())
    }

    fn at_max(&mut self, stream: &StreamRecord, load_milli: u64) -> Option<Verdict> {
        let was_told = std::mem::replace(&mut self.at_max_told, true);
        (!was_told).then(|| no_step(stream, ScalingReason::AtMax { load_milli }))
    }

    /// What was said is said again only after the load was well below what it was said of.
    fn forget_told(&mut self, stream: &StreamRecord) {
        let calm = |watch: &ShardWatch| watch.recent.mean().is_some_and(|load| load * HEADROOM <= HOT_MILLI);
        let together =
            self.recent.mean().is_some_and(|load| load * HEADROOM <= BUSY_MILLI * u64::from(open_count(stream)));
        self.at_max_told &= !(together && self.shards.values().all(calm));
        for watch in self.shards.values_mut() {
            watch.hot_key_told &= !calm(watch);
        }
    }
}

/// Shards that a load takes with its headroom.
fn shards_for(load_milli: u64) -> u64 {
    (load_milli * HEADROOM).div_ceil(1_000)
}

fn scale(stream: &StreamRecord, target: u32, reason: ScalingReason) -> Verdict {
    Verdict { step: Some(Reshard::Scale { target }), from: open_count(stream), to: target, reason }
}

fn no_step(stream: &StreamRecord, reason: ScalingReason) -> Verdict {
    let open = open_count(stream);
    Verdict { step: None, from: open, to: open, reason }
}

fn open_count(stream: &StreamRecord) -> u32 {
    stream.open_shards().len() as u32
}
