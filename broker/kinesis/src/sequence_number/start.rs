//! The numbers that clients send back: to read from, and to be put after.

use super::SequenceNumber;
use super::foreign::Foreign;
use crate::error::{Error, ErrorKind};
use crate::shard_id::{ShardId, StreamOf};

/// The shard that a number is used on, and by what.
#[derive(Debug, Clone, Copy)]
pub struct UsedOn<'a> {
    /// The operation as messages name it: `GetShardIterator` or `SubscribeToShard`.
    pub operation: &'a str,
    /// The stream.
    pub stream: StreamOf<'a>,
    /// The shard.
    pub shard: ShardId,
    /// The second since 1970 in which this life of the shard was created.
    pub created_s: u64,
}

/// Reads a StartingSequenceNumber. It need not be a record's: every number of the shard has its place.
///
/// # Errors
///
/// `InvalidArgumentException` for what is no number, is another shard's or another incarnation's, in this order;
/// `InternalFailure` for a number of version 0, as AWS has it.
pub fn starting_number(text: &str, on: &UsedOn<'_>) -> Result<SequenceNumber, Error> {
    let UsedOn { operation, stream, shard, created_s } = on;
    let invalid = |why: &str| {
        let used = format!("StartingSequenceNumber {text} used in {operation} on shard {shard} in {stream} is invalid");
        Error::invalid_argument(format!("{used}{why}"))
    };
    let other_shard = |encoded: &dyn std::fmt::Display| {
        let encodes = format!("Invalid StartingSequenceNumber. It encodes {encoded}");
        Error::invalid_argument(format!("{encodes}, while it was used in a call to a shard with {shard}"))
    };
    let other_life = || invalid(" because it did not come from this stream.");

    match Foreign::read(text).ok_or_else(|| invalid("."))? {
        Foreign::Current(number) if number.shard() != *shard => Err(other_shard(&number.shard())),
        Foreign::Current(number) if number.created_s() != *created_s => Err(other_life()),
        Foreign::Current(number) => Ok(number),
        Foreign::Old { shard: old, .. } if old.negative || old.number != shard.number() => Err(other_shard(&old)),
        Foreign::Old { version: 0, .. } => Err(Error::bare(ErrorKind::InternalFailure)),
        Foreign::Old { .. } => Err(other_life()),
    }
}

/// Reads a SequenceNumberForOrdering of PutRecord, which must not be of the future.
///
/// # Errors
///
/// `InvalidArgumentException`.
pub fn check_ordering(text: &str, stream: &StreamOf<'_>, now_s: u64) -> Result<SequenceNumber, Error> {
    let number = SequenceNumber::parse(text).filter(|number| number.arrival_s() <= now_s);
    number.ok_or_else(|| {
        let used = format!("ExclusiveMinimumSequenceNumber {text} used in PutRecord on {stream}");
        Error::invalid_argument(format!("{used} is invalid."))
    })
}
