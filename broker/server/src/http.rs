//! The thread for everything that is neither records nor their files: the HTTP face, and the text of the
//! metrics, whoever asks for it.
//!
//! What must hold: nothing here runs on a lane or is waited for by one.

use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use crate::metrics::{self, Metrics};
use crate::standing::Standing;
use crate::start_error::StartError;

/// The thread, and how it is told where the broker stands.
pub(crate) struct HttpThread {
    standing: watch::Sender<Standing>,
    thread: JoinHandle<()>,
}

impl HttpThread {
    /// Starts the thread; also gives the way to the metrics.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no runtime.
    pub(crate) fn start() -> Result<(HttpThread, Metrics), StartError> {
        let (standing, watch) = watch::channel(Standing::Starting);
        let (metrics, collector) = metrics::channel(watch);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::io("make a runtime for", "the HTTP thread"))?;
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(collector.run()))
            .map_err(StartError::io("start the thread of", "HTTP"))?;
        Ok((HttpThread { standing, thread }, metrics))
    }

    /// Says where the broker stands from now on.
    pub(crate) fn stands(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    /// Ends the thread.
    pub(crate) fn end(self) {
        drop(self.standing);
        // What it was asked last concerns nobody any more.
        let _ = self.thread.join();
    }
}
