//! Frames that come from a broker, taken apart without a copy of what is only counted.

use bytes::{Bytes, BytesMut};
use quinn::RecvStream;
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, reply_limit};
use rheos_protocol::message::Reply;

use crate::Failure;

/// The bytes of a stream of the broker, taken as they come and copied only where they are looked at.
pub(super) struct Incoming {
    recv: RecvStream,
    chunk: Bytes,
}

impl Incoming {
    pub(super) fn new(recv: RecvStream) -> Self {
        Self { recv, chunk: Bytes::new() }
    }

    /// The header of a frame, and how many bytes of its payload are left.
    pub(super) async fn header(&mut self) -> Result<(FrameHeader, u64), Failure> {
        let mut left = FRAME_HEADER_BYTES as u64;
        let header = FrameHeader::decode(&self.array(&mut left).await?);
        if header.len > reply_limit() {
            return Err(format!("the broker sends a frame of {} bytes", header.len).into());
        }
        Ok((header, header.len.into()))
    }

    pub(super) async fn reply(&mut self, header: FrameHeader) -> Result<Reply, Failure> {
        let mut payload = BytesMut::new();
        let mut left = u64::from(header.len);
        while left > 0 {
            payload.extend_from_slice(&self.piece(left, &mut left).await?);
        }
        Ok(Reply::decode(header.kind, payload.freeze())?.ok_or("the broker answered with an unknown kind of frame")?)
    }

    /// A group of fields with the length that stands before it.
    pub(super) async fn group(&mut self, left: &mut u64) -> Result<Bytes, Failure> {
        let length = self.array::<2>(left).await?;
        let mut group = BytesMut::from(&length[..]);
        let whole = length.len() + usize::from(u16::from_le_bytes(length));
        while group.len() < whole {
            let piece = self.piece((whole - group.len()) as u64, left).await?;
            group.extend_from_slice(&piece);
        }
        Ok(group.freeze())
    }

    pub(super) async fn array<const N: usize>(&mut self, left: &mut u64) -> Result<[u8; N], Failure> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let piece = self.piece((N - filled) as u64, left).await?;
            array[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(array)
    }

    pub(super) async fn skip(&mut self, bytes: u64, left: &mut u64) -> Result<(), Failure> {
        let mut skipped = 0;
        while skipped < bytes {
            skipped += self.piece(bytes - skipped, left).await?.len() as u64;
        }
        Ok(())
    }

    /// The next bytes, at most `most` and at least one, counted off `left`.
    async fn piece(&mut self, most: u64, left: &mut u64) -> Result<Bytes, Failure> {
        while self.chunk.is_empty() {
            let next = self.recv.read_chunk(usize::MAX, true).await?;
            self.chunk = next.ok_or("the broker ended a stream in the middle of a frame")?.bytes;
        }
        let taken = self.chunk.split_to(self.chunk.len().min(usize::try_from(most)?));
        *left = left.checked_sub(taken.len() as u64).ok_or("the broker's frame is shorter than its fields")?;
        Ok(taken)
    }
}
