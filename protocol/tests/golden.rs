//! Golden bytes: what version 1 of the protocol looks like, for ever.
//!
//! Each message of `golden/table.rs` has a file `golden/v1/NAME.hex`: a frame, or a bare batch. The
//! files are made once, by running this test with `RHEOS_GOLDEN=write`, and then only compared; a
//! later version adds a directory and must go on reading this one. What must hold: every kind of
//! frame, error code and variant has its bytes, and no file is without its message.

#![allow(clippy::disallowed_methods, reason = "a test reads files and the environment")]

#[path = "golden/dump.rs"]
mod dump;
#[path = "golden/hostile.rs"]
mod hostile;
#[path = "golden/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use rheos_protocol::batch::{Batch, PutBatch};
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind, payload_limit, reply_limit};
use rheos_protocol::limits::TEXT_BYTES_MAX;
use rheos_protocol::message::{Limit, Position, PushEnd, Reply, Request};

use table::{Message, table};

#[test]
fn what_is_encoded_is_golden() {
    let write = std::env::var("RHEOS_GOLDEN").is_ok_and(|word| word == "write");
    for golden in table() {
        let path = path(&golden.name);
        let bytes = golden.encode();
        if write {
            std::fs::write(&path, dump::write(&bytes)).expect("the directory is there");
        }
        assert_eq!(dump::write(&bytes), text(&golden.name), "{} is not what version 1 sends", golden.name);
    }
}

#[test]
fn what_is_golden_is_decoded() {
    for golden in table() {
        let bytes = stored(&golden.name);
        match &golden.message {
            Message::Request(value) => {
                let (header, payload) = split(&bytes);
                assert_eq!(header.id, golden.id, "{}", golden.name);
                assert!(header.len <= payload_limit(header.kind, !matches!(value, Request::Hello(_))));
                assert_eq!(
                    Request::decode(header.kind, &payload).as_ref(),
                    Ok(&Some(value.clone())),
                    "{}",
                    golden.name
                );
            }
            Message::Reply(value) => {
                let (header, payload) = split(&bytes);
                assert_eq!(header.id, golden.id, "{}", golden.name);
                assert!(header.len <= reply_limit());
                assert_eq!(Reply::decode(header.kind, payload), Ok(Some(value.clone())), "{}", golden.name);
            }
            Message::Put(value) => {
                let (header, payload) = split(&bytes);
                assert_eq!((header.id, header.kind), (golden.id, kind::PUT), "{}", golden.name);
                let batch = PutBatch::parse(payload[..].into()).expect("it is a batch");
                value.assert_is(batch.header(), batch.records());
            }
            Message::Batch(value) => {
                let batch = Batch::parse(bytes).expect("it is a batch");
                value.assert_is(batch.header(), batch.records());
            }
        }
    }
}

#[test]
fn every_kind_and_code_and_variant_has_golden_bytes() {
    let table = table();
    let frames = table.iter().filter(|golden| !matches!(golden.message, Message::Batch(_)));
    let kinds: BTreeSet<u16> = frames.map(|golden| split(&stored(&golden.name)).0.kind).collect();
    let expected: BTreeSet<u16> = kind::ALL.iter().map(|(_, number)| *number).collect();
    assert_eq!(expected.len(), kind::ALL.len(), "a number of a kind is used twice");
    assert_eq!(kinds, expected, "the left has golden bytes, the right exists: {:?}", kind::ALL);

    let mut seen = BTreeSet::new();
    let mut codes = BTreeSet::new();
    for golden in &table {
        seen.extend(names_in(&golden.message));
        if let Message::Reply(Reply::Error(error)) = &golden.message {
            codes.insert(error.code);
        }
    }
    let all = [REQUESTS, REPLIES, POSITIONS, PUSH_ENDS, RETRIES, LIMITS].concat();
    assert_eq!(seen, BTreeSet::from_iter(all), "the left has golden bytes, the right exists");
    assert!(ErrorCode::ALL.iter().all(|code| codes.contains(code)), "{codes:?}");
}

#[test]
fn no_golden_file_is_without_its_message() {
    let named: BTreeSet<String> = table().iter().map(|golden| format!("{}.hex", golden.name)).collect();
    assert_eq!(named.len(), table().len(), "two messages have one name");
    let there: BTreeSet<String> = std::fs::read_dir(path("").parent().expect("it has a directory"))
        .expect("the directory is there")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("the names are ASCII"))
        .collect();
    assert_eq!(there, named, "the left are files, the right messages");
}

#[test]
fn a_number_of_a_later_version_is_kept() {
    let later = WireError { code: ErrorCode::Unknown(65_000), ..WireError::new(ErrorCode::Internal, "later") };
    let mut out = bytes::BytesMut::new();
    Reply::Error(later.clone()).write(1, &mut out);
    let (header, payload) = split(&out.freeze());
    assert_eq!(Reply::decode(header.kind, payload), Ok(Some(Reply::Error(later))));
    assert_eq!(Request::decode(60_000, b"anything"), Ok(None));
    assert_eq!(Reply::decode(60_001, Bytes::from_static(b"anything")), Ok(None));
}

#[test]
fn a_message_that_is_too_long_is_cut_where_a_character_ends() {
    let mut out = bytes::BytesMut::new();
    let long = "é".repeat(TEXT_BYTES_MAX);
    Reply::Error(WireError::new(ErrorCode::Internal, format!("x{long}"))).write(1, &mut out);
    let (header, payload) = split(&out.freeze());
    let Ok(Some(Reply::Error(error))) = Reply::decode(header.kind, payload) else { panic!("it is an error") };
    assert_eq!(error.message.len(), TEXT_BYTES_MAX - 1);
}

/// The stored bytes of a message.
fn stored(name: &str) -> Bytes {
    dump::read(&text(name)).unwrap_or_else(|why| panic!("{name}.hex: {why}")).into()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| {
        panic!("{name} has no golden bytes ({error}); a new message gets them with RHEOS_GOLDEN=write")
    })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(format!("{name}.hex"))
}

/// Header and payload of one whole frame.
fn split(frame: &Bytes) -> (FrameHeader, Bytes) {
    let header = FrameHeader::decode(frame.first_chunk().expect("a frame has a header"));
    assert_eq!(header.len as usize, frame.len() - FRAME_HEADER_BYTES, "the file holds one frame");
    (header, frame.slice(FRAME_HEADER_BYTES..))
}

/// The variants that a message is made of, each with its enum's name.
fn names_in(message: &Message) -> Vec<&'static str> {
    match message {
        Message::Request(request) => {
            let position = match request {
                Request::Read(read) => Some(read.position),
                Request::Subscribe(subscribe) => Some(subscribe.position),
                _ => None,
            };
            [Some(request_name(request)), position.as_ref().map(position_name)].into_iter().flatten().collect()
        }
        Message::Reply(reply) => {
            let end = if let Reply::PushEnd(end) = reply { Some(end) } else { None };
            let retry = match reply {
                Reply::Error(error) | Reply::PushEnd(PushEnd::Error(error)) => Some(&error.retry),
                _ => None,
            };
            let limits = match reply {
                Reply::Stream(stream) => {
                    stream.settings.limits.named().iter().map(|(_, limit)| limit_name(limit)).collect()
                }
                _ => Vec::new(),
            };
            let names = [Some(reply_name(reply)), end.map(push_end_name), retry.map(retry_name)];
            names.into_iter().flatten().chain(limits).collect()
        }
        Message::Put(_) | Message::Batch(_) => Vec::new(),
    }
}

/// The name of a variant, and the list of all. A variant that is missing here does not compile.
macro_rules! variants {
    ($name:ident, $all:ident, $of:ident: $($variant:ident)+) => {
        const $all: &[&str] = &[$(concat!(stringify!($of), "::", stringify!($variant))),+];

        fn $name(value: &$of) -> &'static str {
            match value {
                $($of::$variant { .. } => concat!(stringify!($of), "::", stringify!($variant)),)+
            }
        }
    };
}

variants!(request_name, REQUESTS, Request: Hello Ping Read CreateStream DescribeStream ListStreams DeleteStream
    RegisterConsumer DescribeConsumer ListConsumers DeregisterConsumer Subscribe Credit Unsubscribe CreateKey ListKeys
    RevokeKey SplitShard MergeShards UpdateShardCount ReadMetrics UpdateStream ChangeTags ListTags UpdateConsumer
    ListScalingSteps);
variants!(reply_name, REPLIES, Reply: Welcome Error Pong Ack Batches Stream Streams Done Consumer Consumers
    Subscribed Push PushEnd Key Keys Metrics Tags ScalingSteps);
variants!(limit_name, LIMITS, Limit: Inherit Unlimited PerSecond);
variants!(position_name, POSITIONS, Position: TrimHorizon Latest AtSequence AfterSequence AtTimestamp);
variants!(push_end_name, PUSH_ENDS, PushEnd: ShardEnd Superseded Deregistered Trimmed GoingAway Error);
variants!(retry_name, RETRIES, Retry: Never After From);
