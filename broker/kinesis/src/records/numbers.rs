//! The sequence numbers of a shard's records and places, from what the catalog says of the shard.
//!
//! What must hold: the second in which a shard was created is its opening's, on every way to a number. A clock that
//! stands beyond what the numbers have room for (the year 2477) makes numbers of their last second, and no panic.

use rheos_core::catalog::ShardRecord;

use crate::sequence_number::{CREATED_S_END, SEQUENCE_MAX, SequenceNumber};
use crate::shard_id::ShardId;

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
        let id = ShardId::new(shard.shard).expect("a stream has made fewer shards than that");
        ShardNumbers { shard: id, created_s: second(shard.opened_ms) }
    }

    /// The shard's id.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The second in which the shard was created.
    pub fn created_s(&self) -> u64 {
        self.created_s
    }

    /// The number of the shard's start.
    pub fn of_start(&self) -> SequenceNumber {
        SequenceNumber::of_start(self.shard, self.created_s)
    }

    /// The number of the shard's end, when it was closed at this time.
    pub fn of_end(&self, closed_ms: u64) -> SequenceNumber {
        SequenceNumber::of_end(self.shard, self.created_s, second(closed_ms))
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

fn second(ms: u64) -> u64 {
    (ms / 1_000).min(CREATED_S_END - 1)
}
