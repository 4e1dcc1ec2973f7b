//! Shards: described, listed, split, merged, scaled.

mod filter;
mod list;
mod reshard;

use rheos_core::catalog::ShardRecord;

pub use filter::ShardFilter;
pub use list::{ListAsked, Listed};
pub use reshard::{ScaleLimits, merge, scale, scaled, split};

use crate::shapes::structures::{SEQUENCE_NUMBER_RANGE, SHARD};
use crate::shard_view::{ShardNumbers, hash_key_range, shard_id};
use crate::value::Structure;

/// A shard as descriptions and lists show it.
///
/// # Panics
///
/// When its number, or that of a parent, is one that no shard of AWS has: above 2,147,483,647.
pub(super) fn shard(shard: &ShardRecord) -> Structure {
    let id = |number| shard_id(number).to_string();
    let numbers = ShardNumbers::of(shard);
    let sequence_numbers = Structure::of(&SEQUENCE_NUMBER_RANGE)
        .with("StartingSequenceNumber", numbers.of_start().to_string())
        .with_some("EndingSequenceNumber", numbers.of_end(shard.state).map(|number| number.to_string()));
    Structure::of(&SHARD)
        .with("ShardId", id(shard.shard))
        .with_some("ParentShardId", shard.parent.map(id))
        .with_some("AdjacentParentShardId", shard.adjacent_parent.map(id))
        .with("HashKeyRange", hash_key_range(shard.range))
        .with("SequenceNumberRange", sequence_numbers)
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::Reshard;

    use super::*;
    use crate::operations::testing::{CREATED_MS, json, record, resharded};
    use crate::sequence_number::{Place, SequenceNumber};

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
