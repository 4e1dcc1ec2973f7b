//! SIGTERM and SIGINT, on a thread of their own.
//!
//! What must hold: while the broker starts, and when it is told again while it stops, it ends at once; both are
//! what a kill would be, from which every start recovers. In a container the process may be the first one, whose
//! signals do nothing unless they are listened for, so they are from the beginning on.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::warn;

use crate::start_error::StartError;

/// The signals that tell the broker to stop.
#[derive(Debug)]
pub(crate) struct Signals {
    serves: Arc<AtomicBool>,
    told: oneshot::Receiver<&'static str>,
}

impl Signals {
    /// Begins to listen: a signal ends the process until [`serving`](Self::serving).
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no handler.
    pub(crate) fn listen() -> Result<Signals, StartError> {
        let refused = |error| StartError::io("listen for signals as", "the main thread")(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(refused)?;
        let entered = runtime.enter();
        let on = |kind| signal(kind).map_err(refused);
        let signals = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        drop(entered);
        let (tell, told) = oneshot::channel();
        let serves = Arc::new(AtomicBool::new(false));
        let serving = Arc::clone(&serves);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(take(signals, &serving, tell)))
            .map_err(refused)?;
        Ok(Signals { serves, told })
    }

    /// From here on the first signal is told.
    pub(crate) fn serving(&self) {
        self.serves.store(true, Ordering::Relaxed);
    }

    /// Waits for the first signal and gives its name.
    pub(crate) async fn told(&mut self) -> &'static str {
        (&mut self.told).await.expect("the thread tells before it ends")
    }
}

async fn take(
    (mut terminate, mut interrupt): (Signal, Signal),
    serves: &AtomicBool,
    tell: oneshot::Sender<&'static str>,
) {
    let mut tell = Some(tell);
    loop {
        let (name, number) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 15),
            _ = interrupt.recv() => ("SIGINT", 2),
        };
        match tell.take().filter(|_| serves.load(Ordering::Relaxed)) {
            Some(tell) => drop(tell.send(name)),
            None => {
                warn!("{name}: ends at once; what was acknowledged is on the disk");
                process::exit(SIGNALLED + number);
            }
        }
    }
}

/// The exit code of a process that a signal has ended is this and the signal's number, as shells have it.
const SIGNALLED: i32 = 128;
