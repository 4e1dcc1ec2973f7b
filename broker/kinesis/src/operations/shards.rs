//! Shards: described, listed, split, merged, scaled.

mod filter;
mod list;
mod reshard;

use rheos_core::catalog::{ShardRecord, ShardState};

pub use filter::ShardFilter;
pub use list::{ListAsked, Listed};
pub use reshard::{ScaleLimits, merge, scale, scaled, split};

use crate::sequence_number::{CREATED_S_END, SequenceNumber};
use crate::shapes::structures::{HASH_KEY_RANGE, SEQUENCE_NUMBER_RANGE, SHARD};
use crate::shard_id::ShardId;
use crate::value::Structure;

/// A shard as descriptions and lists show it.
///
/// # Panics
///
/// When its number, or that of a parent, is one that no shard of AWS has: above 2,147,483,647.
pub(super) fn shard(shard: &ShardRecord) -> Structure {
    let range = Structure::of(&HASH_KEY_RANGE)
        .with("StartingHashKey", shard.range.first.to_string())
        .with("EndingHashKey", shard.range.last.to_string());
    Structure::of(&SHARD)
        .with("ShardId", id(shard.shard).to_string())
        .with_some("ParentShardId", shard.parent.map(|parent| id(parent).to_string()))
        .with_some("AdjacentParentShardId", shard.adjacent_parent.map(|parent| id(parent).to_string()))
        .with("HashKeyRange", range)
        .with("SequenceNumberRange", sequence_numbers(shard))
}

fn sequence_numbers(shard: &ShardRecord) -> Structure {
    let (id, created_s) = (id(shard.shard), second(shard.opened_ms));
    let end = match shard.state {
        ShardState::Open => None,
        ShardState::Closed { closed_ms, .. } => Some(SequenceNumber::of_end(id, created_s, second(closed_ms))),
    };
    Structure::of(&SEQUENCE_NUMBER_RANGE)
        .with("StartingSequenceNumber", SequenceNumber::of_start(id, created_s).to_string())
        .with_some("EndingSequenceNumber", end.map(|number| number.to_string()))
}

fn id(number: u32) -> ShardId {
    ShardId::new(number).expect("a stream has made fewer shards than that")
}

/// The second of a time; of times beyond what the numbers have room for (the year 2477) their last one.
fn second(ms: u64) -> u64 {
    (ms / 1_000).min(CREATED_S_END - 1)
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::Reshard;

    use super::*;
    use crate::operations::testing::{CREATED_MS, json, record, resharded};
    use crate::sequence_number::Place;

    #[test]
    fn a_shard_is_shown_with_its_parents_and_its_numbers() {
        let merged = resharded(&record(2), Reshard::Merge { shard: 0, adjacent: 1 }, CREATED_MS + 5_000);
        let (parent, child) = (shard(&merged.shards[1]), shard(&merged.shards[2]));
        let number = |of: &Structure, member: &str| {
            let range: &Structure = of.required("SequenceNumberRange");
            range.optional::<&str>(member).map(|text| SequenceNumber::parse(text).expect("it is one"))
        };
        let start = number(&parent, "StartingSequenceNumber").expect("every shard has one");
        let end = number(&parent, "EndingSequenceNumber").expect("it is closed");
        assert_eq!((start.place(), start.created_s(), start.shard().number()), (Place::Start, 1_700_000_000, 1));
        assert_eq!((end.place(), end.created_s(), end.arrival_s()), (Place::End, 1_700_000_000, 1_700_000_005));
        assert!(start < end && number(&child, "EndingSequenceNumber").is_none());
        let text = json(&child);
        let ids = r#"{"ShardId":"shardId-000000000002","ParentShardId":"shardId-000000000000","AdjacentParentShardId":"shardId-000000000001","HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"340282366920938463463374607431768211455"},"SequenceNumberRange":{"StartingSequenceNumber":""#;
        assert!(text.starts_with(ids), "{text}");
    }

    #[test]
    fn a_clock_that_is_centuries_ahead_makes_numbers_all_the_same() {
        let far = ShardRecord { opened_ms: u64::MAX, ..record(1).shards[0] };
        assert_eq!(shard(&far).missing(), None);
    }
}
