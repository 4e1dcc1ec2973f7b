//! Segments follow the shards of a stream however it is split and merged.

use rheos_protocol::message::{ShardDescription, StreamSettings};

use super::*;

fn shard(shard: u32, range: HashRange, open: bool) -> ShardDescription {
    ShardDescription { shard, range, open, parent: None, adjacent_parent: None, log: 0, lane: 0 }
}

fn stream(shards: Vec<ShardDescription>) -> StreamDescription {
    let name = "s".to_owned();
    StreamDescription {
        name,
        incarnation: 1,
        created_ms: 0,
        retention_ms: 0,
        record_bytes_max: 1 << 20,
        shards,
        settings: StreamSettings::default(),
    }
}

/// The segments alone: queues have to do with connections.
fn segments(stream: &StreamDescription) -> Map {
    let segments = open_segments(stream).expect("they tile the hash space");
    Map { segments, shards: BTreeMap::new(), left: BTreeSet::new() }
}

fn edges() -> impl Iterator<Item = u128> {
    HashRange::even(64).flat_map(|range| [range.first, range.last]).chain([1, u128::MAX / 3])
}

#[test]
fn every_hash_key_has_its_shard() {
    for count in [1u32, 2, 3, 1_000] {
        let even = HashRange::even(count).enumerate();
        let mut shards: Vec<_> = even.map(|(i, range)| shard(i as u32, range, true)).collect();
        shards.push(shard(count, HashRange::FULL, false));
        shards.reverse();
        let stream = stream(shards);
        let map = segments(&stream);
        assert_eq!(map.in_order().len(), count as usize);
        for hash in HashRange::even(count).flat_map(|range| [range.first, range.last]).chain([1, u128::MAX / 3]) {
            assert_eq!(Some(map.shard_of(hash)), stream.shard_of(hash).map(|shard| shard.shard));
        }
    }
}

#[test]
fn shards_that_do_not_tile_are_refused() {
    let half = HashRange { first: 0, last: u128::MAX / 2 };
    for shards in [vec![], vec![shard(0, half, true)], vec![shard(0, HashRange::FULL, true), shard(1, half, true)]] {
        assert!(open_segments(&stream(shards)).is_err());
    }
}

#[test]
fn each_closed_shard_leaves_by_itself() {
    let quarters: Vec<HashRange> = HashRange::even(4).collect();
    let four: Vec<_> = (0..).zip(&quarters).map(|(number, range)| shard(number, *range, true)).collect();
    let mut map = segments(&stream(four));
    // 1 and 2 are merged; only 2 can be left yet, because 1 waits for its answers.
    let merged = HashRange { first: quarters[1].first, last: quarters[2].last };
    let open = stream(vec![shard(0, quarters[0], true), shard(4, merged, true), shard(3, quarters[3], true)]);
    map.replace(2, HashRange::FULL, &open_segments(&open).expect("they tile the hash space"));
    assert_eq!(map.in_order(), [0, 1, 4, 3]);
    // Meanwhile everything was merged and split elsewhere: 1 goes on in two shards that it never had to do with.
    let middle = quarters[1].first + 77;
    let halves = [HashRange { first: 0, last: middle - 1 }, HashRange { first: middle, last: u128::MAX }];
    let open = open_segments(&stream(vec![shard(6, halves[0], true), shard(7, halves[1], true)])).expect("they tile");
    map.replace(1, HashRange::FULL, &open);
    assert_eq!(map.in_order(), [0, 6, 7, 4, 3]);
    for gone in [0, 3, 4] {
        map.replace(gone, HashRange::FULL, &open);
    }
    assert_eq!(map.in_order(), [6, 7]);
    for hash in edges().chain([middle - 1, middle]) {
        assert_eq!(map.shard_of(hash), if hash < middle { 6 } else { 7 });
    }
    assert!(map.segments.windows(2).all(|pair| pair[0].range.last + 1 == pair[1].range.first), "they tile");
}
