//! What can go wrong between a program and its broker.
//!
//! Every message is one line, names the thing and says what to do. A secret is in none of them. What
//! becomes of a single put is not here: see [`Outcome`](crate::Outcome) and
//! [`PutRefused`](crate::PutRefused).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::name::BadName;
use rheos_protocol::wire::Malformed;

/// Why a request, a connection or a read failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A connection string cannot be used.
    #[error("the connection string cannot be used: {why}; it reads rheos://ID:SECRET@HOST:4567?ca=sha256:HEX")]
    BadUrl {
        /// What is wrong with it; never holds the secret.
        why: String,
    },
    /// A file with a connection string cannot be used.
    #[error("{}: {why}", path.display())]
    UrlFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// No connection could be made.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// The broker's address as it was given.
        address: String,
        /// What happened.
        why: String,
    },
    /// Nothing answered over UDP.
    #[error(
        "no answer from {address} over UDP within {} s: check that the broker runs there (http://{address}/health answers \
         over TCP when it does) and that nothing blocks UDP",
        waited.as_secs()
    )]
    Unanswered {
        /// The address that was tried.
        address: SocketAddr,
        /// How long.
        waited: Duration,
    },
    /// The broker does not accept the credential.
    #[error("the broker at {address} does not accept access key {key_id:?}: {why}; check the connection string")]
    Credential {
        /// The broker's address.
        address: SocketAddr,
        /// Id of the access key; its secret is not shown.
        key_id: String,
        /// What the broker said.
        why: String,
    },
    /// The broker is not the one that the connection string names.
    #[error(
        "the broker at {address} shows a CA with SHA-256 {found}, but the connection string says {expected}: it is \
         another broker or its data directory was made anew; get a new connection string from its operator"
    )]
    CaMismatch {
        /// The broker's address.
        address: SocketAddr,
        /// The hash in the connection string.
        expected: String,
        /// The hash of the CA that was shown.
        found: String,
    },
    /// The broker refused the request.
    #[error(transparent)]
    Broker(#[from] WireError),
    /// The broker said something that this client does not understand.
    #[error("the broker broke the protocol: {what}; client and broker may be of different versions")]
    Protocol {
        /// What it said.
        what: String,
    },
    /// The connection broke before the answer came. The client connects again with the next request.
    #[error("the connection to the broker was lost: {why}")]
    Lost {
        /// What broke it.
        why: String,
    },
    /// The connection broke while a request that changes something was unanswered.
    #[error(
        "it is not known whether the broker did {what}, because the answer did not come ({why}); look before you try again"
    )]
    Indeterminate {
        /// The request and what it is about.
        what: String,
        /// Why there was no answer.
        why: String,
    },
    /// The position is before what the stream keeps.
    #[error(
        "shard {shard}: what was to be read is no longer kept; the first record that is kept has sequence \
         {first_kept_sequence} (skip to it, or to the trim horizon)"
    )]
    Trimmed {
        /// The shard.
        shard: u32,
        /// Where reading can go on.
        first_kept_sequence: u64,
    },
    /// Records are damaged on the broker's disk.
    #[error(
        "shard {shard}: the records from sequence {first_sequence} to {last_sequence} are damaged on the broker's disk \
         (skip to sequence {} to read on)",
        last_sequence.saturating_add(1)
    )]
    Damaged {
        /// The shard.
        shard: u32,
        /// First sequence that cannot be read.
        first_sequence: u64,
        /// Last sequence that cannot be read.
        last_sequence: u64,
    },
    /// The position is after the last record.
    #[error("shard {shard}: the position is beyond the tip; the next record will have sequence {next_sequence}")]
    BeyondTip {
        /// The shard.
        shard: u32,
        /// Next sequence of the shard.
        next_sequence: u64,
    },
    /// The broker left out records without saying so.
    #[error("shard {shard}: the broker left out records: sequence {expected} was due, {found} came")]
    Gap {
        /// The shard.
        shard: u32,
        /// The sequence that was due.
        expected: u64,
        /// The sequence that came.
        found: u64,
    },
    /// The stream has no registered consumer of that name.
    #[error("stream {stream} has no registered consumer {consumer}; register it first")]
    ConsumerNotFound {
        /// The stream.
        stream: String,
        /// The consumer that was asked for.
        consumer: String,
    },
    /// Somebody else consumes under the same name since then.
    #[error(
        "consumer {consumer} of stream {stream} was taken over by a newer one of the same name; whoever is to share \
         the shards divides them, and whoever is to have all of them registers a consumer of its own"
    )]
    Superseded {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    },
    /// The consumer was deregistered while it consumed.
    #[error("consumer {consumer} of stream {stream} was deregistered; register it again to go on")]
    Deregistered {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    },
    /// A text does not hold positions.
    #[error("line {line} of the positions: {why}; it was not written by this client, or not whole")]
    BadPositions {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Positions belong to another life of the stream.
    #[error(
        "the positions are of incarnation {expected} of stream {stream}, which is gone: it was deleted and made anew \
         as incarnation {found}; start without them"
    )]
    OtherIncarnation {
        /// The stream.
        stream: String,
        /// The incarnation that the positions name.
        expected: u64,
        /// The one that lives now.
        found: u64,
    },
    /// The stream has no such shard.
    #[error("stream {stream} has no shard {shard}; its shards are 0 to {last}")]
    NoSuchShard {
        /// The stream.
        stream: String,
        /// The shard that was asked for.
        shard: u32,
        /// The highest shard number.
        last: u32,
    },
    /// A name cannot be a stream's, a consumer's or a key's.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// Whether connecting again would fail in the same way until somebody changes something.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Error::Credential { .. } | Error::CaMismatch { .. } | Error::Closed => true,
            Error::Broker(error) => error.code == ErrorCode::UnsupportedVersion,
            _ => false,
        }
    }

    /// Whether it may be another time, without anybody's help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Error::Lost { .. } | Error::Connect { .. } | Error::Unanswered { .. } => true,
            Error::Broker(error) => matches!(error.retry, Retry::After(_)),
            _ => false,
        }
    }

    /// What an error means that the broker answered to a read of a shard or a subscription to it.
    pub(crate) fn of_shard(shard: u32, error: WireError) -> Error {
        match error.code {
            ErrorCode::Trimmed => Error::Trimmed { shard, first_kept_sequence: error.detail },
            ErrorCode::Damaged => Error::Damaged { shard, first_sequence: error.detail, last_sequence: error.detail_2 },
            ErrorCode::BeyondTip => Error::BeyondTip { shard, next_sequence: error.detail },
            _ => Error::Broker(error),
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Error {
        Error::Protocol { what: what.into() }
    }

    pub(crate) fn lost(why: impl std::fmt::Display) -> Error {
        Error::Lost { why: why.to_string() }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::protocol(malformed.to_string())
    }
}
