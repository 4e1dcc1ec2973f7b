//! Frames that come from a broker, taken apart without a copy of what is only counted.

use bytes::{Bytes, BytesMut};
use quinn::RecvStream;
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, reply_limit};
use rheos_protocol::message::Reply;

use crate::Failure;
use crate::byte_stream::ByteStream;

/// The frames of a stream, each taken in parts.
pub(super) struct Incoming {
    pub(super) bytes: ByteStream,
}

impl Incoming {
    pub(super) fn new(recv: RecvStream) -> Self {
        Self { bytes: ByteStream::new(recv) }
    }

    /// The header of a frame, and how many bytes of its payload are left.
    pub(super) async fn header(&mut self) -> Result<(FrameHeader, u64), Failure> {
        let mut left = FRAME_HEADER_BYTES as u64;
        let header = FrameHeader::decode(&self.bytes.array(&mut left).await?);
        if header.len > reply_limit() {
            return Err(format!("the broker sends a frame of {} bytes", header.len).into());
        }
        Ok((header, header.len.into()))
    }

    pub(super) async fn reply(&mut self, header: FrameHeader) -> Result<Reply, Failure> {
        let mut payload = BytesMut::new();
        let mut left = u64::from(header.len);
        while left > 0 {
            payload.extend_from_slice(&self.bytes.piece(left, &mut left).await?);
        }
        Ok(Reply::decode(header.kind, payload.freeze())?.ok_or("the broker answered with an unknown kind of frame")?)
    }

    /// A group of fields with the length that stands before it.
    pub(super) async fn group(&mut self, left: &mut u64) -> Result<Bytes, Failure> {
        let length = self.bytes.array::<2>(left).await?;
        let mut group = BytesMut::from(&length[..]);
        let whole = length.len() + usize::from(u16::from_le_bytes(length));
        while group.len() < whole {
            let piece = self.bytes.piece((whole - group.len()) as u64, left).await?;
            group.extend_from_slice(&piece);
        }
        Ok(group.freeze())
    }
}
