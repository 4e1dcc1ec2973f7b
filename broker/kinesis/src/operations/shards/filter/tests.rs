use std::collections::BTreeSet;

use rheos_core::catalog::Reshard;

use super::*;
use crate::operations::testing::{CREATED_MS, record, resharded, text_of};
use crate::shapes::structures::SHARD_FILTER;

const NOW_MS: u64 = CREATED_MS + 100_000;

fn at(ms: u64) -> u64 {
    CREATED_MS + ms
}

/// 0 and 1, of which 0 is split into 2 and 3 at 1,000, and 3 and 1 merged into 4 at 2,000, and all scaled to 1 at 3,000
/// (2 and 4 become 5).
fn history() -> StreamRecord {
    let split = resharded(&record(2), Reshard::Split { shard: 0, at: 9 }, at(1_000));
    let merged = resharded(&split, Reshard::Merge { shard: 3, adjacent: 1 }, at(2_000));
    resharded(&merged, Reshard::Scale { target: 1 }, at(3_000))
}

fn shown(stream: &StreamRecord, filter: ShardFilter, horizon_ms: u64) -> Vec<u32> {
    let settled = filter.settle(stream, horizon_ms, NOW_MS);
    stream.shards.iter().filter(|shard| shows(settled, shard, horizon_ms)).map(|shard| shard.shard).collect()
}

#[test]
fn each_filter_shows_what_was_open() {
    use ShardFilter::{AtLatest, AtTimestamp, AtTrimHorizon, FromTimestamp, FromTrimHorizon};
    let stream = history();
    for (filter, horizon_ms, shards) in [
        (FromTrimHorizon, 0, &[0, 1, 2, 3, 4, 5][..]),
        (FromTrimHorizon, at(2_500), &[0, 1, 2, 3, 4, 5]),
        (AtTrimHorizon, 0, &[0, 1]),
        (AtTrimHorizon, at(0), &[0, 1]),
        (AtTrimHorizon, at(999), &[0, 1]),
        (AtTrimHorizon, at(1_000), &[1, 2, 3]),
        (AtTrimHorizon, at(2_500), &[2, 4]),
        (AtTrimHorizon, NOW_MS, &[5]),
        (AtLatest, 0, &[5]),
        (AtTimestamp(0), 0, &[0, 1]),
        (AtTimestamp(at(1_500)), 0, &[1, 2, 3]),
        (AtTimestamp(at(1_500)), at(2_500), &[2, 4]),
        (AtTimestamp(at(2_000)), 0, &[2, 4]),
        (AtTimestamp(u64::MAX), 0, &[5]),
        (FromTimestamp(0), 0, &[0, 1, 2, 3, 4, 5]),
        (FromTimestamp(at(1_000)), 0, &[0, 1, 2, 3, 4, 5]),
        (FromTimestamp(at(1_001)), 0, &[1, 2, 3, 4, 5]),
        (FromTimestamp(at(2_001)), 0, &[2, 4, 5]),
        (FromTimestamp(at(2_001)), at(2_001), &[0, 1, 2, 3, 4, 5]),
        (FromTimestamp(u64::MAX), 0, &[5]),
    ] {
        assert_eq!(shown(&stream, filter, horizon_ms), shards, "{filter:?} with the horizon {horizon_ms}");
    }
}

/// Also when shards are gone that were open then, at any time there is.
#[test]
fn shards_of_one_time_always_tile() {
    let whole = history();
    let gone = |shards: &[u32]| whole.forget_shards(&BTreeSet::from_iter(shards.iter().copied()));
    let streams = [Some(whole.clone()), gone(&[0]), gone(&[1]), gone(&[0, 1]), gone(&[0, 2]), gone(&[0, 1, 2, 3, 4])];
    for stream in streams.into_iter().flatten() {
        for ms in [0, at(0), at(500), at(1_000), at(1_999), at(2_000), at(3_000), NOW_MS, u64::MAX] {
            for filter in [ShardFilter::AtTrimHorizon, ShardFilter::AtTimestamp(ms), ShardFilter::AtLatest] {
                let shards = shown(&stream, filter, ms);
                let mut ranges: Vec<_> = shards.iter().map(|shard| stream.shard(*shard).unwrap().range).collect();
                ranges.sort();
                let keys: u128 = ranges.iter().map(|range| range.last - range.first).sum();
                assert_eq!(keys, u128::MAX - (ranges.len() as u128 - 1), "{filter:?} at {ms}: {shards:?}");
            }
        }
    }
    // Of the oldest two, 1 is still there, but who began with it would miss the keys of 0.
    assert_eq!(shown(&gone(&[0]).unwrap(), ShardFilter::AtTrimHorizon, 0), [1, 2, 3]);
}

#[test]
fn a_scale_never_shows_what_it_made_in_passing() {
    let stream = resharded(&record(2), Reshard::Scale { target: 3 }, at(1_000));
    assert!(stream.shards.len() > 5, "it makes shards that it merges again");
    for filter in [ShardFilter::AtLatest, ShardFilter::AtTimestamp(at(1_000))] {
        assert_eq!(shown(&stream, filter, 0).len(), 3);
    }
}

#[test]
fn the_latest_are_those_that_are_open_whatever_the_clock_says() {
    let stream = resharded(&record(1), Reshard::Scale { target: 2 }, NOW_MS + 60_000);
    assert_eq!(shown(&stream, ShardFilter::AtLatest, 0), [1, 2]);
}

#[test]
fn a_filter_is_read_with_what_it_wants() {
    let read = |kind: &str, ms: Option<i64>| {
        let filter = Structure::of(&SHARD_FILTER).with("Type", kind).with_some("Timestamp", ms.map(TimestampMs));
        ShardFilter::read(&filter)
    };
    assert_eq!(read("AT_TRIM_HORIZON", None), Ok(ShardFilter::AtTrimHorizon));
    assert_eq!(read("AT_LATEST", None), Ok(ShardFilter::AtLatest));
    assert_eq!(read("AT_TIMESTAMP", Some(7)), Ok(ShardFilter::AtTimestamp(7)));
    assert_eq!(read("FROM_TIMESTAMP", Some(-7)), Ok(ShardFilter::FromTimestamp(0)));
    assert_eq!(read("FROM_TRIM_HORIZON", None), Ok(ShardFilter::FromTrimHorizon));
    for kind in ["AT_TIMESTAMP", "FROM_TIMESTAMP"] {
        let text = format!("Timestamp must be provided in a ShardFilter of type {kind}.");
        assert_eq!(text_of(read(kind, None)), text);
    }
}
