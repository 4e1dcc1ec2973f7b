//! The catalog's thread: takes what waits, has it done in one transaction, answers.
//!
//! What must hold: changes are done in the order in which they were asked for; everything asked for
//! before a close is answered; one transaction stays small enough for memory.

use crossbeam::channel::Receiver;
use tokio::sync::oneshot;

use super::store::Store;
use super::tables::{Change, Outcome};

/// Most changes in one transaction.
const TRANSACTION_CHANGES_MAX: usize = 1_024;
/// A transaction that creates this many shards takes no more changes.
const TRANSACTION_SHARDS_MAX: u64 = 20_000;

/// What the thread is sent.
#[derive(Debug)]
pub(super) enum Message {
    /// Do this and answer.
    Change(Request),
    /// Do what was asked for before, then end.
    Close,
}

/// A change that somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// The changes of one transaction.
#[derive(Debug, Default)]
struct Batch {
    changes: Vec<Change>,
    answers: Vec<oneshot::Sender<Outcome>>,
    shards: u64,
    is_last: bool,
}

/// Serves until the queue is closed, by a message or by the loss of its last sender.
pub(super) fn serve(mut store: Store, queue: &Receiver<Message>) {
    loop {
        let Batch { changes, answers, is_last, .. } = next_batch(queue);
        if !changes.is_empty() {
            let outcomes = store.perform(&changes);
            assert_eq!(outcomes.len(), answers.len(), "every change has one outcome");
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Nobody need wait any more.
                let _ = answer.send(outcome);
            }
        }
        if is_last {
            return store.close();
        }
    }
}

/// Waits for a change, then takes what else is there.
fn next_batch(queue: &Receiver<Message>) -> Batch {
    let mut batch = Batch::default();
    let mut next = queue.recv().ok();
    loop {
        match next {
            Some(Message::Change(request)) => batch.take(request),
            Some(Message::Close) => batch.is_last = true,
            // Nobody is left who could ask.
            None => batch.is_last = true,
        }
        if batch.is_last || batch.is_full() {
            return batch;
        }
        match queue.try_recv() {
            Ok(message) => next = Some(message),
            Err(_) => return batch,
        }
    }
}

impl Batch {
    fn take(&mut self, request: Request) {
        if let Change::Create { create, .. } = &request.change {
            self.shards += u64::from(create.shards);
        }
        self.changes.push(request.change);
        self.answers.push(request.answer);
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= TRANSACTION_CHANGES_MAX || self.shards >= TRANSACTION_SHARDS_MAX
    }
}
