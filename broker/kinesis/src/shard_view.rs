//! What AWS shows of a shard that the catalog has: its id, its stretch of the hash space, and the sequence numbers of
//! its records and places.
//!
//! What must hold: the second in which a shard was created is its opening's, on every way to a number. A clock that
//! stands beyond what the numbers have room for (the year 2477) makes numbers of their last second, and no panic.

use rheos_core::catalog::{ShardRecord, ShardState};
use rheos_protocol::hash::HashRange;

use crate::sequence_number::{CREATED_S_END, SEQUENCE_MAX, SequenceNumber};
use crate::shapes::structures::HASH_KEY_RANGE;
use crate::shard_id::ShardId;
use crate::value::Structure;

/// Makes the numbers of one life of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardNumbers {
    shard: ShardId,
    created_s: u64,
}

impl ShardNumbers {
    /// Those of this shard.
    ///
    /// # Panics
    /// When the shard's number is one that no shard of AWS has: above 2,147,483,647.
    pub fn of(shard: &ShardRecord) -> ShardNumbers {
        ShardNumbers { shard: shard_id(shard.shard), created_s: second(shard.opened_ms) }
    }

    /// The shard's id.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The second in which the shard was created.
    pub fn created_s(&self) -> u64 {
        self.created_s
    }

    /// The number of the shard's start, which is no record's.
    pub fn of_start(&self) -> SequenceNumber {
        SequenceNumber::of_start(self.shard, self.created_s)
    }

    /// The number of the shard's end, larger than that of every record; of one that is open, none.
    pub fn of_end(&self, state: ShardState) -> Option<SequenceNumber> {
        match state {
            ShardState::Open => None,
            ShardState::Closed { closed_ms, .. } => {
                Some(SequenceNumber::of_end(self.shard, self.created_s, second(closed_ms)))
            }
        }
    }

    /// The number of a record that arrived at this time.
    pub fn of_record(&self, sequence: u64, arrival_ms: u64) -> SequenceNumber {
        SequenceNumber::of_record(self.shard, self.created_s, sequence, second(arrival_ms))
    }

    /// The number of the place before the record with this sequence, which may be yet to come. Beyond the last sequence
    /// that has a number it is the place before that one.
    pub fn of_place_before(&self, sequence: u64, now_ms: u64) -> SequenceNumber {
        SequenceNumber::of_place_before(self.shard, self.created_s, sequence.min(SEQUENCE_MAX), second(now_ms))
    }
}

/// The id of a shard that the catalog has.
///
/// # Panics
/// When it is one that no shard of AWS has: above 2,147,483,647.
pub(crate) fn shard_id(number: u32) -> ShardId {
    ShardId::new(number).expect("a stream has made fewer shards than that")
}

/// `HashKeyRange` of a shard.
pub(crate) fn hash_key_range(range: HashRange) -> Structure {
    Structure::of(&HASH_KEY_RANGE)
        .with("StartingHashKey", range.first.to_string())
        .with("EndingHashKey", range.last.to_string())
}

fn second(ms: u64) -> u64 {
    (ms / 1_000).min(CREATED_S_END - 1)
}
