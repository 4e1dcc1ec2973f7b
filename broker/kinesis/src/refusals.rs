//! What the broker refuses, as AWS calls it: one table for the control plane.
//!
//! What must hold: every code has its row, and a code of a later version is a failure of the broker's. Where AWS's
//! words are known they are AWS's, with the names that the caller knows; else they are the broker's own, which name
//! the thing and say what to do. What is the broker's affair alone is not told to strangers.
//!
//! Puts and reads are refused in other words, of a shard: those are the data plane's.

use rheos_protocol::error::{ErrorCode, WireError};

use crate::arn::{AccountId, StreamArn};
use crate::error::{Error, ErrorKind};
use crate::operations::status::StreamStatus;

/// What a refused call was about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The stream.
    pub stream: &'a StreamArn,
    /// The registered consumer as the call names it, by its name or its ARN, where it is about one.
    pub consumer: Option<&'a str>,
}

/// Whose words a refusal has.
#[derive(Debug, Clone, Copy)]
enum Words {
    /// AWS's, made of what the call was about.
    Aws(fn(&About<'_>) -> Error),
    /// The broker's, under this name.
    Own(ErrorKind),
    /// None but that the broker failed: its log says why.
    Hidden,
}

/// The refusal of a call by the broker, as a client of AWS understands it.
pub fn refusal(error: &WireError, about: &About<'_>) -> Error {
    let row = TABLE.iter().find(|(code, _)| *code == error.code);
    match row.map_or(Words::Hidden, |(_, words)| *words) {
        Words::Aws(say) => say(about),
        Words::Own(kind) => Error::new(kind, error.message.clone()),
        Words::Hidden => Error::new(ErrorKind::InternalFailure, INTERNAL_FAILURE),
    }
}

/// The refusal of a call that is about an account and none of its streams.
pub fn refusal_of_account(error: &WireError, account: &AccountId) -> Error {
    let row = TABLE.iter().find(|(code, _)| *code == error.code);
    match (error.code, row) {
        (ErrorCode::Unauthenticated, _) => unrecognized_client(),
        (ErrorCode::Busy | ErrorCode::OverLimit, _) => {
            Error::new(ErrorKind::LimitExceeded, format!("Rate exceeded for account {account}."))
        }
        (_, Some((_, Words::Own(kind)))) => Error::new(*kind, error.message.clone()),
        _ => Error::new(ErrorKind::InternalFailure, INTERNAL_FAILURE),
    }
}

const INTERNAL_FAILURE: &str = "Internal service failure.";

const TABLE: &[(ErrorCode, Words)] = &[
    // The face has said to the broker what it does not understand: our mistake.
    (ErrorCode::BadFrame, Words::Hidden),
    (ErrorCode::UnsupportedVersion, Words::Hidden),
    (ErrorCode::Unsupported, Words::Hidden),
    (ErrorCode::FrameTooLarge, Words::Hidden),
    // Who may do what.
    (ErrorCode::Unauthenticated, Words::Aws(unrecognized)),
    (ErrorCode::Denied, Words::Own(ErrorKind::AccessDenied)),
    (ErrorCode::BadRequest, Words::Own(ErrorKind::InvalidArgument)),
    // What is there and what is not.
    (ErrorCode::StreamNotFound, Words::Aws(stream_not_found)),
    (ErrorCode::StreamExists, Words::Aws(stream_exists)),
    (ErrorCode::ShardNotFound, Words::Own(ErrorKind::ResourceNotFound)),
    (ErrorCode::ShardClosed, Words::Own(ErrorKind::InvalidArgument)),
    (ErrorCode::ConsumerNotFound, Words::Aws(consumer_not_found)),
    (ErrorCode::ConsumerExists, Words::Aws(consumer_exists)),
    (ErrorCode::Superseded, Words::Own(ErrorKind::ResourceInUse)),
    // Keys are not administered by the face.
    (ErrorCode::KeyNotFound, Words::Hidden),
    (ErrorCode::KeyExists, Words::Hidden),
    // Of puts and reads, which no operation of the control plane makes.
    (ErrorCode::WrongShard, Words::Hidden),
    (ErrorCode::BadBatch, Words::Hidden),
    (ErrorCode::BadChecksum, Words::Hidden),
    (ErrorCode::RecordTooLarge, Words::Hidden),
    (ErrorCode::BadKey, Words::Hidden),
    (ErrorCode::Behind, Words::Hidden),
    (ErrorCode::UnknownProducer, Words::Hidden),
    (ErrorCode::ProducerFenced, Words::Hidden),
    (ErrorCode::NumberTooOld, Words::Hidden),
    (ErrorCode::Trimmed, Words::Hidden),
    (ErrorCode::BeyondTip, Words::Hidden),
    (ErrorCode::Indeterminate, Words::Hidden),
    // Try again.
    (ErrorCode::Busy, Words::Aws(rate_exceeded)),
    (ErrorCode::OverLimit, Words::Aws(rate_exceeded)),
    (ErrorCode::Resharding, Words::Aws(updating)),
    (ErrorCode::GoingAway, Words::Own(ErrorKind::ServiceUnavailable)),
    // Ask for less, or have somebody look after the broker.
    (ErrorCode::OverReserved, Words::Own(ErrorKind::LimitExceeded)),
    (ErrorCode::LimitExceeded, Words::Own(ErrorKind::LimitExceeded)),
    (ErrorCode::ReadOnly, Words::Own(ErrorKind::ServiceUnavailable)),
    (ErrorCode::StorageFull, Words::Own(ErrorKind::ServiceUnavailable)),
    (ErrorCode::Damaged, Words::Own(ErrorKind::InternalFailure)),
    (ErrorCode::Internal, Words::Hidden),
];

fn unrecognized(_: &About<'_>) -> Error {
    unrecognized_client()
}

fn unrecognized_client() -> Error {
    Error::new(ErrorKind::UnrecognizedClient, "The security token included in the request is invalid.")
}

fn stream_not_found(about: &About<'_>) -> Error {
    about.stream.in_messages().not_found()
}

fn stream_exists(about: &About<'_>) -> Error {
    let (name, account) = (about.stream.name(), about.stream.account());
    Error::new(ErrorKind::ResourceInUse, format!("Stream {name} under account {account} already exists."))
}

fn consumer_not_found(about: &About<'_>) -> Error {
    let account = about.stream.account();
    Error::not_found(format!("Consumer {}, account {account} not found.", about.consumer()))
}

/// AWS's words were never recorded; these follow those of a stream.
fn consumer_exists(about: &About<'_>) -> Error {
    let of = about.stream.in_messages();
    Error::new(ErrorKind::ResourceInUse, format!("Consumer {} of {of} already exists.", about.consumer()))
}

fn rate_exceeded(about: &About<'_>) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("Rate exceeded for {}.", about.stream.in_messages()))
}

fn updating(about: &About<'_>) -> Error {
    StreamStatus::Updating.refuses(about.stream)
}

impl About<'_> {
    fn consumer(&self) -> &str {
        self.consumer.unwrap_or("of the call")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::arn;

    fn said(code: ErrorCode) -> String {
        let arn = arn();
        refusal(&WireError::new(code, "do this"), &About { stream: &arn, consumer: Some("board") }).to_string()
    }

    #[test]
    fn every_code_has_one_row() {
        for code in ErrorCode::ALL {
            assert_eq!(TABLE.iter().filter(|(row, _)| row == code).count(), 1, "{code:?}");
        }
        assert_eq!(TABLE.len(), ErrorCode::ALL.len());
        assert_eq!(said(ErrorCode::Unknown(9_999)), "InternalFailure: Internal service failure.");
    }

    #[test]
    fn awss_words_name_what_the_caller_named() {
        for (code, text) in [
            (
                ErrorCode::StreamNotFound,
                "ResourceNotFoundException: Stream orders under account 000000000000 not found.",
            ),
            (
                ErrorCode::StreamExists,
                "ResourceInUseException: Stream orders under account 000000000000 already exists.",
            ),
            (ErrorCode::ConsumerNotFound, "ResourceNotFoundException: Consumer board, account 000000000000 not found."),
            (
                ErrorCode::ConsumerExists,
                "ResourceInUseException: Consumer board of stream orders under account 000000000000 already exists.",
            ),
            (ErrorCode::Busy, "LimitExceededException: Rate exceeded for stream orders under account 000000000000."),
            (
                ErrorCode::Resharding,
                "ResourceInUseException: Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING",
            ),
            (
                ErrorCode::Unauthenticated,
                "UnrecognizedClientException: The security token included in the request is invalid.",
            ),
            (ErrorCode::BadRequest, "InvalidArgumentException: do this"),
            (ErrorCode::Denied, "AccessDeniedException: do this"),
            (ErrorCode::LimitExceeded, "LimitExceededException: do this"),
            (ErrorCode::StorageFull, "ServiceUnavailable: do this"),
            (ErrorCode::Internal, "InternalFailure: Internal service failure."),
        ] {
            assert_eq!(said(code), text);
        }
    }
}
