//! When somebody last subscribed as a consumer to a shard: Kinesis refuses the next one for five seconds.
//!
//! What must hold: memory is bounded by the subscriptions of five seconds, and by a number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For so long after a subscription that began, another of the same consumer and shard is refused.
const KEPT: Duration = Duration::from_secs(5);
/// Most that are remembered. Where there are more, the rule is not held against the others.
const SEATS_MAX: usize = 64 << 10;

/// A consumer's subscription to a shard of a life of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seat {
    pub(super) incarnation: u64,
    pub(super) shard: u32,
    pub(super) consumer: String,
}

/// All seats that were taken a moment ago.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<Seat, Instant>>);

impl Seats {
    /// Whether somebody may subscribe there.
    pub(super) fn is_free(&self, seat: &Seat) -> bool {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(seat).is_none_or(|taken| taken.elapsed() >= KEPT)
    }

    /// Somebody has subscribed.
    pub(super) fn take(&self, seat: Seat) {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.len() >= SEATS_MAX / 2 {
            seats.retain(|_, taken| taken.elapsed() < KEPT);
        }
        if seats.len() < SEATS_MAX {
            seats.insert(seat, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_seat_is_free_again_after_five_seconds() {
        let (seats, seat) = (Seats::default(), |shard| Seat { incarnation: 1, shard, consumer: "c".to_owned() });
        assert!(seats.is_free(&seat(0)));
        seats.take(seat(0));
        assert!(!seats.is_free(&seat(0)) && seats.is_free(&seat(1)));
        tokio::time::advance(KEPT - Duration::from_millis(1)).await;
        assert!(!seats.is_free(&seat(0)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seats.is_free(&seat(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let seats = Seats::default();
        for shard in 0..2 * SEATS_MAX as u32 {
            seats.take(Seat { incarnation: 1, shard, consumer: "c".to_owned() });
        }
        assert_eq!(seats.0.lock().expect("nothing panics").len(), SEATS_MAX);
        tokio::time::advance(KEPT).await;
        seats.take(Seat { incarnation: 2, shard: 0, consumer: "c".to_owned() });
        assert_eq!(seats.0.lock().expect("nothing panics").len(), 1);
    }
}
