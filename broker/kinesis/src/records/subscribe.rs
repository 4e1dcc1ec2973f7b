//! SubscribeToShard: where a subscription begins, and its events.
//!
//! A reader comes back with the ContinuationSequenceNumber of the last event it has seen: *after* it when the
//! subscription has ended, *at* it when it begins from a checkpoint. So it is the number of the last record that was
//! given, or, when there was none, of a place behind that record and before the next one.
//!
//! What must hold: an event has either a ContinuationSequenceNumber or ChildShards, and the latter is the last one; the
//! number never names a record that was not given; it grows from event to event, and from second to second while
//! nothing comes.

use rheos_core::catalog::{ShardRecord, StreamRecord};
use rheos_protocol::batch::Batch;
use rheos_protocol::message::Position;

use super::children::child_shards;
use super::get::{is_at_end, wire_position};
use super::iterator::shard_named;
use super::page::{Found, Page, page};
use super::start::{Said, Start};
use super::{end_of, refuse_dry_run};
use crate::error::Error;
use crate::limits::{EVENT_RECORDS_BYTES_MAX, EVENT_RECORDS_MAX};
use crate::sequence_number::SequenceNumber;
use crate::shapes::structures::SUBSCRIBE_TO_SHARD_EVENT;
use crate::shard_id::StreamOf;
use crate::shard_iterator::IteratorPosition;
use crate::shard_view::ShardNumbers;
use crate::value::{Structure, Value};

/// A subscription that may begin.
#[derive(Debug)]
pub struct SubscriptionAsked<'a> {
    /// The shard, with the log that holds it.
    pub shard: &'a ShardRecord,
    start: Start,
}

impl<'a> SubscriptionAsked<'a> {
    /// Proves what is asked of the consumer's stream, if there is one.
    ///
    /// # Errors
    /// ResourceNotFoundException for the shard, InvalidArgumentException for where to begin, and
    /// DryRunOperationException when nothing is wrong.
    pub fn new(
        input: &Structure,
        stream: Option<&'a StreamRecord>,
        named: &StreamOf<'_>,
        now_ms: u64,
    ) -> Result<SubscriptionAsked<'a>, Error> {
        let (_, shard) = shard_named(input.required("ShardId"), stream, named)?;
        let position = input.required::<&Structure>("StartingPosition");
        let said = Said {
            operation: "SubscribeToShard",
            kind: position.required("Type"),
            number: position.optional("SequenceNumber"),
            timestamp: position.optional("Timestamp"),
        };
        let start = said.start(&ShardNumbers::of(shard), named, now_ms)?;
        refuse_dry_run(input)?;
        Ok(SubscriptionAsked { shard, start })
    }

    /// From where the shard is to be pushed; `None` at the end of a closed one, whose only event is the last.
    ///
    /// Two refusals of it are no reason to end: after `Trimmed` and `BeyondTip`, `AtSequence` of their detail is where
    /// the push begins, and the subscription is still what [`SubscriptionAsked::begin`] makes.
    pub fn position(&self) -> Option<Position> {
        match self.start {
            Start::Latest => end_of(self.shard).is_none().then_some(Position::Latest),
            Start::At(position) => (!is_at_end(self.shard, position)).then(|| wire_position(position)),
        }
    }

    /// The subscription, of which `pushed_next` is the next sequence that will be pushed: what the broker has answered
    /// to Subscribe. Not looked at where there is nothing to push.
    pub fn begin(&self, pushed_next: u64) -> Subscription {
        let next_sequence = match (self.position(), self.start) {
            (None, _) => end_of(self.shard).unwrap_or(pushed_next),
            // A number may be that of a record to come: those before it were not asked for.
            (Some(_), Start::At(IteratorPosition::Sequence(sequence))) => sequence.max(pushed_next),
            (Some(_), _) => pushed_next,
        };
        Subscription { numbers: ShardNumbers::of(self.shard), next_sequence, seen: None, now_ms: 0 }
    }
}

/// A subscription between two events.
#[derive(Debug)]
pub struct Subscription {
    numbers: ShardNumbers,
    /// Everything before it was given or not asked for.
    next_sequence: u64,
    /// The continuation of the last event.
    seen: Option<SequenceNumber>,
    /// The latest time of an event: a clock that is set back does not take a continuation back.
    now_ms: u64,
}

impl Subscription {
    /// The sequence of the next record that is to be given.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The event of what was pushed, in order, or of nothing: one such is due five seconds after the last event.
    /// `behind_ms` is that of the push; 0 where nothing was. It has as much as an event may: for what is left of the
    /// batches, there is the next event of the same batches.
    pub fn event(&mut self, batches: &[Batch], behind_ms: u64, now_ms: u64) -> Structure {
        let page = self.take(batches, behind_ms, now_ms);
        let continuation = self.continuation(batches);
        self.seen = Some(continuation);
        let behind_ms = i64::try_from(page.behind_ms).unwrap_or(i64::MAX);
        Structure::of(&SUBSCRIBE_TO_SHARD_EVENT)
            .with("Records", page.records.into_iter().collect::<Value>())
            .with("ContinuationSequenceNumber", continuation.to_string())
            .with("MillisBehindLatest", behind_ms)
    }

    /// The last event of a closed shard, once the broker has said that it is pushed to its end. `None` while `stream` is
    /// a record of before the close: a newer one is there or about to be.
    pub fn last_event(&mut self, stream: &StreamRecord) -> Option<Structure> {
        let shard = stream.shard(self.numbers.shard().number())?;
        end_of(shard)?;
        let event = Structure::of(&SUBSCRIBE_TO_SHARD_EVENT)
            .with("Records", Value::List(Vec::new()))
            .with("MillisBehindLatest", 0)
            .with("ChildShards", child_shards(stream, shard.shard));
        Some(event)
    }

    /// Says that everything before this sequence has expired: the next event continues behind it, so that a client that
    /// comes again from there goes on.
    pub fn pass_over(&mut self, first_kept: u64) {
        self.next_sequence = self.next_sequence.max(first_kept);
    }

    /// Whether batches have records that were not given yet.
    pub fn has_more(&self, batches: &[Batch]) -> bool {
        batches.last().is_some_and(|last| last.next_sequence() > self.next_sequence)
    }

    /// Records that were not given yet, as many as an event may have.
    fn take(&mut self, batches: &[Batch], behind_ms: u64, now_ms: u64) -> Page {
        self.now_ms = self.now_ms.max(now_ms);
        let next_sequence = batches.last().map_or(self.next_sequence, Batch::next_sequence);
        let found = Found { start_sequence: self.next_sequence, next_sequence, batches, behind_ms };
        let page = page(&self.numbers, &found, EVENT_RECORDS_MAX, EVENT_RECORDS_BYTES_MAX, now_ms);
        self.next_sequence = self.next_sequence.max(page.next_sequence);
        page
    }

    /// The last position that was seen, after the records of these batches were given.
    fn continuation(&self, batches: &[Batch]) -> SequenceNumber {
        let holds_last =
            |batch: &&Batch| (batch.header().first_sequence + 1..=batch.next_sequence()).contains(&self.next_sequence);
        let last = batches.iter().find(holds_last);
        let record = last.map(|last| self.numbers.of_record(self.next_sequence - 1, last.header().arrival_ms));
        let place = || self.numbers.of_place_before(self.next_sequence, self.now_ms);
        let number = record.unwrap_or_else(place);
        self.seen.map_or(number, |seen| seen.max(number))
    }
}
