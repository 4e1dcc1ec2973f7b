//! How many strangers a lane lets in, and how fast.
//!
//! What must hold: peers that have proved nothing take no place of those that have; their handshakes take
//! a bounded part of the lane's time, so that whoever is in goes on.
//!
//! A handshake is the most expensive thing that a stranger can ask for. Measured on a virtual machine of 2
//! cores: the broker's process, its own code not optimised, spends 1.1 ms on one from the first packet to the
//! end of the connection after a Hello that is refused. One every 6 ms is 18 % of a lane; more than four fifths
//! remain for those who are in.
//!
//! Who comes faster waits, among the attempts that quinn holds and bounds, and is refused when that would take
//! longer than a client has patience: a handshake that comes too late is paid for and helps nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rheos_protocol::error::{ErrorCode, WireError};
use tokio::time::Instant;

use crate::transport::INCOMING_MAX;

/// Most connections of a lane that have not said an accepted Hello, those in their handshake included.
const STRANGERS_MAX: usize = 1_024;
/// Most connections of a lane whose Hello was accepted.
const ADMITTED_MAX: usize = 4_096;
/// With more handshakes under way than this, a newcomer proves its address first, which costs the lane little
/// and no memory.
const HANDSHAKES_WITHOUT_RETRY_MAX: usize = 64;
/// Handshakes begin this far apart in the long run.
const HANDSHAKE_EVERY: Duration = Duration::from_millis(6);
/// So many may begin at once after a quiet time: every client of a small fleet after a restart.
const HANDSHAKES_AT_ONCE: u32 = 128;
/// Longest that one waits until it begins; clients that hear nothing for 3 s give up.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Wait that is told when a lane has no room for one more, in ms.
const FULL_RETRY_MS: u32 = 1_000;

/// Counts who is at the door of one lane and who is in.
#[derive(Debug, Default)]
pub(crate) struct Door {
    handshakes: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
    admitted: Arc<AtomicUsize>,
    pace: Mutex<Pace>,
}

/// One of those counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Door {
    /// Whether a newcomer must prove its address first.
    pub(super) fn wants_proof_of_address(&self) -> bool {
        self.handshakes.load(Ordering::Relaxed) > HANDSHAKES_WITHOUT_RETRY_MAX
    }

    /// A place for one more stranger, and how long its handshake must wait; none when there is no place, or the
    /// wait would be too long.
    pub(super) fn let_in(&self, now: Instant) -> Option<(Counted, Duration)> {
        let stranger = Counted::below(&self.strangers, STRANGERS_MAX)?;
        let wait = self.pace.lock().unwrap_or_else(PoisonError::into_inner).wait(now)?;
        Some((stranger, wait))
    }

    /// Counts a handshake, from when it is to begin.
    pub(super) fn begin_handshake(&self) -> Counted {
        Counted::below(&self.handshakes, usize::MAX).expect("nobody counts so far")
    }

    /// How many there are whose Hello was accepted.
    pub(super) fn admitted(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.admitted)
    }

    /// A place for one whose Hello was accepted.
    ///
    /// # Errors
    /// `LimitExceeded` when there is none.
    pub(super) fn admit(&self) -> Result<Counted, WireError> {
        Counted::below(&self.admitted, ADMITTED_MAX).ok_or_else(|| {
            let message =
                format!("this lane serves {ADMITTED_MAX} connections and takes no more; close some and try again");
            WireError::retry_after(ErrorCode::LimitExceeded, FULL_RETRY_MS, message)
        })
    }
}

impl Counted {
    fn below(count: &Arc<AtomicUsize>, most: usize) -> Option<Counted> {
        let more = |now| (now < most).then_some(now + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Counted(Arc::clone(count)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The rate at which handshakes begin: so many at once, then one in so much time.
#[derive(Debug, Default)]
struct Pace {
    /// When the handshakes so far would all have begun had none begun early; none before the first.
    spent_until: Option<Instant>,
}

impl Pace {
    /// How long the next handshake must wait; it is taken to begin then. None when that is too long.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let from = self.spent_until.map_or(now, |until| until.max(now));
        let wait = (from - now).saturating_sub(HANDSHAKE_EVERY * (HANDSHAKES_AT_ONCE - 1));
        if wait > HANDSHAKE_WAIT_MAX {
            return None;
        }
        self.spent_until = Some(from + HANDSHAKE_EVERY);
        Some(wait)
    }
}

/// Most handshakes that have been taken and have not begun.
const HANDSHAKES_WAITING_MAX: u128 = HANDSHAKE_WAIT_MAX.as_millis() / HANDSHAKE_EVERY.as_millis() + 1;

const _: () = assert!(HANDSHAKES_WAITING_MAX + HANDSHAKES_AT_ONCE as u128 <= STRANGERS_MAX as u128);
// Those that wait are held by quinn, which refuses newcomers by itself when it holds as many as it may.
const _: () = assert!(HANDSHAKES_WAITING_MAX < INCOMING_MAX as u128);
const _: () = assert!(HANDSHAKES_AT_ONCE as usize > HANDSHAKES_WITHOUT_RETRY_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_begin_at_once_and_then_at_the_rate() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..HANDSHAKES_AT_ONCE {
            assert_eq!(pace.wait(now), Some(Duration::ZERO));
        }
        let began = now;
        for _ in 0..1_000 {
            now += pace.wait(now).expect("the last one has begun");
        }
        assert_eq!(now - began, HANDSHAKE_EVERY * 1_000);
        // A pause earns what was begun early, and no more.
        now += HANDSHAKE_EVERY * 10;
        let free = |pace: &mut Pace, now| (0..10_000).take_while(|_| pace.wait(now) == Some(Duration::ZERO)).count();
        assert_eq!(free(&mut pace, now), 10);
        now += Duration::from_secs(3_600);
        assert_eq!(free(&mut pace, now), HANDSHAKES_AT_ONCE as usize);
    }

    #[test]
    fn nobody_waits_longer_than_it_has_patience() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let waits: Vec<Duration> = std::iter::from_fn(|| pace.wait(now)).take(100_000).collect();
        assert!(waits.is_sorted() && waits.last().is_some_and(|last| *last <= HANDSHAKE_WAIT_MAX));
        assert!(waits.len() < STRANGERS_MAX, "{} wait at once", waits.len());
        // Who was refused takes no turn of those who come later.
        let later = now + HANDSHAKE_EVERY;
        assert!(pace.wait(later).is_some() && pace.wait(later).is_none());
    }

    #[test]
    fn strangers_and_those_who_are_in_are_counted_apart() {
        let (door, mut now) = (Door::default(), Instant::now());
        let mut strangers = Vec::new();
        while let Some((stranger, _)) = door.let_in(now) {
            strangers.push(stranger);
            now += HANDSHAKE_EVERY;
        }
        assert_eq!(strangers.len(), STRANGERS_MAX);
        // Whoever is sent away takes no turn of those who come later.
        now += Duration::from_secs(3_600);
        (0..10_000).for_each(|_| assert!(door.let_in(now).is_none()));
        let admitted: Vec<Counted> = std::iter::from_fn(|| door.admit().ok()).take(2 * ADMITTED_MAX).collect();
        assert_eq!(admitted.len(), ADMITTED_MAX);
        assert_eq!(door.admit().expect_err("it is full").code, ErrorCode::LimitExceeded);
        drop(strangers);
        assert!(door.let_in(now).is_some_and(|(_, wait)| wait.is_zero()) && door.admit().is_err());
        drop(admitted);
        assert!(door.admit().is_ok());
    }

    #[test]
    fn an_address_is_proved_when_many_handshakes_are_under_way() {
        let door = Door::default();
        let mut under_way = Vec::new();
        while !door.wants_proof_of_address() {
            under_way.push(door.begin_handshake());
        }
        assert_eq!(under_way.len(), HANDSHAKES_WITHOUT_RETRY_MAX + 1);
        under_way.pop();
        assert!(!door.wants_proof_of_address());
    }
}
