//! One put stream of any target: what is queued is written, and each answer finds its waiter.
//!
//! What must hold: a target and its yardstick go through the same code up to the bytes themselves, so
//! that a difference between them is theirs. How answers look is the target's ([`Answers`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::Failure;

/// Reads answers from the bytes that come back.
pub(crate) trait Answers: Send + 'static {
    /// Takes the next piece of the byte stream and answers whom it answers.
    fn take(&mut self, piece: Bytes, waiting: &mut Waiting) -> Result<(), Failure>;
}

/// The puts of a stream that have no answer yet, in the order in which they were sent.
#[derive(Default)]
pub(crate) struct Waiting {
    puts: VecDeque<(u64, oneshot::Sender<Answer>)>,
    next_id: u64,
}

/// What a put is told.
pub(crate) type Answer = Result<(), Failure>;

impl Waiting {
    /// Adds a put that waits for its answer.
    pub(crate) fn wait_for(&mut self, id: u64) -> oneshot::Receiver<Answer> {
        let (answered, receiver) = oneshot::channel();
        self.puts.push_back((id, answered));
        receiver
    }

    /// Answers the oldest put.
    pub(crate) fn answer_first(&mut self, answer: Answer) {
        if let Some((_, put)) = self.puts.pop_front() {
            // Nobody waits any more when the run has failed elsewhere.
            let _ = put.send(answer);
        }
    }

    /// Answers the put of this id, which is nearly always the oldest.
    pub(crate) fn answer(&mut self, id: u64, answer: Answer) -> Result<(), Failure> {
        let place = self.puts.iter().position(|(known, _)| *known == id);
        let (_, put) = place.and_then(|at| self.puts.remove(at)).ok_or("an answer to a put that was not sent")?;
        let _ = put.send(answer);
        Ok(())
    }
}

/// A put stream with the two tasks that serve it; they end with it.
pub(crate) struct PutStream {
    queue: Arc<Queue>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Queue {
    pieces: Mutex<Vec<Bytes>>,
    filled: Notify,
    waiting: Mutex<Waiting>,
}

impl PutStream {
    pub(crate) fn start(send: SendStream, recv: RecvStream, answers: impl Answers) -> Self {
        let queue = Arc::new(Queue::default());
        let tasks = [
            tokio::spawn(write_pieces(send, Arc::clone(&queue))),
            tokio::spawn(take_answers(recv, answers, Arc::clone(&queue))),
        ];
        Self { queue, tasks }
    }

    /// Queues one put, whose pieces `write` makes for its id: 0, 1, 2 ...
    pub(crate) fn push<const N: usize>(&self, write: impl FnOnce(u64) -> [Bytes; N]) -> oneshot::Receiver<Answer> {
        let mut waiting = self.queue.waiting.lock().expect("no panic while held");
        let id = waiting.next_id;
        waiting.next_id += 1;
        let receiver = waiting.wait_for(id);
        drop(waiting);
        self.queue.pieces.lock().expect("no panic while held").extend(write(id));
        self.queue.filled.notify_one();
        receiver
    }
}

impl Drop for PutStream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Queue {
    /// Lets all who wait know that there will be no answer.
    fn close(&self) {
        self.waiting.lock().expect("no panic while held").puts.clear();
    }
}

async fn write_pieces(mut send: SendStream, queue: Arc<Queue>) {
    loop {
        queue.filled.notified().await;
        let mut pieces = std::mem::take(&mut *queue.pieces.lock().expect("no panic while held"));
        if send.write_all_chunks(&mut pieces).await.is_err() {
            break;
        }
    }
    queue.close();
}

async fn take_answers(mut recv: RecvStream, mut answers: impl Answers, queue: Arc<Queue>) {
    while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
        let mut waiting = queue.waiting.lock().expect("no panic while held");
        if let Err(failure) = answers.take(chunk.bytes, &mut waiting) {
            waiting.answer_first(Err(failure));
            break;
        }
    }
    queue.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_find_their_waiters_in_any_order() {
        let mut waiting = Waiting::default();
        let receivers = [0, 1, 2].map(|id| waiting.wait_for(id));
        waiting.answer(1, Err("refused".into())).expect("it waits");
        waiting.answer_first(Ok(()));
        assert!(waiting.answer(1, Ok(())).is_err(), "it has its answer");
        let mut receivers = receivers.into_iter();
        assert!(receivers.next().unwrap().await.unwrap().is_ok());
        assert_eq!(receivers.next().unwrap().await.unwrap().unwrap_err().to_string(), "refused");
        drop(waiting);
        assert!(receivers.next().unwrap().await.is_err(), "it gets no answer");
    }
}
