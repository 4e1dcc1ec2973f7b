//! What a log does about damage: what was torn is cut and said, what was acked is refused and named.

use rheos_core::commit::CommitHeader;
use rheos_core::segment::HEAD_BYTES;
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::Position;
use rheos_tests::random::Random;
use rheos_tests::rig::{Rig, bytes_of};
use rheos_tests::sim::hostile::{Guess, data, trailer};

/// Where the commits of a segment stand, by their number of batches.
fn commits(rig: &Rig, segment: u64) -> Vec<CommitHeader> {
    let file = &rig.files.segments[&segment];
    (0..file.len() / 4096)
        .filter_map(|at| {
            CommitHeader::decode(&file[at * 4096..], rig.segment(segment), at as u64 * 4096, rig.salt(segment)).ok()
        })
        .map(|(header, _)| header)
        .collect()
}

fn flip(rig: &mut Rig, segment: u64, at: usize, bit: usize) {
    rig.files.segments.get_mut(&segment).expect("it is there")[at] ^= 1 << bit;
}

/// Three acked puts, the last of which is proved by an empty commit or by a footer.
fn three_puts(clean_stop: bool) -> Rig {
    let mut rig = Rig::new(2);
    rig.put(0, &["a", "b"]);
    rig.put(1, &["other"]);
    rig.put(0, &["c", "d", "e"]);
    if clean_stop {
        rig.stop();
    } else {
        rig.wait(1_000);
        rig.kill();
    }
    rig
}

#[test]
fn a_flipped_bit_in_the_last_commit_is_never_cut() {
    for clean_stop in [false, true] {
        let whole = three_puts(clean_stop);
        let last = *commits(&whole, 1).iter().rfind(|commit| commit.batch_count > 0).expect("there are commits");
        let payload = last.offset as usize..last.offset as usize + 128 + last.payload_len as usize;
        for at in payload.clone() {
            let mut rig = Rig::with_files(2, &whole.files);
            flip(&mut rig, 1, at, at % 8);
            let why = rig.start().expect_err("what was acked is not cut");
            assert!(why.contains("damaged"), "{why}");
            assert_eq!(rig.log().read_only(), Some(&why[..]));
            assert_eq!(rig.files.segments[&1].len(), whole.files.segments[&1].len(), "nothing is cut");
            assert_eq!(rig.read(0, Position::AtSequence(0), 1 << 20).expect("it is whole").next_sequence, 2);
            assert_eq!(rig.read_all(1), Ok(vec!["other".to_owned()]));
            // Without a footer the sequences of a batch whose own header is rotten are known to nobody.
            let batch_header = payload.start + 128..payload.start + 208;
            if clean_stop || !batch_header.contains(&at) {
                let error = rig.read(0, Position::AtSequence(2), 1 << 20).expect_err("the records are lost");
                assert_eq!(
                    (error.code, error.detail, error.detail_2),
                    (ErrorCode::Damaged, 2, 4),
                    "byte {at}: {error:?}"
                );
                assert_eq!(rig.tip(0), 5, "no sequence is given again");
            }
        }
        // What pads a commit is nobody's.
        let mut rig = Rig::with_files(2, &whole.files);
        flip(&mut rig, 1, payload.end + 9, 3);
        assert_eq!(rig.start(), Ok(None));
        assert_eq!(rig.read_all(0).map(|records| records.len()), Ok(5));
    }
}

#[test]
fn damage_in_the_middle_is_named_and_the_rest_is_read() {
    let mut rig = Rig::new(1);
    for text in ["a", "b", "c", "d"] {
        rig.put(0, &[text, text]);
    }
    rig.kill();
    let second = commits(&rig, 1)[1];
    for at in [0, 64, 128, 130, 200, 220] {
        let mut rig = Rig::with_files(1, &rig.files);
        rig.kill();
        flip(&mut rig, 1, second.offset as usize + at, 1);
        assert!(rig.start().is_err());
        let error = rig.read(0, Position::AtSequence(2), 1 << 20).expect_err("they are lost");
        assert_eq!((error.code, error.detail, error.detail_2), (ErrorCode::Damaged, 2, 3));
        assert_eq!(rig.read_from(0, 4), Ok(["c", "c", "d", "d"].map(String::from).to_vec()));
        let token = rig.send(0, ProducerStamp::default(), &["e"]);
        let refused = rig.answer(token).expect("it is answered").expect_err("the log takes no puts");
        assert_eq!(refused.code, ErrorCode::ReadOnly);
    }
}

/// Damage to a shard's first records is named to whoever begins at the horizon or at a time before them.
#[test]
fn what_is_lost_at_the_beginning_is_named() {
    for clean_stop in [false, true] {
        let mut rig = Rig::new(2);
        rig.put(1, &["other"]);
        rig.put(0, &["a", "b"]);
        rig.wait(10);
        rig.put(0, &["c"]);
        rig.put(1, &["another"]);
        if clean_stop {
            rig.stop();
        }
        rig.kill();
        let first = commits(&rig, 1)[1];
        flip(&mut rig, 1, first.offset as usize + 220, 0);
        let _refused_or_not = rig.start();
        let at = rig.now.wall_ms;
        for position in [Position::TrimHorizon, Position::AtTimestamp(at - 10), Position::AtTimestamp(1)] {
            let error = rig.read(0, position, 1 << 20).expect_err("they are lost");
            assert_eq!((error.code, error.detail, error.detail_2), (ErrorCode::Damaged, 0, 1), "{position:?}");
        }
        assert_eq!(rig.read_from(0, 2), Ok(vec!["c".to_owned()]));
        let whole = rig.read(1, Position::TrimHorizon, 1 << 20).expect("it is whole");
        assert_eq!((whole.start_sequence, whole.next_sequence), (0, 2));
    }
}

#[test]
fn every_subset_of_a_torn_write_is_cut_and_said_or_whole() {
    let mut before = Rig::new(1);
    before.put(0, &["kept"]);
    before.completes = false;
    let long = "x".repeat(4 * 4096);
    before.send(0, ProducerStamp::default(), &[&long, "y"]);
    let write = before.writes.pop_front().expect("it is in flight");
    let blocks = write.len / 4096;
    assert_eq!(blocks, 5);
    for subset in 0..1u32 << blocks {
        let mut rig = Rig::with_files(1, &before.files);
        rig.kill();
        rig.land(&write, |at| subset & (1 << at) != 0);
        let cut = rig.start().expect("nothing acked is damaged");
        let whole = subset == (1 << blocks) - 1;
        assert_eq!(cut.is_some(), subset != 0 && !whole, "subset {subset:05b}: {cut:?}");
        assert_eq!(rig.tip(0), if whole { 3 } else { 1 });
        assert_eq!(rig.read_all(0).expect("it is whole")[0], "kept");
        // And once more: what was decided stays.
        assert_eq!(rig.restart(), Ok(None));
        assert_eq!(rig.put(0, &["next"]), if whole { 3 } else { 1 });
    }
}

#[test]
fn every_subset_of_a_torn_first_write_leaves_the_segment_before_it() {
    let mut before = Rig::new(300);
    before.put(0, &["kept"]);
    before.stop();
    before.start().expect("it was stopped");
    before.completes = false;
    before.send(0, ProducerStamp::default(), &["lost"]);
    let write = before.writes.pop_front().expect("it is in flight");
    assert_eq!((write.segment, write.offset), (2, 4096));
    let blocks = write.len / 4096;
    for subset in 0..1u32 << blocks {
        let mut rig = Rig::with_files(300, &before.files);
        rig.kill();
        rig.land(&write, |at| subset & (1 << at) != 0);
        rig.start().unwrap_or_else(|why| panic!("subset {subset:b}: {why}"));
        assert!(rig.tip(0) == 1 || rig.tip(0) == 2);
        let texts = rig.read_all(0).expect("it is whole");
        assert_eq!(texts[0], "kept");
        rig.restart().expect("and again");
        assert_eq!(rig.put(0, &["next"]), texts.len() as u64);
        assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(texts.len() + 1));
    }
}

#[test]
fn one_header_is_enough_and_none_is_refused() {
    for (damaged, is_refused) in [(vec![1], false), (vec![2], false), (vec![1, 2], true)] {
        let mut rig = three_puts(false);
        for block in &damaged {
            flip(&mut rig, 1, block * 4096 + 50, 0);
        }
        let result = rig.start();
        assert_eq!(result.is_err(), is_refused, "{damaged:?}: {result:?}");
        if !is_refused {
            assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(5));
        }
    }
}

#[test]
fn a_segment_that_was_in_use_is_no_spare_although_it_is_empty() {
    let mut rig = Rig::new(1);
    rig.segment_bytes = Some(64 << 10);
    rig.put(0, &[&"u".repeat(20_000)]);
    rig.kill();
    assert_eq!(rig.files.highest_prepared, 2, "the second was asked for because the first is in use");
    rig.files.segments.remove(&2);
    let file = rig.files.segments.get_mut(&1).expect("it is there");
    file[4096..].fill(0);
    let why = rig.start().expect_err("its records were acked");
    assert!(why.contains("was in use"), "{why}");
    assert!(rig.files.segments.contains_key(&1), "and it is not deleted");
}

#[test]
fn an_older_segment_that_cannot_be_read_stops_no_puts_and_expires() {
    for footer_alone in [false, true] {
        let mut rig = Rig::new(1);
        for text in ["a", "b", "c"] {
            rig.put(0, &[text]);
            rig.stop();
            rig.start().expect("it was stopped");
        }
        rig.kill();
        if footer_alone {
            let last = rig.files.segments[&1].len() - 4000;
            flip(&mut rig, 1, last, 0);
        } else {
            rig.files.unreadable.insert(1);
        }
        assert_eq!(rig.start(), Ok(None));
        assert_eq!(rig.put(0, &["d"]), 3);
        assert_eq!(rig.read_from(0, 1).map(|texts| texts.len()), Ok(3));
        assert_eq!(rig.read_all(0).is_err(), !footer_alone);
        // It leaves as its successor tells, and the others after it.
        rig.wait(86_500_000);
        rig.wait(1_000);
        rig.wait(1_000);
        assert_eq!(rig.files.numbers().into_iter().collect::<Vec<_>>(), [4]);
    }
}

#[test]
fn a_damaged_label_is_refused() {
    let mut rig = three_puts(false);
    flip(&mut rig, 1, 41, 0);
    let why = rig.start().expect_err("whose file it is cannot be told");
    assert!(why.contains("label"), "{why}");
    assert!(rig.files.segments.contains_key(&1), "and it is not deleted");
}

#[test]
fn a_damaged_carry_over_is_refused_and_what_follows_is_read() {
    for clean_stop in [false, true] {
        let mut rig = three_puts(true);
        rig.start().expect("it was stopped");
        rig.put(0, &["f"]);
        rig.put(0, &["g"]);
        if clean_stop {
            rig.stop();
        }
        rig.kill();
        flip(&mut rig, 2, HEAD_BYTES as usize + 9, 0);
        let why = rig.start().expect_err("the state is not known");
        assert!(why.contains("carry-over"), "{why}");
        assert_eq!(rig.tip(0), 7, "clean stop: {clean_stop}");
        assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(7));
        // What is silent in the segment is known from the one before it.
        assert_eq!(rig.read_all(1), Ok(vec!["other".to_owned()]));
    }
}

#[test]
fn a_missing_segment_is_refused_and_a_strange_one_set_aside() {
    let mut rig = Rig::new(1);
    for text in ["a", "b", "c"] {
        rig.put(0, &[text]);
        rig.stop();
        rig.start().expect("it was stopped");
    }
    rig.kill();
    let whole = rig.files.clone();
    rig.files.segments.remove(&2);
    let why = rig.start().expect_err("a segment is missing");
    assert!(why.contains("2 to 2 are missing"), "{why}");
    let error = rig.read(0, Position::AtSequence(1), 1 << 20).expect_err("it is lost");
    assert_eq!(error.code, ErrorCode::Damaged);
    assert_eq!(rig.read_from(0, 2), Ok(vec!["c".to_owned()]));

    let mut rig = Rig::with_files(1, &whole);
    rig.kill();
    let strange = rig.files.segments[&1].clone();
    rig.files.segments.insert(9, strange);
    assert_eq!(rig.start(), Ok(None));
    assert!(rig.files.set_aside.contains_key(&9) && !rig.files.segments.contains_key(&9));
    assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(3));
}

#[test]
fn missing_footers_of_several_segments_are_made_again() {
    let mut rig = Rig::new(1);
    rig.seals = false;
    rig.segment_bytes = Some(64 << 10);
    let long = "z".repeat(20_000);
    for _ in 0..12 {
        rig.put(0, &[&long]);
    }
    assert!(rig.files.segments.len() >= 4);
    rig.wait(61_000);
    assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(12), "what is not sealed is read by the index in memory");
    rig.kill();
    assert_eq!(rig.start(), Ok(None));
    for read in 0..2 {
        assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(12), "read {read}");
        assert!(rig.recover().segments.in_memory.is_empty(), "every segment has its footer");
        assert_eq!(rig.restart(), Ok(None));
    }
}

/// Whatever bit flips: nothing panics, and no record is given that was not put.
#[test]
fn flipped_bits_never_give_a_wrong_record() {
    let mut whole = Rig::new(2);
    whole.segment_bytes = Some(64 << 10);
    let long = "w".repeat(9_000);
    for at in 0..12 {
        whole.put(at % 2, &[&format!("{at}"), &long]);
    }
    whole.stop();
    let mut random = Random::new(11);
    for _ in 0..FLIPS {
        let mut rig = Rig::with_files(2, &whole.files);
        rig.kill();
        let numbers: Vec<u64> = rig.files.numbers().into_iter().collect();
        for _ in 0..random.within(1..4) {
            let segment = random.one_of(&numbers);
            let at = random.below(rig.files.segments[&segment].len() as u64) as usize;
            flip(&mut rig, segment, at, random.below(8) as usize);
        }
        let _refused_or_not = rig.start();
        for shard in 0..2 {
            let mut at = 0;
            while at < rig.tip(shard) {
                match rig.read(shard, Position::AtSequence(at), 1 << 20) {
                    Ok(outcome) => {
                        assert!(outcome.next_sequence > at);
                        for batch in &outcome.batches {
                            let texts: Vec<_> = batch.records().map(|record| record.data.to_vec()).collect();
                            let put = 2 * (batch.header().first_sequence / 2) + u64::from(shard);
                            assert_eq!(texts, [put.to_string().into_bytes(), long.clone().into_bytes()]);
                        }
                        at = outcome.next_sequence;
                    }
                    Err(error) => {
                        assert_eq!(error.code, ErrorCode::Damaged);
                        assert!(error.detail >= at && error.detail_2 >= error.detail, "{error:?}");
                        at = error.detail_2 + 1;
                    }
                }
            }
        }
    }
}

#[test]
fn records_that_imitate_the_format_change_nothing() {
    let mut random = Random::new(5);
    for round in 0..60 {
        let mut rig = Rig::new(1);
        rig.put(0, &["first"]);
        let offset = commits(&rig, 1).last().expect("there is one").end();
        let guess = Guess { segment: rig.segment(1), offset, commit: 1, directory: 0xd1ec, salt: round % 2 };
        let body = data(&guess, 3, 40_000, &mut random);
        rig.completes = false;
        let mut builder = rheos_protocol::batch::BatchBuilder::default();
        builder.push(&rheos_protocol::record::Record::new("key", body).view(), 10 << 20).expect("it is small");
        let batch = rheos_protocol::batch::PutBatch::parse(builder.finish(77, 0, ProducerStamp::default()));
        rig.tell(rheos_core::log::Event::Put { token: 1, batch: batch.expect("it is a batch") });
        let write = rig.writes.pop_front().expect("it is in flight");
        let skipped = random.below(write.len as u64 / 4096) as usize;
        rig.kill();
        // The file ends with the write, so that its last block may pass for a trailer.
        rig.files.truncate(1, write.offset);
        rig.land(&write, |at| at != skipped);
        let cut = rig.start().expect("nothing is refused on the word of a record");
        assert!(cut.is_some());
        assert_eq!(rig.read_all(0), Ok(vec!["first".to_owned()]));
    }
}

#[test]
fn a_record_that_imitates_a_trailer_names_no_end() {
    let mut rig = Rig::new(1);
    rig.put(0, &["first"]);
    let offset = commits(&rig, 1).last().expect("there is one").end();
    let guess = Guess { segment: rig.segment(1), offset, commit: 1, directory: 0xd1ec, salt: 4 };
    // The last block of the commit is a trailer that says that the segment ends before it.
    let before = 128 + 80 + 8 + 3;
    let mut body = vec![0; 2 * 4096 - before];
    body.extend_from_slice(&trailer(&guess, offset)[..]);
    let mut builder = rheos_protocol::batch::BatchBuilder::default();
    builder.push(&rheos_protocol::record::Record::new("key", body).view(), 10 << 20).expect("it is small");
    let batch = rheos_protocol::batch::PutBatch::parse(builder.finish(77, 0, ProducerStamp::default()));
    rig.files.truncate(1, offset);
    rig.tell(rheos_core::log::Event::Put { token: 1, batch: batch.expect("it is a batch") });
    rig.kill();
    assert_eq!(rig.start(), Ok(None));
    assert_eq!(rig.tip(0), 2, "both were acked");
    assert_eq!(rig.read_all(0).map(|texts| texts.len()), Ok(2));
}

#[test]
fn the_bytes_of_a_write_are_whole_blocks() {
    let mut rig = Rig::new(1);
    rig.completes = false;
    rig.send(0, ProducerStamp::default(), &["a"]);
    let write = &rig.writes[0];
    assert_eq!(bytes_of(write).len() % 4096, 0);
}

const FLIPS: usize = 1_500;
