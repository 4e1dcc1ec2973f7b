//! Room for the records of GetRecords' answers, from before they are read until the peer has taken the last of them.
//!
//! ```text
//!   wanted ─► large room, for a moment ─► none: small room, and a small answer ─► none: come again
//! ```
//!
//! What must hold: memory is bounded, and who takes nothing of its answers holds up no poll of others: polls become
//! small where the room for large ones is held, and are refused where the other is too.

use std::sync::Arc;
use std::time::Duration;

use rheos_protocol::error::{ErrorCode, WireError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// KiB of records that large answers together may hold.
const LARGE_KIB: usize = 256 << 10;
/// KiB of records that small ones may.
const SMALL_KIB: usize = 64 << 10;
/// KiB of batches that are read for a small answer. It has one batch at least, however large.
const SMALL_ANSWER_KIB: u32 = 256;
/// Others may make room for so long.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// When it is to be tried again.
const AGAIN_MS: u32 = 100;

/// All the room there is.
#[derive(Debug)]
pub(super) struct AnswerRoom {
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

/// Room that is held, and where it is from.
pub(super) struct HeldRoom {
    from: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
}

impl Default for AnswerRoom {
    fn default() -> AnswerRoom {
        AnswerRoom { large: Arc::new(Semaphore::new(LARGE_KIB)), small: Arc::new(Semaphore::new(SMALL_KIB)) }
    }
}

impl AnswerRoom {
    /// Holds room for so many bytes, or for fewer where others hold it.
    ///
    /// # Errors
    /// `Busy` when there is none at all.
    pub(super) async fn hold(&self, bytes: u32) -> Result<HeldRoom, WireError> {
        let kib = bytes.div_ceil(1 << 10);
        let rooms = if kib <= SMALL_ANSWER_KIB {
            [(&self.small, kib), (&self.large, kib)]
        } else {
            [(&self.large, kib), (&self.small, SMALL_ANSWER_KIB)]
        };
        for (room, kib) in rooms {
            if let Ok(permit) = timeout(WAIT_MAX, Arc::clone(room).acquire_many_owned(kib)).await {
                return Ok(HeldRoom { from: Arc::clone(room), permit: permit.expect("nobody closes it") });
            }
        }
        Err(busy())
    }
}

impl HeldRoom {
    /// How many bytes of batches may be asked for.
    pub(super) fn bytes(&self) -> u32 {
        (self.permit.num_permits() as u32) << 10
    }

    /// Room for what was read: most reads find less than they ask for, and one batch may be more.
    ///
    /// # Errors
    /// `Busy` when there is none for what it is more.
    pub(super) fn fit(mut self, bytes: usize) -> Result<OwnedSemaphorePermit, WireError> {
        let (has, needs) = (self.permit.num_permits(), bytes.div_ceil(1 << 10));
        if needs > has {
            let more = self.from.try_acquire_many_owned((needs - has) as u32).map_err(|_| busy())?;
            self.permit.merge(more);
        } else {
            drop(self.permit.split(has - needs));
        }
        Ok(self.permit)
    }
}

fn busy() -> WireError {
    WireError::retry_after(ErrorCode::Busy, AGAIN_MS, "other answers wait to be taken; read again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: u32 = 8 << 20;
    const SMALL: u32 = SMALL_ANSWER_KIB << 10;

    #[tokio::test(start_paused = true)]
    async fn polls_become_small_and_then_come_again() {
        let room = AnswerRoom::default();
        let mut held = Vec::new();
        for _ in 0..LARGE_KIB / (LARGE as usize >> 10) {
            held.push(room.hold(LARGE).await.expect("there is room"));
            assert_eq!(held.last().map(HeldRoom::bytes), Some(LARGE));
        }
        for _ in 0..SMALL_KIB / SMALL_ANSWER_KIB as usize {
            held.push(room.hold(LARGE).await.expect("there is room for a small one"));
            assert_eq!(held.last().map(HeldRoom::bytes), Some(SMALL));
        }
        for bytes in [LARGE, 1] {
            let refused = room.hold(bytes).await.map(|held| held.bytes());
            assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Busy));
        }
        held.truncate(1);
        assert_eq!(room.hold(LARGE).await.map(|held| held.bytes()), Ok(LARGE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_what_is_held() {
        let room = AnswerRoom::default();
        let less = room.hold(LARGE).await.and_then(|held| held.fit(1)).expect("there is room");
        assert_eq!((less.num_permits(), room.large.available_permits()), (1, LARGE_KIB - 1));
        let more = room.hold(1).await.and_then(|held| held.fit(11 << 20)).expect("there is room");
        assert_eq!((more.num_permits(), room.small.available_permits()), (11 << 10, SMALL_KIB - (11 << 10)));
        let too_much = room.hold(1).await.and_then(|held| held.fit(60 << 20));
        assert_eq!(too_much.map_err(|error| error.code).expect_err("there is none"), ErrorCode::Busy);
        assert_eq!(room.small.available_permits(), SMALL_KIB - (11 << 10), "it holds nothing then");
    }
}
