//! How fast and at what a stream is scaled: every constant, with its reason.

/// Bytes a second that a shard of an on-demand stream is meant to take (as in Kinesis).
const SHARD_BYTES_PER_S: u64 = 1 << 20;
/// Records a second that it is meant to take (as in Kinesis).
const SHARD_RECORDS_PER_S: u64 = 1_000;

/// A stream is busy when its load is beyond this for each shard, in thousandths: at twice its load, which is what a
/// step gives it, it had half of this, so growth by two fifths passes before the next.
pub const BUSY_MILLI: u64 = 700;
/// A step up makes room for so many times the load, as Kinesis does.
pub(super) const HEADROOM: u64 = 2;
/// A shard is hot beyond this, in thousandths: more than its part of a busy stream, and not yet more than a limit of
/// Kinesis lets through.
pub const HOT_MILLI: u64 = 800;
/// And when it takes at least so many times what the shards do on average; else more of all shards are needed.
pub(super) const SKEW: u64 = 2;
/// A hot shard is split when its busier child is left with at most this much of it, in percent: less is not worth
/// the reshard, and comes again soon.
pub const CUT_SHARE_MAX: u8 = 75;
/// A key with at least this much of a hot shard, in percent, is alone hot. No split would leave less on a side.
pub const HOT_KEY_SHARE: u8 = CUT_SHARE_MAX;
/// After shards were merged none may have more than this, in thousandths: it would soon be hot.
pub(super) const MERGED_MILLI_MAX: u64 = 600;
/// Two neighbours are merged when together they had at most this, in thousandths: half of what makes one hot.
pub const COLD_PAIR_MILLI: u64 = HOT_MILLI / 2;

/// Ticks for which something must last: one burst is no load.
pub(super) const HELD_TICKS: usize = 6;
/// Parts of the time that must be quiet.
const PARTS: u64 = 12;
/// Those that are remembered: the newest is not over yet.
pub(super) const SLOTS: usize = PARTS as usize + 1;

const _: () = assert!(BUSY_MILLI < HOT_MILLI && BUSY_MILLI * HEADROOM > 1_000);
// What a step down leaves is far from what leads up again.
const _: () = assert!(MERGED_MILLI_MAX < BUSY_MILLI && COLD_PAIR_MILLI < MERGED_MILLI_MAX);

/// How fast a stream is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalerPace {
    /// Time between two ticks. A load must last for six of them, a minute: shorter than that a burst is over before
    /// the children of a reshard are open.
    pub tick_ms: u64,
    /// Time after a reshard before a step up: a minute to see what has come of it, and one to spare.
    pub cool_up_ms: u64,
    /// Time after a reshard before a step down. Nothing is lost by having too many shards.
    pub cool_down_ms: u64,
    /// Time that must be quiet before a step down: longer than a night and than a weekend, so that what comes every
    /// day or every working week is not unlearned in between.
    pub quiet_ms: u64,
}

impl Default for ScalerPace {
    fn default() -> ScalerPace {
        ScalerPace { tick_ms: 10_000, cool_up_ms: 120_000, cool_down_ms: 3_600_000, quiet_ms: 72 * 3_600_000 }
    }
}

impl ScalerPace {
    /// The same with time going so many times as fast, for trying it out. A tick takes at least 10 ms.
    pub fn faster(self, times: u32) -> ScalerPace {
        let times = u64::from(times.max(1)).min(self.tick_ms / 10);
        ScalerPace {
            tick_ms: self.tick_ms / times,
            cool_up_ms: self.cool_up_ms / times,
            cool_down_ms: self.cool_down_ms / times,
            quiet_ms: self.quiet_ms / times,
        }
    }

    /// The keys of a shard are looked at from this weight in a tick on: with less it is not hot.
    pub fn keys_weight_least(self) -> u64 {
        SHARD_BYTES_PER_S * HOT_MILLI / 1_000 * self.tick_ms / 1_000 / 2
    }

    /// Which part of time this is.
    pub(super) fn slot(self, boot_ms: u64) -> u64 {
        boot_ms / (self.quiet_ms / PARTS).max(1)
    }
}

/// The load that so much in so long is, in thousandths of a shard; at most that of four million shards.
pub fn load_milli(records: u64, bytes: u64, passed_ms: u64) -> u64 {
    let of =
        |amount: u64, per_s: u64| u128::from(amount) * 1_000_000 / (u128::from(per_s) * u128::from(passed_ms.max(1)));
    of(bytes, SHARD_BYTES_PER_S).max(of(records, SHARD_RECORDS_PER_S)).min(u32::MAX.into()) as u64
}

/// The weight of a record among others: its bytes, or what a thousandth of a shard's second is in bytes.
pub fn record_weight(bytes: u64) -> u64 {
    bytes.max(SHARD_BYTES_PER_S.div_ceil(SHARD_RECORDS_PER_S))
}
