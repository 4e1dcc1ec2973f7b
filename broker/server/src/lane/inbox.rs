//! The lane's inbox: where its connections and the file thread leave what has happened. What other lanes
//! ask comes through the [mesh](crate::mesh).
//!
//! The lane takes everything in each of its turns. What can lie here is bounded by those who put it:
//! a connection by its QUIC windows and its streams, the file thread by the logs that asked it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use quinn::SendStream;
use rheos_core::catalog::StreamRecord;
use rheos_core::counts::Amount;
use rheos_core::lanes::lane_of;
use rheos_core::log::{LogId, ReadStart, SegmentFacts, ShardTip};
use rheos_core::reader::ReadOutcome;
use rheos_core::readiness::LaneReadiness;
use rheos_core::scaler::ShardLoad;
use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{Read, Reply, Subscribe};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::oneshot;

use super::pushes::PushWay;
use super::replies::PutTold;
use crate::files::Prepared;
use crate::metrics::LaneReport;

/// Something for the lane.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A client has opened a put stream; its replies go there.
    PutStreamOpened { stream: u64, replies: SendStream },
    /// A batch was put.
    Put { stream: u64, frame: u64, batch: PutBatch },
    /// A batch was put from a thread that is no lane. What waits here of such is bounded by those who put it.
    PutApart { batch: PutBatch, told: PutTold },
    /// A batch was put whose shard another lane serves.
    PutAfar { lane: u16, stream: u64, frame: u64, batch: PutBatch },
    /// A put was refused before it came to a log; answered in its turn.
    PutRefused { stream: u64, frame: u64, error: Box<WireError> },
    /// The client has closed a put stream; what was put is still answered.
    PutStreamEnded { stream: u64 },
    /// A shard is to be read.
    Read { read: Read, reply: oneshot::Sender<Result<Reading, WireError>> },
    /// Somebody wants to know where a shard stands.
    TipOf { incarnation: u64, shard: u32, told: oneshot::Sender<Result<ShardTip, WireError>> },
    /// A read that began here has brought this from the disk.
    ReadOfDisk { log: LogId, shard: u32, given: Amount, iterator_age_ms: u64 },
    /// A read was refused because the way to its lane, which is another, was full.
    ReadTurnedAway { incarnation: u64, shard: u32 },
    /// A client subscribes, or goes on with its subscriptions.
    Subscribing(Subscribing),
    /// A connection of subscribers takes bytes again.
    Writable { path: u64 },
    /// A scan for subscriptions has ended; `None` when one of its segments was gone. With all that were.
    Scanned { scan: u64, log: LogId, outcome: Option<Result<ReadOutcome, WireError>>, gone: BTreeSet<u64> },
    /// Something else is promised to a consumer.
    ConsumerUpdated { incarnation: u64, consumer: String, done: oneshot::Sender<()> },
    /// A consumer was deregistered: its subscriptions end.
    ConsumerDeregistered { incarnation: u64, consumer: String, done: oneshot::Sender<()> },
    /// A stream was created.
    StreamCreated { record: Arc<StreamRecord>, done: oneshot::Sender<()> },
    /// Shards of a stream are closed, opened or forgotten.
    Resharding(Resharding),
    /// The catalog has other terms or tags of a stream.
    StreamUpdated { record: Arc<StreamRecord>, done: oneshot::Sender<()> },
    /// Somebody asks before which time everything of a stream has expired.
    HorizonOf { incarnation: u64, told: oneshot::Sender<Option<u64>> },
    /// The file thread has measured segments: number and bytes.
    Measured { log: LogId, sizes: Vec<(u64, u64)> },
    /// A stream was deleted from the catalog: its logs go.
    StreamDeleted { record: Arc<StreamRecord>, done: oneshot::Sender<()> },
    /// The file thread has made a segment, or could not.
    Prepared { log: LogId, ask: u64, outcome: Result<Prepared, String> },
    /// The file thread has sealed a segment.
    Sealed { log: LogId, segment: u64 },
    /// The file thread has removed the segments below this one.
    Trimmed { log: LogId, lowest: SegmentFacts },
    /// The disk has come below its low-water mark, or above it again.
    StorageLow(bool),
    /// Whoever watches over the lanes asks whether this one is there.
    RollCall { here: oneshot::Sender<()> },
    /// Somebody wants to know whether the lane serves.
    Readiness(oneshot::Sender<LaneReadiness>),
    /// The scaler wants to know what the shards of on-demand streams have taken, with their keys from this weight on.
    Loads { keys_weight_least: u64, told: oneshot::Sender<Vec<(LogId, Vec<ShardLoad>)>> },
    /// Somebody wants to know what the lane has counted.
    Report(oneshot::Sender<Box<LaneReport>>),
    /// The broker stops.
    Stop,
}

/// What comes on a subscription stream, for the lane that serves the shard.
#[derive(Debug)]
pub(crate) enum Subscribing {
    /// A shard is to be pushed this way; the answer has its place.
    Subscribe { peer: u64, way: PushWay, id: u64, subscribe: Subscribe, answer: OwnedPermit<Answer> },
    /// A subscription may be pushed more bytes.
    Credit { peer: u64, id: u64, bytes: u64 },
    /// A subscription ends.
    Unsubscribe { peer: u64, id: u64 },
    /// The stream has ended, and with it its subscriptions.
    Ended { peer: u64 },
}

/// A reshard, as far as a lane has to do with it.
#[derive(Debug)]
pub(crate) enum Resharding {
    /// These shards are to be closed; told where they end once everything in them is on the disk.
    Close { log: LogId, shards: Vec<u32>, ends: oneshot::Sender<Ends> },
    /// They stay open.
    Reopen { log: LogId },
    /// The catalog has other shards of the stream.
    Changed { record: Arc<StreamRecord>, done: oneshot::Sender<()> },
}

/// Shards with the sequences after their last records, or why they cannot be closed.
pub(crate) type Ends = Result<Vec<(u32, u64)>, WireError>;

/// What a request on a subscription stream is answered: the number of its frame, and the reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) reply: Reply,
}

/// A read that has begun, with where its shard stands.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) log: LogId,
    pub(crate) tip: ShardTip,
    /// Those of a closed shard.
    pub(crate) children: Option<Vec<u32>>,
    pub(crate) start: ReadStart,
}

/// The inboxes of all lanes; every clone is the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Inboxes(Arc<[Inbox]>);

impl Inboxes {
    /// Those of so many lanes.
    pub(crate) fn new(lanes: u16) -> Inboxes {
        Inboxes((0..lanes).map(|_| Inbox::default()).collect())
    }

    /// The inbox of a lane.
    pub(crate) fn of_lane(&self, lane: u16) -> &Inbox {
        &self.0[usize::from(lane)]
    }

    /// The inbox of the lane that serves a log.
    pub(crate) fn of_log(&self, log: LogId) -> &Inbox {
        self.of_lane(lane_of(log.incarnation, log.log, self.0.len() as u16))
    }

    /// Every inbox, in the order of the lanes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Inbox> {
        self.0.iter()
    }
}

/// The inbox of one lane; every clone is the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    arrivals: Vec<Arrival>,
    lane: Option<Waker>,
    /// The lane has stopped and takes nothing more.
    is_closed: bool,
}

impl Inbox {
    /// Leaves something and wakes the lane if it sleeps. When the lane has stopped it is dropped, so that whoever waits
    /// for an answer hears that none comes.
    pub(crate) fn push(&self, arrival: Arrival) {
        let mut waiting = self.lock();
        if waiting.is_closed {
            // What is dropped may have something to leave here itself.
            drop(waiting);
            return drop(arrival);
        }
        waiting.arrivals.push(arrival);
        if let Some(lane) = waiting.lane.take() {
            lane.wake();
        }
    }

    /// Moves everything to `into`, which is empty, and has the lane woken by the next arrival.
    pub(crate) fn take(&self, into: &mut Vec<Arrival>, cx: &Context<'_>) {
        assert!(into.is_empty(), "the lane has dealt with what it took before");
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.arrivals, into);
        if !waiting.lane.as_ref().is_some_and(|lane| lane.will_wake(cx.waker())) {
            waiting.lane = Some(cx.waker().clone());
        }
    }

    /// The lane has stopped: what lies here is dropped, and what is still to come.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        let left = std::mem::take(&mut waiting.arrivals);
        drop(waiting);
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("nobody panics while holding the inbox")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_lane_that_has_stopped() {
        let inbox = Inbox::default();
        let ask = || {
            let (told, tip) = oneshot::channel();
            inbox.push(Arrival::TipOf { incarnation: 1, shard: 0, told });
            tip
        };
        let before = ask();
        inbox.close();
        assert!(before.await.is_err());
        assert!(ask().await.is_err());
    }
}
