//! The mode of a stream, and the steps of one that scales by itself, each with its reason.
//!
//! Load is told in thousandths of what a shard of an on-demand stream is meant to take: 1 MiB or 1,000 records a
//! second, whichever is more of it, as in Kinesis.

use bytes::{BufMut, BytesMut};

use crate::limits::{ON_DEMAND_SHARDS_MAX, ON_DEMAND_SHARDS_MIN, SCALING_STEPS_MAX, SHARDS_MAX};
use crate::wire::{FieldReader, Malformed, write_group};

/// Who decides how many shards a stream has.
///
/// ```text
///   u8 0 provisioned, 1 on demand | u32 fewest open shards | u32 most; both 0 for a provisioned one
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamMode {
    /// Whoever administers it (Kinesis's PROVISIONED).
    #[default]
    Provisioned,
    /// The broker, by what is put (Kinesis's ON_DEMAND).
    OnDemand(ShardBounds),
}

/// How many open shards an on-demand stream may have: 1 <= min <= max <= 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardBounds {
    /// It is never scaled below this.
    pub min: u32,
    /// It is never scaled beyond this.
    pub max: u32,
}

impl Default for ShardBounds {
    /// What Kinesis gives an account: 4 to 200 shards, which is 4 to 200 MiB a second of puts.
    fn default() -> ShardBounds {
        ShardBounds { min: ON_DEMAND_SHARDS_MIN, max: ON_DEMAND_SHARDS_MAX }
    }
}

impl ShardBounds {
    /// Whether they can be.
    pub fn is_in_range(self) -> bool {
        1 <= self.min && self.min <= self.max && self.max <= SHARDS_MAX
    }
}

impl StreamMode {
    /// On demand, within the bounds that Kinesis sets.
    pub fn on_demand() -> StreamMode {
        StreamMode::OnDemand(ShardBounds::default())
    }

    /// The bounds of an on-demand stream.
    pub fn bounds(self) -> Option<ShardBounds> {
        match self {
            StreamMode::Provisioned => None,
            StreamMode::OnDemand(bounds) => Some(bounds),
        }
    }

    /// As it is stored and travels: kind, fewest and most shards.
    pub fn to_numbers(self) -> (u8, u32, u32) {
        match self {
            StreamMode::Provisioned => (0, 0, 0),
            StreamMode::OnDemand(ShardBounds { min, max }) => (1, min, max),
        }
    }

    /// The mirror of [`to_numbers`](Self::to_numbers); `None` for numbers that no mode has.
    pub fn from_numbers(numbers: (u8, u32, u32)) -> Option<StreamMode> {
        match numbers {
            (0, 0, 0) => Some(StreamMode::Provisioned),
            (1, min, max) => Some(StreamMode::OnDemand(ShardBounds { min, max })),
            _ => None,
        }
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        let (kind, min, max) = self.to_numbers();
        out.put_u8(kind);
        out.put_u32_le(min);
        out.put_u32_le(max);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<StreamMode, Malformed> {
        let numbers = (fields.u8()?, fields.u32()?, fields.u32()?);
        StreamMode::from_numbers(numbers).ok_or_else(|| fields.wrong("its mode is unknown"))
    }
}

impl std::fmt::Display for StreamMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StreamMode::Provisioned => write!(f, "provisioned"),
            StreamMode::OnDemand(ShardBounds { min, max }) => write!(f, "on-demand, {min} to {max} shards"),
        }
    }
}

/// One step of an on-demand stream, or why there was none where one was called for.
///
/// ```text
///   u64 begun ms | u8 0 under way, 1 done, 2 undone, 3 no step | u64 ended ms, else 0 | u32 open shards before |
///   u32 open shards after | reason
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingStep {
    /// When it was decided, ms since 1970.
    pub begun_ms: u64,
    /// What has come of it.
    pub outcome: ScalingOutcome,
    /// Open shards before.
    pub from: u32,
    /// Open shards after; the same as before where there was no step.
    pub to: u32,
    /// Why.
    pub reason: ScalingReason,
}

/// What has come of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingOutcome {
    /// Its reshard is under way.
    UnderWay,
    /// It was done.
    Done {
        /// When, ms since 1970.
        ended_ms: u64,
    },
    /// Its reshard could not be finished, and the stream is as it was.
    Undone {
        /// When, ms since 1970.
        ended_ms: u64,
    },
    /// There was none: the reason says what stood against it.
    NoStep,
}

/// Why an on-demand stream was scaled, or was not. Loads are in thousandths of a shard, shares in percent.
///
/// ```text
///   u8 kind | u32 shard | u32 adjacent shard | u128 hash key | u64 load | u8 share; what a kind does not have is 0
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingReason {
    /// The stream as a whole was busy.
    Busy {
        /// Its load.
        load_milli: u64,
    },
    /// One shard took far more than the others, and is split where its load is halved.
    HotShard {
        /// Which.
        shard: u32,
        /// First hash key of its second child.
        at: u128,
        /// Its load.
        load_milli: u64,
        /// How much of that its busier child is expected to take.
        share_percent: u8,
    },
    /// The stream needed far fewer shards for long.
    Quiet {
        /// Its highest load in that time.
        load_milli: u64,
    },
    /// Two shards side by side had little to do for long.
    QuietNeighbours {
        /// The lower one.
        shard: u32,
        /// The one that follows it.
        adjacent: u32,
        /// The highest load of both together in that time.
        load_milli: u64,
    },
    /// It had fewer shards than its bounds allow.
    BelowMin,
    /// It had more shards than its bounds allow.
    AboveMax,
    /// No step: one hash key alone has nearly all of a hot shard, and no split divides one key.
    HotKey {
        /// The shard.
        shard: u32,
        /// The hash key.
        key: u128,
        /// Load of the shard.
        load_milli: u64,
        /// The key's part of it.
        share_percent: u8,
    },
    /// No step: it is busy and has as many shards as it may.
    AtMax {
        /// Its load.
        load_milli: u64,
    },
    /// Of a kind that this version does not know.
    Unknown(u8),
}

impl ScalingReason {
    /// The reason in one word, for machines.
    pub fn name(self) -> &'static str {
        match self {
            ScalingReason::Busy { .. } => "busy",
            ScalingReason::HotShard { .. } => "hot_shard",
            ScalingReason::Quiet { .. } => "quiet",
            ScalingReason::QuietNeighbours { .. } => "quiet_neighbours",
            ScalingReason::BelowMin => "below_min",
            ScalingReason::AboveMax => "above_max",
            ScalingReason::HotKey { .. } => "hot_key",
            ScalingReason::AtMax { .. } => "at_max",
            ScalingReason::Unknown(_) => "unknown",
        }
    }

    /// The load that was measured, where that is the reason.
    pub fn load_milli(self) -> Option<u64> {
        let (.., load_milli, _) = self.to_numbers();
        (load_milli > 0).then_some(load_milli)
    }

    /// The reason with its fields in the order in which it travels.
    pub fn to_numbers(self) -> (u8, u32, u32, u128, u64, u8) {
        match self {
            ScalingReason::Busy { load_milli } => (1, 0, 0, 0, load_milli, 0),
            ScalingReason::HotShard { shard, at, load_milli, share_percent } => {
                (2, shard, 0, at, load_milli, share_percent)
            }
            ScalingReason::Quiet { load_milli } => (3, 0, 0, 0, load_milli, 0),
            ScalingReason::QuietNeighbours { shard, adjacent, load_milli } => (4, shard, adjacent, 0, load_milli, 0),
            ScalingReason::BelowMin => (5, 0, 0, 0, 0, 0),
            ScalingReason::AboveMax => (6, 0, 0, 0, 0, 0),
            ScalingReason::HotKey { shard, key, load_milli, share_percent } => {
                (7, shard, 0, key, load_milli, share_percent)
            }
            ScalingReason::AtMax { load_milli } => (8, 0, 0, 0, load_milli, 0),
            ScalingReason::Unknown(kind) => (kind, 0, 0, 0, 0, 0),
        }
    }

    /// The mirror of [`to_numbers`](Self::to_numbers).
    pub fn from_numbers(numbers: (u8, u32, u32, u128, u64, u8)) -> ScalingReason {
        let (kind, shard, adjacent, key, load_milli, share_percent) = numbers;
        match kind {
            1 => ScalingReason::Busy { load_milli },
            2 => ScalingReason::HotShard { shard, at: key, load_milli, share_percent },
            3 => ScalingReason::Quiet { load_milli },
            4 => ScalingReason::QuietNeighbours { shard, adjacent, load_milli },
            5 => ScalingReason::BelowMin,
            6 => ScalingReason::AboveMax,
            7 => ScalingReason::HotKey { shard, key, load_milli, share_percent },
            8 => ScalingReason::AtMax { load_milli },
            kind => ScalingReason::Unknown(kind),
        }
    }
}

impl std::fmt::Display for ScalingReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            ScalingReason::Busy { load_milli } => {
                write!(f, "the stream was busy: it took what {} shards are for", Load(load_milli))
            }
            ScalingReason::HotShard { shard, at, load_milli, share_percent } => write!(
                f,
                "shard {shard} was hot: it took what {} shards are for, far more than the others; split at hash key \
                 {at:#034x}, its busier child takes about {share_percent} % of that",
                Load(load_milli)
            ),
            ScalingReason::Quiet { load_milli } => {
                write!(f, "the stream was quiet for long: at most it took what {} shards are for", Load(load_milli))
            }
            ScalingReason::QuietNeighbours { shard, adjacent, load_milli } => write!(
                f,
                "shards {shard} and {adjacent} were quiet for long: at most they took together what {} shards are for",
                Load(load_milli)
            ),
            ScalingReason::BelowMin => write!(f, "the stream had fewer shards than it may have"),
            ScalingReason::AboveMax => write!(f, "the stream had more shards than it may have"),
            ScalingReason::HotKey { shard, key, load_milli, share_percent } => write!(
                f,
                "one key alone is hot: hash key {key:#034x} has {share_percent} % of shard {shard}, which takes what {} \
                 shards are for; no split divides one key, so spread its records over more partition keys",
                Load(load_milli)
            ),
            ScalingReason::AtMax { load_milli } => write!(
                f,
                "the stream is busy, takes what {} shards are for, and has as many shards as it may; raise its most",
                Load(load_milli)
            ),
            ScalingReason::Unknown(kind) => write!(f, "a reason of kind {kind}, which this version does not know"),
        }
    }
}

/// Thousandths, shown as a number with one or two digits behind the point.
struct Load(u64);

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.0 < 1_000 { 2 } else { 1 };
        write!(f, "{:.digits$}", self.0 as f64 / 1_000.0)
    }
}

impl ScalingStep {
    /// As it is stored, and travels in a group: begun, outcome, ended, from, to, reason.
    pub fn encode(&self, out: &mut impl BufMut) {
        let (outcome, ended_ms) = match self.outcome {
            ScalingOutcome::UnderWay => (0, 0),
            ScalingOutcome::Done { ended_ms } => (1, ended_ms),
            ScalingOutcome::Undone { ended_ms } => (2, ended_ms),
            ScalingOutcome::NoStep => (3, 0),
        };
        out.put_u64_le(self.begun_ms);
        out.put_u8(outcome);
        out.put_u64_le(ended_ms);
        out.put_u32_le(self.from);
        out.put_u32_le(self.to);
        let (kind, shard, adjacent, key, load_milli, share_percent) = self.reason.to_numbers();
        out.put_u8(kind);
        out.put_u32_le(shard);
        out.put_u32_le(adjacent);
        out.put_u128_le(key);
        out.put_u64_le(load_milli);
        out.put_u8(share_percent);
    }

    /// The mirror of [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// When a field is missing, or the outcome is none.
    pub fn decode(fields: &mut FieldReader<'_>) -> Result<ScalingStep, Malformed> {
        let begun_ms = fields.u64()?;
        let outcome = match (fields.u8()?, fields.u64()?) {
            (0, _) => ScalingOutcome::UnderWay,
            (1, ended_ms) => ScalingOutcome::Done { ended_ms },
            (2, ended_ms) => ScalingOutcome::Undone { ended_ms },
            (3, _) => ScalingOutcome::NoStep,
            _ => return Err(fields.wrong("what has come of a step is unknown")),
        };
        let (from, to) = (fields.u32()?, fields.u32()?);
        let reason = (fields.u8()?, fields.u32()?, fields.u32()?, fields.u128()?, fields.u64()?, fields.u8()?);
        Ok(ScalingStep { begun_ms, outcome, from, to, reason: ScalingReason::from_numbers(reason) })
    }
}

/// The reply to a request for a stream's steps: each in a group, the newest first.
pub(super) fn encode_steps(steps: &[ScalingStep], out: &mut BytesMut) {
    out.put_u32_le(steps.len() as u32);
    for step in steps {
        write_group(out, |out| step.encode(out));
    }
}

pub(super) fn decode_steps(fields: &mut FieldReader<'_>) -> Result<Vec<ScalingStep>, Malformed> {
    let count = fields.count(SCALING_STEPS_MAX, 2)?;
    (0..count).map(|_| ScalingStep::decode(&mut fields.group()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_reasons_are_what_their_numbers_say() {
        for mode in [StreamMode::Provisioned, StreamMode::on_demand()] {
            assert_eq!(StreamMode::from_numbers(mode.to_numbers()), Some(mode));
        }
        for numbers in [(0, 1, 0), (0, 0, 1), (2, 1, 1)] {
            assert_eq!(StreamMode::from_numbers(numbers), None);
        }
        for kind in 0..=9 {
            let reason = ScalingReason::from_numbers((kind, 1, 2, 3, 4, 5));
            assert_eq!(ScalingReason::from_numbers(reason.to_numbers()), reason);
            assert_eq!(matches!(reason, ScalingReason::Unknown(_)), !(1..=8).contains(&kind));
        }
    }

    #[test]
    fn a_reason_is_one_sentence() {
        for kind in 0..=9 {
            let text = ScalingReason::from_numbers((kind, 1, 2, 3, 1_500, 55)).to_string();
            assert!(!text.contains('\n') && !text.contains("  ") && !text.ends_with('.'), "{text}");
        }
        let hot = ScalingReason::HotShard { shard: 3, at: 1 << 127, load_milli: 950, share_percent: 52 };
        assert_eq!(
            hot.to_string(),
            "shard 3 was hot: it took what 0.95 shards are for, far more than the others; split at hash key \
             0x80000000000000000000000000000000, its busier child takes about 52 % of that"
        );
    }

    #[test]
    fn bounds_have_a_range() {
        let bounds = |min, max| ShardBounds { min, max }.is_in_range();
        assert!(bounds(1, 1) && bounds(1, SHARDS_MAX) && ShardBounds::default().is_in_range());
        assert!(!bounds(0, 1) && !bounds(2, 1) && !bounds(1, SHARDS_MAX + 1));
    }
}
