//! A read of a shard: begun by the lane that serves it, performed by whoever asks, over that lane's blocks.

use std::collections::BTreeSet;

use bytes::Bytes;
use rheos_core::log::{ReadStart, ShardTip};
use rheos_core::reader::ReadOutcome;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::{Batches, Read};
use tokio::sync::oneshot;

use crate::blocks::perform;
use crate::broker::Broker;
use crate::clock;
use crate::lane::{Arrival, Reading};
use crate::route::Route;
use crate::stopping::going_away;

/// How often a read is begun anew because a segment it needed was gone.
const BEGUN_ANEW_MAX: usize = 8;

/// Where a lane tells how a read begins.
pub(crate) type Begun = oneshot::Sender<Result<Reading, WireError>>;

/// What was read: everything about it but the batches, and the batches as they lie in memory.
#[derive(Debug)]
pub(crate) struct BatchesRead {
    pub(crate) fields: Batches,
    pub(crate) batches: Vec<Bytes>,
}

/// A number of bytes that a read may ask for.
pub(crate) fn check_bytes_max(read: &Read) -> Result<(), WireError> {
    if read.bytes_max == 0 || read.bytes_max > READ_BYTES_MAX {
        let message = format!("a read asks for 1 to {READ_BYTES_MAX} bytes, not {}", read.bytes_max);
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    Ok(())
}

/// Performs a read; `ask` leaves it for the lane that serves the shard, which is `None` when nobody knows.
pub(crate) async fn read(
    broker: &Broker,
    read: &Read,
    ask: impl Fn(Option<u16>, Begun) -> Result<(), WireError>,
) -> Result<BatchesRead, WireError> {
    let mut gone = BTreeSet::new();
    for _ in 0..BEGUN_ANEW_MAX {
        let (reply, begun) = oneshot::channel();
        let lane = Route::default().lane_of(broker, read.incarnation, read.shard);
        ask(lane, reply)?;
        let Reading { log, tip, children, start } = begun.await.map_err(|_| going_away())??;
        let outcome = match start {
            ReadStart::Ready(outcome) => outcome,
            ReadStart::Disk(task) => {
                let lane = lane.ok_or_else(going_away)?;
                match perform(&broker.blocks[usize::from(lane)], log, *task, &mut gone).await? {
                    Some(outcome) => {
                        let (shard, given) = (read.shard, outcome.given());
                        let iterator_age_ms = outcome.iterator_age_ms(tip, clock::now().wall_ms);
                        let arrival = Arrival::ReadOfDisk { log, shard, given, iterator_age_ms };
                        broker.inboxes.of_lane(lane).push(arrival);
                        outcome
                    }
                    None => continue,
                }
            }
        };
        let children = children.filter(|_| outcome.next_sequence >= tip.durable_sequence);
        let fields = Batches { children, ..fields(&outcome, tip) };
        return Ok(BatchesRead { fields, batches: outcome.pieces });
    }
    Err(WireError::retry_after(ErrorCode::Busy, 100, "segments expire faster than they are read; read again"))
}

fn fields(outcome: &ReadOutcome, tip: ShardTip) -> Batches {
    Batches {
        start_sequence: outcome.start_sequence,
        next_sequence: outcome.next_sequence,
        tip_sequence: tip.durable_sequence,
        behind_ms: outcome.behind_ms(tip, clock::now().wall_ms),
        children: None,
        batches: Bytes::new(),
    }
}
