//! GetRecords: what follows an iterator, and the iterator that goes on.
//!
//! ```text
//! ReadAsked::open ─► the iterator's stream ─► ReadAsked::of ─► Reading ─┬─ position ─► read ─┬─► answer
//!                                                                      └─ at its end ───────┘
//! ```
//!
//! What must hold: an answer has either NextShardIterator or ChildShards, and the latter at the end of a closed shard
//! alone, also together with its last records. The catalog's record of the stream decides which: a lane that has
//! closed a shard a moment earlier gives an empty page more, which AWS does too.

use rheos_core::catalog::{ShardRecord, StreamRecord};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::Position;
use rheos_protocol::name::StreamName;

use super::children::child_shards;
use super::end_of;
use super::page::{Found, Page, page};
use super::refusals::{dry_run, read_refused};
use crate::error::Error;
use crate::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_MAX, READ_BYTES_OF_RECORD};
use crate::shapes::operations;
use crate::shard_id::StreamOf;
use crate::shard_iterator::{IteratorPosition, ShardIterator};
use crate::shard_view::ShardNumbers;
use crate::token::TokenKey;
use crate::value::{Structure, Value};

/// To whom, when and under which key an iterator is given.
#[derive(Debug, Clone, Copy)]
pub struct Issue<'a> {
    /// The broker's key of tokens.
    pub key: &'a TokenKey,
    /// Whom it opens for.
    pub principal: &'a str,
    /// Now, in ms since 1970.
    pub now_ms: u64,
    /// Another number each time.
    pub nonce: u64,
}

impl Issue<'_> {
    pub(super) fn seal(&self, iterator: &ShardIterator) -> String {
        iterator.seal(self.key, self.principal, self.now_ms, self.nonce)
    }
}

/// A GetRecords whose iterator was opened: now it is known which stream is to be looked up.
#[derive(Debug)]
pub struct ReadAsked {
    iterator: ShardIterator,
    records_max: usize,
    dry_run: bool,
}

impl ReadAsked {
    /// Opens the iterator.
    ///
    /// # Errors
    /// InvalidArgumentException and ExpiredIteratorException.
    pub fn open(input: &Structure, key: &TokenKey, principal: &str, now_ms: u64) -> Result<ReadAsked, Error> {
        let iterator = ShardIterator::open(input.required("ShardIterator"), key, principal, now_ms)?;
        let limit = input.optional::<i64>("Limit").and_then(|limit| usize::try_from(limit).ok());
        let records_max = limit.unwrap_or(GET_RECORDS_MAX).clamp(1, GET_RECORDS_MAX);
        Ok(ReadAsked { iterator, records_max, dry_run: input.optional("DryRun").unwrap_or(false) })
    }

    /// The name of the stream.
    pub fn stream(&self) -> &StreamName {
        &self.iterator.stream
    }

    /// The same in the stream of that name as it is now, if there is one.
    ///
    /// # Errors
    /// ResourceNotFoundException for a shard that has expired, and for every shard of a stream that was deleted,
    /// whether there is another of its name or not; DryRunOperationException when nothing is wrong.
    pub fn of<'a>(self, stream: Option<&'a StreamRecord>, named: &StreamOf<'_>) -> Result<Reading<'a>, Error> {
        let alive = stream.filter(|stream| stream.incarnation == self.iterator.incarnation);
        let found = alive.and_then(|stream| Some((stream, stream.shard(self.iterator.shard.number())?)));
        let (stream, shard) = found.ok_or_else(|| self.iterator.shard.does_not_exist(named))?;
        if self.dry_run {
            return Err(dry_run());
        }
        Ok(Reading { asked: self, stream, shard })
    }
}

/// A read of a shard that there is.
#[derive(Debug)]
pub struct Reading<'a> {
    asked: ReadAsked,
    stream: &'a StreamRecord,
    /// The shard, with the log that holds it.
    pub shard: &'a ShardRecord,
}

impl Reading<'_> {
    /// From where the shard is to be read; `None` at the end of a closed one, where there is nothing to read and no
    /// lane to ask.
    ///
    /// A read that is refused is asked about with [`Reading::refused`].
    pub fn position(&self) -> Option<Position> {
        let position = self.asked.iterator.position;
        (!is_at_end(self.shard, position)).then(|| wire_position(position))
    }

    /// How many bytes of batches to ask for. A read brings at least one batch, so that a small Limit reads little, and
    /// uses little of the shard's limit, where records are of ordinary size.
    pub fn bytes_max(&self) -> u32 {
        let bytes = self.asked.records_max.saturating_mul(READ_BYTES_OF_RECORD);
        u32::try_from(bytes).unwrap_or(READ_BYTES_MAX).min(READ_BYTES_MAX)
    }

    /// What to do about a read that was refused: read from another position, or, where there is none, answer that
    /// nothing was found.
    ///
    /// # Errors
    /// What to answer, when neither helps.
    pub fn refused(&self, error: &WireError, named: &StreamOf<'_>) -> Result<Option<Position>, Error> {
        match error.code {
            // The oldest record that is kept is the first at or after the position.
            ErrorCode::Trimmed => Ok(Some(Position::AtSequence(error.detail))),
            // The number is of a record that is yet to come.
            ErrorCode::BeyondTip => Ok(None),
            _ => Err(read_refused(error, &ShardNumbers::of(self.shard), named)),
        }
    }

    /// The answer, with what was found, if the shard was read and something was.
    pub fn answer(&self, found: Option<&Found<'_>>, issue: &Issue<'_>) -> Structure {
        let numbers = ShardNumbers::of(self.shard);
        let (page, position) = match found {
            Some(found) => {
                let page = page(&numbers, found, self.asked.records_max, GET_RECORDS_BYTES_MAX, issue.now_ms);
                let position = IteratorPosition::Sequence(page.next_sequence);
                (page, position)
            }
            None => (Page::default(), self.asked.iterator.position),
        };
        let operation = operations::find("GetRecords").expect("the table has it");
        let answer = operation.answer().with("Records", page.records.into_iter().collect::<Value>());
        let answer = answer.with("MillisBehindLatest", i64::try_from(page.behind_ms).unwrap_or(i64::MAX));
        if is_at_end(self.shard, position) {
            return answer.with("ChildShards", child_shards(self.stream, self.shard.shard));
        }
        let next = ShardIterator { position, ..self.asked.iterator.clone() };
        answer.with("NextShardIterator", issue.seal(&next))
    }
}

/// Whether nothing is at or after this place and nothing will be.
pub(super) fn is_at_end(shard: &ShardRecord, position: IteratorPosition) -> bool {
    match (end_of(shard), position) {
        (None, _) => false,
        (Some(0), _) => true,
        (Some(end), IteratorPosition::Sequence(sequence)) => sequence >= end,
        (Some(_), IteratorPosition::TrimHorizon | IteratorPosition::Timestamp(_)) => false,
    }
}

/// The place in the broker's terms.
pub(super) fn wire_position(position: IteratorPosition) -> Position {
    match position {
        IteratorPosition::TrimHorizon => Position::TrimHorizon,
        IteratorPosition::Sequence(sequence) => Position::AtSequence(sequence),
        IteratorPosition::Timestamp(ms) => Position::AtTimestamp(ms),
    }
}
