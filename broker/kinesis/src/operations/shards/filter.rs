//! Which shards a ListShards shows.
//!
//! | type | shards |
//! |---|---|
//! | FROM_TRIM_HORIZON, AFTER_SHARD_ID | all that are listed |
//! | AT_TRIM_HORIZON | those that were open at the trim horizon |
//! | AT_LATEST | those that are open |
//! | AT_TIMESTAMP | those that were open then; before the horizon, as AT_TRIM_HORIZON |
//! | FROM_TIMESTAMP | those that were open then or later; before the horizon, all |
//!
//! What must hold: the shards of the three AT types tile the hash space, for clients begin to read by them and wait
//! for ever where a hash key is missing or there twice. A shard is open from its opening until before its closing,
//! so that parents and children are never open at one time. Where one of those that were open is no longer listed
//! (a bound of bytes has trimmed it early), the first later time is taken at which the listed shards tile.

use rheos_core::catalog::{ShardRecord, ShardState, StreamRecord};
use rheos_protocol::hash::HashRange;

use crate::error::Error;
use crate::page_token::PageFilter;
use crate::value::{Structure, TimestampMs};

/// A filter as it is asked for; times in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFilter {
    /// Every shard that is kept.
    FromTrimHorizon,
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// Those that are open.
    AtLatest,
    /// Those that were open at this time.
    AtTimestamp(u64),
    /// Those that were open at or after this time.
    FromTimestamp(u64),
    /// What a page goes on with: the time was settled when the list began.
    Settled(PageFilter),
}

impl ShardFilter {
    /// Reads a `ShardFilter` but for the shard of AFTER_SHARD_ID, which is where the list begins.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException` for a type without its time.
    pub(super) fn read(filter: &Structure) -> Result<ShardFilter, Error> {
        let kind: &str = filter.required("Type");
        let time = || match filter.optional::<TimestampMs>("Timestamp") {
            Some(TimestampMs(ms)) => Ok(ms.max(0).unsigned_abs()),
            None => Err(missing("Timestamp", kind)),
        };
        Ok(match kind {
            "AT_TRIM_HORIZON" => ShardFilter::AtTrimHorizon,
            "AT_LATEST" => ShardFilter::AtLatest,
            "AT_TIMESTAMP" => ShardFilter::AtTimestamp(time()?),
            "FROM_TIMESTAMP" => ShardFilter::FromTimestamp(time()?),
            _ => ShardFilter::FromTrimHorizon,
        })
    }

    /// The filter with its time settled, so that all pages of a list show one moment. `horizon_ms` is the time before
    /// which everything of the stream has expired.
    pub(super) fn settle(self, stream: &StreamRecord, horizon_ms: u64, now_ms: u64) -> PageFilter {
        match self {
            ShardFilter::FromTrimHorizon => PageFilter::FromTrimHorizon,
            ShardFilter::AtTrimHorizon => PageFilter::AtTimestamp(tiling_from(stream, horizon_ms)),
            ShardFilter::AtTimestamp(ms) => PageFilter::AtTimestamp(tiling_from(stream, ms.max(horizon_ms))),
            ShardFilter::FromTimestamp(ms) if ms <= horizon_ms => PageFilter::FromTrimHorizon,
            ShardFilter::FromTimestamp(ms) => PageFilter::FromTimestamp(ms),
            // A child is opened when its parents were at the earliest, which may lie ahead of a clock that was set back.
            ShardFilter::AtLatest => {
                PageFilter::AtTimestamp(stream.shards.iter().map(|shard| shard.opened_ms).fold(now_ms, u64::max))
            }
            ShardFilter::Settled(filter) => filter,
        }
    }
}

/// Whether a settled filter shows a shard.
pub(super) fn shows(filter: PageFilter, shard: &ShardRecord, horizon_ms: u64) -> bool {
    match filter {
        PageFilter::FromTrimHorizon => true,
        PageFilter::AtTrimHorizon => is_open_at(shard, horizon_ms),
        PageFilter::AtTimestamp(ms) => is_open_at(shard, ms),
        PageFilter::FromTimestamp(ms) => match shard.state {
            ShardState::Open => true,
            ShardState::Closed { closed_ms, .. } => closed_ms >= ms,
        },
    }
}

/// The refusal of a filter that lacks what its type wants. AWS's words were never recorded.
pub(super) fn missing(member: &str, kind: &str) -> Error {
    Error::invalid_argument(format!("{member} must be provided in a ShardFilter of type {kind}."))
}

fn is_open_at(shard: &ShardRecord, ms: u64) -> bool {
    let is_closed = matches!(shard.state, ShardState::Closed { closed_ms, .. } if closed_ms <= ms);
    shard.opened_ms <= ms && !is_closed
}

/// The first time from this one on at which the listed shards that were open tile the hash space.
fn tiling_from(stream: &StreamRecord, from_ms: u64) -> u64 {
    let from_ms = from_ms.max(stream.created_ms);
    if tiles(stream, from_ms) {
        return from_ms;
    }
    let mut opened: Vec<u64> = stream.shards.iter().map(|shard| shard.opened_ms).filter(|ms| *ms > from_ms).collect();
    opened.sort_unstable();
    // Shards go when their ancestors have gone: where nothing is missing at one time, nothing is at later ones.
    let first = opened.partition_point(|ms| !tiles(stream, *ms));
    opened.get(first).copied().expect("the shards that are open now tile")
}

fn tiles(stream: &StreamRecord, ms: u64) -> bool {
    let open = stream.shards.iter().filter(|shard| is_open_at(shard, ms));
    let mut ranges: Vec<HashRange> = open.map(|shard| shard.range).collect();
    ranges.sort_unstable();
    ranges.first().is_some_and(|range| range.first == 0)
        && ranges.last().is_some_and(|range| range.last == u128::MAX)
        && ranges.windows(2).all(|pair| pair[0].last.checked_add(1) == Some(pair[1].first))
}

#[cfg(test)]
mod tests;
