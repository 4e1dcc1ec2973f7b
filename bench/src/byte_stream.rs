//! A stream of bytes that comes from any target, taken as it comes and copied only where it is looked at.
//!
//! What must hold: what is pushed by a target and by its yardstick is taken by the same code.

use bytes::Bytes;
use quinn::RecvStream;

use crate::Failure;

/// The bytes of a stream, each taken once.
pub(crate) struct ByteStream {
    recv: RecvStream,
    chunks: Vec<Bytes>,
    filled: usize,
    /// The chunk that is being taken.
    at: usize,
}

impl ByteStream {
    pub(crate) fn new(recv: RecvStream) -> Self {
        Self { recv, chunks: Vec::new(), filled: 0, at: 0 }
    }

    /// Whether the stream has ended and all of it is taken.
    pub(crate) async fn is_over(&mut self) -> Result<bool, Failure> {
        while self.at < self.filled && self.chunks[self.at].is_empty() {
            self.at += 1;
        }
        if self.at < self.filled {
            return Ok(false);
        }
        self.at = 0;
        // Made when it is needed, because many streams bring no more than one answer.
        self.chunks.resize(CHUNKS_AT_ONCE, Bytes::new());
        self.filled = self.recv.read_chunks(&mut self.chunks).await?.unwrap_or(0);
        Ok(self.filled == 0)
    }

    pub(crate) async fn array<const N: usize>(&mut self, left: &mut u64) -> Result<[u8; N], Failure> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let piece = self.piece((N - filled) as u64, left).await?;
            array[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(array)
    }

    pub(crate) async fn skip(&mut self, bytes: u64, left: &mut u64) -> Result<(), Failure> {
        let mut skipped = 0;
        while skipped < bytes {
            skipped += self.piece(bytes - skipped, left).await?.len() as u64;
        }
        Ok(())
    }

    /// The next bytes, at most `most` and at least one, counted off `left`.
    pub(crate) async fn piece(&mut self, most: u64, left: &mut u64) -> Result<Bytes, Failure> {
        if self.is_over().await? {
            return Err("a stream ended in the middle of a frame".into());
        }
        let chunk = &mut self.chunks[self.at];
        let taken = chunk.split_to(chunk.len().min(usize::try_from(most)?));
        *left = left.checked_sub(taken.len() as u64).ok_or("a frame is shorter than its fields")?;
        Ok(taken)
    }
}

/// Pieces of a stream that are taken in one call.
const CHUNKS_AT_ONCE: usize = 64;
