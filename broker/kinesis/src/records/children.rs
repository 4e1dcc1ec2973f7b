//! The shards that go on where a closed one ends, as its readers are told.
//!
//! What must hold: a closed shard that is listed has a child that is listed ([`StreamRecord::forget_shards`] keeps
//! children for as long as their parents), and each child names all its parents.

use rheos_core::catalog::{ShardRecord, StreamRecord};
use rheos_protocol::hash::HashRange;

use super::numbers::ShardNumbers;
use crate::shapes::structures::{CHILD_SHARD, HASH_KEY_RANGE};
use crate::shard_id::ShardId;
use crate::value::{Structure, Value};

/// `ChildShards` of a shard.
pub(super) fn child_shards(stream: &StreamRecord, shard: u32) -> Value {
    stream.shards.iter().filter(|child| child.parents().any(|parent| parent == shard)).map(child_shard).collect()
}

fn child_shard(child: &ShardRecord) -> Structure {
    let id = |number| ShardId::new(number).expect("a stream has made fewer shards than that").to_string();
    Structure::of(&CHILD_SHARD)
        .with("ShardId", ShardNumbers::of(child).shard().to_string())
        .with("ParentShards", child.parents().map(id).collect::<Value>())
        .with("HashKeyRange", hash_key_range(child.range))
}

/// `HashKeyRange`.
pub(crate) fn hash_key_range(range: HashRange) -> Structure {
    Structure::of(&HASH_KEY_RANGE)
        .with("StartingHashKey", range.first.to_string())
        .with("EndingHashKey", range.last.to_string())
}
