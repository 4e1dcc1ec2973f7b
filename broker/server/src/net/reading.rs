//! A read request: begun by the lane, performed here, sent as the batches lie in memory.

use bytes::{BufMut, Bytes, BytesMut};
use quinn::SendStream;
use rheos_core::log::ReadStart;
use rheos_core::reader::{ReadOutcome, ReadStep, ReadTask};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::{Batches, Read};
use tokio::sync::{SemaphorePermit, oneshot};

use super::Net;
use crate::clock;
use crate::lane::{Arrival, Reading};

/// How often a read is begun anew because a segment it needed has expired meanwhile.
const BEGUN_ANEW_MAX: usize = 3;

/// An answer that is ready to be sent.
pub(super) struct ReadReply<'a> {
    fields: Batches,
    batches: Vec<Bytes>,
    /// Held until everything is sent.
    _memory: SemaphorePermit<'a>,
}

/// Performs a read.
pub(super) async fn read(net: &Net, read: Read) -> Result<ReadReply<'_>, WireError> {
    if read.bytes_max == 0 || read.bytes_max > READ_BYTES_MAX {
        let message = format!("a read asks for 1 to {READ_BYTES_MAX} bytes, not {}", read.bytes_max);
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let memory = net.read_memory.acquire_many(read.bytes_max.div_ceil(1024)).await.map_err(|_| stopping())?;
    for _ in 0..BEGUN_ANEW_MAX {
        let (reply, begun) = oneshot::channel();
        net.inbox.push(Arrival::Read { read: read.clone(), reply });
        let Reading { log, tip, start } = begun.await.map_err(|_| stopping())??;
        let outcome = match start {
            ReadStart::Ready(outcome) => outcome,
            ReadStart::Disk(task) => match perform(net, log, *task).await? {
                Some(outcome) => outcome,
                None => continue,
            },
        };
        let fields = fields(&outcome, tip.durable_sequence, tip.last_arrival_ms);
        let batches = outcome.batches.iter().map(|batch| batch.bytes().clone()).collect();
        return Ok(ReadReply { fields, batches, _memory: memory });
    }
    Err(WireError::retry_after(ErrorCode::Busy, 100, "segments expire faster than they are read; read again"))
}

/// Gives the task the blocks it asks for; `None` when one of its segments is gone.
async fn perform(net: &Net, log: rheos_core::log::LogId, mut task: ReadTask) -> Result<Option<ReadOutcome>, WireError> {
    let mut step = task.step(None);
    loop {
        match step {
            ReadStep::Done(outcome) => return outcome.map(Some),
            ReadStep::Read { segment, place, keep } => {
                let input = match net.blocks.read(log, segment, place, keep).await {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    read => read.map_err(|error| error.to_string()),
                };
                step = task.step(Some(input));
            }
        }
    }
}

fn fields(outcome: &ReadOutcome, tip_sequence: u64, last_arrival_ms: u64) -> Batches {
    let next_arrival_ms = if outcome.next_sequence >= tip_sequence {
        None
    } else {
        // What follows came after what was read, and not after the last one.
        let read_ms = outcome.batches.last().map_or(0, |batch| batch.header().arrival_ms);
        Some(outcome.next_arrival_ms.unwrap_or(read_ms).min(last_arrival_ms))
    };
    Batches {
        start_sequence: outcome.start_sequence,
        next_sequence: outcome.next_sequence,
        tip_sequence,
        behind_ms: next_arrival_ms.map_or(0, |arrival_ms| clock::now().wall_ms.saturating_sub(arrival_ms)),
        batches: Bytes::new(),
    }
}

impl ReadReply<'_> {
    /// Sends the answer: the fields first, so that the client can ask for what follows at once.
    pub(super) async fn send(mut self, send: &mut SendStream, id: u64) -> Result<(), WireError> {
        let mut payload = BytesMut::new();
        self.fields.encode_fields(&mut payload);
        let len = payload.len() + self.batches.iter().map(Bytes::len).sum::<usize>();
        let mut out = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
        FrameHeader { len: len as u32, kind: kind::BATCHES, id }.encode(&mut out);
        out.put_slice(&payload);
        // The peer may have gone, or want no answer any more.
        if send.write_chunk(out.freeze()).await.is_ok() && send.write_all_chunks(&mut self.batches).await.is_ok() {
            drop(send.finish());
        }
        Ok(())
    }
}

fn stopping() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, 1_000, "the broker is stopping; connect again")
}
