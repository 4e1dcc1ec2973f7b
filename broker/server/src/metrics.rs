//! The broker's metrics: one page of text, made on the HTTP thread for whoever asks.
//!
//! ```text
//!   GET /metrics ─┐
//!                 ├► asked (bounded) ─► Collector ─► the page, to all who asked before it began
//!   ReadMetrics ──┘
//! ```
//!
//! What must hold: a page shows everything that had happened when it was asked for; however many ask, one
//! page is made at a time; every set of labels is bounded, and what is left out is counted.

mod histogram;
mod page;
mod report;
mod snapshot;
mod stored;
mod text;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rheos_protocol::error::{ErrorCode, WireError};
use tokio::sync::{mpsc, oneshot};

use crate::directory::DataDirectory;
use crate::lane::Arrival;
use crate::standing::{Standing, StandingWatch, ended};

pub(crate) use histogram::Histogram;
pub(crate) use report::{Away, LaneCounts, LaneReport, LogReport, MemoryUse, SHARDS_MAX, ShardReport};

use snapshot::{Everything, Snapshot};
use stored::Stored;

/// Most who wait for a page at once.
const ASKED_MAX: usize = 256;
/// Wait that is told when so many do, in ms.
const BUSY_RETRY_MS: u32 = 500;

/// The way to the metrics; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    asked: mpsc::Sender<oneshot::Sender<Bytes>>,
}

/// Makes the pages.
#[derive(Debug)]
pub(crate) struct Collector {
    asked: mpsc::Receiver<oneshot::Sender<Bytes>>,
    standing: StandingWatch,
    directory: Arc<DataDirectory>,
    stored: Stored,
    started: SystemTime,
}

/// The way to the metrics, and who makes them. The broker counts as started now.
pub(crate) fn channel(standing: StandingWatch, directory: &Arc<DataDirectory>) -> (Metrics, Collector) {
    let (asking, asked) = mpsc::channel(ASKED_MAX);
    let (stored, directory) = (Stored::new(Arc::clone(directory)), Arc::clone(directory));
    (Metrics { asked: asking }, Collector { asked, standing, directory, stored, started: SystemTime::now() })
}

impl Metrics {
    /// A page of the metrics as they are now: text in the Prometheus exposition format.
    ///
    /// # Errors
    ///
    /// `Busy` when too many ask, `GoingAway` when the broker is about to end.
    pub(crate) async fn page(&self) -> Result<Bytes, WireError> {
        let (answer, page) = oneshot::channel();
        self.asked.try_send(answer).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                let message = format!("{ASKED_MAX} others wait for the metrics already; ask again in a moment");
                WireError::retry_after(ErrorCode::Busy, BUSY_RETRY_MS, message)
            }
            mpsc::error::TrySendError::Closed(_) => ending(),
        })?;
        page.await.map_err(|_| ending())
    }
}

impl Collector {
    /// Makes pages until the broker ends.
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::new();
        let mut standing = self.standing.clone();
        loop {
            tokio::select! {
                asked = self.asked.recv_many(&mut waiting, ASKED_MAX) => if asked == 0 { return },
                () = ended(&mut standing) => return,
            }
            let page = Bytes::from(self.page().await);
            // Who has gone meanwhile wants none.
            waiting.drain(..).for_each(|answer| drop(answer.send(page.clone())));
        }
    }

    async fn page(&mut self) -> String {
        let standing = self.standing.borrow().clone();
        let reports = match &standing {
            Standing::Serving(served) => served.ask_lanes(Arrival::Report).await,
            Standing::Starting | Standing::Stopping => Vec::new(),
        };
        let is_ready = standing.readiness_by(&reports, &self.directory).is_ok();
        let served = match &standing {
            Standing::Serving(served) => Some(Everything::gather(served, reports, self.stored.bytes().await)),
            Standing::Starting | Standing::Stopping => None,
        };
        let space = self.directory.layout().space().ok();
        page::write(Snapshot { started: self.started, is_ready, space, served })
    }
}

fn ending() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, 1_000, "the broker is stopping; ask the next one")
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::directory::DirectoryOptions;

    fn some_directory(scratch: &std::path::Path) -> Arc<DataDirectory> {
        Arc::new(DataDirectory::open(&scratch.join("data"), DirectoryOptions { dev: true }).expect("there is room"))
    }

    #[tokio::test]
    async fn all_who_ask_together_are_given_one_page() {
        let scratch = tempfile::tempdir().expect("there is room");
        let (standing, watch) = watch::channel(Standing::Starting);
        let (metrics, collector) = channel(watch, &some_directory(scratch.path()));
        let ask = || {
            tokio::spawn({
                let metrics = metrics.clone();
                async move { metrics.page().await }
            })
        };
        let asked: Vec<_> = (0..ASKED_MAX).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        let refused = ask().await.expect("it does not panic").expect_err("too many wait");
        assert_eq!(refused.code, ErrorCode::Busy);
        let making = tokio::spawn(collector.run());
        let mut pages = Vec::new();
        for asked in asked {
            pages.push(asked.await.expect("it does not panic").expect("it is made"));
        }
        assert!(pages[0].windows(13).any(|text| text == b"rheos_ready 0"));
        assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()), "one page was made for all");
        // Whoever asks later sees what is later.
        let later = metrics.page().await.expect("it is made");
        assert_ne!(later.as_ptr(), pages[0].as_ptr());
        drop(standing);
        making.await.expect("it ends when nobody says any more where the broker stands");
        assert_eq!(metrics.page().await.expect_err("it has ended").code, ErrorCode::GoingAway);
    }
}
