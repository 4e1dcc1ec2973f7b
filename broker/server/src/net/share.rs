//! What one connection may hold of the broker's memory, so that it cannot take the others' part.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::SendStream;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{PUT_FRAME_BYTES_MAX, READ_BYTES_MAX, SUBSCRIPTION_STREAMS_MAX};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// KiB of large puts that have not come whole: one of the largest for each put stream that a client usually has.
const HALF_PUTS_KIB: usize = 96 << 10;
/// KiB of batches that the reads of a connection hold: four of the largest reads.
const READS_KIB: usize = 32 << 10;
/// A peer that takes nothing of any answer for this long is given up.
const STALLED_MAX: Duration = Duration::from_secs(10);

/// The share of a connection.
#[derive(Debug)]
pub(super) struct Share {
    /// KiB left for large puts in halves.
    pub(super) half_puts: Arc<Semaphore>,
    /// KiB left for what is read and not yet taken by the peer.
    pub(super) reads: Semaphore,
    /// When the peer last took something of an answer.
    taken_at: Mutex<Instant>,
    /// Places for subscription streams.
    subscribers: Semaphore,
}

impl Default for Share {
    fn default() -> Share {
        Share {
            half_puts: Arc::new(Semaphore::new(HALF_PUTS_KIB)),
            reads: Semaphore::new(READS_KIB),
            taken_at: Mutex::new(Instant::now()),
            subscribers: Semaphore::new(SUBSCRIPTION_STREAMS_MAX as usize),
        }
    }
}

impl Share {
    /// Sends an answer and ends the stream.
    ///
    /// # Errors
    /// When the peer takes nothing of this and all its other answers for too long; that is its
    /// connection's end. One that has gone, or wants no answer any more, is no error.
    pub(super) async fn answer(&self, send: &mut SendStream, mut pieces: &mut [Bytes]) -> Result<(), WireError> {
        while !pieces.is_empty() {
            match timeout(STALLED_MAX, send.write_chunks(pieces)).await {
                Ok(Ok(written)) => {
                    *self.taken_at() = Instant::now();
                    pieces = &mut pieces[written.chunks..];
                }
                Ok(Err(_)) => return Ok(()),
                // On a slow path one answer may wait for long while others are sent.
                Err(_) if self.taken_at().elapsed() < STALLED_MAX => {}
                Err(_) => {
                    let message = format!("nothing of an answer was taken for {} s", STALLED_MAX.as_secs());
                    return Err(WireError::new(ErrorCode::LimitExceeded, message));
                }
            }
        }
        drop(send.finish());
        Ok(())
    }

    /// A place for one more subscription stream, if there is one.
    pub(super) fn subscriber(&self) -> Option<SemaphorePermit<'_>> {
        self.subscribers.try_acquire().ok()
    }

    fn taken_at(&self) -> MutexGuard<'_, Instant> {
        self.taken_at.lock().expect("nothing panics while it is locked")
    }
}

const _: () = assert!(HALF_PUTS_KIB > PUT_FRAME_BYTES_MAX as usize >> 10);
const _: () = assert!(READS_KIB >= READ_BYTES_MAX as usize >> 10);
