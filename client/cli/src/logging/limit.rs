//! How often the same event is shown: so many times a second for each place in the code that says it. The rest
//! is counted, and the count is said.
//!
//! What must hold: nothing is left out before the limit [begins](Limit::begin), because a start says a thing
//! once for each log and no more; what is left out after that is said within about a second.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, info, warn};
use tracing_subscriber::layer::{Context, Filter};

/// Times that the same event is shown in a second.
const SHOWN_MAX: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Characters of an event that are shown when others like it were left out.
const SAMPLE_CHARS_MAX: usize = 200;

/// Bounds floods; every clone counts the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limit(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    has_begun: AtomicBool,
    /// As many as there are places in the code that say something.
    places: Mutex<HashMap<Identifier, Place>>,
}

/// What one place in the code has said.
#[derive(Debug)]
struct Place {
    since: Instant,
    shown: u32,
    left_out: u64,
    level: Level,
    /// The first event that was left out.
    sample: String,
}

impl Limit {
    /// From here on floods are bounded.
    pub(crate) fn begin(&self) {
        let counted = Arc::clone(&self.0);
        let counting = thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                thread::sleep(SECOND);
                counted.say_left_out();
            }
        });
        // Who could not say what was left out leaves nothing out.
        self.0.has_begun.store(counting.is_ok(), Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Limit {
    /// As [`begin`](Self::begin), for who says what was left out by [`say_left_out`](Self::say_left_out).
    pub(super) fn begin_by_hand(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }

    pub(super) fn say_left_out(&self) {
        self.0.say_left_out();
    }
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _metadata: &Metadata<'_>, _cx: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _cx: &Context<'_, S>) -> bool {
        if !self.0.has_begun.load(Ordering::Relaxed) || event.metadata().target() == module_path!() {
            return true;
        }
        let level = *event.metadata().level();
        let fresh = || Place { since: Instant::now(), shown: 0, left_out: 0, level, sample: String::new() };
        let mut places = self.0.places();
        let place = places.entry(event.metadata().callsite()).or_insert_with(fresh);
        let is_shown = place.takes(Instant::now());
        if !is_shown && place.left_out == 1 {
            event.record(&mut Sample(&mut place.sample));
        }
        is_shown
    }
}

impl Place {
    /// Whether one more is shown.
    fn takes(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= SECOND {
            (self.since, self.shown) = (now, 0);
        }
        let is_shown = self.shown < SHOWN_MAX;
        if is_shown {
            self.shown += 1
        } else {
            self.left_out += 1
        }
        is_shown
    }
}

impl Counted {
    fn say_left_out(&self) {
        let floods: Vec<(u64, Level, String)> = self
            .places()
            .values_mut()
            .filter(|place| place.left_out > 0)
            .map(|place| (std::mem::take(&mut place.left_out), place.level, std::mem::take(&mut place.sample)))
            .collect();
        // Not under the lock: what is said comes by it.
        for (left_out, level, sample) in floods {
            match level {
                Level::ERROR | Level::WARN => warn!(left_out, "and more such lines, which were left out: {sample}"),
                _ => info!(left_out, "and more such lines, which were left out: {sample}"),
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the message of an event, cut where it is long.
struct Sample<'a>(&'a mut String);

impl Visit for Sample<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}").chars().take(SAMPLE_CHARS_MAX).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_by_the_second_and_counted() {
        let began = Instant::now();
        let mut place = Place { since: began, shown: 0, left_out: 0, level: Level::WARN, sample: String::new() };
        let shown = (0..10_000).filter(|_| place.takes(began)).count();
        assert_eq!((shown, place.left_out), (SHOWN_MAX as usize, 10_000 - u64::from(SHOWN_MAX)));
        let later = began + SECOND;
        assert!(place.takes(later), "another second begins");
        let shown = (0..100).filter(|at| place.takes(later + Duration::from_millis(at * 150))).count();
        assert_eq!(shown, 100, "who says it seldom says it all");
    }
}
