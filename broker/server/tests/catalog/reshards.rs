//! Reshards in the catalog: an intent outlives a restart, is finished or abandoned once, and only of its own life.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rheos_broker::catalog::Catalog;
use rheos_core::catalog::{Reshard, SHARDS_OF_BROKER_MAX, StreamRecord};
use rheos_protocol::error::ErrorCode;

use super::{NOW_MS, create, name, new_directory, open, run};

const SPLIT: Reshard = Reshard::Split { shard: 0, at: 1 << 126 };

fn shards(stream: &StreamRecord) -> Vec<(u32, bool)> {
    stream.shards.iter().map(|shard| (shard.shard, shard.is_open())).collect()
}

fn begin(catalog: &Catalog, reshard: Reshard) -> Result<Arc<StreamRecord>, ErrorCode> {
    run(catalog.begin_reshard(&name("orders"), reshard, None)).map_err(|error| error.code)
}

#[test]
fn an_intent_is_kept_and_finished_once() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    assert_eq!(begin(&catalog, SPLIT), Err(ErrorCode::StreamNotFound));
    run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    let begun = begin(&catalog, SPLIT).expect("it can be");
    assert_eq!(shards(&begun), [(0, true), (1, true)], "nothing has changed yet");
    assert_eq!(begin(&catalog, Reshard::Scale { target: 4 }), Err(ErrorCode::Resharding));
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams[..], [Arc::clone(&begun)]);
    assert_eq!(begun.resharding, Some(SPLIT));
    let ends = BTreeMap::from([(0, 77)]);
    let done = run(catalog.finish_reshard(&begun, ends.clone(), NOW_MS + 1)).expect("it has begun");
    assert_eq!(shards(&done), [(0, false), (1, true), (2, true), (3, true)]);
    // Whoever did not hear of it asks again, and nothing changes; nor is it undone.
    assert_eq!(run(catalog.finish_reshard(&begun, ends.clone(), NOW_MS + 9)), Ok(done.clone()));
    assert_eq!(run(catalog.abandon_reshard(&begun, 9)), Ok(done.clone()));
    let other = run(catalog.finish_reshard(&begun, BTreeMap::from([(0, 78)]), NOW_MS)).expect_err("it ended elsewhere");
    assert_eq!(other.code, ErrorCode::Internal);
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams, [done]);
    catalog.close();
}

#[test]
fn an_abandoned_intent_is_as_if_it_had_never_been() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let made = run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    let begun = begin(&catalog, SPLIT).expect("it can be");
    assert_eq!(run(catalog.abandon_reshard(&begun, 9)), Ok(made.clone()));
    let late = run(catalog.finish_reshard(&begun, BTreeMap::from([(0, 5)]), NOW_MS)).expect_err("it was abandoned");
    assert_eq!(late.code, ErrorCode::Internal);
    begin(&catalog, Reshard::Merge { shard: 0, adjacent: 1 }).expect("another can begin");
    catalog.close();
}

#[test]
fn a_stream_that_is_deleted_takes_its_reshard_with_it() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    let begun = begin(&catalog, SPLIT).expect("it can be");
    run(catalog.delete_stream(&name("orders"))).expect("it is there");
    let ends = || BTreeMap::from([(0, 5)]);
    let gone = run(catalog.finish_reshard(&begun, ends(), NOW_MS)).expect_err("it is gone");
    assert_eq!(gone.code, ErrorCode::StreamNotFound);
    // At once another life of the name, of which the reshard knows nothing.
    let made = run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    for refusal in [
        run(catalog.finish_reshard(&begun, ends(), NOW_MS)),
        run(catalog.abandon_reshard(&begun, 9)),
        run(catalog.forget_shards(&begun, BTreeSet::from([0]))),
    ] {
        assert_eq!(refusal.expect_err("it is another life").code, ErrorCode::StreamNotFound);
    }
    let begun = begin(&catalog, SPLIT).expect("it can be");
    assert_eq!(begun.incarnation, made.incarnation);
    catalog.close();
}

#[test]
fn expired_shards_are_forgotten_and_make_room() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    let begun = begin(&catalog, SPLIT).expect("it can be");
    let done = run(catalog.finish_reshard(&begun, BTreeMap::from([(0, 5)]), NOW_MS)).expect("it has begun");
    let left = run(catalog.forget_shards(&done, BTreeSet::from([0, 1]))).expect("one may go");
    assert_eq!(shards(&left), [(1, true), (2, true), (3, true)]);
    assert_eq!(run(catalog.forget_shards(&done, BTreeSet::from([0, 1]))), Ok(left.clone()));
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams, [left]);

    // Up to the last shard that a broker carries, and no further.
    let full = SHARDS_OF_BROKER_MAX - 5;
    for at in 0..full / 10_000 {
        run(catalog.create_stream(create(&format!("wide-{at}"), 10_000), NOW_MS, 2)).expect("there is room");
    }
    run(catalog.create_stream(create("rest", (full % 10_000) as u32), NOW_MS, 2)).expect("there is room");
    assert_eq!(begin(&catalog, Reshard::Scale { target: 6 }), Err(ErrorCode::LimitExceeded));
    begin(&catalog, Reshard::Split { shard: 1, at: 3 << 126 }).expect("two more fit");
    catalog.close();
}
