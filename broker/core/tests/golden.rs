//! Golden bytes: what version 1 of the disk format looks like, for ever.
//!
//! The files `golden/NAME.hex` are made once, by running this test with `RHEOS_GOLDEN=write`, and then
//! only compared. A later version must go on reading them.

#![allow(clippy::disallowed_methods, reason = "a test reads files and the environment")]

#[path = "golden/dump.rs"]
mod dump;

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use rheos_core::capacity::{Capacity, Found};
use rheos_core::carry_over::{CarryOver, ShardState};
use rheos_core::catalog::{
    Commitment, ConsumerRecord, KeyRecord, ResourcePolicy, StreamRecord, decode_step, encode_step, plan_consumer,
    plan_key, plan_stream,
};
use rheos_core::commit::{Commit, CommitHeader, HeaderDigest, SegmentId};
use rheos_core::footer::{self, SegmentEnd, Trailer};
use rheos_core::gap::GapMark;
use rheos_core::index::{IndexEntry, SegmentIndex};
use rheos_core::producer::StoredPuts;
use rheos_core::segment::{HEAD_BYTES, HEADER_OFFSET, Header, Label, Predecessor, encode_head};
use rheos_protocol::batch::{Batch, BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::message::{Access, CreateKey, CreateStream, KeyPolicy, ScalingOutcome, ScalingReason, ScalingStep};
use rheos_protocol::record::Record;

#[test]
fn what_is_encoded_is_golden() {
    let write = std::env::var("RHEOS_GOLDEN").is_ok_and(|word| word == "write");
    for (name, bytes) in table() {
        if write {
            std::fs::write(path(name), dump::write(&bytes)).expect("the directory is there");
        }
        assert_eq!(dump::write(&bytes), text(name), "{name} is not what version 1 writes");
    }
}

#[test]
fn what_is_golden_is_decoded() {
    assert_eq!(Label::decode(&stored("label")), Ok(label()));
    let carry_over = stored("carry-over");
    assert_eq!(CarryOver::decode(&carry_over), Ok(state()));

    let head = [stored("label"), stored("head")].concat();
    let decoded = Header::decode_either(&head, SEGMENT, SALT).expect("it is a header");
    assert_eq!(decoded.carry_over_len as usize, carry_over.len());
    assert_eq!(Header { carry_over_len: 0, carry_over_checksum: 0, ..decoded }, header());
    assert_eq!(decoded.first_offset(), HEADER_OFFSET + stored("head").len() as u64);
    assert_eq!(decoded.decode_carry_over(&head[HEAD_BYTES as usize..], SALT), Ok(state()));

    let found = Commit::parse(&stored("commit").into(), SEGMENT, OFFSET, SALT).expect("it is a commit");
    assert_eq!(found.header, commit_header());
    assert_eq!(found.batches.len(), 1);
    assert_eq!(found.batches[0].bytes(), batch().bytes());
    let empty = Commit::parse(&stored("commit-empty").into(), SEGMENT, OFFSET + 4096, SALT).expect("it is a commit");
    assert_eq!((empty.batches.len(), empty.header.previous_checksum), (0, found.checksum));

    let stored_footer = stored("footer");
    let trailer = Trailer::decode(&stored_footer[stored_footer.len() - 4096..], SEGMENT).expect("it is a trailer");
    assert_eq!((trailer.salt, trailer.end, trailer.last_arrival_ms), (SALT, end(), ARRIVAL_MS));
    assert_eq!(trailer.file_len(), end().offset + stored_footer.len() as u64);
    assert_eq!(trailer.decode_content(&stored_footer), Ok((index(), state())));
    assert_eq!(trailer.entries_of(&stored_footer, 5), Ok(index().of_shard(5).to_vec()));

    assert_eq!(GapMark::decode(&stored("gap-mark")), Ok(gap_mark()));
    assert_eq!(StreamRecord::decode(&stored("catalog-stream")), Ok(stream()));
    assert_eq!(ConsumerRecord::decode(&stored("catalog-consumer")), Ok(consumer()));
    assert_eq!(KeyRecord::decode(&stored("catalog-key")), Ok(key()));
    assert_eq!(decode_step(&stored("catalog-scaling-step")), Ok(step()));
    assert_eq!(ResourcePolicy::decode(&stored("catalog-policy")), Ok(policy()));
    assert_eq!(Commitment::decode(&stored("catalog-commitment")), Ok(commitment()));
    assert_eq!(Capacity::decode(&stored("capacity")), Ok(capacity()));
}

#[test]
fn no_golden_file_is_without_its_bytes() {
    let mut named: Vec<String> = table().iter().map(|(name, _)| format!("{name}.hex")).collect();
    named.sort();
    let directory = path("x");
    let mut there: Vec<String> = std::fs::read_dir(directory.parent().expect("it has a directory"))
        .expect("the directory is there")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("the names are ASCII"))
        .filter(|name| name.ends_with(".hex"))
        .collect();
    there.sort();
    assert_eq!(there, named);
}

fn table() -> Vec<(&'static str, Vec<u8>)> {
    let mut carry_over = BytesMut::new();
    state().encode(&mut carry_over);
    let footer = footer::encode(SEGMENT, SALT, end(), &index(), &carry_over, ARRIVAL_MS);
    let (empty, _) = empty_header().encode(SALT);
    vec![
        ("label", label().encode()),
        ("head", encode_head(&header(), &carry_over, SALT).to_vec()),
        ("carry-over", carry_over.to_vec()),
        ("commit", block(&[&commit_header().encode(SALT).0[..], batch().bytes()].concat())),
        ("commit-empty", block(&empty)),
        ("footer", footer.to_vec()),
        ("gap-mark", gap_mark().encode().to_vec()),
        ("catalog-stream", stream().encode()),
        ("catalog-consumer", consumer().encode()),
        ("catalog-key", key().encode()),
        ("catalog-scaling-step", encode_step(&step())),
        ("catalog-policy", policy().encode()),
        ("catalog-commitment", commitment().encode()),
        ("capacity", capacity().encode().expect("it was measured")),
    ]
}

fn block(bytes: &[u8]) -> Vec<u8> {
    let mut block = bytes.to_vec();
    block.resize(4096, 0);
    block
}

fn label() -> Label {
    Label { directory: 0xd1ec_7023, segment: SEGMENT, salt: SALT }
}

fn gap_mark() -> GapMark {
    GapMark { directory: 0xd1ec_7023, segment: SEGMENT }
}

fn header() -> Header {
    Header {
        segment: SEGMENT,
        carry_over_len: 0,
        carry_over_checksum: 0,
        first_commit: 41,
        predecessor: Some(Predecessor { end: 65_536, last_checksum: 0x0123_4567_89ab_cdef }),
        first_arrival_ms: ARRIVAL_MS - 7,
    }
}

fn state() -> CarryOver {
    let mut state = CarryOver::new([2, 5]);
    state.shards[0] = ShardState { shard: 2, closed: true, next_sequence: 77, last_arrival_ms: ARRIVAL_MS - 9 };
    state.shards[1] = ShardState { shard: 5, closed: false, next_sequence: 1 << 40, last_arrival_ms: ARRIVAL_MS };
    let mut puts = StoredPuts::new(3, 12);
    puts.push((70, ARRIVAL_MS - 10));
    puts.push((75, ARRIVAL_MS - 9));
    state.producers.restore(0xfeed, 2, puts);
    state
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::default();
    builder.push(&Record::new("AA", "flight 1141").view(), 1 << 20).expect("it is within the limits");
    let explicit = Record { explicit_hash_key: Some(9), ..Record::new("ключ", "") };
    builder.push(&explicit.view(), 1 << 20).expect("it is within the limits");
    let stamp = ProducerStamp { id: 0xfeed, epoch: 3, number: 12 };
    let put = PutBatch::parse(builder.finish(SEGMENT.incarnation, 5, stamp)).expect("it is a batch");
    put.stamp(1 << 40, ARRIVAL_MS)
}

fn commit_header() -> CommitHeader {
    let batch = batch();
    let mut digest = HeaderDigest::default();
    digest.add(batch.bytes());
    CommitHeader {
        segment: SEGMENT,
        number: 42,
        offset: OFFSET,
        payload_len: batch.bytes().len() as u32,
        batch_count: 1,
        digest: digest.finish(),
        durable: 42,
        previous_checksum: 0xfedc_ba98,
    }
}

fn empty_header() -> CommitHeader {
    let previous_checksum = commit_header().encode(SALT).1;
    let (offset, digest) = (OFFSET + 4096, HeaderDigest::default().finish());
    CommitHeader {
        number: 43,
        offset,
        payload_len: 0,
        batch_count: 0,
        digest,
        durable: 43,
        previous_checksum,
        ..commit_header()
    }
}

fn index() -> SegmentIndex {
    let mut index = SegmentIndex::default();
    index.add(2, IndexEntry { first_sequence: 70, arrival_ms: ARRIVAL_MS - 10, offset: 16_384 });
    index.add(5, IndexEntry { first_sequence: 9, arrival_ms: ARRIVAL_MS - 9, offset: 16_384 });
    index.add(5, IndexEntry { first_sequence: 1 << 40, arrival_ms: ARRIVAL_MS, offset: OFFSET });
    index
}

fn end() -> SegmentEnd {
    SegmentEnd {
        offset: OFFSET + 8192,
        next_commit: 44,
        last_checksum: empty_header().encode(SALT).1,
        last_data_offset: OFFSET,
    }
}

fn stream() -> StreamRecord {
    let create =
        CreateStream { name: "clicks".to_owned(), shards: 2, retention_ms: 86_400_000, ..CreateStream::default() };
    plan_stream(&create, ARRIVAL_MS, SEGMENT.incarnation, 2, None).expect("it is in order")
}

fn consumer() -> ConsumerRecord {
    let plain = plan_consumer("billing", SEGMENT.incarnation, ARRIVAL_MS).expect("it is a name");
    plain.reserving(8 << 20).expect("it is in range").expect("it had none")
}

fn capacity() -> Capacity {
    Capacity::new(200 << 20, Found::Measured { at_ms: ARRIVAL_MS }).expect("it is in range")
}

fn key() -> KeyRecord {
    let streams = vec![("orders".to_owned(), Access::ReadWrite), ("audit".to_owned(), Access::ReadOnly)];
    let policy = KeyPolicy { everywhere: Access::None, streams };
    let create = CreateKey { name: "ingest".to_owned(), policy, account: None };
    plan_key(&create, "RKABCDEFGHIJKLMNOPQR", "not-a-secret-but-as-long-as-one-is-usual", ARRIVAL_MS)
        .expect("it is in order")
}

fn policy() -> ResourcePolicy {
    ResourcePolicy::new("{\"Statement\":[]}").expect("it is in range")
}

fn commitment() -> Commitment {
    Commitment::enable(None, ARRIVAL_MS).disable(ARRIVAL_MS + 1_000)
}

fn step() -> ScalingStep {
    let reason = ScalingReason::HotShard { shard: 1, at: 0x9000 << 112, load_milli: 950, share_percent: 52 };
    let outcome = ScalingOutcome::Done { ended_ms: ARRIVAL_MS + 333 };
    ScalingStep { begun_ms: ARRIVAL_MS, outcome, from: 2, to: 3, reason }
}

/// The stored bytes.
fn stored(name: &str) -> Vec<u8> {
    dump::read(&text(name)).unwrap_or_else(|why| panic!("{name}.hex: {why}"))
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| {
        panic!("{name} has no golden bytes ({error}); something new gets them with RHEOS_GOLDEN=write")
    })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"))
}

#[test]
fn a_damaged_golden_file_is_no_more_what_it_was() {
    for at in 0..128 {
        let mut commit = stored("commit");
        commit[at] ^= 1;
        assert!(Commit::parse(&Bytes::from(commit), SEGMENT, OFFSET, SALT).is_err(), "byte {at}");
    }
    for at in 0..56 {
        let mut label = stored("label");
        label[at] ^= 1;
        assert!(Label::decode(&label).is_err(), "byte {at}");
    }
}

const SEGMENT: SegmentId = SegmentId { incarnation: 0x1122_3344_5566_7788, log: 6, segment: 3 };
const SALT: u64 = 0x5a17_5a17_5a17_5a17;
const OFFSET: u64 = 20_480;
const ARRIVAL_MS: u64 = 1_700_000_000_123;
