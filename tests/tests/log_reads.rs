//! Reading a log: across segments, sparse and dense shards, positions in time, and who may name a salt.

use rheos_core::carry_over::CarryOver;
use rheos_core::commit::{CommitHeader, HeaderDigest};
use rheos_core::footer::{self, SegmentEnd};
use rheos_core::index::{IndexEntry, SegmentIndex};
use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::Position;
use rheos_protocol::record::Record;
use rheos_tests::rig::Rig;

/// Shard 0 in every commit, shard 1 in one of 300; the arrivals are a second apart.
fn sparse_log() -> (Rig, Vec<u64>) {
    let mut rig = Rig::new(2);
    rig.segment_bytes = Some(1 << 20);
    let mut sparse_arrivals = Vec::new();
    for at in 0..900u64 {
        rig.put(0, &[&format!("dense {at}"), &"d".repeat(5_000)]);
        if at % 300 == 0 {
            sparse_arrivals.push(rig.now.wall_ms);
            rig.put(1, &[&format!("sparse {at}")]);
        }
        rig.now.boot_ms += 1_000;
        rig.now.wall_ms += 1_000;
    }
    (rig, sparse_arrivals)
}

#[test]
fn sparse_and_dense_shards_are_read_across_segments() {
    let (mut rig, arrivals) = sparse_log();
    assert!(rig.files.segments.len() > 4);
    for round in 0..3 {
        match round {
            0 => rig.wait(61_000),
            1 => assert_eq!(rig.restart(), Ok(None)),
            _ => {
                rig.stop();
                rig.start().expect("it was stopped");
            }
        }
        let sparse: Vec<String> = [0, 300, 600].map(|at| format!("sparse {at}")).to_vec();
        assert_eq!(rig.read_all(1), Ok(sparse.clone()));
        assert_eq!(rig.read_from(1, 2), Ok(sparse[2..].to_vec()));
        for from in [0, 1, 2, 599, 1_200, 1_799] {
            let texts = rig.read_from(0, from).expect("it is whole");
            assert_eq!(texts.len() as u64, 1_800 - from);
            let first = if from % 2 == 0 { format!("dense {}", from / 2) } else { "d".repeat(5_000) };
            assert_eq!(texts[0], first);
        }
        for (at, arrival_ms) in arrivals.iter().enumerate() {
            for (asked_ms, sequence) in [(arrival_ms - 1, at), (*arrival_ms, at), (arrival_ms + 1, at + 1)] {
                let outcome = rig.read(1, Position::AtTimestamp(asked_ms), 1).expect("it is kept");
                assert_eq!(outcome.start_sequence, sequence as u64, "{asked_ms} in round {round}");
            }
        }
        for second in [0u64, 1, 299, 450, 899] {
            let asked_ms = arrivals[0] + second * 1_000;
            let outcome = rig.read(0, Position::AtTimestamp(asked_ms), 1).expect("it is kept");
            assert_eq!(outcome.start_sequence, second * 2, "round {round}");
        }
        let end = rig.read(0, Position::AtTimestamp(arrivals[0] + 900_000), 1).expect("it is the tip");
        assert_eq!((end.start_sequence, end.batches.len()), (1_800, 0));
        let beyond = rig.read(0, Position::AtSequence(1_801), 1).expect_err("it does not exist yet");
        assert_eq!((beyond.code, beyond.detail), (ErrorCode::BeyondTip, 1_800));
    }
}

#[test]
fn a_time_between_two_segments_that_are_in_memory() {
    let mut rig = Rig::new(1);
    rig.seals = false;
    rig.segment_bytes = Some(64 << 10);
    let first_ms = rig.now.wall_ms;
    for at in 0..40 {
        rig.put(0, &[&format!("{at}{}", "m".repeat(9_000))]);
        rig.now.boot_ms += 1_000;
        rig.now.wall_ms += 1_000;
    }
    rig.wait(61_000);
    assert!(rig.files.segments.len() > 4);
    for at in 0..40 {
        for asked_ms in [first_ms + at * 1_000, (first_ms + at * 1_000).saturating_sub(500)] {
            let outcome = rig.read(0, Position::AtTimestamp(asked_ms), 1).expect("it is kept");
            assert_eq!((outcome.start_sequence, outcome.next_sequence), (at, at + 1));
        }
    }
}

#[test]
fn damage_in_an_older_segment_is_named_exactly_and_the_log_goes_on() {
    let (mut rig, _) = sparse_log();
    rig.stop();
    let whole = rig.files.clone();
    for (offset, what) in [(200_000usize, "a commit"), (4_096 * 3 + 5, "the carry-over")] {
        let mut rig = Rig::with_files(2, &whole);
        rig.now.wall_ms += 3_600_000;
        for byte in &mut rig.files.segments.get_mut(&2).expect("it is there")[offset..offset + 8_192] {
            *byte ^= 0x55;
        }
        assert_eq!(rig.start(), Ok(None), "{what}");
        let (mut at, mut lost, mut read) = (0, 0, 0);
        while at < rig.tip(0) {
            match rig.read(0, Position::AtSequence(at), 1 << 20) {
                Ok(outcome) => {
                    read += outcome.next_sequence - at;
                    at = outcome.next_sequence;
                }
                Err(error) => {
                    assert_eq!((error.code, error.detail), (ErrorCode::Damaged, at), "{what}: {error:?}");
                    lost += error.detail_2 + 1 - at;
                    at = error.detail_2 + 1;
                }
            }
        }
        assert_eq!(read + lost, 1_800, "{what}");
        assert!(lost <= 6, "{what}: {lost} of 1,800 are lost");
        assert_eq!(rig.put(0, &["next"]), 1_800);
    }
}

/// A producer that knows everything but the salt writes a whole segment's end into its record: footer,
/// commits and batches under a salt of its own. The footer of the segment was never written.
#[test]
fn a_reader_believes_no_salt_that_the_head_does_not_know() {
    let mut rig = Rig::new(2);
    rig.put(1, &["true"]);
    let segment = rig.segment(1);
    let file = &rig.files.segments[&1];
    let end = (3..file.len() / 4096)
        .filter_map(|at| CommitHeader::decode(&file[at * 4096..], segment, at as u64 * 4096, rig.salt(1)).ok())
        .map(|(header, _)| header.end())
        .last()
        .expect("there is a commit");

    let forged_salt = 666;
    let at = end + 4096;
    let mut builder = BatchBuilder::default();
    builder.push(&Record::new("key", "forged").view(), 1 << 20).expect("it is small");
    let put = PutBatch::parse(builder.finish(77, 1, ProducerStamp::default())).expect("it is a batch");
    let batch = put.stamp(0, rig.now.wall_ms);
    let mut digest = HeaderDigest::default();
    digest.add(batch.bytes());
    let header = CommitHeader {
        segment,
        number: 0,
        offset: at,
        payload_len: batch.bytes().len() as u32,
        batch_count: 1,
        digest: digest.finish(),
        durable: 0,
        previous_checksum: 0,
    };
    let mut index = SegmentIndex::default();
    index.add(1, IndexEntry { first_sequence: 0, arrival_ms: rig.now.wall_ms, offset: at });
    let mut carry_out = bytes::BytesMut::new();
    CarryOver::new([0, 1]).encode(&mut carry_out);
    let forged_end = SegmentEnd { offset: at + 4096, next_commit: 1, last_checksum: 1, last_data_offset: at };
    let forged = footer::encode(segment, forged_salt, forged_end, &index, &carry_out, 1);

    let mut body = vec![0; 4096 - (128 + 80 + 8 + 3)];
    body.extend_from_slice(&header.encode(forged_salt).0);
    body.extend_from_slice(batch.bytes());
    body.resize(2 * 4096 - (128 + 80 + 8 + 3), 0);
    body.extend_from_slice(&forged);
    let mut builder = BatchBuilder::default();
    builder.push(&Record::new("key", body).view(), 1 << 20).expect("it is small");
    let batch = PutBatch::parse(builder.finish(77, 0, ProducerStamp::default())).expect("it is a batch");

    // The file ends with the record, and nobody writes a footer to it.
    rig.files.truncate(1, end);
    rig.seals = false;
    rig.tell(rheos_core::log::Event::Put { token: 1, batch });
    rig.completes = false;
    rig.send(1, ProducerStamp::default(), &["later"]);
    rig.fail_write(|_| false);
    rig.complete();
    rig.completes = true;
    rig.tell(rheos_core::log::Event::Sealed { segment: 1 });
    rig.wait(61_000);
    assert_eq!(rig.files.segments.len(), 2, "the first segment has a successor");
    assert_eq!(rig.read_all(1), Ok(vec!["true".to_owned(), "later".into()]));
}
