//! Retention as it is changed while a log is served: what is gone at once and for good, what stays, which files
//! follow; and what the clocks and a kill do to it.

use rheos_core::catalog::StreamTerms;
use rheos_core::limits::{CLOCK_JUMP_BELIEVED_MS, CLOSE_MS, TAIL_MS_MAX, TRIM_SEGMENTS_MAX};
use rheos_core::log::Event;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::Position;
use rheos_tests::rig::Rig;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_MS: u64 = 365 * DAY_MS;

/// A log with a record an hour, each in a segment of its own: record `n` came in hour `n`.
fn hourly(hours: u64, retention_ms: u64) -> Rig {
    let mut rig = Rig::new(1);
    rig.set_terms(StreamTerms { retention_ms, ..rig.settings.terms });
    for hour in 0..hours {
        assert_eq!(rig.put(0, &["an hour's"]), hour);
        rig.wait(CLOSE_MS);
        rig.wait(CLOSE_MS);
        rig.wait(HOUR_MS - 2 * CLOSE_MS);
    }
    rig
}

fn retain(rig: &mut Rig, retention_ms: u64) {
    rig.set_terms(StreamTerms { retention_ms, ..rig.settings.terms });
}

/// The first record that a reader from the trim horizon gets.
fn first(rig: &Rig) -> u64 {
    rig.read(0, Position::TrimHorizon, 1 << 20).expect("the shard is there").start_sequence
}

/// Every sequence is given or refused as trimmed, with the first that is kept, and the edge is one.
fn assert_edge_is(rig: &Rig, edge: u64) {
    assert_eq!(first(rig), edge);
    for sequence in 0..rig.tip(0) {
        match rig.read(0, Position::AtSequence(sequence), 1 << 20) {
            Ok(outcome) => assert!(sequence >= edge && outcome.start_sequence == sequence, "{sequence} is expired"),
            Err(error) => {
                assert_eq!((error.code, error.detail), (ErrorCode::Trimmed, edge), "{sequence}: {error}");
                assert!(sequence < edge, "{sequence} is not expired");
            }
        }
    }
}

#[test]
fn a_lower_retention_holds_at_once_and_files_follow() {
    let mut rig = hourly(100, 7 * DAY_MS);
    assert_edge_is(&rig, 0);
    rig.trims = false;
    retain(&mut rig, DAY_MS);
    // By the horizon alone: no file has gone yet.
    assert_edge_is(&rig, 76);
    assert_eq!(rig.files.lowest_kept, 1);
    let expiry = rig.expiries.pop_front().expect("files are to go");
    rig.trims = true;
    let trimmed = rig.trim(expiry);
    rig.tell(trimmed);
    assert_edge_is(&rig, 76);
    assert_eq!((rig.files.lowest_kept, rig.files.segments.len()), (77, 24), "nothing younger has gone");
    assert_eq!(rig.put(0, &["new"]), 100);
}

#[test]
fn what_has_expired_does_not_come_back() {
    for restarts in [false, true] {
        let mut rig = hourly(40, DAY_MS);
        rig.trims = false;
        retain(&mut rig, DAY_MS + 1);
        assert_edge_is(&rig, 16);
        // The catalog keeps what has expired beside the new retention.
        let trimmed_ms = rig.log().horizon_ms(rig.now);
        rig.set_terms(StreamTerms { retention_ms: 7 * DAY_MS, trimmed_ms, ..rig.settings.terms });
        if restarts {
            rig.restart().expect("nothing is damaged");
        }
        for _ in 0..48 {
            assert_edge_is(&rig, 16);
            rig.wait(HOUR_MS);
        }
        // What had not is kept for longer.
        rig.wait(4 * DAY_MS + 12 * HOUR_MS);
        assert!(first(&rig) > 16 && first(&rig) < 40);
    }
}

#[test]
fn many_expired_segments_go_in_a_few_steps() {
    let mut rig = hourly(700, YEAR_MS);
    assert_eq!(rig.files.segments.len(), 700);
    rig.trims = false;
    retain(&mut rig, DAY_MS);
    let mut passes = 0;
    while let Some(expiry) = rig.expiries.pop_front() {
        let before = rig.files.lowest_kept;
        let trimmed = rig.trim(expiry);
        assert!(rig.files.lowest_kept > before && rig.files.lowest_kept - before <= TRIM_SEGMENTS_MAX + 1);
        rig.tell(trimmed);
        passes += 1;
    }
    assert_eq!((passes, rig.files.lowest_kept), (3, 677), "without a tick in between");
    assert_edge_is(&rig, 676);
}

#[test]
fn a_kill_at_any_point_of_a_pass_loses_nothing_younger_and_brings_nothing_back() {
    let mut rig = hourly(60, YEAR_MS);
    rig.trims = false;
    retain(&mut rig, DAY_MS);
    let expiry = rig.expiries.pop_front().expect("files are to go");
    let lowest = rig.lowest_kept(expiry).segment;
    assert_eq!((expiry.from, lowest), (1, 37));
    let whole = rig.files.clone();
    // Before the catalog knows; when it does; with some of the files gone, in any order; with all of them.
    let gone: Vec<Vec<u64>> =
        vec![vec![], (1..2).collect(), (1..20).collect(), (20..37).rev().collect(), (1..37).collect()];
    for (knows, gone) in [(false, vec![])].into_iter().chain(gone.into_iter().map(|gone| (true, gone))) {
        rig.kill();
        rig.files = whole.clone();
        if knows {
            rig.files.lowest_kept = lowest;
        }
        gone.iter().for_each(|segment| drop(rig.files.segments.remove(segment)));
        rig.start().unwrap_or_else(|why| panic!("{knows}, {gone:?}: {why}"));
        assert!(
            rig.files.segments.keys().all(|segment| *segment >= rig.files.lowest_kept),
            "what is left of it has gone"
        );
        rig.trims = true;
        rig.wait(1_000);
        assert_edge_is(&rig, 36);
        assert_eq!(rig.files.lowest_kept, lowest);
        assert_eq!(rig.put(0, &["new"]), 60);
        rig.trims = false;
    }
}

#[test]
fn segments_are_sealed_after_a_tenth_of_the_retention() {
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(16 << 20);
    let put_every = |rig: &mut Rig, every_ms: u64, count: u64| {
        let before = *rig.files.segments.keys().next_back().expect("there is one");
        for _ in 0..count {
            rig.wait(every_ms);
            rig.put(0, &["x"]);
        }
        rig.files.segments.keys().next_back().expect("there is one") - before
    };
    rig.put(0, &["x"]);
    retain(&mut rig, 10 * DAY_MS);
    assert_eq!(put_every(&mut rig, 500_000, 150), 0, "a segment lasts a day");
    retain(&mut rig, DAY_MS);
    let rolls = put_every(&mut rig, 500_000, 100);
    assert!((4..=7).contains(&rolls), "{rolls} segments in 14 hours, each of which lasts 2.4 hours");
}

#[test]
fn a_bound_of_bytes_takes_the_oldest_segments_first() {
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(1 << 20);
    let long = "l".repeat(200_000);
    let fill = |rig: &mut Rig, puts: usize| {
        for _ in 0..puts {
            rig.put(0, &[&long]);
            rig.wait(1_000);
        }
    };
    let bytes = |rig: &Rig| {
        let newest = *rig.files.segments.keys().next_back().expect("there is one");
        rig.files
            .segments
            .iter()
            .filter(|(number, _)| **number < newest)
            .map(|(_, file)| file.len() as u64)
            .sum::<u64>()
    };
    fill(&mut rig, 100);
    let before = bytes(&rig);
    assert!(before > 15 << 20 && rig.files.lowest_kept == 1);
    let bound = 8 << 20;
    rig.set_terms(StreamTerms { retention_bytes: bound, ..rig.settings.terms });
    let kept = rig.files.lowest_kept;
    assert!(kept > 1, "the oldest have gone at once");
    assert!(bytes(&rig) <= bound && bytes(&rig) > bound / 2, "{} bytes are left of {bound}", bytes(&rig));
    for restarts in [false, true, true] {
        if restarts {
            rig.stop();
            rig.start().expect("nothing is damaged");
        }
        fill(&mut rig, 50);
        assert!(bytes(&rig) <= bound, "restarted {restarts}: {}", bytes(&rig));
        // What is still in memory may be given a little longer.
        rig.wait(TAIL_MS_MAX + 1_000);
        let edge = first(&rig);
        assert!(edge > 0);
        assert_edge_is(&rig, edge);
    }
    rig.set_terms(StreamTerms { retention_bytes: 0, ..rig.settings.terms });
    let kept = rig.files.lowest_kept;
    fill(&mut rig, 100);
    assert_eq!(rig.files.lowest_kept, kept, "without a bound nothing goes before its time");
}

#[test]
fn the_newest_segment_stays_whatever_the_bound() {
    let mut rig = Rig::new(1);
    rig.set_terms(StreamTerms { retention_bytes: 1, ..rig.settings.terms });
    for at in 0..30 {
        assert_eq!(rig.put(0, &[&"x".repeat(100_000)]), at);
        rig.wait(1_000);
        assert_eq!(rig.read(0, Position::AtSequence(at), 1 << 20).map(|outcome| outcome.start_sequence), Ok(at));
    }
    assert!(rig.files.lowest_kept > 1);
}

#[test]
fn segments_that_a_bound_waits_for_are_measured_once() {
    let mut rig = hourly(5, YEAR_MS);
    rig.stop();
    rig.start().expect("nothing is damaged");
    rig.set_terms(StreamTerms { retention_bytes: 1 << 30, ..rig.settings.terms });
    rig.tell(Event::Measured { sizes: vec![(1, 1), (2, u64::from(u32::MAX))] });
    assert_eq!(rig.files.lowest_kept, 1, "what is known already is not believed anew");
}

#[test]
fn a_clock_that_jumps_while_the_log_runs_expires_nothing() {
    for jump_ms in [HOUR_MS as i64, -(HOUR_MS as i64), 10 * YEAR_MS as i64, -10 * (YEAR_MS as i64)] {
        let mut rig = hourly(23, DAY_MS);
        rig.now.wall_ms = (rig.now.wall_ms as i64 + jump_ms) as u64;
        for _ in 0..9 {
            rig.wait(CLOCK_JUMP_BELIEVED_MS / 10);
            assert_edge_is(&rig, 0);
        }
        let last_ms = rig.log().tip(0).expect("it is there").last_arrival_ms;
        rig.put(0, &["during"]);
        assert!(rig.log().tip(0).expect("it is there").last_arrival_ms >= last_ms, "arrival never goes back");
        // And back again, in time.
        rig.now.wall_ms = (rig.now.wall_ms as i64 - jump_ms) as u64;
        rig.wait(1_000);
        assert_edge_is(&rig, 0);
        assert_eq!(rig.files.lowest_kept, 1, "by {jump_ms} ms");
    }
}

#[test]
fn a_log_that_starts_with_a_wrong_clock_expires_nothing() {
    for jump_ms in [HOUR_MS as i64, -(HOUR_MS as i64), 10 * YEAR_MS as i64, -10 * (YEAR_MS as i64)] {
        let mut rig = hourly(23, DAY_MS);
        rig.stop();
        rig.now.wall_ms = (rig.now.wall_ms as i64 + jump_ms) as u64;
        rig.now.boot_ms = 5_000;
        rig.start().expect("nothing is damaged");
        for _ in 0..9 {
            rig.wait(CLOCK_JUMP_BELIEVED_MS / 10);
            assert_edge_is(&rig, 0);
        }
        // Set right within ten minutes.
        rig.now.wall_ms = (rig.now.wall_ms as i64 - jump_ms) as u64;
        for _ in 0..30 {
            rig.wait(CLOCK_JUMP_BELIEVED_MS / 30);
            assert_edge_is(&rig, 0);
        }
        assert_eq!(rig.files.lowest_kept, 1, "by {jump_ms} ms");
        // What has really expired goes all the same.
        rig.wait(20 * HOUR_MS);
        assert!(first(&rig) > 0);
    }
}

#[test]
fn a_broker_that_was_down_for_long_expires_what_it_must_after_ten_minutes() {
    let mut rig = hourly(10, DAY_MS);
    rig.stop();
    rig.now.wall_ms += 20 * HOUR_MS;
    rig.now.boot_ms = 5_000;
    rig.start().expect("nothing is damaged");
    rig.wait(1_000);
    assert_edge_is(&rig, 0);
    rig.wait(CLOCK_JUMP_BELIEVED_MS);
    rig.wait(1_000);
    assert_edge_is(&rig, 7);
    assert!(rig.files.lowest_kept > 1);
}
