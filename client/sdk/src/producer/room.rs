//! The bytes that a producer may hold: what makes a put wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A producer's budget of bytes. First come, first served, so that a large record is not starved.
#[derive(Debug)]
pub(super) struct Room {
    bytes: Semaphore,
    bytes_max: u32,
}

/// Bytes taken from a [`Room`]; they return to it when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Arc<Room> {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Arc::new(Room { bytes: Semaphore::new(bytes_max as usize), bytes_max })
    }

    /// Waits for room; what is larger than the whole room waits until it is empty. `None` once closed.
    /// Returns how many bytes were taken.
    pub(super) async fn take(&self, bytes: usize) -> Option<usize> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let permit = match self.bytes.try_acquire_many(bytes) {
            Ok(permit) => permit,
            Err(_) => self.bytes.acquire_many(bytes).await.ok()?,
        };
        permit.forget();
        Some(bytes as usize)
    }

    /// From now on nothing gets room.
    pub(super) fn close(&self) {
        self.bytes.close();
    }
}

impl Charge {
    pub(super) fn new(room: &Arc<Room>) -> Charge {
        Charge { room: Arc::clone(room), bytes: 0 }
    }

    /// A charge of its own for some of the bytes.
    pub(super) fn split(&mut self, bytes: usize) -> Charge {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Charge { room: Arc::clone(&self.room), bytes }
    }

    /// Adds bytes that were taken.
    pub(super) fn add(&mut self, taken: usize) {
        self.bytes += taken;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.bytes.add_permits(self.bytes);
    }
}
