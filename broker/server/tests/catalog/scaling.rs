//! Steps of on-demand streams in the catalog: written down with their reshards, bounded, kept over a restart.

use std::collections::BTreeMap;

use rheos_broker::catalog::Catalog;
use rheos_core::catalog::Reshard;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::SCALING_STEPS_MAX;
use rheos_protocol::message::{
    CreateStream, ScalingOutcome, ScalingReason, ScalingStep, ShardBounds, StreamMode, UpdateStream,
};

use super::{NOW_MS, create, name, new_directory, open, run};

fn on_demand(stream: &str) -> CreateStream {
    CreateStream { mode: StreamMode::OnDemand(ShardBounds { min: 1, max: 8 }), ..create(stream, 1) }
}

fn step(to: u32, begun_ms: u64) -> ScalingStep {
    let reason = ScalingReason::Busy { load_milli: 900 };
    ScalingStep { begun_ms, outcome: ScalingOutcome::UnderWay, from: 1, to, reason }
}

fn note(shard: u32, begun_ms: u64) -> ScalingStep {
    let reason = ScalingReason::HotKey { shard, key: 5, load_milli: 2_000, share_percent: 90 };
    ScalingStep { begun_ms, outcome: ScalingOutcome::NoStep, from: 1, to: 1, reason }
}

fn steps(catalog: &Catalog) -> Vec<ScalingStep> {
    run(catalog.list_steps(&name("orders"))).expect("it is there")
}

#[test]
fn a_step_is_written_down_with_its_reshard_and_ends_with_it() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(on_demand("orders"), NOW_MS, 2)).expect("there is room");
    let scale = Reshard::Scale { target: 2 };
    let begin = |catalog: &Catalog, reshard, step| run(catalog.begin_reshard(&name("orders"), reshard, step));
    assert_eq!(begin(&catalog, scale, None).expect_err("nobody asks for it").code, ErrorCode::BadRequest);
    let far = Reshard::Scale { target: 9 };
    assert_eq!(begin(&catalog, far, Some(step(9, 1))).expect_err("out of bounds").code, ErrorCode::BadRequest);
    assert_eq!(steps(&catalog), [], "a step that did not begin is none");

    begin(&catalog, scale, Some(step(2, 10))).expect("it is wanted");
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert_eq!(steps(&catalog), [step(2, 10)], "it is under way over a restart");
    run(catalog.abandon_reshard(&at_start.streams[0], 20)).expect("it has begun");
    let undone = ScalingStep { outcome: ScalingOutcome::Undone { ended_ms: 20 }, ..step(2, 10) };
    assert_eq!(steps(&catalog), [undone]);

    let begun = begin(&catalog, scale, Some(step(2, 30))).expect("it is wanted");
    let ends = BTreeMap::from([(0, 7)]);
    for _ in 0..2 {
        run(catalog.finish_reshard(&begun, ends.clone(), 40)).expect("it has begun");
    }
    let done = ScalingStep { outcome: ScalingOutcome::Done { ended_ms: 40 }, ..step(2, 30) };
    assert_eq!(steps(&catalog), [done, undone], "the newest comes first");

    // What somebody asks for later is no step, and ends none.
    let update = UpdateStream { mode: Some(StreamMode::Provisioned), ..UpdateStream::of("orders") };
    run(catalog.update_stream(&name("orders"), update, 0)).expect("it is there");
    assert_eq!(
        begin(&catalog, Reshard::Scale { target: 4 }, Some(step(4, 50))).expect_err("not by itself").code,
        ErrorCode::BadRequest
    );
    let begun = begin(&catalog, Reshard::Scale { target: 4 }, None).expect("it is provisioned");
    run(catalog.abandon_reshard(&begun, 60)).expect("it has begun");
    assert_eq!(steps(&catalog), [done, undone]);
}

#[test]
fn what_stands_against_a_step_is_kept_once_and_goes_with_its_stream() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let stream = run(catalog.create_stream(on_demand("orders"), NOW_MS, 2)).expect("there is room");
    for at in 1..4 {
        run(catalog.note_step(&stream, note(3, at))).expect("it is there");
    }
    run(catalog.note_step(&stream, note(4, 5))).expect("it is there");
    assert_eq!(steps(&catalog), [note(4, 5), note(3, 1)]);
    for at in 0..2 * u64::from(SCALING_STEPS_MAX) {
        run(catalog.note_step(&stream, note(at as u32 % 2, 10 + at))).expect("it is there");
    }
    let kept = steps(&catalog);
    assert_eq!(kept.len(), SCALING_STEPS_MAX as usize);
    assert!(kept.is_sorted_by(|newer, older| newer.begun_ms > older.begun_ms), "the newest are kept");

    run(catalog.delete_stream(&name("orders"))).expect("it is there");
    assert_eq!(run(catalog.note_step(&stream, note(3, 9))).expect_err("it is gone").code, ErrorCode::StreamNotFound);
    let error = run(catalog.list_steps(&name("orders"))).expect_err("it is gone");
    assert_eq!(error.code, ErrorCode::StreamNotFound);
    run(catalog.create_stream(on_demand("orders"), NOW_MS, 2)).expect("there is room");
    assert_eq!(steps(&catalog), []);
    run(catalog.note_step(&stream, note(3, 9))).expect_err("that was another life");
    catalog.close();
    open(&directory);
}
