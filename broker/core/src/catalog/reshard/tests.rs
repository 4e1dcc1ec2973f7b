//! Every shape of a reshard, every refusal, and at random that no hash key is ever without its shard.

use rheos_protocol::message::CreateStream;

use super::super::plan_stream;
use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn stream(shards: u32) -> StreamRecord {
    let create = CreateStream { name: "orders".to_owned(), shards, ..CreateStream::default() };
    plan_stream(&create, NOW_MS, 7, 3, None).expect("it is in range")
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Does a reshard to its end, and proves what must hold of it.
fn done(before: &StreamRecord, reshard: Reshard) -> StreamRecord {
    let (begun, plan) = before.begin_reshard(reshard, None).expect("it can be");
    assert_eq!(StreamRecord::decode(&begun.encode()), Ok(begun.clone()), "an intent is kept");
    assert_eq!(begun.abandon_reshard().as_ref(), Some(before), "and given up without a trace");
    let ends: BTreeMap<u32, u64> = plan.parents.iter().map(|shard| (*shard, 10 + u64::from(*shard))).collect();
    let now_ms = before.shards.iter().map(|shard| shard.opened_ms).max().expect("it has some") + 5_000;
    let after = begun.finish_reshard(&ends, now_ms).expect("it has begun").expect("it was not done");
    assert_eq!(after.finish_reshard(&ends, now_ms + 4_000), Ok(None), "done once more it changes nothing");
    assert_eq!(StreamRecord::decode(&after.encode()), Ok(after.clone()), "it can be");
    assert_eq!(after.shards.len(), before.shards.len() + plan.made.len());
    for shard in &after.shards {
        let same = before.shard(shard.shard).is_some_and(|it| it == shard);
        let closed = ends
            .get(&shard.shard)
            .map(|end_sequence| ShardState::Closed { end_sequence: *end_sequence, closed_ms: now_ms });
        let made = plan.made.iter().any(|made| made.shard == shard.shard);
        assert!(same || made || closed == Some(shard.state), "shard {} was changed: {shard:?}", shard.shard);
        assert_eq!(shard.log, shard.shard % after.log_count);
        // A child covers nothing but what its parents do.
        let mut covered: Vec<HashRange> =
            shard.parents().filter_map(|parent| Some(after.shard(parent)?.range)).collect();
        covered.sort();
        let is_whole = covered.len() == shard.parents().count();
        if let (Some(lowest), Some(highest), true) = (covered.first(), covered.last(), is_whole) {
            assert!(lowest.first <= shard.range.first && shard.range.last <= highest.last, "{shard:?}");
        }
        // Who is closed has children, and they cover it.
        if !shard.is_open() {
            let children = after.shards.iter().filter(|child| child.parents().any(|parent| parent == shard.shard));
            let ranges: Vec<_> = children.map(|child| child.range).collect();
            assert!((1..=2).contains(&ranges.len()), "shard {} has children {ranges:?}", shard.shard);
            assert!(ranges.iter().any(|range| range.contains(shard.range.first)), "{ranges:?}");
            assert!(ranges.iter().any(|range| range.contains(shard.range.last)), "{ranges:?}");
        }
    }
    after
}

fn refused(stream: &StreamRecord, reshard: Reshard) -> WireError {
    let error = stream.begin_reshard(reshard, None).expect_err("it cannot be");
    assert!(error.message.contains("stream orders") || error.message.contains("a stream has"), "{}", error.message);
    error
}

#[test]
fn scales_have_the_shards_that_kinesis_has() {
    for (from, target, total) in
        [(2, 4, 6), (4, 5, 15), (10, 13, 37), (4, 2, 6), (5, 3, 7), (10, 3, 17), (1, 2, 3), (2, 1, 3), (1, 4, 7)]
    {
        let after = done(&stream(from), Reshard::Scale { target });
        assert_eq!((after.open.len(), after.shards.len()), (target as usize, total), "{from} to {target}");
    }
    let even = done(&stream(4), Reshard::Scale { target: 8 });
    assert!(even.open_shards().map(|shard| shard.range).eq(HashRange::even(8)), "halves of quarters are eighths");
    let left = done(&stream(5), Reshard::Scale { target: 3 });
    let numbers: Vec<u32> = left.open_shards().map(|shard| shard.shard).collect();
    assert_eq!(numbers, [5, 6, 4], "pairs are merged from the left, each shard once in a round");
}

#[test]
fn shards_that_are_only_passed_through_never_open() {
    let after = done(&stream(4), Reshard::Scale { target: 5 });
    let passed: Vec<_> = after.shards.iter().filter(|shard| shard.shard >= 4 && !shard.is_open()).collect();
    assert_eq!(passed.len(), 6);
    let closed = ShardState::Closed { end_sequence: 0, closed_ms: NOW_MS + 5_000 };
    assert!(passed.iter().all(|shard| shard.state == closed));
}

#[test]
fn a_split_divides_and_a_merge_joins() {
    let before = stream(2);
    let after = done(&before, Reshard::Split { shard: 1, at: 3 << 126 });
    let children: Vec<_> = after.shards[2..].iter().map(|shard| (shard.range, shard.parent)).collect();
    let halves = [HashRange { first: 1 << 127, last: (3 << 126) - 1 }, HashRange { first: 3 << 126, last: u128::MAX }];
    assert_eq!(children, halves.map(|range| (range, Some(1))));
    // In whichever order they are named, which says whose place the child takes first.
    for (shard, adjacent) in [(2, 3), (3, 2)] {
        let merged = done(&after, Reshard::Merge { shard, adjacent });
        let child = merged.shards[4];
        assert_eq!((child.range, child.parent), (before.shards[1].range, Some(shard)));
        assert_eq!(child.adjacent_parent, Some(adjacent));
    }
}

#[test]
fn what_cannot_be_is_refused_and_named() {
    use ErrorCode::{BadRequest, LimitExceeded, ShardClosed, ShardNotFound};
    let after = done(&stream(3), Reshard::Split { shard: 1, at: 1 << 127 });
    let edges = [after.shards[0].range, after.shards[2].range];
    let cases = [
        (Reshard::Split { shard: 9, at: 5 }, ShardNotFound, "shard 9"),
        (Reshard::Split { shard: 1, at: 1 << 127 }, ShardClosed, "shard 1"),
        (Reshard::Split { shard: 0, at: 0 }, BadRequest, "hash key 0"),
        (Reshard::Split { shard: 0, at: edges[0].last }, BadRequest, "strictly inside"),
        (Reshard::Split { shard: 0, at: edges[0].last + 1 }, BadRequest, "strictly inside"),
        (Reshard::Split { shard: 0, at: u128::MAX }, BadRequest, "strictly inside"),
        (Reshard::Split { shard: 2, at: edges[1].first }, BadRequest, "strictly inside"),
        (Reshard::Split { shard: 2, at: u128::MAX }, BadRequest, "340282366920938463463374607431768211455"),
        (Reshard::Split { shard: 2, at: 0 }, BadRequest, "strictly inside"),
        (Reshard::Merge { shard: 0, adjacent: 2 }, BadRequest, "side by side"),
        (Reshard::Merge { shard: 2, adjacent: 0 }, BadRequest, "side by side"),
        (Reshard::Merge { shard: 0, adjacent: 0 }, BadRequest, "side by side"),
        (Reshard::Merge { shard: 0, adjacent: 1 }, ShardClosed, "shard 1"),
        (Reshard::Merge { shard: 1, adjacent: 0 }, ShardClosed, "shard 1"),
        (Reshard::Merge { shard: 0, adjacent: 77 }, ShardNotFound, "shard 77"),
        (Reshard::Scale { target: 0 }, BadRequest, "not 0"),
        (Reshard::Scale { target: 10_001 }, BadRequest, "not 10001"),
        (Reshard::Scale { target: 4 }, BadRequest, "4 open shards already"),
    ];
    for (reshard, code, words) in cases {
        let error = refused(&after, reshard);
        assert_eq!(error.code, code, "{reshard:?}");
        assert!(error.message.contains(words), "{reshard:?}: {}", error.message);
    }
    let full = stream(SHARDS_MAX);
    assert_eq!(refused(&full, Reshard::Split { shard: 0, at: 1 << 100 }).code, LimitExceeded);
    // The hash keys just inside the edges are good.
    done(&after, Reshard::Split { shard: 0, at: 1 });
    done(&after, Reshard::Split { shard: 2, at: u128::MAX - 1 });
}

#[test]
fn a_shard_of_one_hash_key_is_never_split() {
    let narrow = done(&stream(1), Reshard::Split { shard: 0, at: 1 });
    assert_eq!(refused(&narrow, Reshard::Split { shard: 1, at: 0 }).code, ErrorCode::BadRequest);
    assert_eq!(refused(&narrow, Reshard::Scale { target: 4 }).code, ErrorCode::BadRequest);
    done(&narrow, Reshard::Merge { shard: 1, adjacent: 2 });
}

#[test]
fn one_reshard_at_a_time() {
    let (begun, _) = stream(4).begin_reshard(Reshard::Scale { target: 8 }, None).expect("it can be");
    for reshard in
        [Reshard::Scale { target: 2 }, Reshard::Split { shard: 0, at: 9 }, Reshard::Merge { shard: 0, adjacent: 1 }]
    {
        let error = refused(&begun, reshard);
        assert_eq!(error.code, ErrorCode::Resharding);
        assert_eq!(error.retry, rheos_protocol::error::Retry::After(RESHARD_RETRY_MS));
    }
    // Ends of other shards than those that are closed are a fault of the broker.
    for ends in [BTreeMap::new(), BTreeMap::from([(0, 1), (1, 1), (2, 1)])] {
        assert_eq!(begun.finish_reshard(&ends, NOW_MS).map_err(|error| error.code), Err(ErrorCode::Internal));
    }
    let ends = BTreeMap::from([(0, 1)]);
    assert_eq!(stream(4).finish_reshard(&ends, NOW_MS).map_err(|error| error.code), Err(ErrorCode::Internal));
    assert_eq!(stream(4).abandon_reshard(), None);
    assert_eq!(begun.forget_shards(&BTreeSet::from([0, 1])), None);
}

#[test]
fn a_child_is_opened_in_a_later_second_than_its_parents_whatever_the_clock_says() {
    let first = done(&stream(1), Reshard::Split { shard: 0, at: 1 << 127 });
    let (begun, _) = first.begin_reshard(Reshard::Merge { shard: 1, adjacent: 2 }, None).expect("it can be");
    let ends = BTreeMap::from([(1, 0), (2, 0)]);
    let opened_ms = NOW_MS + 5_000;
    let next_second_ms = (opened_ms / 1_000 + 1) * 1_000;
    for (now_ms, at_ms) in [
        (5, next_second_ms),
        (opened_ms, next_second_ms),
        (next_second_ms - 1, next_second_ms),
        (next_second_ms, next_second_ms),
        (next_second_ms + 7, next_second_ms + 7),
    ] {
        let after = begun.finish_reshard(&ends, now_ms).expect("it has begun").expect("it was not done");
        assert_eq!(after.shards[3].opened_ms, at_ms, "at {now_ms}");
        assert_eq!(after.shards[1].state, ShardState::Closed { end_sequence: 0, closed_ms: at_ms });
    }
}

#[test]
fn closed_shards_go_after_their_ancestors() {
    // 0 -> 1, 2; 1 and 2 -> 3.
    let split = done(&stream(1), Reshard::Split { shard: 0, at: 1 << 127 });
    let merged = done(&split, Reshard::Merge { shard: 1, adjacent: 2 });
    let left = |expired: &[u32]| {
        let after = merged.forget_shards(&expired.iter().copied().collect());
        after.map(|after| after.shards.iter().map(|shard| shard.shard).collect::<Vec<_>>())
    };
    assert_eq!(left(&[]), None);
    assert_eq!(left(&[1, 2]), None, "the way to them begins at 0");
    assert_eq!(left(&[3]), None, "an open shard stays");
    assert_eq!(left(&[0]), Some(vec![1, 2, 3]));
    assert_eq!(left(&[0, 2]), Some(vec![1, 3]));
    assert_eq!(left(&[0, 1, 2, 3, 99]), Some(vec![3]));
    let after = merged.forget_shards(&BTreeSet::from([0, 1, 2])).expect("they may go");
    let again = done(&after, Reshard::Split { shard: 3, at: 1 << 127 });
    assert_eq!(again.shards.last().map(|shard| shard.shard), Some(5), "numbers are not used again");
}

#[test]
fn at_random_every_hash_key_has_one_shard_at_every_step() {
    for seed in 1..=40 {
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let mut record = stream(1 + numbers.below(12) as u32);
        for _ in 0..30 {
            let open: Vec<ShardRecord> = record.open_shards().copied().collect();
            let at = numbers.below(open.len() as u64) as usize;
            let reshard = match numbers.below(4) {
                0 => Reshard::Scale { target: 1 + numbers.below(20) as u32 },
                1 if at + 1 < open.len() => Reshard::Merge { shard: open[at].shard, adjacent: open[at + 1].shard },
                _ => {
                    let HashRange { first, last } = open[at].range;
                    Reshard::Split {
                        shard: open[at].shard,
                        at: first + (last - first) / (2 + u128::from(numbers.below(9))),
                    }
                }
            };
            if record.begin_reshard(reshard, None).is_err() {
                continue;
            }
            // That the open shards tile the hash space is proved whenever a record is made or read.
            record = done(&record, reshard);
            let expired = record.shards.iter().filter(|_| numbers.below(3) == 0).map(|shard| shard.shard).collect();
            record = record.forget_shards(&expired).unwrap_or(record);
        }
    }
}
