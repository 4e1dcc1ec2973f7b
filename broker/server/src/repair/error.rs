//! Why a stream is not repaired: one line for each reason, naming the thing and saying what to do.

use std::path::PathBuf;

use rheos_protocol::error::WireError;

use crate::durable::DurableError;
use crate::start_error::StartError;

/// A reason for which a stream is not repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The directory cannot be worked on.
    #[error(transparent)]
    Directory(#[from] StartError),
    /// There is no such stream.
    #[error("{stream:?} is no stream of this data directory")]
    NoStream {
        /// What was asked for.
        stream: String,
        /// The streams that there are, sorted.
        streams: Vec<String>,
    },
    /// The directory is another user's.
    #[error(
        "{} belongs to user {owner} and this is user {user}, whose files the broker could not write; run it as: sudo -u '#{owner}' rheos repair ...",
        path.display()
    )]
    NotOwner {
        /// The data directory.
        path: PathBuf,
        /// Its user.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// What is planned would not help. Nothing was changed.
    #[error("log {log} cannot be repaired ({why}); nothing was changed: restore the data directory from a backup")]
    NotRepairable {
        /// The log.
        log: u32,
        /// Why a start would refuse it all the same.
        why: String,
    },
    /// What was done has not helped.
    #[error("log {log} still takes no puts ({why}); run the repair again, and check the disk")]
    StillRefused {
        /// The log.
        log: u32,
        /// Why a start refuses it.
        why: String,
    },
    /// The catalog did not take the number of the new segment.
    #[error("the catalog does not take the change: {0}; run the repair again")]
    Catalog(#[from] WireError),
}

impl From<DurableError> for RepairError {
    fn from(error: DurableError) -> RepairError {
        RepairError::Directory(error.into())
    }
}
