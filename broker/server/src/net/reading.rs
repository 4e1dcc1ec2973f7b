//! A read request: begun by the lane that serves the shard, performed here, sent as the batches lie in memory.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::SendStream;
use rheos_core::log::{ReadStart, ShardTip};
use rheos_core::reader::ReadOutcome;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::{Batches, Read};
use tokio::sync::{SemaphorePermit, oneshot};

use super::Net;
use super::route::Route;
use super::share::Share;
use crate::blocks::perform;
use crate::clock;
use crate::lane::{Arrival, Reading};
use crate::mesh::Asked;
use crate::stopping::going_away;

/// How often a read is begun anew because a segment it needed was gone.
const BEGUN_ANEW_MAX: usize = 8;

/// An answer that is ready to be sent.
pub(super) struct ReadReply<'a> {
    fields: Batches,
    batches: Vec<Bytes>,
    /// Held until everything is sent, of the connection's share and of the lane's memory.
    _memory: (SemaphorePermit<'a>, SemaphorePermit<'a>),
}

/// Performs a read.
pub(super) async fn read<'a>(net: &'a Net, share: &'a Share, read: Read) -> Result<ReadReply<'a>, WireError> {
    if read.bytes_max == 0 || read.bytes_max > READ_BYTES_MAX {
        let message = format!("a read asks for 1 to {READ_BYTES_MAX} bytes, not {}", read.bytes_max);
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let wanted_kib = read.bytes_max.div_ceil(1024);
    // The share comes first: who has used up its own waits for itself alone.
    let mut of_share = share.reads.acquire_many(wanted_kib).await.map_err(|_| going_away())?;
    let mut of_lane = net.read_memory.acquire_many(wanted_kib).await.map_err(|_| going_away())?;
    let mut gone = BTreeSet::new();
    for _ in 0..BEGUN_ANEW_MAX {
        let (reply, begun) = oneshot::channel();
        let lane = Route::default().lane_of(net, read.incarnation, read.shard);
        match &net.mesh {
            Some(mesh) if lane != net.lane => {
                mesh.ask(lane, Asked::Read { read: read.clone(), reply }).inspect_err(|_| {
                    let (incarnation, shard) = (read.incarnation, read.shard);
                    net.inbox.push(Arrival::ReadTurnedAway { incarnation, shard });
                })?;
            }
            _ => net.inbox.push(Arrival::Read { read: read.clone(), reply }),
        }
        let Reading { log, tip, children, start } = begun.await.map_err(|_| going_away())??;
        let outcome = match start {
            ReadStart::Ready(outcome) => outcome,
            ReadStart::Disk(task) => match perform(&net.blocks[usize::from(lane)], log, *task, &mut gone).await? {
                Some(outcome) => {
                    let (shard, given) = (read.shard, outcome.given());
                    let iterator_age_ms = outcome.iterator_age_ms(tip, clock::now().wall_ms);
                    net.inboxes.of_lane(lane).push(Arrival::ReadOfDisk { log, shard, given, iterator_age_ms });
                    outcome
                }
                None => continue,
            },
        };
        let children = children.filter(|_| outcome.next_sequence >= tip.durable_sequence);
        let fields = Batches { children, ..fields(&outcome, tip) };
        let batches = outcome.pieces;
        // Most reads ask for far more than there is.
        let unused_kib =
            (wanted_kib as usize).saturating_sub(batches.iter().map(Bytes::len).sum::<usize>().div_ceil(1024));
        drop((of_share.split(unused_kib), of_lane.split(unused_kib)));
        return Ok(ReadReply { fields, batches, _memory: (of_share, of_lane) });
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

impl ReadReply<'_> {
    /// Sends the answer: the fields first, so that the client can ask for what follows at once.
    ///
    /// # Errors
    /// As [`Share::answer`].
    pub(super) async fn send(self, share: &Share, send: &mut SendStream, id: u64) -> Result<(), WireError> {
        let mut payload = BytesMut::new();
        self.fields.encode_fields(&mut payload);
        let len = payload.len() + self.batches.iter().map(Bytes::len).sum::<usize>();
        let mut out = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
        FrameHeader { len: len as u32, kind: kind::BATCHES, id }.encode(&mut out);
        out.put_slice(&payload);
        let mut pieces = Vec::with_capacity(1 + self.batches.len());
        pieces.push(out.freeze());
        pieces.extend(self.batches);
        share.answer(send, &mut pieces).await
    }
}
