//! A put stream: frames in, each one batch, proved and left for the lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use rheos_protocol::batch::{BadBatch, PutBatch};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::kind;
use rheos_protocol::record::BadRecord;

use super::Net;
use super::connection::ended_early;
use super::frames::{Frame, Frames};
use crate::dispatch::{Action, Authenticated, Resource, authorise};
use crate::identity::Principal;
use crate::lane::Arrival;
use crate::route::Route;

/// Pieces of a stream that are taken in one call.
const CHUNKS_AT_ONCE: usize = 64;
/// Most lives of streams that a put stream remembers; it usually carries one.
const ALLOWED_MAX: usize = 16;
/// Wait that a put is told which found no room for its bytes while they came.
const HALVES_RETRY_MS: u32 = 100;

/// Takes puts until the client ends the stream. An error is the connection's end.
pub(super) async fn take_puts(
    send: SendStream,
    mut recv: RecvStream,
    net: &Arc<Net>,
    principal: &Authenticated<Principal>,
    mut frames: Frames,
    first: Frame,
    mut rest: Bytes,
) -> Result<(), WireError> {
    let stream = net.put_streams.fetch_add(1, Ordering::Relaxed);
    net.inbox.push(Arrival::PutStreamOpened { stream, replies: send });
    let mut puts = Puts { stream, net, principal, allowed: Vec::new(), route: Route::default() };
    puts.take(first);
    let mut chunks = vec![Bytes::new(); CHUNKS_AT_ONCE];
    let ended = loop {
        if let Err(error) = puts.take_all(&mut frames, &mut rest) {
            break Err(error);
        }
        match recv.read_chunks(&mut chunks).await {
            Ok(Some(filled)) => {
                let taken = chunks[..filled].iter_mut().try_for_each(|chunk| puts.take_all(&mut frames, chunk));
                if let Err(error) = taken {
                    break Err(error);
                }
            }
            Ok(None) if frames.is_between() => break Ok(()),
            Ok(None) => break Err(ended_early()),
            Err(_) => break Ok(()),
        }
    };
    net.inbox.push(Arrival::PutStreamEnded { stream });
    ended
}

struct Puts<'a> {
    stream: u64,
    net: &'a Net,
    principal: &'a Authenticated<Principal>,
    /// Lives of streams that the principal may put to. Neither its grants nor their names ever change.
    allowed: Vec<u64>,
    route: Route,
}

impl Puts<'_> {
    fn take_all(&mut self, frames: &mut Frames, chunk: &mut Bytes) -> Result<(), WireError> {
        while let Some(frame) = frames.next(chunk)? {
            self.take(frame);
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) {
        let (stream, id) = (self.stream, frame.header.id);
        let arrival = match self.batch(frame) {
            Ok(batch) => match self.lane_of(&batch) {
                lane if lane == self.net.lane => Arrival::Put { stream, frame: id, batch },
                lane => Arrival::PutAfar { lane, stream, frame: id, batch },
            },
            Err(error) => Arrival::PutRefused { stream, frame: id, error: Box::new(error) },
        };
        self.net.inbox.push(arrival);
    }

    /// This lane for a shard that is not known: its refusal has its turn there.
    fn lane_of(&mut self, batch: &PutBatch) -> u16 {
        let header = batch.header();
        self.route.lane_of(&self.net.broker, header.incarnation, header.shard).unwrap_or(self.net.lane)
    }

    fn batch(&mut self, frame: Frame) -> Result<PutBatch, WireError> {
        if frame.header.kind != kind::PUT {
            let message = format!("a put stream carries puts, not frames of kind {}", frame.header.kind);
            return Err(WireError::new(ErrorCode::Unsupported, message));
        }
        if frame.was_dropped {
            return Err(too_many_halves());
        }
        let batch = PutBatch::parse(frame.payload).map_err(|bad| refusal(&bad))?;
        self.allow(batch.header().incarnation)?;
        Ok(batch)
    }

    /// Looks a life of a stream up once. When it is deleted later, the lane says so.
    fn allow(&mut self, incarnation: u64) -> Result<(), WireError> {
        if self.allowed.contains(&incarnation) {
            return Ok(());
        }
        let resource = Resource::incarnation(&self.net.broker.streams, incarnation);
        authorise(self.principal, Action::PutRecords, &resource)?;
        if self.allowed.len() == ALLOWED_MAX {
            self.allowed.clear();
        }
        self.allowed.push(incarnation);
        Ok(())
    }
}

fn too_many_halves() -> WireError {
    let message = "too many bytes of this connection's large puts had come in halves; put again after the wait";
    WireError::retry_after(ErrorCode::Busy, HALVES_RETRY_MS, message)
}

fn refusal(bad: &BadBatch) -> WireError {
    let code = match bad {
        BadBatch::Malformed(_) => ErrorCode::BadBatch,
        BadBatch::HeaderChecksum | BadBatch::BodyChecksum => ErrorCode::BadChecksum,
        BadBatch::Record(_, BadRecord::DataTooLarge(_)) => ErrorCode::RecordTooLarge,
        BadBatch::Record(_, BadRecord::KeyEmpty | BadRecord::KeyTooLong) => ErrorCode::BadKey,
    };
    WireError::new(code, bad.to_string())
}
