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
    /// Takes a seat, unless somebody has a moment ago. It is given back when what comes is dropped and not kept.
    pub(super) fn take(&self, seat: Seat) -> Option<Taking<'_>> {
        let now = Instant::now();
        let mut taken = self.taken();
        taken.forget_before(now);
        if taken.at.contains_key(&seat) {
            return None;
        }
        if taken.order.len() < SEATS_MAX {
            taken.at.insert(seat.clone(), now);
            taken.order.push_back((now, seat.clone()));
        }
        Some(Taking { seats: self, seat: Some(seat) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat of somebody who is about to subscribe.
#[derive(Debug)]
pub(super) struct Taking<'a> {
    seats: &'a Seats,
    seat: Option<Seat>,
}

impl Taking<'_> {
    /// The subscription has begun.
    pub(super) fn keep(mut self) {
        self.seat = None;
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.seats.taken().at.remove(&seat);
        }
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
        seats.take(seat(0)).expect("it is free").keep();
        assert!(seats.take(seat(0)).is_none() && seats.take(seat(1)).is_some());
        tokio::time::advance(KEPT - Duration::from_millis(1)).await;
        assert!(seats.take(seat(0)).is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seats.take(seat(0)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_is_not_kept_is_free_at_once() {
        let (seats, seat) = (Seats::default(), Seat { incarnation: 1, shard: 0, consumer: "c".to_owned() });
        let taking = seats.take(seat.clone()).expect("it is free");
        assert!(seats.take(seat.clone()).is_none(), "two cannot begin at once");
        drop(taking);
        seats.take(seat.clone()).expect("it was given back").keep();
        tokio::time::advance(KEPT - Duration::from_millis(1)).await;
        assert!(seats.take(seat).is_none(), "what was given back is not forgotten in the other's place");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let seats = Seats::default();
        for shard in 0..2 * SEATS_MAX as u32 {
            seats.take(Seat { incarnation: 1, shard, consumer: "c".to_owned() }).expect("it is free").keep();
        }
        assert_eq!(seats.taken().at.len(), SEATS_MAX);
        tokio::time::advance(KEPT).await;
        seats.take(Seat { incarnation: 2, shard: 0, consumer: "c".to_owned() }).expect("it is free").keep();
        let taken = seats.taken();
        assert_eq!((taken.at.len(), taken.order.len()), (1, 1));
    }
}
