//! The HTTP face, and the thread for everything that is neither records nor their files: its connections and
//! the text of the metrics, whoever asks for it.
//!
//! ```text
//!   TCP ─► connection.rs (place, TLS or plain, HTTP/1.1 or HTTP/2) ─► router.rs ─► /health /ready /metrics
//! ```
//!
//! What must hold: nothing here runs on a lane or is waited for by one; it serves from before recovery, so
//! that a broker that takes long to start can be asked, until every lane has stopped.

mod connection;
mod crowd;
mod router;

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::directory::DataDirectory;
use crate::metrics::{self, Metrics};
use crate::standing::Standing;
use crate::start_error::StartError;
use connection::{BOUNDS, listen};
use router::Router;

/// What the HTTP face is made of.
pub(crate) struct HttpParts {
    /// On the same port number as QUIC.
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) directory: Arc<DataDirectory>,
    /// Whether the metrics are for everybody who reaches the port; else for this host.
    pub(crate) metrics_open: bool,
}

/// The thread, and how it is told where the broker stands.
pub(crate) struct HttpThread {
    standing: watch::Sender<Standing>,
    /// Closed when it has ended.
    ended: mpsc::Receiver<()>,
}

/// How long the thread is waited for when the broker ends.
const END_MAX: Duration = Duration::from_millis(200);

impl HttpThread {
    /// Starts the thread, on the cores of the calling one; also gives the way to the metrics.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no runtime.
    pub(crate) fn start(parts: HttpParts) -> Result<(HttpThread, Metrics), StartError> {
        let HttpParts { listener, tls, directory, metrics_open } = parts;
        let (standing, watch) = watch::channel(Standing::Starting);
        let (metrics, collector) = metrics::channel(watch.clone(), &directory);
        let failed = |what| StartError::io(what, "the HTTP face");
        listener.set_nonblocking(true).map_err(failed("listen for"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed("make a runtime for"))?;
        let listener = {
            let _runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed("listen for"))?
        };
        let router =
            Router { standing: watch, directory, metrics: metrics.clone(), metrics_open, readiness: Mutex::default() };
        let router = Arc::new(router);
        let answer = move |request, peer| {
            let router = Arc::clone(&router);
            async move { router.answer(request, peer).await }
        };
        let work = async move {
            tokio::select! {
                () = collector.run() => {}
                () = listen(listener, tls, BOUNDS, answer) => {}
            }
        };
        let (end, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(work);
            // Whoever looks at files for a page is not waited for: the disk may not answer.
            runtime.shutdown_background();
            drop(end);
        });
        drop(thread.map_err(failed("start the thread of"))?);
        Ok((HttpThread { standing, ended }, metrics))
    }

    /// Says where the broker stands from now on.
    pub(crate) fn stands(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    /// Ends the thread, and with it every connection. One that does not end soon is left: it holds nothing up.
    pub(crate) fn end(self) {
        drop(self.standing);
        let _ = self.ended.recv_timeout(END_MAX);
    }
}
