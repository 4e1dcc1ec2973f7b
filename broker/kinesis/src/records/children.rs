//! The shards that go on where a closed one ends, as its readers are told.
//!
//! What must hold: a closed shard that is listed has a child that is listed ([`StreamRecord::forget_shards`] keeps
//! children for as long as their parents), and each child names all its parents.

use rheos_core::catalog::{ShardRecord, StreamRecord};

use crate::shapes::structures::CHILD_SHARD;
use crate::shard_view::{hash_key_range, shard_id};
use crate::value::{Structure, Value};

/// `ChildShards` of a shard.
pub(super) fn child_shards(stream: &StreamRecord, shard: u32) -> Value {
    stream.shards.iter().filter(|child| child.parents().any(|parent| parent == shard)).map(child_shard).collect()
}

fn child_shard(child: &ShardRecord) -> Structure {
    let id = |number| shard_id(number).to_string();
    Structure::of(&CHILD_SHARD)
        .with("ShardId", id(child.shard))
        .with("ParentShards", child.parents().map(id).collect::<Value>())
        .with("HashKeyRange", hash_key_range(child.range))
}
