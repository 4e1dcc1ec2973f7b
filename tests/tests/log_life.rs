//! The life of a log: segments that come late or not at all, writes that fail, stops, and what time does.

use rheos_core::budget::LaneBudget;
use rheos_core::limits::{CLOSE_MS, COMMITS_AT_STOP_MAX, PREPARE_RETRY_MS, PRODUCERS_MAX};
use rheos_core::log::Event;
use rheos_core::reader::ReadPlace;
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::error::{ErrorCode, Retry};
use rheos_protocol::message::Position;
use rheos_tests::rig::{Rig, numbered};

const NOBODY: ProducerStamp = ProducerStamp { id: 0, epoch: 0, number: 0 };

#[test]
fn a_failed_write_is_written_again_and_no_sequence_is_given_twice() {
    for lands in [0u32, 0b1, 0b11] {
        let mut rig = Rig::new(1);
        rig.put(0, &["first"]);
        rig.completes = false;
        let token = rig.send(0, NOBODY, &["second", &"s".repeat(4_000)]);
        rig.fail_write(|at| lands & (1 << at) != 0);
        assert_eq!(rig.answer(token), None, "its outcome is open");
        let write = rig.writes.front().expect("it goes to the next segment");
        assert_eq!((write.segment, write.offset), (2, 4096));
        rig.complete();
        assert_eq!(rig.answer(token).expect("it is answered").expect("it is acked").first_sequence, 1);
        rig.kill();
        assert_eq!(rig.start(), Ok(None));
        rig.completes = true;
        assert_eq!(rig.put(0, &["third"]), 3);
        assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(4));
    }
}

#[test]
fn a_failed_write_and_a_crash_before_the_roll() {
    for (lands, tip) in [(0u32, 1), (0b01, 1), (0b11, 3)] {
        let mut rig = Rig::new(1);
        rig.put(0, &["first"]);
        (rig.completes, rig.makes) = (false, false);
        rig.send(0, NOBODY, &["second", &"s".repeat(4_000)]);
        rig.fail_write(|at| lands & (1 << at) != 0);
        rig.kill();
        rig.start().expect("nothing acked is damaged");
        assert_eq!(rig.tip(0), tip, "it appears once or never");
    }
}

#[test]
fn two_failed_writes_make_the_log_read_only_and_resends_are_answered() {
    let mut rig = Rig::new(1);
    rig.put(0, &["first"]);
    rig.completes = false;
    let token = rig.send(0, numbered(7, 0), &["second"]);
    let waits = rig.send(0, numbered(7, 0), &["second"]);
    let staged = rig.send(0, numbered(7, 1), &["third"]);
    rig.fail_write(|_| false);
    rig.fail_write(|_| false);
    assert!(rig.read_only.is_some());
    for (token, code) in
        [(token, ErrorCode::Indeterminate), (waits, ErrorCode::Indeterminate), (staged, ErrorCode::ReadOnly)]
    {
        assert_eq!(rig.answer(token).expect("it is answered").expect_err("it is not acked").code, code);
    }
    let again = rig.send(0, numbered(7, 0), &["second"]);
    let error = rig.answer(again).expect("a resend does not wait for ever").expect_err("nobody knows");
    assert_eq!(error.code, ErrorCode::Indeterminate);
    assert_eq!(rig.read_all(0), Ok(vec!["first".to_owned()]));

    rig.tell(Event::Stop);
    assert!(rig.stopped);
    rig.wait(5_000);
    rig.wait(CLOSE_MS);
    assert!(rig.writes.is_empty(), "a log that has stopped writes nothing");
    rig.restart().expect("nothing acked is damaged");
    rig.completes = true;
    let token = rig.send(0, numbered(7, 0), &["second"]);
    assert_eq!(rig.answer(token).expect("it is answered").expect("it is acked").first_sequence, 1);
}

#[test]
fn a_stop_ends_although_the_disk_fails() {
    // While a write has failed and no segment can be made.
    let mut rig = Rig::new(1);
    rig.put(0, &["first"]);
    (rig.completes, rig.makes) = (false, false);
    let token = rig.send(0, NOBODY, &["second"]);
    rig.fail_write(|_| false);
    rig.tell(Event::Stop);
    rig.fail_to_make();
    assert!(rig.stopped);
    assert_eq!(rig.answer(token).expect("it is answered").expect_err("it is open").code, ErrorCode::Indeterminate);

    // While the first write of the next segment fails.
    let mut rig = Rig::new(1);
    rig.put(0, &["first"]);
    rig.completes = false;
    rig.send(0, NOBODY, &["second"]);
    rig.fail_write(|_| false);
    rig.tell(Event::Stop);
    rig.fail_write(|_| true);
    assert!(rig.stopped, "nothing is left that could be finished");

    // While a write is in flight and the spare cannot be made.
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(64 << 10);
    rig.put(0, &["first"]);
    (rig.completes, rig.makes) = (false, false);
    let token = rig.send(0, NOBODY, &["second"]);
    rig.tell(Event::Stop);
    if !rig.asked.is_empty() {
        rig.fail_to_make();
    }
    rig.complete();
    assert!(rig.answer(token).expect("it is answered").is_ok());
    rig.complete();
    assert!(rig.stopped);
}

#[test]
fn a_stop_waits_for_no_segment_and_for_no_place() {
    // What is staged and would need a segment that is still to be made is refused, to come again.
    let mut rig = Rig::new(1);
    rig.makes = false;
    let token = rig.send(0, numbered(7, 0), &["first"]);
    assert_eq!((rig.asked.len(), rig.answer(token)), (1, None));
    rig.tell(Event::Stop);
    assert!(rig.stopped);
    let refusal = rig.answer(token).expect("it is answered").expect_err("it is not stored");
    assert!(refusal.code == ErrorCode::GoingAway && matches!(refusal.retry, Retry::After(_)), "{refusal:?}");
    rig.make();
    assert!(rig.writes.is_empty() && rig.lane.staged_bytes() == 0);
    rig.kill();
    rig.start().expect("a segment without a commit is no damage");
    rig.makes = true;
    let token = rig.send(0, numbered(7, 0), &["first"]);
    assert_eq!(rig.answer(token).expect("it is answered").expect("it is new").first_sequence, 0);

    // One that finds no place among the commits in flight has its turn when there is one, and not with time.
    rig.completes = false;
    let others: Vec<Rig> = (0..COMMITS_AT_STOP_MAX).map(|_| busy_with(&mut rig.lane)).collect();
    rig.lane.hurry_to_stop();
    rig.tell(Event::Stop);
    assert!(!rig.stopped && rig.writes.is_empty() && rig.log().wants_commit());
    give_back(others, &mut rig.lane);
    rig.tell(Event::Flush);
    rig.complete();
    assert!(rig.stopped);
    rig.kill();
    assert_eq!(rig.start(), Ok(None), "it has sealed");
}

/// A log with a commit in flight in this lane.
fn busy_with(lane: &mut LaneBudget) -> Rig {
    lane.hurry_to_stop();
    let mut rig = Rig::new(1);
    std::mem::swap(&mut rig.lane, lane);
    rig.completes = false;
    rig.send(0, NOBODY, &["busy"]);
    assert_eq!(rig.writes.len(), 1);
    std::mem::swap(&mut rig.lane, lane);
    rig
}

fn give_back(others: Vec<Rig>, lane: &mut LaneBudget) {
    for mut rig in others {
        std::mem::swap(&mut rig.lane, lane);
        rig.complete();
        std::mem::swap(&mut rig.lane, lane);
    }
}

#[test]
fn a_full_disk_refuses_and_gives_everything_back() {
    let mut rig = Rig::new(1);
    rig.makes = false;
    let first = rig.send(0, numbered(7, 0), &["one"]);
    let second = rig.send(0, numbered(7, 1), &["two"]);
    rig.fail_to_make();
    for token in [first, second] {
        let error = rig.answer(token).expect("it is answered").expect_err("there is no room");
        assert_eq!(error.code, ErrorCode::StorageFull);
        assert!(matches!(error.retry, Retry::After(_)));
    }
    // Order is kept: the second does not overtake the first.
    let second = rig.send(0, numbered(7, 1), &["two"]);
    assert_eq!(rig.answer(second).expect("it is answered").expect_err("it is behind").retry, Retry::From(0));
    let first = rig.send(0, numbered(7, 0), &["one"]);
    assert_eq!(rig.answer(first).expect("it is answered").expect_err("still").code, ErrorCode::StorageFull);
    // There is room again, and nobody has to do anything about it.
    rig.wait(PREPARE_RETRY_MS);
    rig.makes = true;
    let first = rig.send(0, numbered(7, 0), &["one"]);
    assert_eq!(rig.answer(first).expect("it is answered").expect("it is acked").first_sequence, 0);
    let second = rig.send(0, numbered(7, 1), &["two"]);
    assert_eq!(rig.answer(second).expect("it is answered").expect("it is acked").first_sequence, 1);
}

#[test]
fn a_disk_below_its_low_water_mark_still_acks_what_is_stored() {
    let mut rig = Rig::new(1);
    let token = rig.send(0, numbered(7, 0), &["one"]);
    assert!(rig.answer(token).expect("it is answered").is_ok());
    rig.lane.set_storage_low(true);
    let again = rig.send(0, numbered(7, 0), &["one"]);
    assert!(rig.answer(again).expect("it is answered").is_ok());
    let next = rig.send(0, numbered(7, 1), &["two"]);
    assert_eq!(rig.answer(next).expect("it is answered").expect_err("it is full").code, ErrorCode::StorageFull);
    rig.lane.set_storage_low(false);
    let next = rig.send(0, numbered(7, 1), &["two"]);
    assert!(rig.answer(next).expect("it is answered").is_ok());
}

#[test]
fn a_record_larger_than_what_is_left_gets_the_next_segment() {
    let mut rig = Rig::new(1);
    rig.put(0, &["small"]);
    let huge = "h".repeat(10 << 20);
    assert_eq!(rig.put(0, &[&huge]), 1);
    assert_eq!(rig.put(0, &["small"]), 2);
    let outcome = rig.read(0, Position::AtSequence(1), 1).expect("it is whole");
    assert_eq!((outcome.next_sequence, outcome.batches[0].bytes().len() > 10 << 20), (2, true));
    // From the disk too.
    rig.wait(61_000);
    rig.wait(61_000);
    assert_eq!(rig.read_all(0).expect("it is whole")[1].len(), 10 << 20);
    assert_eq!(rig.restart(), Ok(None));
    assert_eq!(rig.read_all(0).expect("it is whole")[1].len(), 10 << 20);
}

#[test]
fn the_next_segment_is_asked_for_when_the_one_before_is_in_use_for_sure() {
    // Its carry-over alone takes an eighth of the first segment.
    let mut rig = Rig::new(10_000);
    rig.completes = false;
    rig.send(9_999, NOBODY, &["a"]);
    assert!(rig.asked.is_empty() && rig.files.highest_prepared == 1, "{:?}", rig.asked);
    // A crash now leaves nothing, and not a hole either.
    rig.kill();
    rig.start().expect("nothing was acked");
    rig.restart().expect("and nothing is missing");
    rig.completes = true;
    for shard in (0..10_000).step_by(7) {
        assert_eq!(rig.put(shard, &["b"]), 0);
    }
    assert_eq!(rig.restart(), Ok(None));
    assert!((0..10_000).all(|shard| rig.tip(shard) == u64::from(shard % 7 == 0)));
    rig.wait(61_000);
    assert_eq!(rig.read_all(7), Ok(vec!["b".to_owned()]));
}

#[test]
fn an_index_that_is_full_ends_its_segment() {
    let mut rig = Rig::new(10_000);
    rig.segment_bytes = Some(256 << 20);
    rig.completes = false;
    let mut acked = 0u64;
    for _round in 0..28 {
        for shard in 0..10_000 {
            rig.send(shard, NOBODY, &[""]);
        }
        while !rig.writes.is_empty() {
            rig.complete();
        }
        acked += rig.replies.drain(..).filter(|(_, outcome)| outcome.is_ok()).count() as u64;
    }
    assert_eq!(acked, 280_000, "every put is acked");
    assert!(rig.files.segments.len() > 1);
}

#[test]
fn a_silent_shard_keeps_its_place_when_all_its_records_have_expired() {
    let mut rig = Rig::new(2);
    rig.segment_bytes = Some(64 << 10);
    rig.put(1, &["old", "older"]);
    let day = rig.settings.terms.retention_ms;
    let long = "l".repeat(30_000);
    for _ in 0..6 {
        rig.wait(day / 4);
        rig.put(0, &[&long]);
        rig.put(0, &[&long]);
        rig.wait(1_000);
    }
    assert!(rig.files.lowest_kept > 1, "segments have expired");
    for restarted in [false, true] {
        assert_eq!(rig.tip(1), 2);
        let error = rig.read(1, Position::AtSequence(0), 1 << 20).expect_err("it has expired");
        assert_eq!((error.code, error.detail), (ErrorCode::Trimmed, 2), "restarted: {restarted}");
        let outcome = rig.read(1, Position::TrimHorizon, 1 << 20).expect("the shard is there");
        assert_eq!((outcome.start_sequence, outcome.batches.len()), (2, 0));
        if !restarted {
            rig.wait(CLOSE_MS);
            rig.stop();
            rig.start().expect("it was stopped");
        }
    }
    assert_eq!(rig.put(1, &["new"]), 2);
}

#[test]
fn what_has_expired_is_trimmed_and_not_damaged_when_only_the_active_segment_is_left() {
    let mut rig = Rig::new(2);
    rig.put(1, &["old", "older"]);
    rig.stop();
    rig.start().expect("it was stopped");
    rig.wait(rig.settings.terms.retention_ms + 1_000);
    rig.put(0, &["new"]);
    rig.wait(1_000);
    assert_eq!(rig.files.lowest_kept, 2);
    let error = rig.read(1, Position::AtSequence(0), 1 << 20).expect_err("it has expired");
    assert_eq!((error.code, error.detail), (ErrorCode::Trimmed, 2));
}

#[test]
fn the_only_segment_of_a_start_expires_like_any_other() {
    for clean in [false, true] {
        let mut rig = Rig::new(1);
        rig.put(0, &["old"]);
        if clean {
            rig.stop();
        }
        assert_eq!(rig.restart(), Ok(None));
        rig.put(0, &["newer"]);
        rig.wait(rig.settings.terms.retention_ms + 1_000);
        rig.put(0, &["new"]);
        rig.wait(1_000);
        assert_eq!(rig.files.lowest_kept, 2, "clean stop: {clean}");
    }
}

#[test]
fn a_clock_that_jumps_for_a_moment_expires_nothing() {
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(64 << 10);
    let long = "l".repeat(30_000);
    for _ in 0..6 {
        rig.put(0, &[&long]);
    }
    rig.now.wall_ms += 10 * 365 * 86_400_000;
    for _ in 0..20 {
        rig.wait(1_000);
    }
    assert_eq!(rig.files.lowest_kept, 1);
    assert_eq!(rig.read(0, Position::AtSequence(0), 1).map(|outcome| outcome.start_sequence), Ok(0));
    // It lasts: the clock is right, then.
    for _ in 0..700 {
        rig.wait(1_000);
    }
    assert!(rig.files.lowest_kept > 1);
}

#[test]
fn a_refusal_in_a_pipeline_keeps_the_order() {
    let mut rig = Rig::new(1);
    rig.completes = false;
    let tokens: Vec<u64> = (0..4).map(|number| rig.send(0, numbered(7, number), &["x"])).collect();
    rig.lane.set_storage_low(true);
    let refused = rig.send(0, numbered(7, 4), &["x"]);
    assert_eq!(rig.answer(refused).expect("it is answered").expect_err("refused").code, ErrorCode::StorageFull);
    rig.lane.set_storage_low(false);
    for number in 5..8 {
        let behind = rig.send(0, numbered(7, number), &["x"]);
        assert_eq!(rig.answer(behind).expect("it is answered").expect_err("behind").retry, Retry::From(4));
    }
    let tokens: Vec<u64> =
        tokens.into_iter().chain((4..8).map(|number| rig.send(0, numbered(7, number), &["x"]))).collect();
    while !rig.writes.is_empty() {
        rig.complete();
    }
    let sequences: Vec<u64> =
        tokens.iter().map(|token| rig.answer(*token).expect("answered").expect("acked").first_sequence).collect();
    assert_eq!(sequences, (0..8).collect::<Vec<_>>());
}

#[test]
fn puts_are_known_again_after_a_kill_and_after_a_stop() {
    let mut rig = Rig::new(1);
    for number in 0..70 {
        let token = rig.send(0, numbered(7, number), &["x"]);
        assert!(rig.answer(token).expect("answered").is_ok());
    }
    for clean in [false, true, false] {
        if clean {
            rig.stop();
        }
        assert_eq!(rig.restart(), Ok(None));
        for number in [6u64, 30, 69] {
            let token = rig.send(0, numbered(7, number), &["x"]);
            assert_eq!(rig.answer(token).expect("answered").expect("known").first_sequence, number);
        }
        let token = rig.send(0, numbered(7, 5), &["x"]);
        assert_eq!(rig.answer(token).expect("answered").expect_err("forgotten").code, ErrorCode::NumberTooOld);
        let token = rig.send(0, numbered(8, 5), &["x"]);
        assert_eq!(rig.answer(token).expect("answered").expect_err("unknown").code, ErrorCode::UnknownProducer);
    }
}

#[test]
fn more_producers_than_are_remembered() {
    let mut rig = Rig::new(1);
    rig.completes = false;
    let many = PRODUCERS_MAX as u64 + 10;
    for id in 1..=many {
        rig.send(0, numbered(id, 0), &["x"]);
        if rig.writes.len() == 1 && id % 1_000 == 0 {
            rig.complete();
        }
    }
    while !rig.writes.is_empty() {
        rig.complete();
    }
    assert_eq!(rig.tip(0), many);
    rig.kill();
    assert_eq!(rig.start(), Ok(None));
    rig.completes = true;
    let token = rig.send(0, numbered(1, 1), &["x"]);
    assert_eq!(rig.answer(token).expect("answered").expect_err("forgotten").code, ErrorCode::UnknownProducer);
    let token = rig.send(0, numbered(many, 1), &["x"]);
    assert_eq!(rig.answer(token).expect("answered").expect("known").first_sequence, many);
}

#[test]
fn a_segment_is_read_while_its_successors_are_sealed_first() {
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(64 << 10);
    rig.seals = false;
    let long = "z".repeat(20_000);
    for _ in 0..12 {
        rig.put(0, &[&long]);
    }
    rig.wait(61_000);
    let newest = *rig.files.segments.keys().next_back().expect("there are segments");
    for segment in (2..newest - 1).rev() {
        rig.tell(Event::Sealed { segment });
        assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(12), "{segment} has no footer, and is read");
    }
    assert!(rig.files.read(newest, ReadPlace::LastBlock).is_ok());
}

#[test]
fn the_newest_segment_is_kept_until_its_successor_is_durable() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.put(0, &["old", "older"]), 0);
    rig.stop();
    rig.start().expect("it was stopped");
    rig.wait(rig.settings.terms.retention_ms + 1_000);
    rig.completes = false;
    rig.send(0, NOBODY, &["new"]);
    assert_eq!(rig.writes.len(), 1, "the next segment is opened, and nothing of it is on the disk");
    rig.wait(1_000);
    rig.wait(1_000);
    assert_eq!(rig.files.lowest_kept, 1);
    rig.restart().expect("nothing acked is damaged");
    assert_eq!(rig.tip(0), 2, "sequences are not given again");
}
