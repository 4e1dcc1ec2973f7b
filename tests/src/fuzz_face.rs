//! What a fuzzer runs over the Kinesis face: its identifiers, its tokens and its signatures.
//!
//! Each body takes any bytes and asserts what must hold of them: nothing panics, what is understood is written
//! again as it was or normalised, no token opens that was not sealed, and no request is proved that nobody signed.
//! Where a MAC stands before a decoder, the body sets it right, so that what follows it is reached.

mod signed;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::{Builder, Parts};
use rheos_kinesis::arn::{AccountId, ConsumerArn, ResourceArn, StreamArn};
use rheos_kinesis::page_token::{ConsumersPage, Page, ShardsPage, StreamsPage};
use rheos_kinesis::sequence_number::{SequenceNumber, UsedOn, check_ordering, starting_number};
use rheos_kinesis::shard_id::{ShardId, StreamOf};
use rheos_kinesis::shard_iterator::ShardIterator;
use rheos_kinesis::signature::{BodyDigest, Claim, SigningSecret};
use rheos_kinesis::token::TokenKey;

use crate::fuzz_bodies::Body;

pub use signed::signed;

/// Every body with its name, which is also its target's.
pub const BODIES: &[(&str, Body)] = &[
    ("face_sequence_number", sequence_number),
    ("face_name", name),
    ("face_iterator", iterator),
    ("face_page_token", page_token),
    ("face_request", request),
    ("face_signed", signed),
];

/// A key that signs and seals whatever a body wants sealed.
const KEY: [u8; 32] = [7; 32];
const PRINCIPAL: &str = "RKALICE";
const NOW_MS: u64 = 1_795_590_670_000;

/// The text of a sequence number; and 24 bytes of one, which are its limbs.
pub fn sequence_number(data: &[u8]) {
    let account = AccountId::new("000000000000").expect("it is one");
    let stream = StreamOf { name: "orders", account: &account };
    let on = UsedOn { operation: "GetShardIterator", stream, shard: ShardId::MAX, created_s: 5 };
    let text = String::from_utf8_lossy(data);
    let _ = check_ordering(&text, &stream, NOW_MS / 1000);
    match starting_number(&text, &on) {
        Ok(number) => assert_eq!((number.shard(), number.created_s()), (on.shard, on.created_s)),
        Err(refusal) => assert!(refusal.message.len() < 512 + 2 * text.len()),
    }
    if let Some(number) = SequenceNumber::parse(&text) {
        assert_eq!(number.to_string(), text);
        assert!(number.first_at() <= number.first_after());
        let start = SequenceNumber::of_start(number.shard(), number.created_s());
        assert!(start <= number || number.place() == start.place());
    }
}

/// A shard's id or an ARN, as it may stand in any request.
pub fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let account = AccountId::new("000000000000").expect("it is one");
    let stream = StreamOf { name: "orders", account: &account };
    if let Ok(id) = ShardId::parse(text, &stream) {
        assert_eq!(ShardId::parse(&id.to_string(), &stream), Ok(id));
    }
    assert!(StreamArn::parse(text).is_ok_and(|arn| arn.to_string() == text) || StreamArn::parse(text).is_err());
    assert!(ConsumerArn::parse(text).is_ok_and(|arn| arn.to_string() == text) || ConsumerArn::parse(text).is_err());
    match ResourceArn::parse(text) {
        Ok(arn) => assert_eq!(arn.to_string(), text),
        Err(refusal) => assert!(refusal.message.len() < 4096),
    }
}

/// An iterator as a stranger writes it; and its fields, under our own MAC.
pub fn iterator(data: &[u8]) {
    let key = TokenKey::new(&KEY);
    assert!(ShardIterator::open(&String::from_utf8_lossy(data), &key, PRINCIPAL, NOW_MS).is_err());
    let Some(sealed) = seal("rheos shard iterator", data) else { return };
    if let Ok(iterator) = ShardIterator::open(&sealed, &key, PRINCIPAL, NOW_MS) {
        let again = iterator.seal(&key, PRINCIPAL, NOW_MS, 0);
        assert_eq!(ShardIterator::open(&again, &key, PRINCIPAL, NOW_MS), Ok(iterator));
    }
}

/// A page token as a stranger writes it; and its fields, under our own MAC.
pub fn page_token(data: &[u8]) {
    page::<StreamsPage>(data);
    page::<ShardsPage>(data);
    page::<ConsumersPage>(data);
}

fn page<P: Page + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let key = TokenKey::new(&KEY);
    assert!(P::open(&String::from_utf8_lossy(data), &key, PRINCIPAL, NOW_MS).is_err());
    let Some(sealed) = seal(&format!("rheos next token 1 of {}", P::OPERATION), data) else { return };
    if let Ok(page) = P::open(&sealed, &key, PRINCIPAL, NOW_MS) {
        let again = page.seal(&key, PRINCIPAL, NOW_MS, 0);
        assert_eq!(P::open(&again, &key, PRINCIPAL, NOW_MS), Ok(page));
    }
}

/// The bytes as the body of a token; none where there are more than a token has.
fn seal(purpose: &str, body: &[u8]) -> Option<String> {
    let text = |text: &str| [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    let covered = [text(purpose), text(PRINCIPAL), body.to_vec()].concat();
    let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &KEY), &covered);
    (body.len() < 300).then(|| STANDARD.encode([body, mac.as_ref()].concat()))
}

/// The head of a request, line by line: target, then `name:value`, with a body after an empty line. Nobody signed it.
pub fn request(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 2..]));
    let Some(parts) = parts_of(head) else { return };
    let Ok(claim) = Claim::read(&parts) else { return };
    assert!(claim.key_id().len() <= data.len() * 3 && !format!("{claim:?}").is_empty());
    let proved = claim.verify(&BodyDigest::of([body]), NOW_MS / 1000, |_| Some(SigningSecret::new("unknown")));
    let refusal = proved.expect_err("a signature was guessed");
    assert!(!refusal.name.is_empty() && refusal.message.len() < 1024 + 4 * data.len());
}

fn parts_of(head: &[u8]) -> Option<Parts> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let builder = Builder::new().method("POST").uri(lines.next()?);
    let with = |builder: Builder, line: &[u8]| match line.iter().position(|byte| *byte == b':') {
        Some(colon) => builder.header(&line[..colon], &line[colon + 1..]),
        None => builder,
    };
    Some(lines.fold(builder, with).body(()).ok()?.into_parts().0)
}
