//! Connections of the HTTP face: taken one by one, TLS or plain by their first byte, HTTP/1.1 or HTTP/2.
//!
//! ```text
//!   accept ─► place ─► first byte 0x16 ? TLS handshake ─► HTTP/2 preface ? ─► requests ─► answer
//! ```
//!
//! What must hold: what a peer sends costs a bounded amount of memory and time before it asks for something;
//! what goes wrong on one connection, a panic of what answers included, is that connection's end and nobody
//! else's. What is asked and answered is not this file's affair.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::crowd::{Crowd, Place};

/// What is answered.
pub(super) type Answer = Response<Full<Bytes>>;

/// What a peer may cost before it has asked for something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most connections at once.
    pub(super) connections: usize,
    /// A connection that asks for nothing for so long is closed.
    pub(super) silent: Duration,
    /// The first byte, and the rest of a TLS handshake, may each take so long.
    pub(super) handshake: Duration,
    /// The head of a request may take so long, from the answer before on: who keeps a connection asks again in time.
    pub(super) head: Duration,
}

/// The bounds of a broker.
pub(super) const BOUNDS: Bounds = Bounds {
    connections: 256,
    silent: Duration::from_secs(30),
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(10),
};

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 32;
/// Bytes of bodies that a peer may send ahead on HTTP/2; nothing here reads any.
const WINDOW_BYTES: u32 = 64 << 10;
/// The first byte of every TLS connection: a record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// After a failure to take a connection, and where everybody is being answered, it is tried again after this long.
const AGAIN: Duration = Duration::from_millis(10);

/// Takes connections for ever, each with a task of its own, and has their requests answered.
pub(super) async fn listen<A, F>(listener: TcpListener, tls: Arc<rustls::ServerConfig>, bounds: Bounds, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (crowd, tls) = (Crowd::new(bounds.connections, bounds.silent), TlsAcceptor::from(tls));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly one that was given up before it was taken; else there is no descriptor left.
                warn_of(&error);
                sleep(AGAIN).await;
                continue;
            }
        };
        let place = loop {
            match crowd.enter() {
                Some(place) => break place,
                None => sleep(AGAIN).await,
            }
        };
        let (tls, answer) = (tls.clone(), answer.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = serve(stream, peer, tls, bounds, &place, answer) => {}
                () = place.over() => debug!(%peer, "an HTTP connection was closed that asked for nothing"),
            }
        });
    }
}

async fn serve<A, F>(stream: TcpStream, peer: SocketAddr, tls: TlsAcceptor, bounds: Bounds, place: &Place, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    // Answers are small and whole.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let Ok(Ok(1)) = timeout(bounds.handshake, stream.peek(&mut first)).await else { return };
    let served = if first == [TLS_HANDSHAKE] {
        match timeout(bounds.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, peer, bounds, place, answer).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("the TLS handshake took too long".into()),
        }
    } else {
        requests(stream, peer, bounds, place, answer).await
    };
    if let Err(error) = served {
        debug!(%peer, "an HTTP connection ended: {error}");
    }
}

/// Answers requests until the peer has none left.
async fn requests<A, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    bounds: Bounds,
    place: &Place,
    answer: A,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let service = service_fn(move |request| {
        let (asking, answer) = (place.ask(), answer.clone());
        async move {
            let answer = answer(request, peer).await;
            drop(asking);
            Ok::<_, Infallible>(answer)
        }
    });
    builder.serve_connection(TokioIo::new(stream), service).await
}

fn warn_of(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => warn!("cannot take an HTTP connection: {error}"),
    }
}

#[cfg(test)]
mod tests;
