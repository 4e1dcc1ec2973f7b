//! Shards of a log that are closed, opened and forgotten: what is admitted, what is known afterwards, and what a
//! start compares.

use rheos_core::limits::{CLOSE_MS, CLOSING_RETRY_MS};
use rheos_core::log::{Event, LogShard};
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::error::{ErrorCode, Retry};
use rheos_tests::rig::{Rig, numbered};

const NOBODY: ProducerStamp = ProducerStamp { id: 0, epoch: 0, number: 0 };
const DAY_MS: u64 = 86_400_000;

#[test]
fn a_shard_ends_when_everything_in_it_is_on_the_disk() {
    let mut rig = Rig::new(3);
    rig.put(0, &["first"]);
    rig.completes = false;
    let in_flight = rig.send(0, numbered(7, 0), &["in flight", "too"]);
    let staged = rig.send(0, numbered(7, 1), &["staged"]);
    let other = rig.send(2, NOBODY, &["of another shard"]);
    rig.tell(Event::Close { shards: vec![0, 1] });
    assert!(rig.drained.is_empty(), "two commits are still to come");

    // Nothing new is admitted; what is known and what is behind are answered as before; others go on.
    let (new, behind) = (rig.send(0, numbered(7, 2), &["new"]), rig.send(0, numbered(7, 3), &["newer"]));
    let error = rig.answer(new).expect("it waits for nothing").expect_err("it is not admitted");
    assert_eq!((error.code, error.retry), (ErrorCode::Resharding, Retry::After(CLOSING_RETRY_MS)));
    let error = rig.answer(behind).expect("it waits for nothing").expect_err("one before it is missing");
    assert_eq!(error.retry, Retry::From(2));
    let again = rig.send(0, numbered(7, 0), &["in flight", "too"]);
    let open = rig.send(2, NOBODY, &["goes on"]);

    rig.complete();
    for token in [in_flight, again] {
        assert_eq!(rig.answer(token).expect("it is durable").expect("it is stored").first_sequence, 1);
    }
    assert!(rig.drained.is_empty());
    rig.complete();
    assert_eq!(rig.answer(staged).expect("it is durable").expect("it is stored").first_sequence, 3);
    assert_eq!(rig.drained.pop_front(), Some(Ok(vec![(0, 4), (1, 0)])));
    assert!(rig.drained.is_empty(), "it is said once");
    assert!([other, open].into_iter().all(|token| matches!(rig.answer(token), Some(Ok(_)))));
}

#[test]
fn what_a_closed_shard_has_stored_it_still_knows() {
    let mut rig = Rig::new(1);
    let stored = rig.send(0, numbered(7, 0), &["one", "two"]);
    assert!(matches!(rig.answer(stored), Some(Ok(_))));
    rig.log().tip(0).expect("it is there");
    rig.split(0, [5, 6]);
    for life in 0..3 {
        let again = rig.send(0, numbered(7, 0), &["one", "two"]);
        assert_eq!(rig.answer(again).expect("it waits for nothing").expect("it is known").first_sequence, 0);
        let next = rig.send(0, numbered(7, 1), &["three"]);
        let error = rig.answer(next).expect("it waits for nothing").expect_err("the shard is closed");
        assert_eq!((error.code, error.retry), (ErrorCode::ShardClosed, Retry::Never), "in life {life}");
        let stranger = rig.send(0, numbered(9, 1), &["who"]);
        let error = rig.answer(stranger).expect("it waits for nothing").expect_err("it is not known");
        assert_eq!(error.code, ErrorCode::UnknownProducer);
        assert_eq!(rig.log().children(0), Some(&[5, 6][..]));
        assert_eq!(rig.log().children(5), None);
        assert_eq!(rig.put(5, &["of a child"]), life, "children begin at 0");
        if life == 0 {
            assert_eq!(rig.restart(), Ok(None));
        } else {
            rig.stop();
            assert_eq!(rig.start(), Ok(None));
        }
    }
    assert_eq!(rig.read_all(0), Ok(vec!["one".to_owned(), "two".into()]));
}

#[test]
fn a_reshard_that_is_undone_leaves_no_trace() {
    let mut rig = Rig::new(2);
    rig.put(0, &["one"]);
    rig.completes = false;
    let token = rig.send(0, NOBODY, &["two"]);
    rig.tell(Event::Close { shards: vec![0] });
    rig.tell(Event::Reopen);
    rig.complete();
    assert!(rig.drained.is_empty(), "nobody waits for it any more");
    assert!(matches!(rig.answer(token), Some(Ok(_))));
    rig.completes = true;
    assert_eq!(rig.put(0, &["three"]), 2);
    rig.tell(Event::Close { shards: vec![0, 1] });
    assert_eq!(rig.drained.pop_front(), Some(Ok(vec![(0, 3), (1, 0)])));
    // A crash before the catalog knows: the shard is open.
    assert_eq!(rig.restart(), Ok(None));
    assert_eq!(rig.put(0, &["four"]), 3);
}

#[test]
fn a_log_that_cannot_say_where_it_ends_says_so() {
    let mut rig = Rig::new(1);
    rig.put(0, &["one"]);
    rig.completes = false;
    rig.send(0, NOBODY, &["two"]);
    rig.tell(Event::Close { shards: vec![0] });
    rig.fail_write(|_| false);
    assert!(rig.drained.is_empty(), "it is written again elsewhere");
    rig.fail_write(|_| false);
    let refusal = rig.drained.pop_front().expect("it will never be known").expect_err("it is not known");
    assert_eq!(refusal.code, ErrorCode::ReadOnly);

    let mut rig = Rig::new(1);
    rig.tell(Event::Stop);
    rig.tell(Event::Close { shards: vec![0] });
    let refusal = rig.drained.pop_front().expect("it is said").expect_err("it stops");
    assert_eq!(refusal.code, ErrorCode::GoingAway);
}

#[test]
fn a_start_compares_where_a_shard_ends() {
    for (end, why) in [(2, None), (3, Some("closed at sequence 3")), (1, Some("closed at sequence 1"))] {
        let mut rig = Rig::new(1);
        rig.put(0, &["one", "two"]);
        rig.kill();
        rig.commit_split((0, end), [5, 6]);
        match (rig.start(), why) {
            (Ok(None), None) => assert_eq!(rig.put(6, &["three"]), 0),
            (Err(found), Some(why)) => {
                assert!(found.contains("shard 0") && found.contains(why), "{found}");
                assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(2), "what is there stays readable");
                let token = rig.send(5, NOBODY, &["three"]);
                let error = rig.answer(token).expect("it is answered").expect_err("the log takes no puts");
                assert_eq!(error.code, ErrorCode::ReadOnly);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The one case in which damage could be taken for a torn write is known for what it is once a shard was closed.
#[test]
fn damage_to_the_last_commit_of_a_closed_shard_is_not_cut() {
    for is_split in [false, true] {
        let mut rig = Rig::new(1);
        rig.put(0, &["one"]);
        rig.put(0, &["two"]);
        if is_split {
            rig.split(0, [5, 6]);
        }
        rig.kill();
        let segment = *rig.files.segments.keys().next_back().expect("there is one");
        let written = rig.files.segments[&segment].iter().rposition(|byte| *byte != 0).expect("it has commits");
        rig.files.segments.get_mut(&segment).expect("it is there")[written] ^= 1;
        let start = rig.start();
        match is_split {
            false => assert!(start.expect("it looks like a torn write").is_some()),
            true => assert!(start.expect_err("two records were acked").contains("closed at sequence 2")),
        }
    }
}

#[test]
fn a_catalog_that_has_a_closed_shard_open_is_not_believed() {
    let mut rig = Rig::new(1);
    rig.put(0, &["one"]);
    rig.split(0, [5, 6]);
    rig.put(5, &["two"]);
    rig.stop();
    rig.settings.shards.iter_mut().for_each(|shard| shard.closed = None);
    assert!(rig.start().expect_err("it was closed").contains("the catalog has it open"));
}

#[test]
fn who_watches_a_shard_hears_that_it_has_ended() {
    let mut rig = Rig::new(2);
    let mut log = rig.take_log();
    log.watch(0);
    rig.give_log(log);
    rig.split(0, [5, 6]);
    assert_eq!(rig.advanced.pop_front(), Some(0));
    rig.split(1, [7, 8]);
    assert!(rig.advanced.is_empty(), "nobody watches it");
}

#[test]
fn closed_shards_expire_with_their_last_record_and_are_forgotten() {
    let mut rig = Rig::new(3);
    rig.put(0, &["one"]);
    rig.split(0, [5, 6]);
    // Merged or split at once, it never had a record.
    rig.split(5, [7, 8]);
    rig.put(7, &["two"]);
    rig.put(1, &["three"]);
    assert_eq!(rig.log().expired_shards(rig.now), [0u32; 0]);
    rig.wait(DAY_MS - 1_000);
    assert_eq!(rig.log().expired_shards(rig.now), [0u32; 0]);
    rig.wait(2_000);
    assert_eq!(rig.log().expired_shards(rig.now), [0, 5]);

    // Forgotten while others have puts staged and in flight: they stay where they belong.
    rig.completes = false;
    let tokens = [rig.send(8, numbered(7, 0), &["in flight"]), rig.send(1, numbered(7, 0), &["staged"])];
    rig.settings.shards.retain(|shard| ![0, 5].contains(&shard.number));
    rig.tell(Event::Resharded { shards: rig.settings.shards.clone() });
    assert!(rig.log().shards().eq([1, 2, 6, 7, 8]));
    rig.complete();
    rig.complete();
    for (token, first_sequence) in tokens.into_iter().zip([0, 1]) {
        assert_eq!(rig.answer(token).expect("it is durable").expect("it is stored").first_sequence, first_sequence);
    }
    let error = rig.log().tip(0).expect_err("it is gone");
    assert_eq!(error.code, ErrorCode::ShardNotFound);
    rig.completes = true;
    assert_eq!(rig.restart(), Ok(None), "its records still lie in the segments");
    assert_eq!(rig.put(8, &["four"]), 1);
    assert!(rig.log().shards().eq([1, 2, 6, 7, 8]));
}

#[test]
#[should_panic(expected = "it ends where its log has said")]
fn no_shard_is_closed_elsewhere_than_its_log_has_said() {
    let mut rig = Rig::new(1);
    rig.put(0, &["one"]);
    rig.tell(Event::Close { shards: vec![0] });
    rig.commit_split((0, 2), [5, 6]);
    let shards: Vec<LogShard> = rig.settings.shards.clone();
    rig.tell(Event::Resharded { shards });
}

/// Children are opened in the middle of a segment, whose head does not know them. When its footer was not written
/// before a kill, it is read without it.
#[test]
fn children_that_a_segment_does_not_inherit_are_found_without_its_footer() {
    let mut rig = Rig::new(2);
    rig.seals = false;
    rig.put(1, &["before"]);
    rig.split(0, [5, 6]);
    assert_eq!(rig.put(5, &["first of a child"]), 0);
    assert_eq!(rig.put(1, &["between"]), 1);
    assert_eq!(rig.put(6, &["first of the other"]), 0);
    assert_eq!(rig.put(1, &["after"]), 2);
    roll(&mut rig);
    assert_eq!(rig.put(5, &["second of a child"]), 1);
    assert_eq!(rig.files.segments.keys().copied().collect::<Vec<_>>(), [1, 2]);
    for life in 0..3 {
        if life > 0 {
            rig.seals = life > 1;
            assert_eq!(rig.restart(), Ok(None), "in life {life}");
        }
        assert_eq!(rig.read_all(1), Ok(["before", "between", "after"].map(str::to_owned).to_vec()));
        assert_eq!(rig.read_all(5), Ok(["first of a child", "second of a child"].map(str::to_owned).to_vec()));
        assert_eq!(rig.read_all(6), Ok(vec!["first of the other".to_owned()]));
    }
    assert_eq!(rig.put(6, &["second of the other"]), 1);
}

/// Shards that were opened, closed and forgotten in one segment are no damage of it.
#[test]
fn a_shard_that_came_and_went_in_one_segment_is_no_damage() {
    let mut rig = Rig::new(1);
    rig.seals = false;
    rig.put(0, &["the segment begins before them"]);
    rig.split(0, [5, 6]);
    rig.put(5, &["came"]);
    rig.split(5, [7, 8]);
    rig.put(7, &["stays"]);
    rig.kill();
    rig.settings.shards.retain(|shard| ![0, 5].contains(&shard.number));
    assert_eq!(rig.start(), Ok(None));
    assert_eq!(rig.read_all(7), Ok(vec!["stays".to_owned()]));
    assert_eq!(rig.put(7, &["goes on"]), 1);
}

/// Has the log go on in its next segment.
fn roll(rig: &mut Rig) {
    rig.wait(CLOSE_MS);
    rig.wait(CLOSE_MS);
    rig.wait(CLOSE_MS);
}
