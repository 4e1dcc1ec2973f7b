//! A read request: performed within what its connection and its lane may hold, sent as the batches lie in memory.

use bytes::{BufMut, Bytes, BytesMut};
use quinn::SendStream;
use rheos_protocol::error::WireError;
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::message::Read;
use tokio::sync::SemaphorePermit;

use super::Net;
use super::share::Share;
use crate::lane::Arrival;
use crate::mesh::Asked;
use crate::reading::{self, BatchesRead, Begun, check_bytes_max};
use crate::stopping::going_away;

/// An answer that is ready to be sent.
pub(super) struct ReadReply<'a> {
    read: BatchesRead,
    /// Held until everything is sent, of the connection's share and of the lane's memory.
    _memory: (SemaphorePermit<'a>, SemaphorePermit<'a>),
}

/// Performs a read.
pub(super) async fn read<'a>(net: &'a Net, share: &'a Share, read: Read) -> Result<ReadReply<'a>, WireError> {
    check_bytes_max(&read)?;
    let wanted_kib = read.bytes_max.div_ceil(1024);
    // The share comes first: who has used up its own waits for itself alone.
    let mut of_share = share.reads.acquire_many(wanted_kib).await.map_err(|_| going_away())?;
    let mut of_lane = net.read_memory.acquire_many(wanted_kib).await.map_err(|_| going_away())?;
    let answer = reading::read(&net.broker, &read, |lane, reply| ask(net, &read, lane, reply)).await?;
    // Most reads ask for far more than there is.
    let unused_kib =
        (wanted_kib as usize).saturating_sub(answer.batches.iter().map(Bytes::len).sum::<usize>().div_ceil(1024));
    drop((of_share.split(unused_kib), of_lane.split(unused_kib)));
    Ok(ReadReply { read: answer, _memory: (of_share, of_lane) })
}

/// Leaves a read for its lane: this one for a shard that is not known, which it then refuses.
fn ask(net: &Net, read: &Read, lane: Option<u16>, reply: Begun) -> Result<(), WireError> {
    match (&net.broker.mesh, lane) {
        (Some(mesh), Some(lane)) if lane != net.lane => {
            mesh.ask(lane, Asked::Read { read: read.clone(), reply }).inspect_err(|_| {
                let (incarnation, shard) = (read.incarnation, read.shard);
                net.inbox.push(Arrival::ReadTurnedAway { incarnation, shard });
            })
        }
        _ => {
            net.inbox.push(Arrival::Read { read: read.clone(), reply });
            Ok(())
        }
    }
}

impl ReadReply<'_> {
    /// Sends the answer: the fields first, so that the client can ask for what follows at once.
    ///
    /// # Errors
    /// As [`Share::answer`].
    pub(super) async fn send(self, share: &Share, send: &mut SendStream, id: u64) -> Result<(), WireError> {
        let BatchesRead { fields, batches } = self.read;
        let mut payload = BytesMut::new();
        fields.encode_fields(&mut payload);
        let len = payload.len() + batches.iter().map(Bytes::len).sum::<usize>();
        let mut out = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
        FrameHeader { len: len as u32, kind: kind::BATCHES, id }.encode(&mut out);
        out.put_slice(&payload);
        let mut pieces = Vec::with_capacity(1 + batches.len());
        pieces.push(out.freeze());
        pieces.extend(batches);
        share.answer(send, &mut pieces).await
    }
}
