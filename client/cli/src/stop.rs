//! The signals that ask a command to end, which it then does in its own way.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Waits for SIGINT, SIGTERM or SIGHUP, and gives its number.
///
/// # Errors
///
/// When the system does not let it listen.
pub(crate) async fn stop_signal() -> Result<u8, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
    let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let (mut interrupts, mut terminates, mut hangups) = (listen(interrupt)?, listen(terminate)?, listen(hangup)?);
    let kind = tokio::select! {
        _ = interrupts.recv() => interrupt,
        _ = terminates.recv() => terminate,
        _ = hangups.recv() => hangup,
    };
    Ok(u8::try_from(kind.as_raw_value()).expect("signals have small numbers"))
}
