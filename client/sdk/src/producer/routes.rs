//! Which shard takes a record: the open shards of a stream, by their stretch of the hash space.

use rheos_protocol::hash::HashRange;
use rheos_protocol::message::StreamDescription;

use crate::error::Error;

/// The open shards, sorted by hash range. They tile the hash space.
#[derive(Debug)]
pub(super) struct Routes {
    ranges: Vec<HashRange>,
}

impl Routes {
    /// The routes of a stream, and the shard number and lane of each.
    ///
    /// # Errors
    ///
    /// When the open shards do not tile the hash space.
    pub(super) fn new(stream: &StreamDescription) -> Result<(Routes, Vec<(u32, u16)>), Error> {
        let mut open: Vec<_> = stream.shards.iter().filter(|shard| shard.open).collect();
        open.sort_by_key(|shard| shard.range.first);
        let tiled = open.first().is_some_and(|shard| shard.range.first == 0)
            && open.last().is_some_and(|shard| shard.range.last == u128::MAX)
            && open.windows(2).all(|pair| pair[0].range.last.checked_add(1) == Some(pair[1].range.first));
        if !tiled {
            return Err(Error::protocol(format!("the open shards of stream {} leave a gap or overlap", stream.name)));
        }
        let ranges = open.iter().map(|shard| shard.range).collect();
        Ok((Routes { ranges }, open.iter().map(|shard| (shard.shard, shard.lane)).collect()))
    }

    /// Place of the shard that takes `hash_key`.
    pub(super) fn place(&self, hash_key: u128) -> usize {
        self.ranges.partition_point(|range| range.last < hash_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rheos_protocol::message::ShardDescription;

    fn stream(shards: Vec<ShardDescription>) -> StreamDescription {
        let name = "s".to_owned();
        StreamDescription { name, incarnation: 1, created_ms: 0, retention_ms: 0, record_bytes_max: 1 << 20, shards }
    }

    fn shard(shard: u32, range: HashRange, open: bool) -> ShardDescription {
        ShardDescription { shard, range, open, parent: None, adjacent_parent: None, log: 0, lane: 0 }
    }

    #[test]
    fn every_hash_key_has_its_shard() {
        for count in [1u32, 2, 3, 1_000] {
            let mut shards: Vec<_> =
                HashRange::even(count).enumerate().map(|(i, range)| shard(i as u32, range, true)).collect();
            shards.push(shard(count, HashRange::FULL, false));
            shards.reverse();
            let stream = stream(shards);
            let (routes, shards) = Routes::new(&stream).unwrap();
            assert_eq!(shards.len(), count as usize);
            for hash in HashRange::even(count).flat_map(|range| [range.first, range.last]).chain([1, u128::MAX / 3]) {
                assert_eq!(Some(shards[routes.place(hash)].0), stream.shard_of(hash).map(|shard| shard.shard));
            }
        }
    }

    #[test]
    fn shards_that_do_not_tile_are_refused() {
        let half = HashRange { first: 0, last: u128::MAX / 2 };
        for shards in [vec![], vec![shard(0, half, true)], vec![shard(0, HashRange::FULL, true), shard(1, half, true)]]
        {
            assert!(Routes::new(&stream(shards)).is_err());
        }
    }
}
