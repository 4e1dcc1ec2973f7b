//! The end of a broker that was told to stop.
//!
//! ```text
//!   told ─► newcomers are refused, subscribers told ─► logs: what is staged is committed, acked, sealed
//!        ─► clients told ─► files: footers ─► catalog closed                    all within STOP_MAX
//! ```
//!
//! What must hold: the broker ends in time whatever its clients and its disk do. What has not ended by then is
//! said and left; nothing acknowledged is lost by that, because a kill would not lose it either.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rheos_protocol::error::{ErrorCode, WireError};
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::lanes::Lanes;

/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_millis(4_600);
/// Clients are told after this long also by a lane whose logs have not all stopped.
const GOODBYE_AFTER: Duration = Duration::from_millis(3_800);
/// How long clients of a broker that stops are told to wait, in ms.
pub(crate) const GOING_AWAY_WAIT_MS: u32 = 500;

/// Whether the broker stops and how far it has come; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    began: watch::Sender<Option<Instant>>,
    /// Logs of each lane that are not sealed.
    unsealed: Vec<AtomicUsize>,
    reached: AtomicU8,
}

/// What is being done on the way; the numbers only order them.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Reached {
    Logs,
    Files,
    Catalog,
}

/// A stop that did not come to its end in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "stopped after {} ms with work unfinished: {what}; nothing acknowledged is lost, and the next start finishes it",
    STOP_MAX.as_millis()
)]
pub struct Unfinished {
    what: String,
}

impl Stopping {
    /// Of a broker with so many lanes that does not stop yet.
    pub(crate) fn new(lanes: u16) -> Stopping {
        let unsealed = (0..lanes).map(|_| AtomicUsize::new(0)).collect();
        let (began, reached) = (watch::Sender::new(None), AtomicU8::new(Reached::Logs as u8));
        Stopping(Arc::new(Progress { began, unsealed, reached }))
    }

    /// From here on the broker stops.
    pub(crate) fn begin(&self) {
        self.0.began.send_replace(Some(Instant::now()));
    }

    /// Whether it stops.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.began.borrow().is_some()
    }

    /// Waits until clients are to be told, whatever else has ended. For ever while the broker does not stop.
    pub(crate) async fn goodbye_is_due(&self) {
        let mut began = self.0.began.subscribe();
        let began = began.wait_for(Option::is_some).await.map(|began| *began);
        let at = began.ok().flatten().expect("the sender is here") + GOODBYE_AFTER;
        tokio::time::sleep_until(at.into()).await;
    }

    /// So many logs of a lane are not sealed.
    pub(crate) fn left(&self, lane: u16, logs: usize) {
        self.0.unsealed[usize::from(lane)].store(logs, Ordering::Relaxed);
    }

    /// Waits until the lanes, the file thread and the catalog have ended, in this order.
    ///
    /// # Errors
    ///
    /// What has not, once the time is over. Their threads then still run: the process should end.
    pub(crate) fn finish(&self, lanes: Lanes, files: JoinHandle<()>, catalog: Catalog) -> Result<(), Unfinished> {
        let began = *self.0.began.borrow();
        let (tell, ended) = mpsc::channel();
        let on_the_way = self.clone();
        let work = move || {
            lanes.join();
            on_the_way.reach(Reached::Files);
            // The last sender went with the lanes: what they asked for is done when the thread ends.
            drop(files.join());
            on_the_way.reach(Reached::Catalog);
            catalog.close();
            // Nobody waits any more when the time is over.
            let _ = tell.send(());
        };
        let spawned = thread::Builder::new().name("stop".to_owned()).spawn(work);
        spawned.map_err(|error| Unfinished { what: format!("there is no thread to wait for it: {error}") })?;
        let left = STOP_MAX.saturating_sub(began.map_or(Duration::ZERO, |began| began.elapsed()));
        ended.recv_timeout(left).map_err(|_| Unfinished { what: self.to_string() })
    }

    fn reach(&self, reached: Reached) {
        self.0.reached.store(reached as u8, Ordering::Relaxed);
    }
}

/// What is still to be done.
impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.reached.load(Ordering::Relaxed) {
            reached if reached == Reached::Logs as u8 => {
                let unsealed: usize = self.0.unsealed.iter().map(|logs| logs.load(Ordering::Relaxed)).sum();
                write!(f, "{unsealed} logs are not sealed")
            }
            reached if reached == Reached::Files as u8 => f.write_str("not every sealed segment has its footer"),
            _ => f.write_str("the catalog is not closed"),
        }
    }
}

/// What is said to whoever comes now.
pub(crate) fn going_away() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, GOING_AWAY_WAIT_MS, "the broker is stopping; connect again")
}
