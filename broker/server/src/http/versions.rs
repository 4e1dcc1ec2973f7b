//! HTTP/1.1 and HTTP/2 as they are spoken here, with the bounds of each.
//!
//! What must hold: frames that cost a peer nothing cost the broker little. hyper and h2 answer a SETTINGS or a
//! PING before they read on, so that those of a peer that does not read wait in its own socket; they bound the
//! CONTINUATIONs of a head by its size, and small DATA frames by a budget; requests that are taken back
//! before they were looked at are counted here.

use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;

use super::bounds::{
    Bounds, CONNECTION_WINDOW_BYTES, HEAD_BYTES_MAX, HEAD_LIST_BYTES_MAX, RESETS_MAX, STREAM_SEND_BYTES_MAX,
    STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use super::delivery::unless_stalled;

/// Runs each stream of an HTTP/2 connection as a task, until its answer is not taken any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamTasks {
    stalled_max: Duration,
}

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(unless_stalled(stream, self.stalled_max));
    }
}

/// What serves a connection, in the version that its first bytes speak.
pub(super) fn builder(bounds: &Bounds) -> auto::Builder<StreamTasks> {
    let mut builder = auto::Builder::new(StreamTasks { stalled_max: bounds.stalled });
    builder
        .http1()
        .timer(TokioTimer::new())
        // It counts from the answer before on, and is silence.
        .header_read_timeout(bounds.silence.between_max)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LIST_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX);
    builder
}
