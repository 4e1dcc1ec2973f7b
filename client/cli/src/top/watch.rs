//! Looks at the broker again and again, for as long as somebody wants to know.
//!
//! What must hold: the next look begins an interval after the last one ended, so that a broker that is slow is
//! not asked the faster; a broker that is away is asked again, and one that refuses is not.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rheos_client::{Client, Error, Retry};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::page::Page;
use super::status::Status;
use crate::failure::Failure;

/// How long the broker may take to answer before it counts as away, and is asked anew.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// The second look comes after this, if the interval is longer: without it there are no rates.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What was last seen of the broker.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) status: Status,
    last: Option<(Instant, Page)>,
    /// Why the broker does not answer.
    pub(super) trouble: Option<String>,
    /// How often it was seen to have been started again.
    pub(super) restarts: u32,
}

/// What a look has brought, and when: a page, why there is none for now, or why there will be none.
pub(super) type Look = (Instant, Result<Result<Page, Away>, Failure>);

/// What keeps the broker from telling, for now.
#[derive(Debug)]
pub(super) struct Away(pub(super) String);

/// Asks the broker for its metrics once.
///
/// # Errors
///
/// `Ok(Err(..))` when it is worth asking again.
pub(super) async fn look(client: &Client) -> Result<Result<Page, Away>, Failure> {
    let answer = timeout(ANSWER_MAX, client.metrics()).await;
    match answer
        .unwrap_or_else(|_| Err(Error::Lost { why: format!("it did not answer within {} s", ANSWER_MAX.as_secs()) }))
    {
        Ok(text) => match Page::read(&text) {
            Ok(page) => Ok(Ok(page)),
            Err(why) => Err(Failure::new(format!("the broker's metrics cannot be read: {why}"))),
        },
        Err(error @ (Error::Lost { .. } | Error::Connect { .. } | Error::Unanswered { .. })) => {
            Ok(Err(Away(error.to_string())))
        }
        Err(Error::Broker(error)) if matches!(error.retry, Retry::After(_)) => Ok(Err(Away(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

/// Looks until nobody listens, at the interval that is wanted at the time.
pub(super) async fn watch(client: Client, mut interval: watch::Receiver<Duration>, looks: mpsc::Sender<Look>) {
    let mut pause_max = SECOND_LOOK;
    loop {
        let seen = look(&client).await;
        let ended = Instant::now();
        if looks.send((ended, seen)).await.is_err() {
            return;
        }
        loop {
            let due = ended + interval.borrow_and_update().min(pause_max);
            tokio::select! {
                () = sleep(due.saturating_duration_since(Instant::now())) => break,
                changed = interval.changed() => if changed.is_err() { return },
            }
        }
        pause_max = Duration::MAX;
    }
}

impl Seen {
    /// Takes what a look has brought.
    pub(super) fn take(&mut self, at: Instant, look: Result<Page, Away>) {
        let page = match look {
            Ok(page) => page,
            Err(Away(why)) => {
                self.trouble = Some(why);
                return;
            }
        };
        self.trouble = None;
        let before = self.last.as_ref().map(|(then, page)| (page, at.duration_since(*then).as_secs_f64().max(1e-3)));
        self.restarts += u32::from(before.is_some_and(|(before, _)| before.broker.started != page.broker.started));
        self.status = Status::of(&page, before);
        self.last = Some((at, page));
    }

    /// How long the broker has not answered, by now.
    pub(super) fn silent(&self, now: Instant) -> Duration {
        self.last.as_ref().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }

    /// Whether anything was seen yet.
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// How long the broker has been up, in seconds, as far as it has said.
    pub(super) fn up_seconds(&self) -> Option<f64> {
        let started = Some(self.status.broker.started).filter(|started| *started > 0.0)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Some((now - started).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(started: u32, records: u32) -> Result<Page, Away> {
        let text =
            format!("rheos_start_time_seconds {started}\nrheos_incoming_records_total{{stream=\"a\"}} {records}\n");
        Ok(Page::read(&text).unwrap())
    }

    #[test]
    fn a_broker_that_was_away_is_seen_again() {
        let (mut seen, begun) = (Seen::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let rate = |seen: &Seen| seen.status.streams[0].incoming.records;
        assert!(seen.is_empty());
        seen.take(at(0), page(1, 100));
        assert_eq!(rate(&seen), None);
        seen.take(at(2), page(1, 300));
        assert_eq!(rate(&seen), Some(100.0));

        seen.take(at(4), Err(Away("gone".to_owned())));
        seen.take(at(6), Err(Away("still gone".to_owned())));
        assert_eq!(seen.trouble.as_deref(), Some("still gone"));
        assert_eq!(seen.silent(at(6)), Duration::from_secs(4));
        assert_eq!(rate(&seen), Some(100.0), "what was seen last is still shown");
        seen.take(at(10), page(1, 1_100));
        assert_eq!((rate(&seen), seen.restarts, seen.trouble.is_none()), (Some(100.0), 0, true));

        seen.take(at(12), page(11, 5));
        assert_eq!((rate(&seen), seen.restarts), (None, 1));
        seen.take(at(14), page(11, 25));
        assert_eq!((rate(&seen), seen.restarts), (Some(10.0), 1));
    }
}
