//! What becomes of a put, and how its caller waits for it.
//!
//! The records of a batch share one [`Completion`]; a ticket is a reference to it and a place in the
//! batch. When a batch goes on elsewhere, in one piece or in several, its tickets follow. What must hold: a
//! completion is completed exactly once, and no ticket waits for ever: one that is dropped without an outcome
//! completes as indeterminate.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use rheos_protocol::error::WireError;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the broker's disk.
    Acked {
        /// The shard it was put to.
        shard: u32,
        /// Its place in the shard.
        sequence: u64,
        /// When the broker took it, ms since 1970.
        arrival_ms: u64,
    },
    /// It is not stored.
    Refused(PutRefused),
    /// It may or may not be stored, for the reason that is given. Putting it again may store it twice.
    Indeterminate(String),
}

/// Why a record is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutRefused {
    /// The record breaks a limit; it was never sent. The error has the number that the broker would give it.
    #[error(transparent)]
    Record(WireError),
    /// The broker refused it.
    #[error(transparent)]
    Broker(WireError),
    /// It could not be delivered within the delivery time-out.
    #[error("not delivered within {timeout_ms} ms: {why}")]
    TimedOut {
        /// The time-out.
        timeout_ms: u64,
        /// What was in the way.
        why: String,
    },
    /// No connection to the broker can be made any more.
    #[error("not sent: {why}")]
    Unreachable {
        /// Why not.
        why: String,
    },
    /// The producer or its client is closed.
    #[error("the producer is closed")]
    Closed,
}

/// A put on its way: a future of its [`Outcome`].
///
/// Dropping it does not take the record back.
#[must_use = "the record is only known to be stored once its ticket says so"]
#[derive(Debug)]
pub struct Ticket(Place);

#[derive(Debug)]
enum Place {
    InBatch { completion: Arc<Completion>, index: u32, waiting: Option<usize> },
    Decided(Outcome),
}

impl Ticket {
    pub(super) fn new(completion: &Arc<Completion>, index: u32) -> Ticket {
        Ticket(Place::InBatch { completion: Arc::clone(completion), index, waiting: None })
    }

    pub(super) fn refused(refused: PutRefused) -> Ticket {
        Ticket(Place::Decided(Outcome::Refused(refused)))
    }
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        while let Place::InBatch { completion, index, waiting } = &mut self.0 {
            let outcome = ready!(completion.poll(waiting, context));
            self.0 = outcome.place_of(*index);
        }
        let Place::Decided(outcome) = &self.0 else { unreachable!("the loop ends with it") };
        Poll::Ready(outcome.clone())
    }
}

/// What became of a batch: its records share it.
#[derive(Debug, Clone)]
pub(super) enum BatchOutcome {
    Acked {
        shard: u32,
        first_sequence: u64,
        arrival_ms: u64,
    },
    Refused(PutRefused),
    Indeterminate(String),
    /// It goes on elsewhere: for each record where.
    Moved(Vec<(Arc<Completion>, u32)>),
}

/// The side of a [`Completion`] that completes it; completes it as indeterminate when it is dropped before.
#[derive(Debug, Default)]
pub(super) struct Completing(Arc<Completion>);

/// Completed once, by whoever holds the batch; waited for by tickets.
#[derive(Debug, Default)]
pub(super) struct Completion {
    outcome: OnceLock<BatchOutcome>,
    wakers: Mutex<Vec<Waker>>,
}

impl Completing {
    /// What tickets refer to.
    pub(super) fn shared(&self) -> Arc<Completion> {
        Arc::clone(&self.0)
    }

    pub(super) fn complete(&self, outcome: BatchOutcome) {
        self.0.complete(outcome);
    }
}

impl Drop for Completing {
    fn drop(&mut self) {
        if self.0.outcome.get().is_none() {
            let why = "the client ended before the answer came".to_owned();
            self.0.complete(BatchOutcome::Indeterminate(why));
        }
    }
}

impl Completion {
    fn complete(&self, outcome: BatchOutcome) {
        assert!(self.outcome.set(outcome).is_ok(), "a batch has one outcome");
        let wakers = std::mem::take(&mut *self.wakers.lock().expect("nothing panics while it is locked"));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until all records have an outcome, wherever they go on.
    pub(super) async fn settled(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(completion) = open.pop() {
            let mut waiting = None;
            let outcome = poll_fn(|context| completion.poll(&mut waiting, context).map(BatchOutcome::clone)).await;
            if let BatchOutcome::Moved(to) = outcome {
                for (completion, _) in to {
                    if !open.iter().any(|known| Arc::ptr_eq(known, &completion)) {
                        open.push(completion);
                    }
                }
            }
        }
    }

    fn poll(&self, waiting: &mut Option<usize>, context: &mut Context<'_>) -> Poll<&BatchOutcome> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        let mut wakers = self.wakers.lock().expect("nothing panics while it is locked");
        // It may have completed before the lock was taken; afterwards nobody would wake us.
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        match waiting {
            Some(place) => wakers[*place].clone_from(context.waker()),
            None => {
                *waiting = Some(wakers.len());
                wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl BatchOutcome {
    /// What became of a record, or where it is now.
    fn place_of(&self, index: u32) -> Place {
        Place::Decided(match self {
            BatchOutcome::Acked { shard, first_sequence, arrival_ms } => {
                Outcome::Acked { shard: *shard, sequence: first_sequence + u64::from(index), arrival_ms: *arrival_ms }
            }
            BatchOutcome::Refused(refused) => Outcome::Refused(refused.clone()),
            BatchOutcome::Indeterminate(why) => Outcome::Indeterminate(why.clone()),
            BatchOutcome::Moved(to) => {
                let (completion, index) = &to[index as usize];
                return Place::InBatch { completion: Arc::clone(completion), index: *index, waiting: None };
            }
        })
    }
}
