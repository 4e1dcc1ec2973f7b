//! What the face asks of lanes: a put, a read, and where a shard ends.
//!
//! What must hold: what waits in a lane's inbox because of the face is bounded by the bodies that the HTTP service
//! has room for; who asks waits for the lane's answer and for nothing else.

use bytes::Bytes;
use rheos_core::log::Acked;
use rheos_protocol::batch::{Batch, PutBatch};
use rheos_protocol::error::WireError;
use rheos_protocol::message::Read;
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::lane::Arrival;
use crate::reading::{self, BatchesRead};
use crate::route::Route;
use crate::stopping::going_away;

/// Leaves a batch for its lane; what comes is the outcome, once it is on the disk, or why it is not. It is lost when the
/// lane has stopped without a word.
pub(super) fn begin_put(
    broker: &Broker,
    route: &mut Route,
    batch: PutBatch,
) -> oneshot::Receiver<Result<Acked, WireError>> {
    let (told, outcome) = oneshot::channel();
    let header = batch.header();
    let lane = route.lane_of(broker, header.incarnation, header.shard);
    broker.inboxes.of_lane(lane.unwrap_or(ANY_LANE)).push(Arrival::PutApart { batch, told });
    outcome
}

/// The sequence before which everything in a shard is durable.
pub(super) async fn tip_of(broker: &Broker, incarnation: u64, shard: u32) -> Result<u64, WireError> {
    let (told, tip) = oneshot::channel();
    let lane = Route::default().lane_of(broker, incarnation, shard).unwrap_or(ANY_LANE);
    broker.inboxes.of_lane(lane).push(Arrival::TipOf { incarnation, shard, told });
    tip.await.unwrap_or_else(|_| Err(going_away())).map(|tip| tip.durable_sequence)
}

/// Reads a shard.
pub(super) async fn read(broker: &Broker, read: &Read) -> Result<BatchesRead, WireError> {
    reading::check_bytes_max(read)?;
    reading::read(broker, read, |lane, reply| {
        let arrival = Arrival::Read { read: read.clone(), reply };
        broker.inboxes.of_lane(lane.unwrap_or(ANY_LANE)).push(arrival);
        Ok(())
    })
    .await
}

/// The batches of pieces of memory: what comes off the disk lies there as it was written, several batches in a piece.
/// Their lane has proved them; what is wrong with one now is our mistake.
pub(super) fn batches_of(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<Batch>, WireError> {
    let mut batches = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let batch = Batch::split_from(&mut piece);
            let batch = batch.map_err(|bad| crate::internal_error(&format!("a stored batch is not whole: {bad}")))?;
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// A shard that nobody knows is refused by whichever lane is asked.
pub(super) const ANY_LANE: u16 = 0;
