//! Keeps a session to one lane of the broker, and makes another when it broke.
//!
//! What must hold: at most one attempt to connect is under way; whoever asks while one is, gets its
//! outcome; after a failure the next attempt waits, longer each time up to a bound, and not in step
//! with other clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::lanes::Known;
use crate::random::jittered;
use crate::session::Session;

/// Wait after the first failed attempt.
const BACKOFF_LEAST: Duration = Duration::from_millis(50);
/// Wait after many.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Most addresses of a host name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The way to one lane.
#[derive(Debug)]
pub(crate) struct Link {
    known: Arc<Known>,
    /// `None` leaves it to chance.
    lane: Option<u8>,
    current: Mutex<Option<Arc<Session>>>,
    /// Attempts that have ended.
    attempts: AtomicU64,
    attempt: tokio::sync::Mutex<Attempt>,
    trouble: Mutex<Option<String>>,
}

/// What the last attempts to connect came to.
#[derive(Debug)]
struct Attempt {
    failures: u32,
    not_before: Instant,
    last: Option<Error>,
}

impl Link {
    /// A link to a lane; with a session, where there is one already.
    pub(crate) fn new(known: &Arc<Known>, lane: Option<u8>, session: Option<Arc<Session>>) -> Link {
        let attempt = Attempt { failures: 0, not_before: Instant::now(), last: None };
        Link {
            known: Arc::clone(known),
            lane,
            current: Mutex::new(session),
            attempts: AtomicU64::new(0),
            attempt: tokio::sync::Mutex::new(attempt),
            trouble: Mutex::new(None),
        }
    }

    /// The session, if it stands.
    pub(crate) fn live(&self) -> Option<Arc<Session>> {
        let current = self.current.lock().expect("nothing panics while it is locked");
        current.as_ref().filter(|session| session.is_live()).cloned()
    }

    /// The last session, whether or not it stands.
    pub(crate) fn latest(&self) -> Option<Arc<Session>> {
        self.current.lock().expect("nothing panics while it is locked").clone()
    }

    /// The session that stands, or a new one: one attempt, after the wait that is due.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Error> {
        let seen = self.attempts.load(Ordering::Acquire);
        if self.known.is_closed() {
            return Err(Error::Closed);
        }
        if let Some(session) = self.live() {
            return Ok(session);
        }
        let mut attempt = self.attempt.lock().await;
        if let Some(session) = self.live() {
            return Ok(session);
        }
        if self.attempts.load(Ordering::Acquire) != seen
            && let Some(error) = &attempt.last
        {
            return Err(error.clone());
        }
        tokio::time::sleep_until(attempt.not_before).await;
        let outcome = if self.known.is_closed() { Err(Error::Closed) } else { self.connect().await };
        attempt.note(&outcome);
        *self.trouble.lock().expect("nothing panics while it is locked") = outcome.as_ref().err().map(Error::to_string);
        self.attempts.fetch_add(1, Ordering::Release);
        outcome
    }

    /// What is in the way of a session.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("nothing panics while it is locked").clone()
    }

    async fn connect(&self) -> Result<Arc<Session>, Error> {
        let options = &self.known.options;
        let mut failed = Error::Connect { address: options.address(), why: "the name has no address".to_owned() };
        for address in self.addresses().await? {
            match Session::open(options, address, self.lane).await {
                Ok(session) => {
                    let session = Arc::new(session);
                    self.known.note(&session.welcome);
                    *self.current.lock().expect("nothing panics while it is locked") = Some(Arc::clone(&session));
                    // Closing looks for the session after saying so: one of the two sees the other.
                    if self.known.is_closed() {
                        session.close();
                        return Err(Error::Closed);
                    }
                    return Ok(session);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let options = &self.known.options;
        let found = tokio::net::lookup_host((options.host.as_str(), options.port)).await;
        let found = found.map_err(|error| Error::Connect {
            address: options.address(),
            why: format!("the name cannot be resolved: {error}"),
        })?;
        Ok(found.take(ADDRESSES_MAX).collect())
    }
}

impl Attempt {
    fn note(&mut self, outcome: &Result<Arc<Session>, Error>) {
        match outcome {
            Ok(_) => (self.failures, self.last) = (0, None),
            Err(error) => {
                let wait = (BACKOFF_LEAST * 2u32.pow(self.failures.min(10))).min(BACKOFF_MAX);
                self.failures = self.failures.saturating_add(1);
                self.not_before = Instant::now() + jittered(wait);
                self.last = Some(error.clone());
            }
        }
    }
}
