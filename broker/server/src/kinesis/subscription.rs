//! A subscription of the face: a place in the fan-out of the lane that serves the shard, like any consumer's.
//!
//! What must hold: the lane is given credit only for what was taken, so a client that reads nothing costs the first
//! credit and no more; a subscription that is dropped is gone from its lane.

use std::sync::atomic::{AtomicU64, Ordering};

use rheos_core::limits::LANES_MAX;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{Reply, Subscribe};
use tokio::sync::mpsc;

use super::asking::ANY_LANE;
use crate::broker::Broker;
use crate::lane::{Answer, Arrival, Inbox, PushWay, PushedApart, Subscribing};
use crate::route::Route;
use crate::stopping::going_away;

/// Bytes that a subscription may be given and not have handed on.
pub(super) const CREDIT_BYTES: u64 = 1 << 20;

/// Gives subscriptions numbers that no other subscription stream has, on whichever lane.
#[derive(Debug, Default)]
pub(super) struct Peers(AtomicU64);

impl Peers {
    fn next(&self) -> u64 {
        OF_THE_FACE | self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A subscription that a lane knows of.
#[derive(Debug)]
pub(super) struct Subscription {
    peer: u64,
    lane: Inbox,
    pushed: mpsc::UnboundedReceiver<PushedApart>,
}

impl Subscription {
    /// Subscribes; the answer is the sequence from which on records will come.
    ///
    /// # Errors
    /// Those of the lane.
    pub(super) async fn begin(
        broker: &Broker,
        peers: &Peers,
        subscribe: Subscribe,
    ) -> Result<(Subscription, u64), WireError> {
        let lane = Route::default().lane_of(broker, subscribe.incarnation, subscribe.shard).unwrap_or(ANY_LANE);
        let (peer, lane) = (peers.next(), broker.inboxes.of_lane(lane).clone());
        let (answers, mut told) = mpsc::channel(1);
        let answer = answers.reserve_owned().await.map_err(|_| going_away())?;
        let (way, pushed) = mpsc::unbounded_channel();
        let subscribing = Subscribing::Subscribe { peer, way: PushWay::Apart(way), id: ONLY, subscribe, answer };
        lane.push(Arrival::Subscribing(subscribing));
        let subscription = Subscription { peer, lane, pushed };
        match told.recv().await.map(|Answer { reply, .. }| reply) {
            Some(Reply::Subscribed(first)) => Ok((subscription, first)),
            Some(Reply::Error(error)) => Err(error),
            Some(_) | None => Err(going_away()),
        }
    }

    /// What is pushed next; `None` when the lane has stopped. To be called again after it was given up on: nothing is
    /// lost by that.
    pub(super) async fn next(&mut self) -> Option<PushedApart> {
        self.pushed.recv().await
    }

    /// These have been handed on: the lane may push as much again.
    pub(super) fn taken(&self, batches: &[Batch]) {
        let bytes = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
        self.lane.push(Arrival::Subscribing(Subscribing::Credit { peer: self.peer, id: ONLY, bytes }));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.lane.push(Arrival::Subscribing(Subscribing::Ended { peer: self.peer }));
    }
}

/// Each subscription of the face stands alone: none holds up another.
const ONLY: u64 = 1;
/// Numbers of subscription streams say on which lane their connection is; no lane has this number.
const OF_THE_FACE: u64 = (LANES_MAX as u64) << crate::net::PEER_LANE_SHIFT;
