//! PutRecord and PutRecords: records to batches of shards, and what became of the batches to the answer.
//!
//! ```text
//!            ┌──────────── wait_ms ◄───────────────┐
//! input ─► waiting ─► batches ─► in flight ─► settle ─┬─► stored
//!            ▲                                        └─► refused
//!            ├── its shard is closed or not the right one: routed again by a newer record of the stream
//!            └── over the shard's limit: its halves are tried, see `parts`
//! ```
//!
//! Whoever performs asks [`Puts::wait_ms`], waits so long, sends what [`Puts::batches`] gives, hands every outcome to
//! [`Puts::settle`], and begins again; when there is no more to wait for, [`Puts::answer`] is the answer.
//!
//! What must hold: a record is in one batch at a time, and never again once it is stored or may be; its ShardId and
//! SequenceNumber are those of the batch that was stored. A reshard is never seen in an answer unless it takes
//! longer than [`REROUTES_MAX`] looks. The records stay where the input has them; data is copied once, into its batch.

mod answer;
mod entries;
mod parts;

use rheos_core::catalog::StreamRecord;
pub use rheos_core::log::Acked;
use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::error::{ErrorCode, Retry, WireError};

use self::entries::Entry;
use self::parts::Part;
use super::refusals::{internal_failure, put_refused, rate_exceeded};
use crate::error::Error;
use crate::limits::{REROUTE_WAIT_MS_MAX, REROUTES_MAX};
use crate::shard_id::StreamOf;
use crate::shard_view::ShardNumbers;
use crate::value::Structure;

/// Where records are put, and when.
#[derive(Debug, Clone, Copy)]
pub struct PutTo<'a> {
    /// The stream.
    pub stream: &'a StreamRecord,
    /// The stream, as messages name it.
    pub named: StreamOf<'a>,
    /// What decides the shard of a record.
    pub placement: Placement,
    /// Now, in seconds since 1970.
    pub now_s: u64,
}

/// What decides the shard of a record: the stream's record distribution strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// USER_PARTITION_KEY: its keys.
    Keys,
    /// AUTO: its turn. Partition keys may be absent, and explicit hash keys are not looked at.
    Turns {
        /// Where in the hash space the first record of this call falls: random, or another one each time.
        seed: u128,
    },
}

/// The records of one call, on their way.
#[derive(Debug)]
pub struct Puts<'a> {
    named: StreamOf<'a>,
    entries: Vec<Entry<'a>>,
    /// What became of each entry.
    fates: Vec<Fate>,
    waiting: Vec<Part>,
    in_flight: Vec<Option<Sent>>,
    record_bytes_max: u32,
    reroutes: u32,
    wait_ms: u32,
    is_single: bool,
}

/// A batch to be put to a shard.
#[derive(Debug)]
pub struct Outgoing {
    /// What its outcome is told under.
    pub ticket: usize,
    /// The shard.
    pub shard: u32,
    /// The log that holds the shard.
    pub log: u32,
    /// The batch. Its put is not numbered: a face that has no answer does not put again.
    pub batch: PutBatch,
}

/// A batch in flight.
#[derive(Debug)]
struct Sent {
    part: Part,
    numbers: ShardNumbers,
}

/// What became of a record.
#[derive(Debug, Clone)]
enum Fate {
    /// Nothing yet.
    Open,
    Stored {
        numbers: ShardNumbers,
        sequence: u64,
        arrival_ms: u64,
    },
    Refused(Error),
}

impl<'a> Puts<'a> {
    /// The record of a PutRecord.
    ///
    /// # Errors
    /// ValidationException for a key that is absent and a record that is too large, InvalidArgumentException for an
    /// ExplicitHashKey and a SequenceNumberForOrdering, DryRunOperationException when nothing is wrong.
    pub fn one(input: &'a Structure, to: &PutTo<'a>) -> Result<Puts<'a>, Error> {
        entries::of_one(input, to).map(|entries| Puts::new(entries, to, true))
    }

    /// The records of a PutRecords.
    ///
    /// # Errors
    /// For the whole call, whichever record they are of: ValidationException for keys that are absent and records that
    /// are too large, InvalidArgumentException for an ExplicitHashKey and for all of them together,
    /// DryRunOperationException when nothing is wrong.
    pub fn many(input: &'a Structure, to: &PutTo<'a>) -> Result<Puts<'a>, Error> {
        entries::of_many(input, to).map(|entries| Puts::new(entries, to, false))
    }

    fn new(entries: Vec<Entry<'a>>, to: &PutTo<'a>, is_single: bool) -> Puts<'a> {
        let all = (0..entries.len() as u32).collect();
        Puts {
            named: to.named,
            fates: vec![Fate::Open; entries.len()],
            waiting: vec![Part::of_any_shard(all)],
            in_flight: Vec::new(),
            record_bytes_max: to.stream.terms.record_bytes_max,
            reroutes: 0,
            wait_ms: 0,
            entries,
            is_single,
        }
    }

    /// How long to wait before [`Puts::batches`] is asked, in ms; `None` when every record's fate is known.
    ///
    /// # Panics
    /// While a batch is in flight.
    pub fn wait_ms(&self) -> Option<u32> {
        assert!(self.in_flight.iter().all(Option::is_none), "every outcome is told before the next batches are made");
        (!self.waiting.is_empty()).then_some(self.wait_ms)
    }

    /// The batches to be put now, one for each shard that has records of this call. `stream` is the newest record of the
    /// stream that there is.
    pub fn batches(&mut self, stream: &StreamRecord) -> Vec<Outgoing> {
        let entries = &self.entries;
        let routed = std::mem::take(&mut self.waiting).into_iter().flat_map(|part| part.route(stream, entries));
        let mut outgoing = Vec::new();
        self.in_flight.clear();
        // There is a wait only for a reshard.
        self.reroutes += u32::from(self.wait_ms > 0);
        self.wait_ms = 0;
        for (shard, part) in routed {
            let batch = batch_of(&part, entries, self.record_bytes_max).finish_put(
                stream.incarnation,
                shard.shard,
                ProducerStamp::default(),
            );
            outgoing.push(Outgoing { ticket: self.in_flight.len(), shard: shard.shard, log: shard.log, batch });
            self.in_flight.push(Some(Sent { part, numbers: ShardNumbers::of(shard) }));
        }
        outgoing
    }

    /// Says that the stream was deleted while records wait for their batches.
    pub fn stream_is_gone(&mut self) {
        let gone = self.named.not_found();
        for part in std::mem::take(&mut self.waiting) {
            self.refuse(part.everything(), &gone);
        }
    }

    /// Takes what became of a batch. Without an answer of its lane it is `Indeterminate`.
    ///
    /// # Panics
    /// When the outcome of this ticket was told before.
    pub fn settle(&mut self, ticket: usize, outcome: Result<Acked, WireError>) {
        let sent = self.in_flight.get_mut(ticket).and_then(Option::take).expect("a batch has one outcome");
        match outcome {
            Ok(acked) => self.stored(sent, acked),
            Err(error) if is_about_shards(error.code) => self.reroute(sent, &error),
            Err(error) if error.code == ErrorCode::OverLimit => self.over_limit(sent),
            Err(error) => {
                let refusal = put_refused(&error, sent.numbers.shard(), &self.named);
                self.refuse(sent.part.everything(), &refusal);
            }
        }
    }

    fn stored(&mut self, Sent { part, numbers }: Sent, acked: Acked) {
        for (index, sequence) in part.indexes.iter().zip(acked.first_sequence..) {
            self.fates[*index as usize] = Fate::Stored { numbers, sequence, arrival_ms: acked.arrival_ms };
        }
        let (next, refused) = part.after_success();
        self.waiting.extend(next);
        self.refuse_rest(&refused, &numbers);
    }

    fn over_limit(&mut self, Sent { part, numbers }: Sent) {
        let (next, refused) = part.after_refusal();
        self.waiting.extend(next);
        self.refuse_rest(&refused, &numbers);
    }

    fn refuse_rest(&mut self, indexes: &[u32], numbers: &ShardNumbers) {
        if indexes.is_empty() {
            // As after nearly every batch: the text need not be written.
            return;
        }
        let refusal = rate_exceeded(numbers.shard(), &self.named);
        self.refuse(indexes.iter().copied(), &refusal);
    }

    /// Waits a little longer each time: a reshard takes a commit and a change of the catalog.
    fn reroute(&mut self, sent: Sent, error: &WireError) {
        if self.reroutes >= REROUTES_MAX {
            let cause = "the stream is still being resharded; put again";
            return self.refuse(sent.part.everything(), &internal_failure(Some(cause)));
        }
        let told_ms = match error.retry {
            Retry::After(ms) => ms,
            Retry::Never | Retry::From(_) => 0,
        };
        let growing_ms = self.reroutes + 1;
        self.wait_ms = self.wait_ms.max(told_ms.max(growing_ms).min(REROUTE_WAIT_MS_MAX));
        // Those of several parents may be one shard's now.
        match self.waiting.iter_mut().find(|part| part.is_of_any_shard()) {
            Some(part) => part.indexes.extend(sent.part.everything()),
            None => self.waiting.push(Part::of_any_shard(sent.part.everything().collect())),
        }
    }

    fn refuse(&mut self, indexes: impl IntoIterator<Item = u32>, refusal: &Error) {
        for index in indexes {
            self.fates[index as usize] = Fate::Refused(refusal.clone());
        }
    }
}

/// Whether a newer record of the stream says where the records belong.
fn is_about_shards(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::ShardClosed | ErrorCode::WrongShard | ErrorCode::ShardNotFound | ErrorCode::Resharding)
}

fn batch_of(part: &Part, entries: &[Entry<'_>], record_bytes_max: u32) -> BatchBuilder {
    let records = || part.indexes.iter().map(|index| &entries[*index as usize].record);
    let mut builder = BatchBuilder::with_capacity(records().map(|record| record.encoded_len()).sum());
    for record in records() {
        builder.push(record, record_bytes_max).expect("every record was proved when the call was");
    }
    builder
}
