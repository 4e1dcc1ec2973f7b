//! A stream's shards in memory, which admit, store and give batches as a broker's do.
#![allow(dead_code, reason = "each test uses the part it needs")]

pub(crate) mod reader;

use std::collections::BTreeMap;

use rheos_core::catalog::{Reshard, ShardState, StreamRecord, plan_stream};
use rheos_kinesis::arn::AccountId;
use rheos_kinesis::records::{Acked, Found, Outgoing, Puts};
use rheos_kinesis::shapes::operations;
use rheos_kinesis::shard_id::StreamOf;
use rheos_kinesis::value::Structure;
use rheos_protocol::batch::{Batch, PutBatch};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{CreateStream, Position};

/// When the streams of these tests were made.
pub(crate) const CREATED_MS: u64 = 1_700_000_000_000;

/// A stream of so many shards.
pub(crate) fn stream(shards: u32) -> StreamRecord {
    let create = CreateStream { name: "orders".to_owned(), shards, ..CreateStream::default() };
    plan_stream(&create, CREATED_MS, 7, 2, None).expect("it can be")
}

/// An empty input of an operation.
pub(crate) fn input(operation: &str) -> Structure {
    Structure::new(operations::find(operation).expect("the table has it").input)
}

pub(crate) fn account() -> AccountId {
    AccountId::new("123456789012").expect("it is one")
}

pub(crate) fn named(account: &AccountId) -> StreamOf<'_> {
    StreamOf { name: "orders", account }
}

/// The stream after a reshard, its parents at these ends.
pub(crate) fn resharded(
    stream: &StreamRecord,
    reshard: Reshard,
    ends: &dyn Fn(u32) -> u64,
    now_ms: u64,
) -> StreamRecord {
    let (begun, plan) = stream.begin_reshard(reshard, None).expect("it can be");
    let ends: BTreeMap<u32, u64> = plan.parents.iter().map(|parent| (*parent, ends(*parent))).collect();
    begun.finish_reshard(&ends, now_ms).expect("it was begun").expect("it changes something")
}

/// The shards.
pub(crate) struct Shards {
    /// What the catalog says of them.
    pub(crate) record: StreamRecord,
    pub(crate) now_ms: u64,
    /// How many more records each shard admits.
    pub(crate) room: Option<u64>,
    /// How many puts were refused.
    pub(crate) refused: usize,
    stored: BTreeMap<u32, Vec<Batch>>,
}

impl Shards {
    pub(crate) fn new(record: StreamRecord) -> Shards {
        Shards { record, now_ms: CREATED_MS, room: None, refused: 0, stored: BTreeMap::new() }
    }

    /// The sequence after the last record of a shard.
    pub(crate) fn tip(&self, shard: u32) -> u64 {
        self.stored.get(&shard).and_then(|batches| batches.last()).map_or(0, Batch::next_sequence)
    }

    pub(crate) fn reshard(&mut self, reshard: Reshard) {
        let ends = |shard| self.tip(shard);
        self.record = resharded(&self.record, reshard, &ends, self.now_ms);
    }

    /// Performs a put to its end. The caller's record of the stream may be an old one; it gets a newer one for
    /// each new round.
    pub(crate) fn perform(&mut self, puts: &mut Puts<'_>, old: &StreamRecord) {
        let mut seen = old.clone();
        let mut rounds = 0;
        while puts.wait_ms().is_some() {
            let outgoing = puts.batches(&seen);
            for Outgoing { ticket, shard, log, batch } in outgoing {
                assert_eq!(seen.shard(shard).expect("it is listed").log, log);
                puts.settle(ticket, self.put(shard, batch));
            }
            seen = self.record.clone();
            rounds += 1;
            assert!(rounds < 200, "a put comes to an end");
        }
    }

    /// What a lane answers to a put.
    pub(crate) fn put(&mut self, shard: u32, batch: PutBatch) -> Result<Acked, WireError> {
        let batch = PutBatch::parse(batch.stamp(0, 0).bytes().to_vec().as_slice().into()).expect("a lane can read it");
        let outcome = self.admit(shard, &batch);
        self.refused += usize::from(outcome.is_err());
        outcome?;
        self.now_ms += 1;
        let acked = Acked { first_sequence: self.tip(shard), arrival_ms: self.now_ms };
        self.stored.entry(shard).or_default().push(batch.stamp(acked.first_sequence, acked.arrival_ms));
        Ok(acked)
    }

    fn admit(&mut self, shard: u32, batch: &PutBatch) -> Result<(), WireError> {
        assert_eq!((batch.header().incarnation, batch.header().shard), (self.record.incarnation, shard));
        let refuse = |code| Err(WireError::new(code, "no"));
        let Some(there) = self.record.shard(shard) else { return refuse(ErrorCode::ShardNotFound) };
        if there.state != ShardState::Open {
            return refuse(ErrorCode::ShardClosed);
        }
        if !batch.records().all(|record| there.range.contains(record.hash_key())) {
            return refuse(ErrorCode::WrongShard);
        }
        let records = u64::from(batch.header().record_count);
        match &mut self.room {
            Some(room) if records > *room => refuse(ErrorCode::OverLimit),
            Some(room) => {
                *room -= records;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What a read from a position finds, at most so many batches.
    pub(crate) fn read(&self, shard: u32, position: Position, batches_max: usize) -> (u64, u64, Vec<Batch>) {
        let tip = self.tip(shard);
        let all = self.stored.get(&shard).map_or(&[][..], Vec::as_slice);
        let start = match position {
            Position::TrimHorizon => 0,
            Position::Latest => tip,
            Position::AtSequence(sequence) => sequence,
            Position::AfterSequence(sequence) => sequence + 1,
            Position::AtTimestamp(ms) => all
                .iter()
                .find(|batch| batch.header().arrival_ms >= ms)
                .map_or(tip, |batch| batch.header().first_sequence),
        };
        let found =
            all.iter().filter(|batch| batch.next_sequence() > start).take(batches_max).cloned().collect::<Vec<_>>();
        (start, found.last().map_or(start, Batch::next_sequence), found)
    }
}

/// The same as what the translation takes.
pub(crate) fn found((start_sequence, next_sequence, batches): &(u64, u64, Vec<Batch>), behind_ms: u64) -> Found<'_> {
    Found { start_sequence: *start_sequence, next_sequence: *next_sequence, batches, behind_ms }
}
