//! All shards of a consumer, shared by what brings records and the program that takes them.
//!
//! ```text
//!   pushes, carriers -> feed of the shard -> ready, in turn -> the program
//!                       feed of the shard -> line of its lane -> carrier: subscribe, credit
//! ```
//!
//! What must hold: a shard with something to take is ready, once, and one with something to send stands in
//! its lane's line, once; ready shards take turns. The lock is never held across an await, and no other is
//! taken under it but that of the routes, by whoever sends.

mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{
    ConsumerDescription, Position, Push, PushEnd, Request, ShardDescription, StreamDescription, Subscribe,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::feed::{Feed, Item, Then, Want, prove};
use super::lineage;
use super::positions::Positions;
use state::{Over, State};

use crate::client::described;
use crate::error::Error;
use crate::reader::ReadBatches;

/// Pushes below this size are copied; a block that is read from QUIC is not much larger.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feeds {
    stream: String,
    consumer: ConsumerDescription,
    bounds: Bounds,
    resumed: Positions,
    state: Mutex<State>,
    /// There is something to do for the [steward](super::steward).
    changed: Notify,
}

/// How many bytes a consumer may hold and have on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) of_shard: u64,
    pub(super) in_all: u64,
}

impl Feeds {
    pub(super) fn new(
        stream: &StreamDescription,
        consumer: ConsumerDescription,
        bounds: Bounds,
        resumed: Positions,
        feeds: Vec<Feed>,
        lanes: u16,
    ) -> Arc<Feeds> {
        let (state, changed) = (Mutex::default(), Notify::new());
        let shared = Feeds { stream: stream.name.clone(), consumer, bounds, resumed, state, changed };
        shared.lock().add(feeds, lanes, bounds);
        Arc::new(shared)
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    // What the program asks.

    /// Whether the broker has said of each shard where it begins.
    pub(super) fn poll_started(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.lock();
        if let Over::With(error) = &state.over {
            return Poll::Ready(Err(error.clone()));
        }
        if state.feeds.values().all(Feed::is_started) {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next batches, from the shards in turn. `None` when it is over.
    pub(super) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Result<ReadBatches, Error>>> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.over, Over::Yes) {
            Over::No => state.over = Over::No,
            Over::With(Error::Closed) | Over::Yes => return Poll::Ready(None),
            Over::With(error) => return Poll::Ready(Some(Err(error))),
        }
        while let Some(shard) = state.ready.pop_front() {
            let feed = state.feeds.get_mut(&shard).expect("ready shards exist");
            feed.is_ready = false;
            let item = feed.take().expect("ready shards have something");
            match item {
                Item::Batches(read) => {
                    state.settle(shard, self.bounds);
                    return Poll::Ready(Some(Ok(read)));
                }
                Item::Trimmed(first_kept_sequence) => {
                    state.settle(shard, self.bounds);
                    return Poll::Ready(Some(Err(Error::Trimmed { shard, first_kept_sequence })));
                }
                Item::Failed(error) => {
                    state.end(Over::Yes);
                    return Poll::Ready(Some(Err(error)));
                }
                Item::Ended(children) => {
                    state.ended(children, self.bounds);
                    self.changed.notify_one();
                }
            }
        }
        if state.living == 0 && state.children.is_empty() {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// What the program has taken.
    pub(super) fn positions(&self) -> Positions {
        let mut positions = self.resumed.clone();
        positions.incarnation = Some(self.consumer.incarnation);
        let state = self.lock();
        for feed in state.feeds.values() {
            if let Some(place) = feed.place() {
                positions.replace(feed.shard, place);
            }
        }
        positions
    }

    // What is pushed and answered.

    pub(crate) fn subscribed(&self, shard: u32, id: u64, next: u64) {
        self.update(shard, |feed| feed.subscribed(id, next));
    }

    pub(crate) fn refused(&self, shard: u32, id: u64, error: WireError) {
        self.update(shard, |feed| feed.refused(id, error));
    }

    pub(crate) fn pushed(&self, shard: u32, id: u64, push: Push) {
        let push = Push { batches: of_its_own(push.batches), ..push };
        // Checksums take their time; the lock is not for that.
        let proved = prove(shard, &push);
        self.update(shard, |feed| feed.pushed(id, push, proved));
    }

    pub(crate) fn push_ended(&self, shard: u32, id: u64, end: PushEnd) {
        self.update(shard, |feed| feed.push_ended(id, end));
    }

    /// Ends the consumer, and tells the program why.
    pub(crate) fn end(&self, error: Error) {
        self.lock().end(Over::With(error));
        self.changed.notify_one();
    }

    // What carriers ask.

    pub(super) fn is_over(&self) -> bool {
        !matches!(self.lock().over, Over::No)
    }

    /// What wakes the carrier of a lane.
    pub(super) fn lane_changed(&self, lane: u16) -> Arc<Notify> {
        Arc::clone(&self.lock().lanes.entry(lane).or_default().changed)
    }

    /// Whether there is something to send now, else when there may be.
    pub(super) fn due(&self, lane: u16) -> (bool, Option<Instant>) {
        let (mut state, now) = (self.lock(), Instant::now());
        let lane = state.lanes.entry(lane).or_default();
        while lane.later.first().is_some_and(|(due, _)| *due <= now) {
            lane.line.extend(lane.later.pop_first().map(|(_, shard)| shard));
        }
        (!lane.line.is_empty(), lane.later.first().map(|(due, _)| *due))
    }

    /// The next request of a lane and its subscription; `add` gives the id of a new one.
    pub(super) fn request(&self, lane: u16, add: impl Fn(u32) -> u64) -> Option<(u64, Request)> {
        let mut state = self.lock();
        if !matches!(state.over, Over::No) {
            return None;
        }
        let credit = state.credit(self.bounds);
        loop {
            let shard = state.lanes.entry(lane).or_default().line.pop_front()?;
            let feed = state.feeds.get_mut(&shard).expect("shards in a line exist");
            feed.in_line = false;
            let Some(want) = feed.want(credit) else { continue };
            let (id, request) = match want {
                Want::Subscribe(position, credit) => (add(shard), self.subscribe(shard, position, credit)),
                Want::Credit(id, bytes) => (id, Request::Credit(bytes)),
            };
            feed.sent(id, want);
            return Some((id, request));
        }
    }

    /// The subscription stream of a lane has ended.
    pub(super) fn lost(&self, lane: u16) {
        let mut state = self.lock();
        let shards: Vec<u32> = state.feeds.values().filter(|feed| feed.lane == lane).map(|feed| feed.shard).collect();
        for shard in shards {
            state.feeds.get_mut(&shard).expect("it was just there").lost();
            state.settle(shard, self.bounds);
        }
    }

    // What the steward asks.

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lanes that nobody carries yet; they count as carried from now on.
    pub(super) fn lanes_to_carry(&self) -> Vec<u16> {
        let mut state = self.lock();
        let mut new = Vec::new();
        for (number, lane) in &mut state.lanes {
            if !std::mem::replace(&mut lane.is_carried, true) {
                new.push(*number);
            }
        }
        new
    }

    /// Whether children wait for a description of the stream.
    pub(super) fn has_children(&self) -> bool {
        !self.lock().children.is_empty()
    }

    /// Begins the children that a new description describes, and whoever came to be beside them.
    pub(super) fn adopt(&self, stream: &StreamDescription, lanes: u16) {
        if stream.incarnation != self.consumer.incarnation {
            let (expected, found) = (self.consumer.incarnation, stream.incarnation);
            return self.end(Error::OtherIncarnation { stream: stream.name.clone(), expected, found });
        }
        let mut state = self.lock();
        let (known, children) = (state.feeds.keys().copied().collect(), std::mem::take(&mut state.children));
        let adopted = match lineage::descendants(stream, known, children) {
            Ok(adopted) => adopted,
            Err(error) => return state.end(Over::With(Error::protocol(format!("a shard ended, but {error}")))),
        };
        let begin = |shard: &ShardDescription| lineage::feed(stream, shard, Position::TrimHorizon, &self.resumed);
        let feeds = adopted.into_iter().map(begin).collect();
        // What the broker has forgotten is of no use to anybody.
        state.feeds.retain(|shard, feed| !feed.is_ended() || described(stream, *shard).is_ok());
        state.add(feeds, lanes, self.bounds);
    }

    fn subscribe(&self, shard: u32, position: Position, credit: u64) -> Request {
        let ConsumerDescription { name, incarnation, epoch, .. } = &self.consumer;
        let (incarnation, consumer, epoch) = (*incarnation, name.clone(), *epoch);
        Request::Subscribe(Subscribe { incarnation, shard, consumer, epoch, position, credit })
    }

    fn update(&self, shard: u32, change: impl FnOnce(&mut Feed) -> Then) {
        let mut state = self.lock();
        if !matches!(state.over, Over::No) {
            return;
        }
        let Some(feed) = state.feeds.get_mut(&shard) else { return };
        let names = || (self.stream.clone(), self.consumer.name.clone());
        let was_started = feed.is_started();
        match change(feed) {
            Then::GoOn => state.settle(shard, self.bounds),
            Then::Wait(wait_ms) => state.settle_later(shard, wait_ms, self.bounds),
            Then::Superseded => {
                let (stream, consumer) = names();
                state.end(Over::With(Error::Superseded { stream, consumer }));
            }
            Then::Deregistered => {
                let (stream, consumer) = names();
                state.end(Over::With(Error::Deregistered { stream, consumer }));
            }
        }
        if !was_started {
            state.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is locked")
    }
}

/// A small push has bytes of its own, so that it does not hold on to those of others that came with it.
fn of_its_own(bytes: Bytes) -> Bytes {
    match bytes.len() < COPIED_BYTES_MAX {
        true => Bytes::copy_from_slice(&bytes),
        false => bytes,
    }
}
