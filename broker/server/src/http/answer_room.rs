//! Room for the records of answers, from before they are read until the peer has taken the last of them.
//!
//! What must hold: who takes no answers uses up its own connection's part, and waits for itself alone; all
//! together hold no more than a bound.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// KiB of records of one connection's answers: four of the largest reads.
const CONNECTION_KIB: usize = 32 << 10;
/// KiB of records of all answers.
const ALL_KIB: usize = 256 << 10;

/// Where answers find room; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct AnswerRoom {
    all: Arc<Semaphore>,
    connection: Arc<Semaphore>,
}

/// Room that an answer takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldAnswer {
    connection: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl AnswerRoom {
    /// Room for the answers of a broker.
    pub(super) fn new() -> AnswerRoom {
        AnswerRoom { all: Arc::new(Semaphore::new(ALL_KIB)), connection: Arc::new(Semaphore::new(CONNECTION_KIB)) }
    }

    /// The part of one more connection.
    pub(super) fn of_connection(&self) -> AnswerRoom {
        AnswerRoom { all: Arc::clone(&self.all), connection: Arc::new(Semaphore::new(CONNECTION_KIB)) }
    }

    /// Waits for room for so many bytes of records, at most those of a connection.
    pub(crate) async fn hold(&self, bytes: usize) -> HeldAnswer {
        let kib = kib(bytes).min(CONNECTION_KIB) as u32;
        let acquire =
            async |room: &Arc<Semaphore>| Arc::clone(room).acquire_many_owned(kib).await.expect("nobody closes it");
        let connection = acquire(&self.connection).await;
        HeldAnswer { connection, all: acquire(&self.all).await }
    }
}

impl HeldAnswer {
    /// It has come to so many bytes: the rest is for others.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let unused = self.all.num_permits().saturating_sub(kib(bytes));
        drop((self.connection.split(unused), self.all.split(unused)));
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1 << 10)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_answers_waits_for_itself_alone() {
        let all = AnswerRoom::new();
        let (one, other) = (all.of_connection(), all.of_connection());
        let mut first = one.hold(24 << 20).await;
        let moment = Duration::from_secs(1);
        assert!(timeout(moment, one.hold(9 << 20)).await.is_err(), "its own part is used up");
        let others = timeout(moment, other.hold(32 << 20)).await.expect("another's is not");
        first.keep((8 << 20) + 1);
        let second = timeout(moment, one.hold(23 << 20)).await.expect("what was not needed is free again");
        drop((first, second, others));
        assert_eq!((all.all.available_permits(), one.connection.available_permits()), (ALL_KIB, CONNECTION_KIB));
    }
}
