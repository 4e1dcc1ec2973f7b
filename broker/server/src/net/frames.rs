//! Frames out of a QUIC stream, however it is cut.
//!
//! What must hold: a declared length is compared with the limit of its kind before anything is
//! allocated; memory grows with what has really come, and what is held of frames that have not come
//! whole is bounded for a connection. A large frame that finds no room is let go by as it comes:
//! waiting for room would stop the very streams whose frames hold it.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, payload_limit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Allocated at once for a payload; a larger one grows as it comes.
const ALLOCATED_BYTES_MAX: usize = 256 << 10;
/// A frame of more than this needs room for all of it. What clients usually send is smaller.
const SMALL_BYTES_MAX: u32 = 512 << 10;

/// Gathers the pieces of a stream into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    /// KiB for large frames, shared by the streams of a connection; none before Hello.
    room: Option<Arc<Semaphore>>,
    header_bytes: [u8; FRAME_HEADER_BYTES],
    header_len: usize,
    header: Option<FrameHeader>,
    payload: BytesMut,
    /// Bytes of the payload that are still to come.
    missing: usize,
    /// Whether there was no room for the payload.
    drops: bool,
    taken: Option<OwnedSemaphorePermit>,
}

/// A frame, whole.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    /// Empty when it was dropped.
    pub(crate) payload: BytesMut,
    /// There was no room for its payload.
    pub(crate) was_dropped: bool,
}

impl Frames {
    /// Of a stream of a connection that has `room`, in KiB, for large frames.
    pub(crate) fn new(room: &Arc<Semaphore>) -> Frames {
        Frames { room: Some(Arc::clone(room)), ..Frames::before_hello() }
    }

    /// Of a connection that has proved nothing yet.
    pub(crate) fn before_hello() -> Frames {
        Frames {
            room: None,
            header_bytes: [0; FRAME_HEADER_BYTES],
            header_len: 0,
            header: None,
            payload: BytesMut::new(),
            missing: 0,
            drops: false,
            taken: None,
        }
    }

    /// Takes bytes from the front of `chunk` and gives the next whole frame, if they complete one.
    ///
    /// # Errors
    /// `FrameTooLarge`; the stream is of no use after it.
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Frame>, WireError> {
        let header = match self.header {
            Some(header) => header,
            None => match self.take_header(chunk)? {
                Some(header) => header,
                None => return Ok(None),
            },
        };
        let come = self.missing.min(chunk.len());
        if !self.drops {
            self.payload.extend_from_slice(&chunk[..come]);
        }
        chunk.advance(come);
        self.missing -= come;
        if self.missing > 0 {
            return Ok(None);
        }
        (self.header, self.taken) = (None, None);
        Ok(Some(Frame { header, payload: std::mem::take(&mut self.payload), was_dropped: self.drops }))
    }

    /// Whether the stream stands between two frames.
    pub(crate) fn is_between(&self) -> bool {
        self.header.is_none() && self.header_len == 0
    }

    fn take_header(&mut self, chunk: &mut Bytes) -> Result<Option<FrameHeader>, WireError> {
        let taken = (FRAME_HEADER_BYTES - self.header_len).min(chunk.len());
        self.header_bytes[self.header_len..self.header_len + taken].copy_from_slice(&chunk[..taken]);
        chunk.advance(taken);
        self.header_len += taken;
        if self.header_len < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        self.header_len = 0;
        let header = FrameHeader::decode(&self.header_bytes);
        let limit = payload_limit(header.kind, self.room.is_some());
        if header.len > limit {
            let message = format!("a frame of kind {} has {} bytes, and {limit} are allowed", header.kind, header.len);
            return Err(WireError::new(ErrorCode::FrameTooLarge, message));
        }
        (self.header, self.missing) = (Some(header), header.len as usize);
        self.drops = !self.take_room(header.len);
        if self.drops {
            return Ok(Some(header));
        }
        self.payload = BytesMut::with_capacity((header.len as usize).min(ALLOCATED_BYTES_MAX));
        Ok(Some(header))
    }

    fn take_room(&mut self, len: u32) -> bool {
        let Some(room) = self.room.as_ref().filter(|_| len > SMALL_BYTES_MAX) else { return true };
        self.taken = Arc::clone(room).try_acquire_many_owned(len.div_ceil(1 << 10)).ok();
        self.taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::frame::{kind, write_frame};

    use super::*;

    /// Frames of a connection with so many KiB of room.
    fn frames_with(room_kib: usize) -> Frames {
        Frames::new(&Arc::new(Semaphore::new(room_kib)))
    }

    #[test]
    fn a_large_frame_without_room_goes_by_and_is_said_to_have_come() {
        let (room, mut stream) = (Arc::new(Semaphore::new(1 << 10)), BytesMut::new());
        for (id, size) in [(1, 1 << 20), (2, 600 << 10), (3, 100)] {
            write_frame(&mut stream, kind::PUT, id, |out| out.resize(out.len() + size, 7));
        }
        let stream = stream.freeze();
        // Another stream of the connection stands in the middle of a frame.
        let mut other = Frames::new(&room);
        assert!(other.next(&mut stream.slice(..1_000)).expect("it is allowed").is_none());
        let (mut frames, mut rest, mut found) = (Frames::new(&room), stream.clone(), Vec::new());
        while let Some(frame) = frames.next(&mut rest).expect("none is too large") {
            found.push((frame.header.id, frame.was_dropped, frame.payload.len()));
        }
        assert_eq!(found, [(1, true, 0), (2, true, 0), (3, false, 100)]);
        assert!(frames.payload.capacity() <= ALLOCATED_BYTES_MAX);
        let whole = other.next(&mut stream.slice(1_000..)).expect("it is allowed").expect("it is whole now");
        assert_eq!((whole.was_dropped, whole.payload.len(), room.available_permits()), (false, 1 << 20, 1 << 10));
    }

    #[test]
    fn every_frame_is_found_however_the_stream_is_cut() {
        let mut stream = BytesMut::new();
        let sizes = [0usize, 1, 15, 16, 17, 4_000, 300_000];
        for (id, size) in sizes.into_iter().enumerate() {
            write_frame(&mut stream, kind::PUT, id as u64, |out| out.resize(out.len() + size, 7));
        }
        for cut in [1, 2, 15, 16, 17, 1_452, stream.len()] {
            let (mut frames, mut found) = (frames_with(64 << 10), Vec::new());
            for chunk in stream.chunks(cut) {
                let mut chunk = Bytes::copy_from_slice(chunk);
                while let Some(frame) = frames.next(&mut chunk).expect("none is too large") {
                    assert_eq!((frame.header.id, frame.header.len as usize), (found.len() as u64, frame.payload.len()));
                    found.push(frame.payload.len());
                }
                assert!(chunk.is_empty(), "everything is taken");
            }
            assert_eq!(found, sizes, "cut at {cut}");
            assert!(frames.is_between());
        }
    }

    #[test]
    fn a_declared_length_moves_no_memory() {
        let mut header = BytesMut::new();
        FrameHeader { len: u32::MAX, kind: kind::PUT, id: 1 }.encode(&mut header);
        let error = frames_with(64 << 10).next(&mut header.freeze()).expect_err("it is too large");
        assert_eq!(error.code, ErrorCode::FrameTooLarge);

        let mut frames = frames_with(64 << 10);
        let mut header = BytesMut::new();
        FrameHeader { len: 11 << 20, kind: kind::PUT, id: 1 }.encode(&mut header);
        assert!(frames.next(&mut header.freeze()).expect("it is allowed").is_none());
        assert!(frames.payload.capacity() <= ALLOCATED_BYTES_MAX);
    }

    #[test]
    fn before_authentication_a_frame_is_small() {
        let mut header = BytesMut::new();
        FrameHeader { len: (16 << 10) + 1, kind: kind::PUT, id: 1 }.encode(&mut header);
        assert!(Frames::before_hello().next(&mut header.freeze()).is_err());
    }
}
