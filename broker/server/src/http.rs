//! The HTTP service, and the threads for everything that is neither records nor their files: its connections,
//! the text of the metrics, whoever asks for it, and the Kinesis face.
//!
//! ```text
//!   TCP ─► connection.rs (place, TLS or plain) ─► versions.rs (HTTP/1.1 or HTTP/2) ─► router.rs
//!                              /health /ready /metrics ◄──┴──► face.rs ─► intake.rs (body) ─► Face
//! ```
//!
//! What must hold: nothing here runs on a lane or is waited for by one; it serves from before recovery, so
//! that a broker that takes long to start can be asked, until every lane has stopped.
//!
//! The threads are as many as there are cores beside those of the lanes: bodies are decoded and signatures
//! proved on them, which takes longer than the lane's part of a put. They keep to those cores, as every thread
//! does that is started here, so that a face under load costs the native one nothing.

mod answer_body;
mod bounds;
mod connection;
mod crowd;
mod delivery;
mod face;
mod intake;
mod router;
mod versions;

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Mutex, watch};
use tokio_rustls::TlsAcceptor;

use crate::directory::DataDirectory;
use crate::metrics::{self, Metrics};
use crate::standing::Standing;
use crate::start_error::StartError;
use bounds::Bounds;
use connection::Serving;
use face::FacePlace;
use router::Router;

pub(crate) use answer_body::Frames;
pub(crate) use face::{Asked, Face, Reply};

/// What the HTTP service is made of.
pub(crate) struct HttpParts {
    /// On the same port number as QUIC.
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) directory: Arc<DataDirectory>,
    /// Whether the metrics are for everybody who reaches the port; else for this host.
    pub(crate) metrics_open: bool,
    /// Cores beside those of the lanes: so many threads, up to 8.
    pub(crate) cores: usize,
}

/// The threads, and how it is told where the broker stands.
pub(crate) struct HttpThreads {
    standing: watch::Sender<Standing>,
    face: FacePlace,
    /// Closed when every connection has ended.
    ended: mpsc::Receiver<()>,
    runtime: Runtime,
}

/// More threads than this do not answer faster: the lanes are what they wait for.
const THREADS_MAX: usize = 8;
/// How long connections are waited for when the broker ends.
const END_MAX: Duration = Duration::from_millis(200);

impl HttpThreads {
    /// Starts the threads, on the cores of the calling one; also gives the way to the metrics.
    ///
    /// # Errors
    ///
    /// When the system gives no threads or no runtime.
    pub(crate) fn start(parts: HttpParts) -> Result<(HttpThreads, Metrics), StartError> {
        let HttpParts { listener, tls, directory, metrics_open, cores } = parts;
        let (standing, watch) = watch::channel(Standing::Starting);
        let (metrics, collector) = metrics::channel(watch.clone(), &directory);
        let failed = |what| StartError::io(what, "the HTTP service");
        listener.set_nonblocking(true).map_err(failed("listen for"))?;
        let threads = cores.clamp(1, THREADS_MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(failed("start the threads of"))?;
        let listener = {
            let _runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed("listen for"))?
        };
        let face = FacePlace::default();
        let router = Arc::new(Router {
            standing: watch.clone(),
            directory,
            metrics: metrics.clone(),
            metrics_open,
            face: face.clone(),
            readiness: Mutex::default(),
        });
        let answer = move |request, peer| {
            let router = Arc::clone(&router);
            async move { router.answer(request, peer).await }
        };
        let (alive, ended) = mpsc::channel();
        let (tls, bounds) = (TlsAcceptor::from(tls), Bounds::of_broker());
        let serving = Serving { tls, bounds, answer, standing: watch, _alive: alive };
        runtime.spawn(async move {
            tokio::select! {
                () = collector.run() => {}
                () = serving.listen(listener) => {}
            }
        });
        Ok((HttpThreads { standing, face, ended, runtime }, metrics))
    }

    /// Says where the broker stands from now on. When it stops, the face is dropped and answers in frames end,
    /// so that neither holds what the lanes have lent it.
    pub(crate) fn stands(&self, standing: Standing) {
        if matches!(standing, Standing::Stopping) {
            self.face.set(None);
        }
        self.standing.send_replace(standing);
    }

    /// Has a face answer what is not asked of the broker itself, until the broker stops.
    pub(crate) fn carries(&self, face: Face) {
        self.face.set(Some(face));
    }

    /// Ends every connection, and then the threads. What does not end soon is left: it holds nothing up.
    pub(crate) fn end(self) {
        drop(self.standing);
        let _ = self.ended.recv_timeout(END_MAX);
        // Whoever looks at files for a page is not waited for: the disk may not answer.
        self.runtime.shutdown_background();
    }
}
