use rheos_protocol::hash::HashRange;
use rheos_protocol::message::StreamSettings;

use super::*;

/// 0 was split into 1 and 2, which were merged into 3; 4 stands alone.
fn stream() -> StreamDescription {
    let shard = |shard, open, parent, adjacent_parent| ShardDescription {
        shard,
        range: HashRange::FULL,
        open,
        parent,
        adjacent_parent,
        log: 0,
        lane: 0,
    };
    let shards = vec![
        shard(0, false, None, None),
        shard(1, false, Some(0), None),
        shard(2, false, Some(0), None),
        shard(3, true, Some(1), Some(2)),
        shard(4, true, None, None),
    ];
    let name = "s".to_owned();
    StreamDescription {
        name,
        incarnation: 7,
        created_ms: 0,
        retention_ms: 0,
        record_bytes_max: 1 << 20,
        shards,
        settings: StreamSettings::default(),
    }
}

/// Shard, where it begins (`None` when it has ended), and its parents.
fn begun(chosen: Option<&[u32]>, from: Position, resumed: &str) -> Vec<(u32, Option<Position>, Vec<u32>)> {
    let feeds = beginning(&stream(), chosen, from, &resumed.parse().unwrap()).unwrap();
    let begun = |mut feed: Feed| {
        if feed.is_ended() {
            return (feed.shard, None, feed.parents);
        }
        feed.release();
        let Some(super::super::feed::Want::Subscribe(position, _)) = feed.want(1) else { panic!("{feed:?}") };
        (feed.shard, Some(position), feed.parents)
    };
    feeds.into_iter().map(begun).collect()
}

#[test]
fn all_shards_begin_where_the_program_says() {
    let from = Position::TrimHorizon;
    assert_eq!(
        begun(None, from, ""),
        [
            (0, Some(from), vec![]),
            (1, Some(from), vec![0]),
            (2, Some(from), vec![0]),
            (3, Some(from), vec![1, 2]),
            (4, Some(from), vec![]),
        ]
    );
}

#[test]
fn at_the_tip_only_open_shards_have_anything() {
    let from = Position::Latest;
    let begun: Vec<_> = begun(None, from, "").into_iter().map(|(shard, position, _)| (shard, position)).collect();
    assert_eq!(begun, [(0, None), (1, None), (2, None), (3, Some(from)), (4, Some(from))]);
}

#[test]
fn chosen_shards_come_with_their_descendants() {
    let shards = |chosen: &[u32]| -> Vec<u32> {
        begun(Some(chosen), Position::TrimHorizon, "").into_iter().map(|(shard, ..)| shard).collect()
    };
    assert_eq!(shards(&[0]), [0, 1, 2, 3]);
    assert_eq!(shards(&[2, 4]), [2, 3, 4]);
    assert_eq!(shards(&[3]), [3]);
    let error = beginning(&stream(), Some(&[5]), Position::Latest, &Positions::default()).unwrap_err();
    assert!(matches!(error, Error::NoSuchShard { shard: 5, last: 4, .. }));
}

#[test]
fn who_resumes_neither_skips_nor_repeats() {
    let begun = begun(None, Position::Latest, "shard 0 ended\nshard 1 next 50");
    let positions: Vec<_> = begun.into_iter().map(|(shard, position, _)| (shard, position)).collect();
    assert_eq!(
        positions,
        [
            (0, None),
            (1, Some(Position::AtSequence(50))),
            // They follow shards that were begun, so they are read whole.
            (2, Some(Position::TrimHorizon)),
            (3, Some(Position::TrimHorizon)),
            (4, Some(Position::Latest)),
        ]
    );
}

#[test]
fn who_comes_after_a_shard_that_was_forgotten_is_found() {
    let numbers = |stream: &StreamDescription, shard| {
        let found = successors(stream, shard).map(|found| found.iter().map(|it| it.shard).collect::<Vec<_>>());
        found.map_err(|error| error.to_string())
    };
    // 0 -> 1, 2 -> 3 -> 4, 5; what is left of it.
    let shard = |shard, open, parent, adjacent_parent| ShardDescription {
        shard,
        range: HashRange::FULL,
        open,
        parent,
        adjacent_parent,
        log: 0,
        lane: 0,
    };
    let all = [
        shard(2, false, Some(0), None),
        shard(3, false, Some(1), Some(2)),
        shard(4, true, Some(3), None),
        shard(5, true, Some(3), None),
    ];
    let left = |from: usize| StreamDescription {
        name: "s".to_owned(),
        incarnation: 7,
        created_ms: 0,
        retention_ms: 0,
        record_bytes_max: 1,
        settings: StreamSettings::default(),
        shards: all[from..].to_vec(),
    };
    assert_eq!(numbers(&left(0), 2), Ok(vec![2]));
    assert_eq!(numbers(&left(0), 1), Ok(vec![3]));
    assert_eq!(numbers(&left(2), 1), Ok(vec![4, 5]), "its child is forgotten too");
    assert!(numbers(&left(2), 3).is_ok_and(|found| found == [4, 5]));
    assert!(numbers(&left(0), 77).is_err(), "there never was one");
}

#[test]
fn a_child_of_two_comes_with_the_parent_that_is_not_known_yet() {
    let shard = |shard, parent, adjacent_parent| ShardDescription {
        shard,
        range: HashRange::FULL,
        open: shard == 4,
        parent,
        adjacent_parent,
        log: 0,
        lane: 0,
    };
    // 0 and 1 were known; 1 was split into 2 and 3, and then 0 and 2 were merged into 4.
    let shards = vec![
        shard(0, None, None),
        shard(1, None, None),
        shard(2, Some(1), None),
        shard(3, Some(1), None),
        shard(4, Some(0), Some(2)),
    ];
    let stream = StreamDescription {
        name: "s".to_owned(),
        incarnation: 7,
        created_ms: 0,
        retention_ms: 0,
        record_bytes_max: 1,
        settings: StreamSettings::default(),
        shards,
    };
    let of = |known: &[u32], children: &[u32]| {
        let [known, children] = [known, children].map(|shards| shards.iter().copied().collect());
        let found = descendants(&stream, known, children).expect("they are described");
        found.into_iter().map(|shard| shard.shard).collect::<Vec<_>>()
    };
    assert_eq!(of(&[0, 1], &[4]), [2, 3, 4], "4 waits for 2, which is read after 1");
    assert_eq!(of(&[0], &[4]), [4], "who was asked for 0 alone is not given 1");
    assert_eq!(of(&[0, 1, 2, 3, 4], &[]), [0u32; 0]);
}
