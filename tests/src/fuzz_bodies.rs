//! What a fuzzer runs: one function for each thing that strangers' bytes are read as.
//!
//! Each takes any bytes and asserts what must hold of them; it never panics for their sake. The
//! targets of `fuzz/` are one line each, and a plain test runs the same bodies over `corpus/` and
//! mutations of it, so that they are exercised without a fuzzer too.

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{Batch, BatchHeader, HEADER_BYTES, ProducerStamp, PutBatch};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind, payload_limit, reply_limit};
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::{NAME_CHARS_MAX, STREAM_NAME_CHARS_MAX};
use rheos_protocol::message::{Reply, Request};
use rheos_protocol::name::StreamName;
use xxhash_rust::xxh3::xxh3_64;

/// A body of this module.
pub type Body = fn(&[u8]);

/// Every body with its name, which is also its target's.
pub const BODIES: &[(&str, Body)] = &[
    ("frame", frame),
    ("request", request),
    ("reply", reply),
    ("batch", batch),
    ("batch_sealed", batch_sealed),
    ("stream_name", stream_name),
];

/// A byte stream as a broker or a client takes it: frame after frame until one is refused or unfinished.
pub fn frame(data: &[u8]) {
    let mut rest = data;
    while let Some((head, after)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() {
        let header = FrameHeader::decode(head);
        let mut again = BytesMut::new();
        header.encode(&mut again);
        assert_eq!((&again[..6], &again[8..]), (&head[..6], &head[8..]), "all but the flags comes back");

        let is_request = header.kind.is_multiple_of(2);
        let limit = if is_request { payload_limit(header.kind, true) } else { reply_limit() };
        if header.len > limit {
            return;
        }
        let Some((payload, next)) = after.split_at_checked(header.len as usize) else { return };
        match (is_request, header.kind) {
            (true, kind::PUT) => batch(payload),
            (true, kind) => request_of(kind, payload),
            (false, kind) => reply_of(kind, payload),
        }
        rest = next;
    }
}

/// A request: two bytes of kind, then its payload.
pub fn request(data: &[u8]) {
    if let Some((kind, payload)) = data.split_first_chunk() {
        request_of(u16::from_le_bytes(*kind), payload);
    }
}

/// A reply: two bytes of kind, then its payload.
pub fn reply(data: &[u8]) {
    if let Some((kind, payload)) = data.split_first_chunk() {
        reply_of(u16::from_le_bytes(*kind), payload);
    }
}

/// A batch, as a broker takes it and as a client takes several.
pub fn batch(data: &[u8]) {
    if let Ok(put) = PutBatch::parse(data.into()) {
        assert_eq!(put.total_len(), data.len());
        check_put(put);
    }
    check_batches(Bytes::copy_from_slice(data));
}

/// A batch whose checksums are right, so that its records are reached: a record count in two bytes, then the body.
pub fn batch_sealed(data: &[u8]) {
    let Some((count, body)) = data.split_first_chunk() else { return };
    let header = BatchHeader {
        record_count: u16::from_le_bytes(*count).into(),
        body_len: u32::try_from(body.len()).expect("a fuzzer's input is small"),
        body_checksum: xxh3_64(body),
        producer: ProducerStamp { id: 1, epoch: 2, number: 3 },
        incarnation: 4,
        shard: 5,
        first_sequence: 0,
        arrival_ms: 0,
    };
    batch(&[&header.encode()[..], body].concat());
}

/// A stream's name, which must be safe in a URL and a log, and its part after the account and region in a path.
pub fn stream_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match StreamName::new(text) {
        Ok(name) => {
            assert_eq!(name.as_str(), text);
            assert!(
                (1..=STREAM_NAME_CHARS_MAX).contains(&text.len()) && !text.contains(|c: char| !c.is_ascii_graphic())
            );
            let base = name.base();
            assert!((1..=NAME_CHARS_MAX).contains(&base.len()) && !base.contains('/') && text.ends_with(base));
            let again = match name.account_and_region() {
                Some((account, region)) => StreamName::qualified(&account, &region, base),
                None => StreamName::new(base),
            };
            assert_eq!(again, Ok(name));
        }
        Err(bad) => assert!(!bad.to_string().is_empty() && bad.to_string().len() < 2048),
    }
}

/// What is decoded says the same when it is encoded and decoded again.
fn request_of(kind: u16, payload: &[u8]) {
    let Ok(Some(request)) = Request::decode(kind, payload) else { return };
    assert_eq!(request.kind(), kind);
    let mut frame = BytesMut::new();
    request.write(7, &mut frame);
    let again = Request::decode(kind, &frame[FRAME_HEADER_BYTES..]);
    assert_eq!(again, Ok(Some(request)));
}

fn reply_of(kind: u16, payload: &[u8]) {
    let Ok(Some(reply)) = Reply::decode(kind, Bytes::copy_from_slice(payload)) else { return };
    assert_eq!(reply.kind(), kind);
    let mut frame = BytesMut::new();
    reply.write(7, &mut frame);
    let again = Reply::decode(kind, frame.freeze().slice(FRAME_HEADER_BYTES..));
    assert_eq!(again.as_ref(), Ok(&Some(reply.clone())));
    match reply {
        Reply::Batches(batches) => check_batches(batches.batches),
        Reply::Push(push) => check_batches(push.batches),
        Reply::Stream(stream) => {
            for shard in &stream.shards {
                let found = stream.shard_of(shard.range.first);
                assert!(!shard.open || found.is_some_and(|found| found.range.contains(shard.range.first)));
            }
        }
        _ => {}
    }
}

/// A put that was proved can be routed and stamped, and stays a batch.
fn check_put(put: PutBatch) {
    let records = put.records().len() as u64;
    assert!(put.records().all(|record| HashRange::FULL.contains(record.hash_key())));
    let stamped = put.stamp(1 << 40, 1_700_000_000_000);
    let again = Batch::parse(stamped.bytes().clone()).expect("a stamp breaks nothing");
    assert_eq!(again.header(), stamped.header());
    assert_eq!(again.next_sequence(), (1 << 40) + records);
}

/// Walks batches that follow one another, to the first that is none.
fn check_batches(mut bytes: Bytes) {
    while !bytes.is_empty() {
        let before = bytes.len();
        let Ok(batch) = Batch::split_from(&mut bytes) else { return };
        assert_eq!(before - bytes.len(), batch.bytes().len());
        assert!(batch.bytes().len() >= HEADER_BYTES + batch.records().len() * RECORD_BYTES_LEAST);
        assert_eq!(batch.records().count(), batch.header().record_count as usize);
        assert_eq!(batch.next_sequence() - batch.header().first_sequence, batch.records().len() as u64);
        let body: usize = batch.records().map(|record| record.encoded_len()).sum();
        assert_eq!(body, batch.header().body_len as usize, "nothing is between the records");
    }
}

/// A record's fixed fields and a key of one byte.
const RECORD_BYTES_LEAST: usize = 9;
