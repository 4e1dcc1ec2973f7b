//! What is remembered of a shard and of a stream: the last minute, and the highest of the last days.

use std::collections::BTreeMap;

use super::ShardLoad;
use super::pace::{HELD_TICKS, HOT_KEY_SHARE, SLOTS, load_milli};
use crate::catalog::StreamRecord;
use crate::counts::Amount;
use crate::keys::KeyHistogram;

/// The loads of the last ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent {
    loads: [u64; HELD_TICKS],
    /// How many there are; the next one stands at this place, modulo.
    count: usize,
}

impl Recent {
    pub(super) fn push(&mut self, load_milli: u64) {
        self.loads[self.count % HELD_TICKS] = load_milli;
        // Enough to tell that it is full, whatever the number.
        self.count = if self.count + 1 == 2 * HELD_TICKS { HELD_TICKS } else { self.count + 1 };
    }

    /// The least of a whole minute: what has lasted.
    pub(super) fn held(&self) -> Option<u64> {
        (self.count >= HELD_TICKS).then(|| self.loads.into_iter().min().unwrap_or(0))
    }

    /// The mean of a whole minute.
    pub(super) fn mean(&self) -> Option<u64> {
        (self.count >= HELD_TICKS).then(|| self.loads.into_iter().sum::<u64>() / HELD_TICKS as u64)
    }
}

/// The highest load of each part of the last days.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Highest {
    loads: [u64; SLOTS],
    /// The newest part.
    slot: u64,
}

impl Highest {
    pub(super) fn raise(&mut self, slot: u64, load_milli: u64) {
        // Parts that have passed without a word were not watched, and begin empty.
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for at in 0..passed {
            self.loads[((slot - at) % SLOTS as u64) as usize] = 0;
        }
        self.slot = self.slot.max(slot);
        let load = &mut self.loads[(self.slot % SLOTS as u64) as usize];
        *load = (*load).max(load_milli);
    }

    pub(super) fn highest(&self) -> u64 {
        self.loads.into_iter().max().unwrap_or(0)
    }
}

/// What is remembered of an open shard.
#[derive(Debug, Clone)]
pub(super) struct ShardWatch {
    shard: u32,
    seen: Amount,
    load_milli: u64,
    pub(super) recent: Recent,
    pub(super) highest: Highest,
    /// Of the last tick.
    pub(super) keys: Option<KeyHistogram>,
    /// The key that alone makes it hot, its share in percent, and ticks since that was seen.
    hot_key: Option<(u128, u8, usize)>,
    /// Whether that was said.
    pub(super) hot_key_told: bool,
}

impl ShardWatch {
    pub(super) fn new(shard: u32, seen: Amount) -> ShardWatch {
        ShardWatch {
            shard,
            seen,
            load_milli: 0,
            recent: Recent::default(),
            highest: Highest::default(),
            keys: None,
            hot_key: None,
            hot_key_told: false,
        }
    }

    /// A shard that was just opened. What its parents had at most it may have too, all of it.
    pub(super) fn child(stream: &StreamRecord, shard: u32, before: &BTreeMap<u32, ShardWatch>) -> ShardWatch {
        let mut child = ShardWatch::new(shard, Amount::default());
        let Some(range) = stream.shard(shard).map(|shard| shard.range) else { return child };
        // A scale makes grandchildren at once, so ancestors are told by what they cover.
        let overlaps = |number: &u32| {
            stream.shard(*number).is_some_and(|it| it.range.first <= range.last && range.first <= it.range.last)
        };
        for (_, ancestor) in before.iter().filter(|(number, _)| overlaps(number)) {
            for (load, more) in child.highest.loads.iter_mut().zip(ancestor.highest.loads) {
                *load = load.saturating_add(more);
            }
            child.highest.slot = ancestor.highest.slot;
        }
        child
    }

    pub(super) fn number(&self) -> u32 {
        self.shard
    }

    pub(super) fn measure(&mut self, passed_ms: u64, slot: u64, load: ShardLoad) {
        let ShardLoad { incoming, keys, .. } = load;
        let more = |now: u64, before: u64| now.saturating_sub(before);
        self.load_milli =
            load_milli(more(incoming.records, self.seen.records), more(incoming.bytes, self.seen.bytes), passed_ms);
        (self.seen, self.keys) = (incoming, keys);
        self.look_for_hot_key();
        self.recent.push(self.load_milli);
        self.highest.raise(slot, self.recent.mean().unwrap_or(self.load_milli));
    }

    pub(super) fn forget_recent(&mut self) {
        self.recent = Recent::default();
    }

    /// The key that alone makes it hot, with its share in percent.
    pub(super) fn hot_key(&self) -> Option<(u128, u8)> {
        self.hot_key.map(|(key, share, _)| (key, share))
    }

    /// One that was seen is believed until it was not seen for a minute: samples tremble.
    fn look_for_hot_key(&mut self) {
        let leader = self.keys.as_ref().and_then(KeyHistogram::leader);
        self.hot_key = match (leader, self.hot_key) {
            (Some((key, share)), _) if share >= HOT_KEY_SHARE => Some((key, share, 0)),
            (_, Some((key, share, ticks))) if ticks < HELD_TICKS => Some((key, share, ticks + 1)),
            _ => None,
        };
    }

    /// Its load without what one key alone brings, which no number of shards spreads.
    pub(super) fn spreadable_milli(&self) -> u64 {
        match self.hot_key() {
            Some((_, share)) => self.load_milli * (100 - u64::from(share)) / 100,
            None => self.load_milli,
        }
    }
}
