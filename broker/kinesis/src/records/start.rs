//! Where a reader asks to begin: the five types of a shard iterator, which are also those of a subscription.
//!
//! | type | StartingSequenceNumber | Timestamp | begins at |
//! |---|---|---|---|
//! | TRIM_HORIZON | none | not looked at | the oldest record that is kept when it is read |
//! | LATEST | none | not looked at | what is put after this call |
//! | AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER | must be | not looked at | the place of the number, by order |
//! | AT_TIMESTAMP | none | must be, not later than now | the first record that arrived then or later |
//!
//! What must hold: LATEST is a fixed place once it is answered; a number need not be a record's.

use super::refusals::{timestamp_in_future, timestamp_missing, wrong_combination};
use crate::error::Error;
use crate::sequence_number::{UsedOn, starting_number};
use crate::shard_id::StreamOf;
use crate::shard_iterator::IteratorPosition;
use crate::shard_view::ShardNumbers;
use crate::value::TimestampMs;

/// A place that was asked for and may be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After the last record that is durable when this is answered.
    Latest,
    /// A place that needs nothing more to be known.
    At(IteratorPosition),
}

impl Start {
    /// The place, where everything before `tip` is durable.
    pub fn at(self, tip: u64) -> IteratorPosition {
        match self {
            Start::Latest => IteratorPosition::Sequence(tip),
            Start::At(position) => position,
        }
    }
}

/// What a call says of where to begin.
pub(super) struct Said<'a> {
    /// The operation, as messages name it.
    pub(super) operation: &'a str,
    /// One of the five types.
    pub(super) kind: &'a str,
    pub(super) number: Option<&'a str>,
    pub(super) timestamp: Option<TimestampMs>,
}

impl Said<'_> {
    /// Proves it for a shard.
    pub(super) fn start(&self, on: &ShardNumbers, named: &StreamOf<'_>, now_ms: u64) -> Result<Start, Error> {
        match (self.kind, self.number) {
            ("AT_SEQUENCE_NUMBER", Some(text)) => {
                let number = starting_number(text, &self.used_on(on, named))?;
                Ok(Start::At(IteratorPosition::at(&number)))
            }
            ("AFTER_SEQUENCE_NUMBER", Some(text)) => {
                let number = starting_number(text, &self.used_on(on, named))?;
                Ok(Start::At(IteratorPosition::after(&number)))
            }
            (kind @ ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER"), None) => Err(wrong_combination(kind, false)),
            (kind, Some(_)) => Err(wrong_combination(kind, true)),
            ("TRIM_HORIZON", None) => Ok(Start::At(IteratorPosition::TrimHorizon)),
            ("LATEST", None) => Ok(Start::Latest),
            ("AT_TIMESTAMP", None) => self.at_timestamp(now_ms),
            (kind, None) => panic!("{kind} is none of the table's types of iterators"),
        }
    }

    fn at_timestamp(&self, now_ms: u64) -> Result<Start, Error> {
        let TimestampMs(timestamp_ms) = self.timestamp.ok_or_else(timestamp_missing)?;
        match u64::try_from(timestamp_ms) {
            Ok(ms) if ms > now_ms => Err(timestamp_in_future(timestamp_ms, now_ms)),
            // Nothing arrived before 1970.
            ms => Ok(Start::At(IteratorPosition::Timestamp(ms.unwrap_or(0)))),
        }
    }

    fn used_on<'a>(&'a self, on: &ShardNumbers, named: &StreamOf<'a>) -> UsedOn<'a> {
        UsedOn { operation: self.operation, stream: *named, shard: on.shard(), created_s: on.created_s() }
    }
}
