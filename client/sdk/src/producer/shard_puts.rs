//! A [`PutQueue`] that several tasks use: puts push, the put stream takes and answers.
//!
//! What must hold: whenever something can be sent, the queue stands in its put stream's line, once;
//! and while it only has to wait, exactly one timer will look at it again. Locks are taken in the
//! order queue, then line, and never held across an await.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rheos_protocol::batch::BatchBuilder;
use rheos_protocol::error::WireError;
use rheos_protocol::record::RecordView;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::put_queue::{Destination, Next, PutQueue, Unstored};
use super::put_stream::PutStream;
use super::room::{Charge, Room};
use super::ticket::{Completion, PutRefused, Ticket};

/// The puts of one producer to one shard.
#[derive(Debug)]
pub(crate) struct ShardPuts {
    state: Mutex<State>,
    stream: Arc<PutStream>,
    room: Arc<Room>,
    /// Told when the broker says that the shard is closed.
    shard_closed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    queue: PutQueue,
    in_line: bool,
    timer: bool,
}

impl ShardPuts {
    pub(super) fn new(
        destination: Destination,
        stream: Arc<PutStream>,
        room: &Arc<Room>,
        shard_closed: &Arc<Notify>,
    ) -> ShardPuts {
        let state = State { queue: PutQueue::new(destination), in_line: false, timer: false };
        let (room, shard_closed) = (Arc::clone(room), Arc::clone(shard_closed));
        ShardPuts { state: Mutex::new(state), stream, room, shard_closed }
    }

    pub(super) fn push(self: &Arc<Self>, record: &RecordView<'_>, taken: usize) -> Ticket {
        let now = Instant::now();
        let mut state = self.lock();
        let ticket = state.queue.push(record, &self.room, taken, now);
        self.line_up(&mut state, now);
        ticket
    }

    pub(super) fn push_batch(self: &Arc<Self>, builder: BatchBuilder, taken: usize) -> Arc<Completion> {
        let now = Instant::now();
        let mut state = self.lock();
        let completion = state.queue.push_batch(builder, &self.room, taken, now);
        self.line_up(&mut state, now);
        completion
    }

    /// Adds a batch that another shard has not stored.
    pub(super) fn push_moved(
        self: &Arc<Self>,
        builder: BatchBuilder,
        charge: Charge,
        deadline: Instant,
    ) -> Arc<Completion> {
        let mut state = self.lock();
        let completion = state.queue.push_moved(builder, charge, deadline);
        self.line_up(&mut state, Instant::now());
        completion
    }

    /// Whether the shard is closed and puts wait for its children.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().queue.is_closed()
    }

    /// Takes out what a closed shard has not stored, once that is known.
    pub(super) fn leave(&self) -> Option<Vec<Unstored>> {
        self.lock().queue.leave()
    }

    /// The next batch to send, called when this is first in the line; it lines up again if there is more.
    pub(super) fn take(self: &Arc<Self>, frame: u64) -> Option<Bytes> {
        let mut state = self.lock();
        state.in_line = false;
        let bytes = state.queue.take(frame);
        self.line_up(&mut state, Instant::now());
        bytes
    }

    pub(super) fn acked(self: &Arc<Self>, frame: u64, first_sequence: u64, arrival_ms: u64) {
        self.update(|queue, now| queue.acked(frame, first_sequence, arrival_ms, now));
    }

    pub(super) fn refused(self: &Arc<Self>, frame: u64, error: WireError) {
        self.update(|queue, now| queue.refused(frame, error, now));
    }

    pub(super) fn lost(self: &Arc<Self>) {
        self.update(|queue, _| queue.lost());
    }

    pub(super) fn expire(self: &Arc<Self>, why: &str) {
        self.update(|queue, now| queue.expire(now, why));
    }

    /// Whether a put has no outcome yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.lock().queue.is_waiting()
    }

    pub(super) fn fail(&self, refused: &PutRefused) {
        let mut state = self.lock();
        state.in_line = false;
        state.queue.fail(refused);
    }

    pub(super) fn completions(&self) -> Vec<Arc<Completion>> {
        self.lock().queue.completions()
    }

    fn update(self: &Arc<Self>, change: impl FnOnce(&mut PutQueue, Instant)) {
        let now = Instant::now();
        let mut state = self.lock();
        change(&mut state.queue, now);
        self.line_up(&mut state, now);
        if state.queue.is_closed() {
            self.shard_closed.notify_one();
        }
    }

    fn line_up(self: &Arc<Self>, state: &mut State, now: Instant) {
        if state.in_line {
            return;
        }
        state.queue.resume(now);
        match state.queue.next() {
            Next::Send => {
                state.in_line = true;
                self.stream.line_up(Arc::clone(self));
            }
            Next::Wait(until) if !state.timer => {
                state.timer = true;
                self.start_timer(until);
            }
            Next::Wait(_) | Next::Nothing => {}
        }
    }

    fn start_timer(self: &Arc<Self>, until: Instant) {
        let puts = Arc::clone(self);
        self.stream.runtime().spawn(async move {
            tokio::time::sleep_until(until).await;
            let now = Instant::now();
            let mut state = puts.lock();
            state.timer = false;
            puts.line_up(&mut state, now);
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is locked")
    }
}
