//! What the exit code tells scripts. The numbers are for ever.

use rheos_client::{Error, ErrorCode, PutRefused};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    NotDone = 1,
    Mistyped = 2,
    NotFound = 3,
    NotAllowed = 4,
    NotReached = 5,
    NotKnown = 6,
    Exists = 7,
    /// As shells have it: 128 and the number of SIGINT.
    Interrupted = 130,
}

/// Every code and what it means, in their order.
pub(crate) const EXITS: [(Exit, &str); 9] = [
    (Exit::Done, "all was done"),
    (Exit::NotDone, "something was not done, for a reason that is none of those below"),
    (Exit::Mistyped, "what was typed makes no sense; nothing was tried"),
    (Exit::NotFound, "there is no such stream, shard, consumer, key or context"),
    (Exit::NotAllowed, "the access key is not accepted or may not do this, or the broker is not the trusted one"),
    (Exit::NotReached, "no broker was reached, or it went away"),
    (Exit::NotKnown, "it may or may not have been done: look before trying again"),
    (Exit::Exists, "there is one of that name already"),
    (Exit::Interrupted, "Ctrl-C came before the end; of a put the summary counts what is stored (143: SIGTERM did)"),
];

impl Exit {
    /// The end of a command that an error of the client ended.
    pub(crate) fn of(error: &Error) -> Exit {
        match error {
            Error::Broker(error) => Exit::of_code(error.code),
            Error::BadName(_) | Error::BadUrl { .. } => Exit::Mistyped,
            Error::ConsumerNotFound { .. } | Error::NoSuchShard { .. } => Exit::NotFound,
            Error::Credential { .. } | Error::CaMismatch { .. } => Exit::NotAllowed,
            Error::Connect { .. } | Error::Unanswered { .. } | Error::Lost { .. } => Exit::NotReached,
            Error::Indeterminate { .. } => Exit::NotKnown,
            _ => Exit::NotDone,
        }
    }

    /// The end of a put of which a record was refused.
    pub(crate) fn of_refused(refused: &PutRefused) -> Exit {
        match refused {
            PutRefused::Record(error) | PutRefused::Broker(error) => Exit::of_code(error.code),
            PutRefused::TimedOut { .. } | PutRefused::Unreachable { .. } => Exit::NotReached,
            _ => Exit::NotDone,
        }
    }

    fn of_code(code: ErrorCode) -> Exit {
        match code {
            ErrorCode::StreamNotFound
            | ErrorCode::ShardNotFound
            | ErrorCode::ConsumerNotFound
            | ErrorCode::KeyNotFound => Exit::NotFound,
            ErrorCode::Unauthenticated | ErrorCode::Denied => Exit::NotAllowed,
            ErrorCode::GoingAway => Exit::NotReached,
            ErrorCode::Indeterminate => Exit::NotKnown,
            ErrorCode::StreamExists | ErrorCode::ConsumerExists | ErrorCode::KeyExists => Exit::Exists,
            _ => Exit::NotDone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rheos_client::WireError;

    #[test]
    fn the_table_has_every_code_in_order() {
        for ((exit, _), number) in EXITS.into_iter().zip((0..8).chain([130])) {
            assert_eq!(exit as u8, number);
        }
        // What a broker of a later version says is an end, too.
        for code in ErrorCode::ALL.iter().copied().chain([ErrorCode::Unknown(9_999)]) {
            let exit = Exit::of(&Error::Broker(WireError::new(code, "")));
            assert!(exit != Exit::Done && exit != Exit::Mistyped, "{code:?}");
        }
    }
}
