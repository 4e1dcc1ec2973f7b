//! Who is connected over HTTP, and who goes when one too many comes.
//!
//! What must hold: whoever comes gets in, so that nobody who asks for a broker's health is kept out by those
//! who only hold connections: for a newcomer in a full house, whoever has been silent longest goes. A
//! connection without a request goes by itself after a while, which is short for one that has never asked for
//! anything and longer than the pools of clients keep theirs for one that has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The connections that there are; every clone is the same.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    guests: Arc<Mutex<Guests>>,
    most: usize,
    silence: Silence,
}

/// How long a connection may ask for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    /// From its beginning on.
    pub(super) before_max: Duration,
    /// From an answer on.
    pub(super) between_max: Duration,
}

#[derive(Debug, Default)]
struct Guests {
    by_number: BTreeMap<u64, Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    /// Since when it has asked for nothing.
    silent_since: Instant,
    /// Requests that are being answered.
    asks: usize,
    has_asked: bool,
    shown_out: Arc<Notify>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    number: u64,
    shown_out: Arc<Notify>,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Asking {
    crowd: Crowd,
    number: u64,
}

impl Crowd {
    /// Room for so many connections.
    pub(super) fn new(most: usize, silence: Silence) -> Crowd {
        Crowd { guests: Arc::default(), most, silence }
    }

    /// A place for one more; none when everybody there is being answered.
    pub(super) fn enter(&self) -> Option<Place> {
        let mut guests = self.guests();
        if guests.by_number.len() >= self.most {
            let silent = guests.by_number.iter().filter(|(_, guest)| guest.asks == 0);
            let longest = silent.min_by_key(|(_, guest)| guest.silent_since).map(|(number, _)| *number)?;
            let gone = guests.by_number.remove(&longest).expect("it was just found");
            gone.shown_out.notify_one();
        }
        let number = guests.next;
        guests.next += 1;
        let shown_out = Arc::new(Notify::new());
        let (silent_since, shown_out_too) = (Instant::now(), Arc::clone(&shown_out));
        let guest = Guest { silent_since, asks: 0, has_asked: false, shown_out: shown_out_too };
        guests.by_number.insert(number, guest);
        Some(Place { crowd: self.clone(), number, shown_out })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts a request.
    pub(super) fn ask(&self) -> Asking {
        if let Some(guest) = self.crowd.guests().by_number.get_mut(&self.number) {
            guest.asks += 1;
            guest.has_asked = true;
        }
        Asking { crowd: self.crowd.clone(), number: self.number }
    }

    /// Ready when somebody else needs the place.
    pub(super) async fn shown_out(&self) {
        self.shown_out.notified().await;
    }

    /// Ready when the connection has been silent for too long.
    pub(super) async fn silent_too_long(&self) {
        while let Some(until) = self.silent_until()
            && until > Instant::now()
        {
            sleep_until(until).await;
        }
    }

    /// Until when it may ask for nothing. One that is being answered has as long again, and once more.
    fn silent_until(&self) -> Option<Instant> {
        let Silence { before_max, between_max } = self.crowd.silence;
        let guests = self.crowd.guests();
        let guest = guests.by_number.get(&self.number)?;
        let since = if guest.asks > 0 { Instant::now() } else { guest.silent_since };
        Some(since + if guest.has_asked { between_max } else { before_max })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.guests().by_number.remove(&self.number);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(guest) = self.crowd.guests().by_number.get_mut(&self.number) {
            guest.asks -= 1;
            guest.silent_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SILENCE: Silence = Silence { before_max: Duration::from_secs(10), between_max: Duration::from_secs(90) };

    async fn is_shown_out(place: &Place) -> bool {
        timeout(Duration::ZERO, place.shown_out()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_full_house_the_longest_silent_goes_for_a_newcomer() {
        let crowd = Crowd::new(3, SILENCE);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(crowd.enter().expect("there is room"));
            advance(Duration::from_secs(1)).await;
        }
        // The first asks for something, so that it is not silent; the second has been silent longest.
        let asking = places[0].ask();
        let newcomer = crowd.enter().expect("somebody is silent");
        assert!(!is_shown_out(&places[0]).await && is_shown_out(&places[1]).await && !is_shown_out(&places[2]).await);
        drop(asking);
        advance(Duration::from_secs(1)).await;
        let another = crowd.enter().expect("somebody is silent");
        assert!(is_shown_out(&places[2]).await && !is_shown_out(&places[0]).await && !is_shown_out(&newcomer).await);
        // When all are being answered there is no place, and when one goes there is.
        let asked: Vec<_> = [&places[0], &newcomer, &another].map(Place::ask).into_iter().collect();
        assert!(crowd.enter().is_none());
        drop((asked, places));
        assert!(crowd.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_goes_after_a_while() {
        let crowd = Crowd::new(9, SILENCE);
        let place = crowd.enter().expect("there is room");
        let begun = Instant::now();
        place.silent_too_long().await;
        assert_eq!(begun.elapsed(), SILENCE.before_max, "it has never asked");
        let asking = place.ask();
        let waits = timeout(10 * SILENCE.between_max, place.silent_too_long()).await;
        assert!(waits.is_err(), "it waits for its answer");
        drop(asking);
        let begun = Instant::now();
        place.silent_too_long().await;
        assert_eq!(begun.elapsed(), SILENCE.between_max);
    }
}
