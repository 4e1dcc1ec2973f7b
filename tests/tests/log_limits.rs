//! Limits over the log of a rig, in simulated time: how much gets through, in which order, and what those are told
//! that must wait.

use std::collections::VecDeque;

use rheos_core::catalog::StreamTerms;
use rheos_core::limits::LATE_RETRY_MS;
use rheos_core::log::Acked;
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::message::{Limit, Position, StreamLimits};
use rheos_tests::rig::{Rig, numbered};

const NOBODY: ProducerStamp = ProducerStamp { id: 0, epoch: 0, number: 0 };

fn limited(shards: u32, limits: StreamLimits) -> Rig {
    let mut rig = Rig::new(shards);
    set(&mut rig, limits);
    rig
}

fn set(rig: &mut Rig, limits: StreamLimits) {
    rig.set_terms(StreamTerms { limits, ..rig.settings.terms });
}

fn put(rig: &mut Rig, shard: u32, producer: ProducerStamp, texts: &[&str]) -> Result<Acked, WireError> {
    let token = rig.send(shard, producer, texts);
    rig.answer(token).expect("it is answered at once")
}

fn wait_of(error: &WireError) -> u64 {
    assert_eq!(error.code, ErrorCode::OverLimit, "{error}");
    let Retry::After(wait_ms) = error.retry else { panic!("it may come again: {error}") };
    u64::from(wait_ms)
}

/// A producer that has so many batches a second to put, numbers them, sends all it has, and does as it is told.
/// What it gets through in `run_ms`, in batches.
fn numbered_producer(rig: &mut Rig, id: u64, every_ms: u64, text: &str, records: usize, run_ms: u64) -> u64 {
    let texts = vec![text; records];
    let start_ms = rig.now.boot_ms;
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let (mut made, mut acked, mut again_ms) = (0, 0, 0);
    while rig.now.boot_ms - start_ms < run_ms {
        if (rig.now.boot_ms - start_ms) / every_ms >= made {
            waiting.push_back(made);
            made += 1;
        }
        if rig.now.boot_ms >= again_ms {
            // All that wait are sent in one go; what follows a refusal is refused unlooked at.
            let mut refused = None;
            for number in waiting.clone().into_iter().take(8) {
                match (put(rig, 0, numbered(id, number), &texts), refused) {
                    (Ok(_), None) => {
                        assert_eq!(waiting.pop_front(), Some(number));
                        acked += 1;
                    }
                    (Err(error), None) => {
                        again_ms = rig.now.boot_ms + wait_of(&error);
                        refused = Some(number);
                    }
                    (Err(error), Some(first)) => assert_eq!(error.retry, Retry::From(first), "{error}"),
                    (Ok(_), Some(first)) => panic!("{number} went before {first}"),
                }
            }
        }
        rig.now.boot_ms += 1;
        rig.now.wall_ms += 1;
    }
    acked
}

#[test]
fn at_three_times_the_limit_the_limit_gets_through_in_order() {
    // The key is "key": 3 bytes of each record beside its data.
    for (limits, every_ms, bytes, records, per_second) in [
        (StreamLimits { in_bytes: Limit::of(100_000), ..StreamLimits::NONE }, 33, 9_997, 1, 10),
        (StreamLimits { in_records: Limit::of(50), ..StreamLimits::NONE }, 66, 10, 10, 5),
        (
            StreamLimits { in_bytes: Limit::of(100_000), in_records: Limit::of(100), ..StreamLimits::NONE },
            33,
            997,
            10,
            10,
        ),
    ] {
        let mut rig = limited(1, limits);
        let acked = numbered_producer(&mut rig, 7, every_ms, &"x".repeat(bytes), records, 60_000);
        let share = acked as f64 / (60 * per_second) as f64;
        assert!((0.97..=1.03).contains(&share), "{limits:?}: {acked} batches, {share}");
        assert_eq!(rig.tip(0), acked * records as u64, "what was acked is there once, and nothing else");
    }
}

#[test]
fn a_refusal_takes_nothing_and_says_how_long() {
    let mut rig = limited(2, StreamLimits { in_records: Limit::of(10), ..StreamLimits::NONE });
    put(&mut rig, 0, NOBODY, &["x"; 10]).expect("a second's worth at once");
    let error = put(&mut rig, 0, NOBODY, &["x"; 5]).expect_err("it is over the limit");
    assert_eq!((wait_of(&error), error.detail, error.detail_2), (500, 0, 10));
    assert!(error.message.contains("shard 0") && error.message.contains("10 records a second"), "{error}");
    for _ in 0..100 {
        assert_eq!(put(&mut rig, 0, NOBODY, &["x"; 5]).map_err(|error| wait_of(&error)), Err(500), "it took nothing");
    }
    put(&mut rig, 1, NOBODY, &["x"; 10]).expect("every shard has its own");
    rig.wait(499);
    assert_eq!(put(&mut rig, 0, NOBODY, &["x"; 5]).map_err(|error| wait_of(&error)), Err(1));
    rig.wait(1);
    put(&mut rig, 0, NOBODY, &["x"; 5]).expect("it has waited as long as it was told");
    assert_eq!((rig.tip(0), rig.lane.staged_bytes()), (15, 0), "nothing is queued");
}

#[test]
fn what_is_refused_for_another_reason_takes_nothing_and_a_resend_is_free() {
    let mut rig = limited(1, StreamLimits { in_records: Limit::of(2), ..StreamLimits::NONE });
    let first = put(&mut rig, 0, numbered(5, 0), &["a", "b"]).expect("it is within the limit");
    for _ in 0..5 {
        assert_eq!(
            put(&mut rig, 0, numbered(5, 0), &["a", "b"]),
            Ok(first),
            "a resend is answered, over the limit or not"
        );
        let behind = put(&mut rig, 0, numbered(5, 2), &["c"]).expect_err("1 is missing");
        assert_eq!(behind.retry, Retry::From(1));
    }
    rig.lane.set_storage_low(true);
    rig.wait(1_000);
    for _ in 0..5 {
        let full = put(&mut rig, 0, numbered(5, 1), &["c", "d"]).expect_err("the disk is full");
        assert_eq!(full.code, ErrorCode::StorageFull);
    }
    rig.lane.set_storage_low(false);
    put(&mut rig, 0, numbered(5, 1), &["c", "d"]).expect("the full bucket is still full");
}

#[test]
fn a_record_larger_than_a_second_allows_gets_through_and_is_paid_for() {
    let mut rig = limited(1, StreamLimits { in_bytes: Limit::of(1_000), ..StreamLimits::NONE });
    put(&mut rig, 0, NOBODY, &[&"x".repeat(9_997)]).expect("the bucket is full");
    let error = put(&mut rig, 0, NOBODY, &["x"]).expect_err("ten seconds are owed");
    assert_eq!(wait_of(&error), 9_004);
    rig.wait(9_003);
    put(&mut rig, 0, NOBODY, &["x"]).expect_err("a little is missing");
    rig.wait(1);
    put(&mut rig, 0, NOBODY, &["x"]).expect("it is paid");
}

#[test]
fn limits_change_live() {
    let mut rig = limited(1, StreamLimits { in_records: Limit::of(1), ..StreamLimits::NONE });
    put(&mut rig, 0, NOBODY, &["x"; 10]).expect("the bucket is full");
    put(&mut rig, 0, NOBODY, &["x"]).expect_err("nine seconds are owed");
    set(&mut rig, StreamLimits::NONE);
    for _ in 0..100 {
        put(&mut rig, 0, NOBODY, &["x"; 10]).expect("nothing is limited any more");
    }
    set(&mut rig, StreamLimits { in_records: Limit::of(10), ..StreamLimits::NONE });
    put(&mut rig, 0, NOBODY, &["x"; 10]).expect("a new limit begins with a full bucket");
    assert_eq!(put(&mut rig, 0, NOBODY, &["x"]).map_err(|error| wait_of(&error)), Err(100));
    set(&mut rig, StreamLimits { in_records: Limit::of(1_000), ..StreamLimits::NONE });
    assert_eq!(put(&mut rig, 0, NOBODY, &["x"]).map_err(|error| wait_of(&error)), Err(1), "the same bucket, faster");
}

#[test]
fn the_largest_record_changes_live() {
    let mut rig = Rig::new(1);
    let large = "x".repeat(1 << 20);
    let larger = "x".repeat((1 << 20) + 1);
    for (record_bytes_max, fits) in [(1 << 20, false), (2 << 20, true), (1 << 20, false)] {
        rig.set_terms(StreamTerms { record_bytes_max, ..rig.settings.terms });
        put(&mut rig, 0, NOBODY, &[&large]).expect("it is within both");
        let outcome = put(&mut rig, 0, NOBODY, &[&larger]).map_err(|error| error.code);
        assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
        assert!(fits || outcome == Err(ErrorCode::RecordTooLarge));
    }
    assert_eq!(rig.read_all(0).expect("all are there").len(), 4, "what was put before stays readable");
}

#[test]
fn all_readers_of_a_shard_share_its_reads() {
    let mut rig = limited(2, StreamLimits { out_reads: Limit::of(5), ..StreamLimits::NONE });
    let now = rig.now;
    let log = rig.log_mut();
    for _ in 0..5 {
        assert_eq!(log.admit_read(now, 0, 1 << 20), Ok(1 << 20));
    }
    let error = log.admit_read(now, 0, 1 << 20).expect_err("it is the sixth");
    assert_eq!(wait_of(&error), 200);
    assert!(error.message.contains("5 reads a second"), "{error}");
    assert_eq!(log.admit_read(now, 1, 1 << 20), Ok(1 << 20), "every shard has its own");
    assert_eq!(log.admit_read(now, 9, 1).expect_err("there is none").code, ErrorCode::ShardNotFound);
}

#[test]
fn reads_bring_no_more_than_is_left_and_are_paid_for_when_they_have() {
    let mut rig = limited(1, StreamLimits { out_bytes: Limit::of(100_000), ..StreamLimits::NONE });
    for _ in 0..100 {
        rig.put(0, &[&"x".repeat(20_000)]);
    }
    let (start_ms, mut read, mut next) = (rig.now.boot_ms, 0, 0);
    // Two readers that ask for all there is, as often as they may, for half a minute.
    let mut again_ms = [0; 2];
    while rig.now.boot_ms - start_ms < 30_000 {
        for again_ms in &mut again_ms {
            if rig.now.boot_ms < *again_ms {
                continue;
            }
            let now = rig.now;
            match rig.log_mut().admit_read(now, 0, 8 << 20) {
                Ok(bytes_max) => {
                    let outcome = rig.read(0, Position::AtSequence(next % 100), bytes_max).expect("it is there");
                    next = outcome.next_sequence;
                    read += outcome.given().bytes;
                    rig.log_mut().count_read(now, 0, outcome.given(), 0);
                }
                Err(error) => *again_ms = now.boot_ms + wait_of(&error),
            }
        }
        rig.now.boot_ms += 1;
    }
    let share = read as f64 / 3_000_000.0;
    assert!((0.97..=1.05).contains(&share), "{read} bytes, {share}");
}

/// A put gives way to what a lane has promised by refusal, never by delay; what is stored is acked all the same.
#[test]
fn a_lane_that_is_late_with_a_promise_refuses_puts_and_says_when_to_come_again() {
    let mut rig = Rig::new(1);
    let stored = put(&mut rig, 0, numbered(7, 0), &["first"]).expect("nothing is late");
    rig.lane.set_pushes_late(true);
    let refused = put(&mut rig, 0, numbered(7, 1), &["second"]).expect_err("puts give way");
    assert_eq!((refused.code, refused.retry), (ErrorCode::Busy, Retry::After(LATE_RETRY_MS)));
    assert!(refused.message.contains("promised"), "{refused}");
    assert_eq!(put(&mut rig, 0, numbered(7, 0), &["first"]), Ok(stored), "it is a resend");
    rig.lane.set_pushes_late(false);
    let next = put(&mut rig, 0, numbered(7, 1), &["second"]).expect("nothing is late any more");
    assert_eq!(next.first_sequence, 1);
}
