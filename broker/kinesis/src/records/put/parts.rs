//! Which records go into one batch, and what is tried when a batch is over its shard's limit.
//!
//! A shard admits a batch whole or not at all, AWS admits records. So of a batch that is refused as over the limit the
//! first half is tried; when that is stored, half of what is left, and so on, at most [`HALVINGS_MAX`] times: what is found
//! is the longest beginning of the batch that the shard takes, to within 1/64 of it. What comes after the first record that
//! does not fit is refused with it, also where AWS would let a smaller one pass: so what is stored of a shard
//! keeps its order. A batch that is larger than a second's worth passes where the whole second is unused, and the shard
//! owes the rest ([`rheos_core::bucket`]); AWS has a like allowance for large records. Over time as much
//! passes as is allowed.
//!
//! What must hold: no record is lost and none is in two parts.

use rheos_core::catalog::{ShardRecord, StreamRecord};
use rheos_protocol::limits::{BATCH_BODY_BYTES_MAX, BATCH_RECORDS_MAX};

use super::entries::Entry;
use crate::limits::{HALVINGS_MAX, PUT_RECORDS_BYTES_MAX, PUT_RECORDS_MAX};
use crate::records::NO_KEY;

/// Records of one batch, by their places in the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The records, in the order of the call.
    pub(super) indexes: Vec<u32>,
    /// Those that follow, of which it is known that they do not all fit behind these.
    rest: Vec<u32>,
    /// The shard, once one has refused more than this.
    shard: Option<u32>,
    halvings: u32,
}

impl Part {
    /// Records that are yet to be routed.
    pub(super) fn of_any_shard(indexes: Vec<u32>) -> Part {
        Part { indexes, rest: Vec::new(), shard: None, halvings: 0 }
    }

    /// Whether it is yet to be routed.
    pub(super) fn is_of_any_shard(&self) -> bool {
        self.shard.is_none()
    }

    /// All of its records.
    pub(super) fn everything(self) -> impl Iterator<Item = u32> {
        self.indexes.into_iter().chain(self.rest)
    }

    /// The same as parts of which each is one batch of one open shard.
    pub(super) fn route<'s>(self, stream: &'s StreamRecord, entries: &[Entry<'_>]) -> Vec<(&'s ShardRecord, Part)> {
        if let Some(shard) = self.shard.and_then(|number| stream.shard(number)) {
            return vec![(shard, self)];
        }
        let shard_of = |index: u32| {
            let hash_key = entries[index as usize].hash_key;
            stream.open_shard_of(hash_key).expect("the open shards tile the hash space")
        };
        let mut placed: Vec<(&ShardRecord, u32)> = self.everything().map(|index| (shard_of(index), index)).collect();
        placed.sort_by_key(|(shard, index)| (shard.shard, *index));
        let of_one_shard = placed.chunk_by(|(one, _), (other, _)| one.shard == other.shard);
        let part = |placed: &[(&'s ShardRecord, u32)]| {
            let (shard, _) = placed[0];
            let indexes = placed.iter().map(|(_, index)| *index).collect();
            (shard, Part { shard: Some(shard.shard), ..Part::of_any_shard(indexes) })
        };
        of_one_shard.map(part).collect()
    }

    /// What is tried next after these were stored, and what is refused.
    pub(super) fn after_success(self) -> (Option<Part>, Vec<u32>) {
        let Part { rest, shard, halvings, .. } = self;
        if rest.len() < 2 { (None, rest) } else { halve(rest, shard, halvings) }
    }

    /// What is tried next after these were refused as over the limit, and what is refused for good.
    pub(super) fn after_refusal(self) -> (Option<Part>, Vec<u32>) {
        let Part { indexes, rest, shard, halvings } = self;
        let (next, mut refused) = if indexes.len() < 2 { (None, indexes) } else { halve(indexes, shard, halvings) };
        refused.extend(rest);
        (next, refused)
    }
}

fn halve(mut indexes: Vec<u32>, shard: Option<u32>, halvings: u32) -> (Option<Part>, Vec<u32>) {
    if halvings == HALVINGS_MAX {
        return (None, indexes);
    }
    let rest = indexes.split_off(indexes.len() / 2);
    (Some(Part { indexes, rest, shard, halvings: halvings + 1 }), Vec::new())
}

/// All records of a call fit into one batch of one shard: each has at most a head of 24 bytes and a key for none.
const _: () = assert!(
    PUT_RECORDS_BYTES_MAX + PUT_RECORDS_MAX * (24 + NO_KEY.len()) <= BATCH_BODY_BYTES_MAX as usize
        && PUT_RECORDS_MAX <= BATCH_RECORDS_MAX as usize
);
