//! A client that puts, asks for iterators and reads, and proves of every answer what holds of all.

use bytes::Bytes;
use rheos_kinesis::answer::Answer;
use rheos_kinesis::codec::Encoding;
use rheos_kinesis::error::Error;
use rheos_kinesis::records::{Issue, IteratorAsked, Placement, PutTo, Puts, ReadAsked};
use rheos_kinesis::sequence_number::SequenceNumber;
use rheos_kinesis::shapes::structures::PUT_ENTRY;
use rheos_kinesis::token::TokenKey;
use rheos_kinesis::value::{Structure, TimestampMs, Value, items};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;

use super::{CREATED_MS, Shards, account, found, input, named};

pub(crate) fn key() -> TokenKey {
    TokenKey::new(&[5; 32])
}

/// Puts records with these keys, each as a batch of its own or all together.
pub(crate) fn put(shards: &mut Shards, records: &[(&str, &[u8])]) {
    let (account, stream) = (account(), shards.record.clone());
    let entry = |(key, data): &(&str, &[u8])| {
        Structure::of(&PUT_ENTRY).with("PartitionKey", *key).with("Data", Bytes::copy_from_slice(data))
    };
    let input = input("PutRecords").with("Records", records.iter().map(entry).collect::<Value>());
    let to = PutTo { stream: &stream, named: named(&account), placement: Placement::Keys, now_s: CREATED_MS / 1_000 };
    let mut puts = Puts::many(&input, &to).expect("it is in order");
    shards.perform(&mut puts, &stream);
    assert_eq!(puts.answer().expect("it is stored").optional::<i64>("FailedRecordCount"), Some(0));
}

pub(crate) fn asked(kind: &str) -> Structure {
    input("GetShardIterator").with("ShardId", "shardId-000000000000").with("ShardIteratorType", kind)
}

pub(crate) fn iterator(asked: &Structure, shards: &Shards, nonce: u64) -> Result<String, Error> {
    let (account, key) = (account(), key());
    let asked = IteratorAsked::new(asked, Some(&shards.record), &named(&account), shards.now_ms)?;
    let tip = asked.wants_tip().then(|| shards.tip(asked.shard.shard));
    let issue = Issue { key: &key, principal: "RKALICE", now_ms: shards.now_ms, nonce };
    Ok(asked.answer(tip, &issue).optional::<&str>("ShardIterator").expect("there always is one").to_owned())
}

/// An answer of GetRecords, as a client sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) records: Vec<(SequenceNumber, String, Vec<u8>)>,
    pub(crate) next: Option<String>,
    pub(crate) behind_ms: i64,
    pub(crate) children: Vec<(String, Vec<String>, String)>,
}

pub(crate) fn get(
    shards: &Shards,
    iterator: &str,
    limit: Option<i64>,
    batches_max: usize,
    nonce: u64,
) -> Result<Seen, Error> {
    let (account, key) = (account(), key());
    let input = input("GetRecords").with("ShardIterator", iterator).with_some("Limit", limit);
    let asked = ReadAsked::open(&input, &key, "RKALICE", shards.now_ms)?;
    assert_eq!(asked.stream(), &shards.record.name);
    let reading = asked.of(Some(&shards.record), &named(&account))?;
    let read = reading.position().and_then(|position| match position {
        Position::AtSequence(sequence) if sequence > shards.tip(reading.shard.shard) => {
            let error = WireError::new(ErrorCode::BeyondTip, "not yet");
            assert_eq!(reading.refused(&error, &named(&account)).expect("that is no refusal"), None);
            None
        }
        position => Some(shards.read(reading.shard.shard, position, batches_max)),
    });
    let behind_ms = |next: u64| if next < shards.tip(reading.shard.shard) { 77 } else { 0 };
    let found = read.as_ref().map(|read| found(read, behind_ms(read.1)));
    let issue = Issue { key: &key, principal: "RKALICE", now_ms: shards.now_ms, nonce };
    let answer = reading.answer(found.as_ref(), &issue);
    // Neither lacks a member that it must have, in either encoding.
    assert_eq!(Answer::success(Encoding::Json, Some(&answer)).status, 200);
    Ok(seen(&answer))
}

pub(crate) fn seen(answer: &Structure) -> Seen {
    let record = |record: &Structure| {
        assert_eq!(record.optional::<&str>("EncryptionType"), None);
        let number = SequenceNumber::parse(record.required("SequenceNumber")).expect("it is one");
        let TimestampMs(arrival_ms) = record.optional("ApproximateArrivalTimestamp").expect("it has one");
        assert_eq!(number.arrival_s(), arrival_ms as u64 / 1_000);
        let key = record.optional::<&str>("PartitionKey").unwrap_or("(none)").to_owned();
        (number, key, record.required::<&Bytes>("Data").to_vec())
    };
    let child = |child: &Structure| {
        let parents = items::<&str>(child.required("ParentShards")).map(str::to_owned).collect();
        let range = child.required::<&Structure>("HashKeyRange");
        let range =
            format!("{}-{}", range.required::<&str>("StartingHashKey"), range.required::<&str>("EndingHashKey"));
        (child.required::<&str>("ShardId").to_owned(), parents, range)
    };
    let children = answer.optional::<&[Value]>("ChildShards");
    assert_ne!(children.is_some_and(|them| !them.is_empty()), answer.optional::<&str>("NextShardIterator").is_some());
    Seen {
        records: items::<&Structure>(answer.required("Records")).map(record).collect(),
        next: answer.optional::<&str>("NextShardIterator").map(str::to_owned),
        behind_ms: answer.optional("MillisBehindLatest").expect("it is always there"),
        children: children.map(|them| items::<&Structure>(them).map(child).collect()).unwrap_or_default(),
    }
}
