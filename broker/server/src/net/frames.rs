//! Frames out of a QUIC stream, however it is cut.
//!
//! What must hold: a declared length is compared with the limit of its kind before anything is
//! allocated, and memory grows with what has really come.

use bytes::{Buf, Bytes, BytesMut};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, payload_limit};

/// Allocated at once for a payload; a larger one grows as it comes.
const ALLOCATED_BYTES_MAX: usize = 256 << 10;

/// Gathers the pieces of a stream into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    authenticated: bool,
    header_bytes: [u8; FRAME_HEADER_BYTES],
    header_len: usize,
    header: Option<FrameHeader>,
    payload: BytesMut,
}

/// A frame, whole.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) payload: BytesMut,
}

impl Frames {
    pub(crate) fn new(authenticated: bool) -> Frames {
        Frames {
            authenticated,
            header_bytes: [0; FRAME_HEADER_BYTES],
            header_len: 0,
            header: None,
            payload: BytesMut::new(),
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
        let missing = header.len as usize - self.payload.len();
        let taken = missing.min(chunk.len());
        self.payload.extend_from_slice(&chunk[..taken]);
        chunk.advance(taken);
        if taken < missing {
            return Ok(None);
        }
        self.header = None;
        Ok(Some(Frame { header, payload: std::mem::take(&mut self.payload) }))
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
        let limit = payload_limit(header.kind, self.authenticated);
        if header.len > limit {
            let message = format!("a frame of kind {} has {} bytes, and {limit} are allowed", header.kind, header.len);
            return Err(WireError::new(ErrorCode::FrameTooLarge, message));
        }
        self.header = Some(header);
        self.payload = BytesMut::with_capacity((header.len as usize).min(ALLOCATED_BYTES_MAX));
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::frame::{kind, write_frame};

    use super::*;

    #[test]
    fn every_frame_is_found_however_the_stream_is_cut() {
        let mut stream = BytesMut::new();
        let sizes = [0usize, 1, 15, 16, 17, 4_000, 300_000];
        for (id, size) in sizes.into_iter().enumerate() {
            write_frame(&mut stream, kind::PUT, id as u64, |out| out.resize(out.len() + size, 7));
        }
        for cut in [1, 2, 15, 16, 17, 1_452, stream.len()] {
            let (mut frames, mut found) = (Frames::new(true), Vec::new());
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
        let error = Frames::new(true).next(&mut header.freeze()).expect_err("it is too large");
        assert_eq!(error.code, ErrorCode::FrameTooLarge);

        let mut frames = Frames::new(true);
        let mut header = BytesMut::new();
        FrameHeader { len: 11 << 20, kind: kind::PUT, id: 1 }.encode(&mut header);
        assert!(frames.next(&mut header.freeze()).expect("it is allowed").is_none());
        assert!(frames.payload.capacity() <= ALLOCATED_BYTES_MAX);
    }

    #[test]
    fn before_authentication_a_frame_is_small() {
        let mut header = BytesMut::new();
        FrameHeader { len: (16 << 10) + 1, kind: kind::PUT, id: 1 }.encode(&mut header);
        assert!(Frames::new(false).next(&mut header.freeze()).is_err());
    }
}
