//! What names streams, shards, consumers and records.

use super::NOW_MS;
use crate::arn::{AccountId, ConsumerArn, ResourceArn, StreamArn};
use crate::sequence_number::{SequenceNumber, UsedOn, check_ordering, starting_number};
use crate::shard_id::{ShardId, StreamOf};

/// The text of a sequence number; and 24 bytes of one, which are its limbs.
pub fn sequence_number(data: &[u8]) {
    let account = AccountId::new("000000000000").expect("it is one");
    let stream = StreamOf { name: "orders", account: &account };
    let on = UsedOn { operation: "GetShardIterator", stream, shard: ShardId::MAX, created_s: 5 };
    let text = String::from_utf8_lossy(data);
    let _ = check_ordering(&text, &stream, NOW_MS / 1000);
    match starting_number(&text, &on) {
        Ok(number) => assert_eq!((number.shard(), number.created_s()), (on.shard, on.created_s)),
        Err(refusal) => assert!(refusal.text().len() < 512 + 2 * text.len()),
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
        Err(refusal) => assert!(refusal.text().len() < 4096),
    }
}
