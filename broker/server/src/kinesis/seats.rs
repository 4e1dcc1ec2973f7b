//! When somebody last subscribed as a consumer to a shard: Kinesis refuses the next one for five seconds.
//!
//! What must hold: memory is bounded by the subscriptions of five seconds, and by a number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
pub(super) struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    at: HashMap<Seat, Instant>,
    /// In the order of time.
    order: VecDeque<(Instant, Seat)>,
}

impl Seats {
    /// Whether somebody may subscribe there.
    pub(super) fn is_free(&self, seat: &Seat) -> bool {
        self.taken().at.get(seat).is_none_or(|taken| taken.elapsed() >= KEPT)
    }

    /// Somebody has subscribed.
    pub(super) fn take(&self, seat: Seat) {
        let now = Instant::now();
        let mut taken = self.taken();
        taken.forget_before(now);
        if taken.order.len() < SEATS_MAX {
            taken.at.insert(seat.clone(), now);
            taken.order.push_back((now, seat));
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Forgets what no longer counts.
    fn forget_before(&mut self, now: Instant) {
        while let Some((at, seat)) = self.order.pop_front_if(|(at, _)| now.duration_since(*at) >= KEPT) {
            // One that was taken again stands further back too.
            if self.at.get(&seat) == Some(&at) {
                self.at.remove(&seat);
            }
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
        assert_eq!(seats.taken().at.len(), SEATS_MAX);
        tokio::time::advance(KEPT).await;
        seats.take(Seat { incarnation: 2, shard: 0, consumer: "c".to_owned() });
        assert_eq!((seats.taken().at.len(), seats.taken().order.len()), (1, 1));
    }
}
