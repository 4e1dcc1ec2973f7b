//! What a peer may send instead: messages cut short, grown, or with lengths beyond all measure.
//!
//! What must hold: `Malformed` or a value, never a panic, and never more memory than a small multiple
//! of what was sent.

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{BadBatch, Batch, BatchHeader, HEADER_BYTES, PutBatch};
use rheos_protocol::frame::kind;
use rheos_protocol::message::{Reply, Request};
use xxhash_rust::xxh3::xxh3_64;

use crate::table::{Message, table};
use crate::{split, stored};

/// What a later version adds. A text that this one leaves out is then there, and empty.
const GROWTH: [u8; 7] = [0, 0, 0xee, 0xee, 0xee, 0xee, 0xee];
/// A length and 12 digits.
const ACCOUNT_BYTES: usize = 14;

#[test]
fn what_is_cut_short_is_malformed() {
    for_each_frame(|name, number, payload| {
        for len in 0..payload.len() {
            let cut = payload.slice(..len);
            match decode(number, cut) {
                Decoded::Malformed => {}
                // Whole batches follow the fields of these; each says by itself whether it is whole.
                Decoded::Reply(Reply::Batches(cut)) => assert_cut(name, cut.batches, &payload, len),
                Decoded::Reply(Reply::Push(cut)) => assert_cut(name, cut.batches, &payload, len),
                // What was sent before there were accounts ends before the last field.
                Decoded::Request(Request::CreateKey(cut)) if len + ACCOUNT_BYTES == payload.len() => {
                    assert_eq!(cut.account, None, "{name}, cut to {len} bytes");
                }
                _ => panic!("{name}, cut to {len} bytes, went unnoticed"),
            }
        }
    });
    for_each_batch(|name, bytes| {
        for len in 0..bytes.len() {
            assert!(Batch::parse(bytes.slice(..len)).is_err(), "{name}, cut to {len} bytes, went unnoticed");
            assert!(Batch::split_from(&mut bytes.slice(..len)).is_err(), "{name}, cut to {len} bytes, went unnoticed");
        }
    });
}

/// Batches that were cut are whole only where one of them ended.
fn assert_cut(name: &str, mut cut: Bytes, whole: &Bytes, len: usize) {
    let mut ends = vec![whole.len() - (cut.len() + whole.len() - len)];
    let mut all = whole.slice(ends[0]..);
    while !all.is_empty() {
        Batch::split_from(&mut all).expect("the golden batches are whole");
        ends.push(whole.len() - all.len());
    }
    let mut outcome = Ok(());
    while !cut.is_empty() && outcome.is_ok() {
        outcome = Batch::split_from(&mut cut).map(drop);
    }
    assert_eq!(outcome.is_ok(), ends.contains(&len), "{name}, cut to {len} bytes");
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    for_each_frame(|name, number, payload| {
        let value = decode(number, payload.clone());
        assert!(!matches!(value, Decoded::Malformed | Decoded::Unknown), "{name}");
        let grown: Bytes = match number {
            // Their end is batches; the fields grow in their group.
            kind::BATCHES | kind::PUSH => payload.clone(),
            _ => [&payload[..], &GROWTH].concat().into(),
        };
        assert_eq!(decode(number, grown.clone()), value, "{name} with bytes after it");
        let begins_with_a_group = matches!(
            number,
            kind::BATCHES | kind::PUSH | kind::METRICS | kind::STREAM | kind::STREAMS | kind::CONSUMERS | kind::KEYS
        );
        if begins_with_a_group {
            assert_eq!(decode(number, grow_groups(number, &grown)), value, "{name} with grown groups");
        }
    });
}

/// The payload with bytes added to the group that it begins with, and to each item after that.
fn grow_groups(number: u16, payload: &Bytes) -> Bytes {
    let mut out = BytesMut::new();
    let mut rest = grow_group(&mut out, payload);
    if matches!(number, kind::STREAM | kind::STREAMS | kind::CONSUMERS | kind::KEYS) {
        let (count, items) = rest.split_first_chunk::<4>().expect("a count follows");
        out.extend_from_slice(count);
        rest = items;
        for _ in 0..u32::from_le_bytes(*count) {
            rest = grow_group(&mut out, rest);
        }
    }
    out.extend_from_slice(rest);
    out.freeze()
}

/// Copies the group at the front with bytes after its last field; what follows it comes back.
fn grow_group<'a>(out: &mut BytesMut, bytes: &'a [u8]) -> &'a [u8] {
    let (len, rest) = bytes.split_first_chunk::<2>().expect("a group has a length");
    let (fields, rest) = rest.split_at(u16::from_le_bytes(*len).into());
    out.extend_from_slice(&((fields.len() + GROWTH.len()) as u16).to_le_bytes());
    out.extend_from_slice(fields);
    out.extend_from_slice(&GROWTH);
    rest
}

#[test]
fn no_declared_length_is_believed() {
    for (name, offset, width) in LENGTHS {
        let (header, payload) = split(&stored(name));
        let mut bad = payload.to_vec();
        bad[*offset..offset + width].fill(0xff);
        assert_eq!(decode_within_bound(name, header.kind, bad), Decoded::Malformed, "{name} at {offset}");
    }
}

/// Where the messages declare a length or a count, and in how many bytes.
const LENGTHS: &[(&str, usize, usize)] = &[
    ("request-hello", 12, 2),
    ("request-hello", 66, 2),
    ("request-create-stream", 0, 2),
    ("request-describe-stream", 0, 2),
    ("request-list-streams", 0, 2),
    ("request-list-streams-filtered", 6, 2),
    ("request-list-streams-filtered", 13, 4),
    ("request-list-streams-filtered", 17, 2),
    ("request-list-streams-filtered", 19, 2),
    ("request-list-streams-filtered", 26, 2),
    ("request-delete-stream", 0, 2),
    ("request-update-stream", 0, 2),
    ("request-change-tags", 0, 2),
    ("request-change-tags", 8, 2),
    ("request-change-tags", 17, 4),
    ("request-change-tags", 21, 2),
    ("request-change-tags", 23, 2),
    ("request-change-tags", 28, 2),
    ("request-list-tags", 0, 2),
    ("request-list-scaling-steps", 0, 2),
    ("request-subscribe", 12, 2),
    ("reply-welcome", 20, 2),
    ("reply-error-retry-after", 27, 2),
    ("reply-batches", 0, 2),
    ("reply-stream", 0, 2),
    ("reply-stream", 2, 2),
    ("reply-stream", 38, 4),
    ("reply-stream", 42, 2),
    ("reply-stream", 148, 2),
    ("reply-streams", 0, 2),
    ("reply-streams", 3, 4),
    ("reply-streams", 7, 2),
    ("reply-streams", 9, 2),
    ("reply-metrics", 0, 2),
    ("reply-metrics", 3, 4),
    ("reply-tags", 0, 4),
    ("reply-tags", 4, 2),
    ("reply-tags", 6, 2),
    ("reply-tags", 11, 2),
    ("reply-scaling-steps", 0, 4),
    ("reply-scaling-steps", 4, 2),
    ("reply-push", 0, 2),
    ("reply-push-end-shard-end", 1, 4),
    ("reply-push-end-error", 28, 2),
];

#[test]
fn no_number_anywhere_costs_more_than_what_was_sent() {
    for_each_frame(|name, number, payload| {
        for offset in 0..payload.len() {
            for number_at in [u64::MAX, 1 << 62, u64::from(u32::MAX), u64::from(u16::MAX), 0x7fff_ffff, 0] {
                for width in [2, 4, 8] {
                    let mut bad = payload.to_vec();
                    let end = bad.len().min(offset + width);
                    bad[offset..end].copy_from_slice(&number_at.to_le_bytes()[..end - offset]);
                    decode_within_bound(name, number, bad);
                }
            }
        }
    });
}

#[test]
fn no_length_in_a_batch_is_believed() {
    for_each_batch(|name, bytes| {
        let header = BatchHeader::decode(&bytes).expect("the golden batches are whole");
        for number in [u32::MAX, 1 << 31, 1 << 30, header.body_len + 1, header.body_len - 1, 0] {
            assert_refused(name, BatchHeader { body_len: number, ..header }, &bytes[HEADER_BYTES..]);
            assert_refused(name, BatchHeader { record_count: number, ..header }, &bytes[HEADER_BYTES..]);
            // The first record's length of data, under checksums that are right.
            let mut body = bytes[HEADER_BYTES..].to_vec();
            let data_len = u32::from_le_bytes(*body.first_chunk().expect("a record begins with a length"));
            if data_len != number {
                body[..4].copy_from_slice(&number.to_le_bytes());
                assert_refused(name, BatchHeader { body_checksum: xxh3_64(&body), ..header }, &body);
            }
        }
    });
}

fn assert_refused(name: &str, header: BatchHeader, body: &[u8]) {
    let bytes = [&header.encode()[..], body].concat();
    let mut outcome = None;
    let spent = allocation_counter::measure(|| outcome = Some(PutBatch::parse(bytes[..].into()).map(drop)));
    assert!(matches!(outcome, Some(Err(BadBatch::Malformed(_)))), "{name}: {header:?} gave {outcome:?}");
    assert_bounded(name, spent.bytes_max, bytes.len());
    assert!(Batch::split_from(&mut Bytes::from(bytes)).is_err(), "{name}: {header:?}");
}

#[test]
fn memory_is_really_measured() {
    let spent = allocation_counter::measure(|| drop(Vec::<u8>::with_capacity(1 << 20)));
    assert!(spent.bytes_max >= 1 << 20, "{spent:?}");
}

#[test]
fn an_unknown_choice_is_malformed() {
    let choices = [
        ("request-read-latest", 12),
        ("request-subscribe", 29),
        ("request-update-stream", 9),
        ("reply-push-end-trimmed", 0),
    ];
    for (name, offset) in choices {
        let (header, payload) = split(&stored(name));
        let mut bad = payload.to_vec();
        bad[offset] = 0x77;
        assert_eq!(decode(header.kind, bad.into()), Decoded::Malformed, "{name}");
    }
    let (header, payload) = split(&stored("reply-stream"));
    let mut backward = payload.to_vec();
    backward[48..64].fill(0xff);
    assert_eq!(decode(header.kind, backward.into()), Decoded::Malformed, "a range that ends before it begins");
}

/// What a payload turned out to be.
#[derive(Debug, PartialEq)]
enum Decoded {
    Request(Request),
    Reply(Reply),
    Malformed,
    Unknown,
}

/// Decodes as whoever gets this kind does: requests are even, replies odd.
fn decode(number: u16, payload: Bytes) -> Decoded {
    if number.is_multiple_of(2) {
        match Request::decode(number, &payload) {
            Ok(request) => request.map_or(Decoded::Unknown, Decoded::Request),
            Err(_) => Decoded::Malformed,
        }
    } else {
        match Reply::decode(number, payload) {
            Ok(reply) => reply.map_or(Decoded::Unknown, Decoded::Reply),
            Err(_) => Decoded::Malformed,
        }
    }
}

fn decode_within_bound(name: &str, number: u16, payload: Vec<u8>) -> Decoded {
    let payload = Bytes::from(payload);
    let mut decoded = Decoded::Unknown;
    let spent = allocation_counter::measure(|| decoded = decode(number, payload.clone()));
    assert_bounded(name, spent.bytes_max, payload.len());
    decoded
}

/// A list grows by doubling, and an item in memory is at most twice the size of one that travels.
fn assert_bounded(name: &str, spent: u64, sent: usize) {
    let bound = 4 * sent as u64 + 1024;
    assert!(spent <= bound, "{name}: {sent} bytes sent cost {spent} bytes of memory");
}

fn for_each_frame(mut check: impl FnMut(&str, u16, Bytes)) {
    for golden in table() {
        if let Message::Request(_) | Message::Reply(_) = golden.message {
            let (header, payload) = split(&stored(&golden.name));
            check(&golden.name, header.kind, payload);
        }
    }
}

fn for_each_batch(mut check: impl FnMut(&str, Bytes)) {
    for golden in table() {
        match golden.message {
            Message::Batch(_) => check(&golden.name, stored(&golden.name)),
            Message::Put(_) => check(&golden.name, split(&stored(&golden.name)).1),
            _ => {}
        }
    }
}
