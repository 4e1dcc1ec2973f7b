//! Why the data plane refuses, in AWS's words.
//!
//! A put's refusals become one of two error codes, the only two that PutRecords has for a single record:
//!
//! | the broker says | AWS says |
//! |---|---|
//! | over the shard's limit; no room for more puts now | ProvisionedThroughputExceededException |
//! | anything else that a newer shard map does not mend | InternalFailure |
//!
//! Both are ones that clients try again after. What an operator can mend (a full disk, a damaged log) is said in the
//! message, after AWS's words.

use std::fmt;

use rheos_protocol::error::{ErrorCode, WireError};

use crate::error::{Error, ErrorKind};
use crate::limits::{CLAUSES_MAX, PUT_RECORDS_BYTES_MAX};
use crate::shard_id::{ShardId, StreamOf};
use crate::shard_view::ShardNumbers;

const INTERNAL_FAILURE: &str = "Internal service failure.";

/// The last word of a call that has asked to be tried only.
pub(super) fn dry_run() -> Error {
    Error::new(ErrorKind::DryRunOperation, "Request would have succeeded, but DryRun flag is set.")
}

/// An ExplicitHashKey outside the hash space, which its pattern lets through.
pub(super) fn hash_key_too_large(given: &str) -> Error {
    Error::invalid_argument(format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {given}"
    ))
}

/// A PutRecords whose records are too large together.
pub(super) fn request_too_large() -> Error {
    Error::invalid_argument(format!("Records size exceeds {} MB limit", PUT_RECORDS_BYTES_MAX >> 20))
}

/// Constraints that depend on the stream, said as those of the table are.
pub(super) fn constraints_broken(clauses: &[String]) -> Error {
    let clauses = &clauses[..clauses.len().min(CLAUSES_MAX)];
    let plural = if clauses.len() == 1 { "" } else { "s" };
    let text = format!("{} validation error{plural} detected: {}", clauses.len(), clauses.join("; "));
    Error::new(ErrorKind::Validation, text)
}

/// The clause of a partition key that the stream wants and the record lacks.
pub(super) fn key_is_null(path: &str) -> String {
    format!("Value null at '{path}partitionKey' failed to satisfy constraint: Member must not be null")
}

/// The clause of a record that is larger than the stream takes, its partition key counted.
pub(super) fn data_too_long(path: &str, bytes_max: u32) -> String {
    format!(
        "Value at '{path}data' failed to satisfy constraint: Member must have length less than or equal to {bytes_max}"
    )
}

/// A put to a shard, or a read from it, that is over its limit.
pub(super) fn rate_exceeded(shard: ShardId, named: &StreamOf<'_>) -> Error {
    let message = format!("Rate exceeded for shard {shard} in {named}.");
    Error::new(ErrorKind::ProvisionedThroughputExceeded, message)
}

/// What AWS says of its own faults, and what an operator may do about it.
pub(super) fn internal_failure(cause: Option<impl fmt::Display>) -> Error {
    let message = match cause {
        Some(cause) => format!("{INTERNAL_FAILURE} {cause}"),
        None => INTERNAL_FAILURE.to_owned(),
    };
    Error::new(ErrorKind::InternalFailure, message)
}

/// Why a put was refused by the broker: what no newer shard map mends.
pub(super) fn put_refused(error: &WireError, shard: ShardId, named: &StreamOf<'_>) -> Error {
    match error.code {
        ErrorCode::OverLimit | ErrorCode::Busy => rate_exceeded(shard, named),
        ErrorCode::StorageFull | ErrorCode::ReadOnly | ErrorCode::GoingAway => internal_failure(Some(&error.message)),
        _ => internal_failure(None::<&str>),
    }
}

/// What GetRecords answers, and SubscribeToShard before its first event, when the broker refuses to read a shard.
///
/// `Trimmed` and `BeyondTip` are none of these: see [`super::get::Reading::refused`].
pub fn read_refused(error: &WireError, numbers: &ShardNumbers, named: &StreamOf<'_>) -> Error {
    let shard = numbers.shard();
    match error.code {
        ErrorCode::OverLimit | ErrorCode::Busy => rate_exceeded(shard, named),
        // The shard has expired, or the stream was deleted: clients take this for the end of the shard.
        ErrorCode::StreamNotFound | ErrorCode::ShardNotFound => shard.does_not_exist(named),
        ErrorCode::Damaged => {
            let last = numbers.of_place_before(error.detail_2.saturating_add(1), 0);
            let message = format!("{}; AFTER_SEQUENCE_NUMBER {last} reads on behind the damage", error.message);
            internal_failure(Some(message))
        }
        ErrorCode::GoingAway => internal_failure(Some(&error.message)),
        _ => internal_failure(None::<&str>),
    }
}

/// A type that wants a StartingSequenceNumber and has none, or has one that it does not want.
pub(super) fn wrong_combination(kind: &str, has_number: bool) -> Error {
    let found = if has_number { "also a" } else { "no" };
    Error::invalid_argument(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {found} \
         StartingSequenceNumber."
    ))
}

pub(super) fn timestamp_missing() -> Error {
    Error::invalid_argument(
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp \
         parameter.",
    )
}

pub(super) fn timestamp_in_future(timestamp_ms: i64, now_ms: u64) -> Error {
    Error::invalid_argument(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
         {timestamp_ms}, currentTimestampInMillis: {now_ms}"
    ))
}
