//! What a fuzzer runs over the disk format: one function for each thing that is read from a file.
//!
//! Where a checksum seeded with a secret stands before a decoder, the body sets it right, so that what
//! follows it is reached. Each body takes any bytes and asserts what must hold of them: nothing panics,
//! what is decoded says the same when it is encoded again, and no read ever gives a record that was
//! not put.

use bytes::{Bytes, BytesMut};
use rheos_core::carry_over::CarryOver;
use rheos_core::commit::{COMMIT_HEADER_BYTES, Commit, CommitHeader, HeaderDigest, SegmentId};
use rheos_core::footer::Trailer;
use rheos_core::segment::{Header, Label};
use rheos_protocol::batch::Batch;
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::Position;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::fuzz_bodies::Body;
use crate::rig::Rig;

/// Every body with its name, which is also its target's.
pub const BODIES: &[(&str, Body)] = &[
    ("disk_label", label),
    ("disk_header", header),
    ("disk_carry_over", carry_over),
    ("disk_footer", footer),
    ("disk_commit", commit),
    ("disk_recovery", recovery),
    ("disk_recovery_mutated", recovery_mutated),
    ("disk_reader", reader),
];

/// The first block of a file, as it is and with its checksum set right.
pub fn label(data: &[u8]) {
    let sealed = sealed(data, b"RHL1", 48, xxh3_64);
    for block in [data, &sealed] {
        if let Ok(label) = Label::decode(block) {
            assert_eq!(Label::decode(&label.encode()), Ok(label));
        }
    }
}

/// A segment header, as it is and with its checksum set right.
pub fn header(data: &[u8]) {
    let sealed = sealed(data, b"RHS1", 120, |bytes| xxh3_64_with_seed(bytes, SALT));
    for block in [data, &sealed] {
        if let Ok(header) = Header::decode(block, SEGMENT, SALT) {
            assert_eq!(header.segment, SEGMENT);
            assert!(header.first_offset() <= rheos_core::limits::SEGMENT_FILE_BYTES_MAX);
            let _proved_or_not = header.decode_carry_over(data, SALT);
        }
    }
}

/// A carry-over behind its checksum.
pub fn carry_over(data: &[u8]) {
    let Ok(state) = CarryOver::decode(data) else { return };
    let mut again = BytesMut::new();
    state.encode(&mut again);
    let again = CarryOver::decode(&again).expect("what is encoded is decoded");
    assert_eq!(again.shards, state.shards);
    assert_eq!(again.producers, state.producers);
}

/// A footer: 120 bytes of trailer, then the content; both checksums are set right.
pub fn footer(data: &[u8]) {
    let (trailer, content) = data.split_at(data.len().min(120));
    let mut trailer = trailer.to_vec();
    trailer.resize(120, 0);
    for (at, bytes) in [
        (4, &1u32.to_le_bytes()[..]),
        (8, &SEGMENT.incarnation.to_le_bytes()),
        (16, &SEGMENT.log.to_le_bytes()),
        (24, &SEGMENT.segment.to_le_bytes()),
        (32, &SALT.to_le_bytes()),
    ] {
        trailer[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let proved = |trailer: &[u8]| sealed(trailer, b"RHF1", 120, |bytes| xxh3_64_with_seed(bytes, SEGMENT.segment));
    let Ok(first) = Trailer::decode(&proved(&trailer), SEGMENT) else { return };
    let len = first.content().1.min(content.len());
    trailer[96..104].copy_from_slice(&xxh3_64_with_seed(&content[..len], SALT).to_le_bytes());
    let trailer = Trailer::decode(&proved(&trailer), SEGMENT).expect("only a checksum has changed");
    if let Ok((index, _)) = trailer.decode_content(content) {
        for (shard, entries) in index.shards() {
            assert!(entries.windows(2).all(|pair| pair[1].follows(&pair[0])));
            let _found_or_not = trailer.entries_of(content, shard);
        }
    }
    for shard in [0, 1, 7, u32::MAX] {
        let _found_or_not = trailer.entries_of(content, shard);
    }
}

/// A commit: as it is, and its payload behind a header that is right about it.
pub fn commit(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    assert!(Commit::parse(&bytes, SEGMENT, OFFSET, SALT).is_err(), "nobody knows the salt");
    let mut digest = HeaderDigest::default();
    let (mut rest, mut batch_count) = (bytes.clone(), 0);
    while let Ok(batch) = Batch::split_from(&mut rest) {
        digest.add(batch.bytes());
        batch_count += 1;
    }
    let header = CommitHeader {
        segment: SEGMENT,
        number: 1,
        offset: OFFSET,
        payload_len: data.len() as u32,
        batch_count,
        digest: digest.finish(),
        durable: 1,
        previous_checksum: 0,
    };
    let bytes = Bytes::from([&header.encode(SALT).0[..], data].concat());
    assert_eq!(bytes.len(), COMMIT_HEADER_BYTES + data.len());
    match Commit::parse(&bytes, SEGMENT, OFFSET, SALT) {
        Ok(commit) => assert!(rest.is_empty() && commit.batches.len() == batch_count as usize),
        Err(_) => assert!(!rest.is_empty() || data.len() > rheos_core::limits::COMMIT_PAYLOAD_BYTES_MAX),
    }
}

/// A file that is anything, found where the only segment of a log is.
pub fn recovery(data: &[u8]) {
    let mut rig = Rig::new(1);
    rig.kill();
    rig.files.segments.insert(1, data.to_vec());
    rig.files.highest_prepared = 1;
    let _refused_or_not = rig.start();
    assert_eq!(rig.tip(0), 0, "nobody knows the salt");
}

/// A log of some segments in which bytes are changed: six bytes say which segment, where and how. What is
/// refused is repaired.
pub fn recovery_mutated(data: &[u8]) {
    let mut rig = small_log();
    for change in data.chunks_exact(6).take(8) {
        let segments = rig.files.segments.len() as u64;
        let file = rig.files.segments.get_mut(&(1 + u64::from(change[0]) % segments)).expect("numbers are dense");
        let at = u32::from_le_bytes([change[1], change[2], change[3], 0]) as usize % file.len();
        match change[4] % 4 {
            0 => file[at] = change[5],
            1 => file[at] ^= 1 << (change[5] % 8),
            2 => file.truncate(at / 4096 * 4096),
            _ => file[at / 4096 * 4096..].iter_mut().take(4096).for_each(|byte| *byte = change[5]),
        }
        if file.is_empty() {
            file.resize(4096, 0);
        }
    }
    let refused = rig.start().is_err();
    read_what_is_there(&rig);
    if refused {
        rig.kill();
        for chore in rig.repair_chores(&[]) {
            rig.do_repair_chore(&chore);
        }
        rig.start().expect("what is repaired takes puts");
        read_what_is_there(&rig);
    }
}

/// A file that is anything, read as the second of three segments.
pub fn reader(data: &[u8]) {
    let mut rig = small_log();
    rig.start().expect("it was stopped");
    rig.files.segments.insert(2, data.to_vec());
    read_what_is_there(&rig);
}

/// Three sealed segments, two records a put: the number of the put and something long.
fn small_log() -> Rig {
    let mut rig = Rig::new(1);
    for segment in 0..3 {
        for put in 0..3 {
            rig.put(0, &[&(3 * segment + put).to_string(), &LONG.repeat(200)]);
        }
        rig.stop();
        rig.start().expect("it was stopped");
    }
    rig.kill();
    rig
}

/// Reads everything, goes around what is damaged, and knows every record.
fn read_what_is_there(rig: &Rig) {
    let mut at = 0;
    while at < rig.tip(0) {
        match rig.read(0, Position::AtSequence(at), 1 << 20) {
            Ok(outcome) => {
                assert!(outcome.next_sequence > at, "a read gets on");
                for batch in &outcome.batches {
                    let first = batch.records().next().expect("a batch holds records");
                    assert_eq!(first.data, (batch.header().first_sequence / 2).to_string().as_bytes());
                }
                at = outcome.next_sequence;
            }
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Damaged, "{error:?}");
                assert!(error.detail >= at && error.detail_2 >= error.detail, "{error:?} at {at}");
                at = error.detail_2 + 1;
            }
        }
    }
    for arrival_ms in [0, 1_700_000_000_000, u64::MAX] {
        let _found_or_not = rig.read(0, Position::AtTimestamp(arrival_ms), 4096);
    }
}

/// A block that begins with a magic and whose checksum stands at `at`.
fn sealed(data: &[u8], magic: &[u8; 4], at: usize, checksum: impl Fn(&[u8]) -> u64) -> Vec<u8> {
    let mut block = data.to_vec();
    block.resize(4096, 0);
    block[..4].copy_from_slice(magic);
    let sum = checksum(&block[..at]);
    block[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    block
}

const SEGMENT: SegmentId = SegmentId { incarnation: 77, log: 3, segment: 2 };
const SALT: u64 = 0x5a17;
const OFFSET: u64 = 16_384;
const LONG: &str = "0123456789";
