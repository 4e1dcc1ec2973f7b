//! The puts of one producer to one shard: what is sent when, and what an answer means.
//!
//! ```text
//!   push -> [ open batch ] -> closed batches -> sent, unanswered -> completed
//! ```
//!
//! Batches stand in the order of their puts and are numbered from `base`, the number that the broker
//! takes next. What must hold:
//!
//! - While puts flow, the sent and unanswered batches are the first ones, numbered `base`, `base + 1` ...
//! - After a refusal nothing is sent until every put that is out has been answered. What then is left is
//!   numbered anew from `base` and sent in order: the broker consumed no number of a put that it refused,
//!   and refused everything behind it unlooked at.
//! - A batch whose answer was lost with its connection is *doubtful*: it is sent again under the same
//!   producer id only, where the broker recognises it. When the broker cannot, its outcome is
//!   indeterminate, and what is surely not stored goes on under a new producer id.
//! - A closed shard says of the first batch that it has not stored that it is closed; then it has stored none of
//!   those behind it either. From then on nothing is sent, and the queue is to be left.
//!
//! It has no lock, no clock and sends nothing itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{BatchBuilder, BatchHeader, HEADER_BYTES, ProducerStamp};
use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::limits::{BATCH_BODY_BYTES_TARGET, PUTS_IN_FLIGHT_MAX};
use rheos_protocol::record::RecordView;
use tokio::time::Instant;

use super::pace::Pace;
use super::room::{Charge, Room};
use super::ticket::{BatchOutcome, Completing, Completion, PutRefused, Ticket};
use crate::random;

/// With fewer puts unanswered than this, a batch goes however small it is; with more it waits until it
/// is full or an answer comes. A few small ones keep latency low, because the broker's next commit then
/// need not wait for our answer; many would cost both sides more than their records.
const SMALL_PUTS_IN_FLIGHT_MAX: usize = 4;
/// Least capacity of a new batch.
const BATCH_CAPACITY_LEAST: usize = 4 << 10;
/// Shortest wait after a refusal that asks for one.
const WAIT_LEAST: Duration = Duration::from_millis(1);
/// Longest wait that a broker may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where the batches belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination {
    pub(super) incarnation: u64,
    pub(super) shard: u32,
    pub(super) record_bytes_max: u32,
    pub(super) delivery_timeout: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PutQueue {
    destination: Destination,
    producer_id: u64,
    base: u64,
    open: Option<OpenBatch>,
    batches: VecDeque<QueuedBatch>,
    unanswered: usize,
    stall: Option<Stall>,
    /// The broker has said that the shard is closed.
    is_closed: bool,
    capacity_next: usize,
    pace: Pace,
}

/// A batch that a closed shard has not stored.
#[derive(Debug)]
pub(super) struct Unstored {
    pub(super) bytes: Bytes,
    pub(super) completion: Completing,
    pub(super) deadline: Instant,
    pub(super) charge: Charge,
}

/// A pause after a refusal.
#[derive(Debug, Clone, Copy)]
struct Stall {
    until: Instant,
    /// The broker cannot tell what it has of this producer id.
    renew: bool,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    tail: Tail,
}

#[derive(Debug)]
struct QueuedBatch {
    content: Content,
    tail: Tail,
    /// Set while it is sent and unanswered.
    frame: Option<u64>,
    number: u64,
    /// An answer was lost: it may be stored.
    doubtful: bool,
    refusal: Option<WireError>,
}

/// What a batch carries beside its records.
#[derive(Debug)]
struct Tail {
    completion: Completing,
    deadline: Instant,
    charge: Charge,
}

#[derive(Debug)]
enum Content {
    Built(BatchBuilder),
    Stamped(Bytes, ProducerStamp),
    /// Only while it changes from one to the other.
    Taken,
}

/// What there is to do after something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Something can be sent.
    Send,
    /// Look again at this time.
    Wait(Instant),
    /// Wait for an answer or a put.
    Nothing,
}

impl PutQueue {
    pub(super) fn new(destination: Destination) -> PutQueue {
        PutQueue {
            destination,
            producer_id: random::producer_id(),
            base: 0,
            open: None,
            batches: VecDeque::new(),
            unanswered: 0,
            stall: None,
            is_closed: false,
            capacity_next: BATCH_CAPACITY_LEAST,
            pace: Pace::default(),
        }
    }

    /// Adds a record that was checked, with the bytes that were taken for it.
    pub(super) fn push(&mut self, record: &RecordView<'_>, room: &Arc<Room>, taken: usize, now: Instant) -> Ticket {
        if self.open.as_ref().is_some_and(|open| !self.pace.takes(&open.builder, record)) {
            self.close_open();
        }
        let (timeout, capacity) = (self.destination.delivery_timeout, self.capacity_next.max(record.encoded_len()));
        let open = self.open.get_or_insert_with(|| OpenBatch {
            builder: BatchBuilder::with_capacity(capacity),
            tail: Tail { completion: Completing::default(), deadline: now + timeout, charge: Charge::new(room) },
        });
        let index = open.builder.record_count();
        open.builder.push(record, self.destination.record_bytes_max).expect("the record was checked");
        open.tail.charge.add(taken);
        Ticket::new(&open.tail.completion.shared(), index)
    }

    /// Adds a whole batch, to be sent as it is.
    pub(super) fn push_batch(
        &mut self,
        builder: BatchBuilder,
        room: &Arc<Room>,
        taken: usize,
        now: Instant,
    ) -> Arc<Completion> {
        let mut charge = Charge::new(room);
        charge.add(taken);
        self.push_moved(builder, charge, now + self.destination.delivery_timeout)
    }

    /// Adds a batch that another shard has not stored.
    pub(super) fn push_moved(&mut self, builder: BatchBuilder, charge: Charge, deadline: Instant) -> Arc<Completion> {
        self.close_open();
        let tail = Tail { completion: Completing::default(), deadline, charge };
        let completion = tail.completion.shared();
        self.batches.push_back(QueuedBatch::new(builder, tail));
        completion
    }

    /// Whether the shard is closed and puts wait for its children.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes out what is not stored, of a shard that is closed, once that is known of everything in it.
    pub(super) fn leave(&mut self) -> Option<Vec<Unstored>> {
        if self.unanswered > 0 || (self.is_waiting() && !self.is_closed) {
            return None;
        }
        self.close_open();
        if self.stall.is_some_and(|stall| stall.renew) {
            self.renew();
        }
        (self.stall, self.is_closed) = (None, false);
        let stamp = ProducerStamp { id: self.producer_id, epoch: 0, number: 0 };
        let batches = std::mem::take(&mut self.batches);
        Some(batches.into_iter().map(|batch| batch.unstored(&self.destination, stamp)).collect())
    }

    /// What there is to do.
    pub(super) fn next(&self) -> Next {
        if self.is_closed {
            return Next::Nothing;
        }
        if let Some(stall) = self.stall {
            return if self.unanswered > 0 { Next::Nothing } else { Next::Wait(stall.until) };
        }
        let most = self.pace.in_flight_max();
        let closed = self.unanswered < self.batches.len() && self.unanswered < most;
        let small = self.open.is_some() && self.unanswered < SMALL_PUTS_IN_FLIGHT_MAX.min(most);
        if closed || small { Next::Send } else { Next::Nothing }
    }

    /// The next batch to send, as frame `frame`.
    pub(super) fn take(&mut self, frame: u64) -> Option<Bytes> {
        if self.next() != Next::Send {
            return None;
        }
        if self.unanswered == self.batches.len() {
            self.close_open();
        }
        let number = self.base + self.unanswered as u64;
        let stamp = ProducerStamp { id: self.producer_id, epoch: 0, number };
        let batch = &mut self.batches[self.unanswered];
        assert!(batch.frame.is_none(), "what is sent and unanswered stands before everything else");
        (batch.frame, batch.number) = (Some(frame), number);
        self.unanswered += 1;
        Some(batch.content.stamped(&self.destination, stamp))
    }

    /// The broker stored the batch of this frame.
    pub(super) fn acked(&mut self, frame: u64, first_sequence: u64, arrival_ms: u64, now: Instant) {
        let Some(index) = self.sent(frame) else { return };
        self.pace.acked();
        let batch = self.remove(index);
        if index == 0 {
            self.base = batch.number + 1;
        } else {
            // Answers come in order; after one that does not, no number is certain.
            self.pause(now, true);
        }
        let shard = self.destination.shard;
        batch.tail.completion.complete(BatchOutcome::Acked { shard, first_sequence, arrival_ms });
    }

    /// The broker did not store the batch of this frame, or cannot tell.
    pub(super) fn refused(&mut self, frame: u64, error: WireError, now: Instant) {
        let Some(index) = self.sent(frame) else { return };
        self.pace.refused(&error);
        let batch = &mut self.batches[index];
        batch.frame = None;
        self.unanswered -= 1;
        match verdict(&error, batch.number, self.base, batch.doubtful) {
            Verdict::Resend { wait, renew, doubtful } => {
                batch.doubtful = doubtful;
                batch.refusal = Some(error);
                self.pause(now + wait, renew);
            }
            Verdict::Final { renew } => {
                self.remove(index).tail.completion.complete(BatchOutcome::Refused(PutRefused::Broker(error)));
                self.pause(now, renew);
            }
            Verdict::Closed if index > 0 => self.pause(now, false),
            Verdict::Closed => {
                self.is_closed = true;
                self.batches.iter_mut().for_each(|batch| batch.doubtful = false);
            }
            Verdict::Unknown => {
                self.remove(index).tail.completion.complete(BatchOutcome::Indeterminate(error.to_string()));
                self.pause(now, true);
            }
        }
    }

    /// The connection broke: what is unanswered may be stored.
    pub(super) fn lost(&mut self) {
        for batch in self.batches.iter_mut().filter(|batch| batch.frame.is_some()) {
            batch.frame = None;
            batch.doubtful = true;
        }
        self.unanswered = 0;
    }

    /// Ends a pause whose time has come.
    pub(super) fn resume(&mut self, now: Instant) {
        let Some(stall) = self.stall.filter(|stall| self.unanswered == 0 && stall.until <= now) else { return };
        if stall.renew {
            self.renew();
        }
        self.stall = None;
    }

    /// Gives up what is past its time; `why` says what is in the way.
    pub(super) fn expire(&mut self, now: Instant, why: &str) {
        let timeout_ms = self.destination.delivery_timeout.as_millis() as u64;
        while self.batches.front().is_some_and(|batch| batch.tail.deadline <= now) {
            let batch = self.remove(0);
            if batch.frame.is_some() || batch.doubtful {
                self.pause(now, true);
            }
            let why = batch.refusal.as_ref().map_or(why.to_owned(), WireError::to_string);
            batch.fail(PutRefused::TimedOut { timeout_ms, why });
        }
        if let Some(open) = self.open.take_if(|open| open.tail.deadline <= now) {
            let refused = PutRefused::TimedOut { timeout_ms, why: why.to_owned() };
            open.tail.completion.complete(BatchOutcome::Refused(refused));
        }
    }

    /// Gives up everything.
    pub(super) fn fail(&mut self, refused: &PutRefused) {
        self.close_open();
        self.batches.drain(..).for_each(|batch| batch.fail(refused.clone()));
        (self.unanswered, self.is_closed) = (0, false);
    }

    /// Whether anything has no outcome yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.open.is_some() || !self.batches.is_empty()
    }

    /// What has no outcome yet.
    pub(super) fn completions(&self) -> Vec<Arc<Completion>> {
        let open = self.open.iter().map(|open| &open.tail);
        self.batches.iter().map(|batch| &batch.tail).chain(open).map(|tail| tail.completion.shared()).collect()
    }

    fn close_open(&mut self) {
        if let Some(open) = self.open.take() {
            let body_len = open.builder.body_len();
            self.capacity_next = body_len.clamp(BATCH_CAPACITY_LEAST, BATCH_BODY_BYTES_TARGET as usize);
            self.batches.push_back(QueuedBatch::new(open.builder, open.tail));
        }
    }

    fn sent(&self, frame: u64) -> Option<usize> {
        self.batches.iter().take(PUTS_IN_FLIGHT_MAX).position(|batch| batch.frame == Some(frame))
    }

    fn remove(&mut self, index: usize) -> QueuedBatch {
        let batch = self.batches.remove(index).expect("its place was just found");
        self.unanswered -= usize::from(batch.frame.is_some());
        batch
    }

    fn pause(&mut self, until: Instant, renew: bool) {
        let before = self.stall.unwrap_or(Stall { until, renew: false });
        self.stall = Some(Stall { until: before.until.max(until), renew: before.renew || renew });
    }

    /// Takes a new producer id for what is surely not stored; the rest is indeterminate.
    fn renew(&mut self) {
        let (doubtful, certain) = std::mem::take(&mut self.batches).into_iter().partition(|batch| batch.doubtful);
        let doubtful: VecDeque<QueuedBatch> = doubtful;
        self.batches = certain;
        self.producer_id = random::producer_id();
        self.base = 0;
        let why = "the broker cannot tell whether it was stored before the connection broke";
        for batch in doubtful {
            batch.tail.completion.complete(BatchOutcome::Indeterminate(why.to_owned()));
        }
    }
}

/// What a refusal means for its batch.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is sent again, after `wait`; with `renew` under another producer id.
    Resend { wait: Duration, renew: bool, doubtful: bool },
    /// It is not stored and never will be; with `renew` what follows goes under another producer id.
    Final { renew: bool },
    /// Neither it nor anything behind it is stored, because the shard is closed.
    Closed,
    /// Whether it is stored is not known.
    Unknown,
}

fn verdict(error: &WireError, number: u64, base: u64, doubtful: bool) -> Verdict {
    match (error.retry, error.code) {
        (Retry::From(from), _) if from > number => Verdict::Unknown,
        // The broker expects a number that it has acknowledged: it has lost what it knew of this producer.
        (Retry::From(from), _) if from < base => Verdict::Resend { wait: WAIT_LEAST, renew: true, doubtful },
        (Retry::From(from), _) => {
            // It waits for the very number that it refuses: without a wait that would go round and round.
            let wait = if from == number { WAIT_LEAST * 10 } else { Duration::ZERO };
            Verdict::Resend { wait, renew: false, doubtful: false }
        }
        (Retry::After(wait_ms), _) => {
            let wait = Duration::from_millis(u64::from(wait_ms)).clamp(WAIT_LEAST, WAIT_MAX);
            Verdict::Resend { wait, renew: false, doubtful }
        }
        (Retry::Never, ErrorCode::UnknownProducer) if !doubtful => {
            // Every broker takes number 0 of an id it does not know.
            let wait = if number == 0 { WAIT_LEAST * 10 } else { Duration::ZERO };
            Verdict::Resend { wait, renew: true, doubtful: false }
        }
        (Retry::Never, ErrorCode::UnknownProducer | ErrorCode::NumberTooOld | ErrorCode::Indeterminate) => {
            Verdict::Unknown
        }
        // A closed shard answers what it has stored as before.
        (Retry::Never, ErrorCode::ShardClosed) => Verdict::Closed,
        // It was closed and has been forgotten since, with everything that it had stored.
        (Retry::Never, ErrorCode::ShardNotFound) => {
            if doubtful {
                Verdict::Unknown
            } else {
                Verdict::Closed
            }
        }
        (Retry::Never, code) if doubtful && !is_of_the_batch(code) => Verdict::Unknown,
        (Retry::Never, code) => Verdict::Final { renew: code == ErrorCode::ProducerFenced },
    }
}

/// Whether a refusal with this code would have met the same batch before, too, so that it cannot be stored.
fn is_of_the_batch(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::BadFrame
            | ErrorCode::FrameTooLarge
            | ErrorCode::BadRequest
            | ErrorCode::StreamNotFound
            | ErrorCode::WrongShard
            | ErrorCode::BadBatch
            | ErrorCode::BadChecksum
            | ErrorCode::RecordTooLarge
            | ErrorCode::BadKey
    )
}

impl QueuedBatch {
    fn new(builder: BatchBuilder, tail: Tail) -> QueuedBatch {
        QueuedBatch { content: Content::Built(builder), tail, frame: None, number: 0, doubtful: false, refusal: None }
    }

    /// The batch with what it carries, to go on elsewhere.
    fn unstored(mut self, destination: &Destination, stamp: ProducerStamp) -> Unstored {
        Unstored {
            bytes: self.content.stamped(destination, stamp),
            completion: self.tail.completion,
            deadline: self.tail.deadline,
            charge: self.tail.charge,
        }
    }

    /// Ends it without an answer: indeterminate when it may be stored.
    fn fail(self, refused: PutRefused) {
        let outcome = match self.frame.is_some() || self.doubtful {
            true => BatchOutcome::Indeterminate(format!("no answer to it has come; {refused}")),
            false => BatchOutcome::Refused(refused),
        };
        self.tail.completion.complete(outcome);
    }
}

impl Content {
    /// The bytes of the batch under this stamp. The records are never copied unless the stamp changes
    /// while QUIC still holds the bytes.
    fn stamped(&mut self, destination: &Destination, stamp: ProducerStamp) -> Bytes {
        let bytes = match std::mem::replace(self, Content::Taken) {
            Content::Built(builder) => builder.finish(destination.incarnation, destination.shard, stamp).freeze(),
            Content::Stamped(bytes, before) if before == stamp => bytes,
            Content::Stamped(bytes, _) => restamped(bytes, stamp),
            Content::Taken => unreachable!("it is put back below"),
        };
        *self = Content::Stamped(bytes.clone(), stamp);
        bytes
    }
}

fn restamped(bytes: Bytes, stamp: ProducerStamp) -> Bytes {
    let header = BatchHeader::decode(&bytes).expect("we made it");
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    bytes[..HEADER_BYTES].copy_from_slice(&BatchHeader { producer: stamp, ..header }.encode());
    bytes.freeze()
}

#[cfg(test)]
mod tests;
