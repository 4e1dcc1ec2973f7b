//! Connections of the HTTP face: taken one by one, TLS or plain by their first byte, HTTP/1.1 or HTTP/2 by
//! theirs, whatever TLS has agreed on: some clients speak HTTP/2 over TLS without saying so.
//!
//! ```text
//!   accept ─► place ─► first byte 0x16 ? TLS handshake ─► HTTP/2 preface ? ─► requests ─► answer
//! ```
//!
//! What must hold: what a peer sends costs a bounded amount of memory and time before it asks for something;
//! what goes wrong on one connection, a panic of what answers included, is that connection's end and nobody
//! else's; a connection that is not used any more is said goodbye to, so that no client sends a request into
//! its end. What is asked and answered is not this file's affair.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::answer_body::AnswerBody;
use super::bounds::{Bounds, GOODBYE_MAX};
use super::crowd::{Crowd, Place};
use super::delivery::unless_stalled;
use super::intake::{Pace, Room};
use super::versions::builder;
use crate::standing::{StandingWatch, ended};

/// What is answered.
pub(super) type Answer = Response<AnswerBody>;

/// Who asks: the connection that a request came on.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// The connection's room for bodies.
    pub(super) room: Room,
    pub(super) pace: Pace,
}

/// What every connection is served with.
#[derive(Clone)]
pub(super) struct Serving<A> {
    pub(super) tls: TlsAcceptor,
    pub(super) bounds: Bounds,
    pub(super) answer: A,
    /// Connections are told to end when nobody says any more where the broker stands.
    pub(super) standing: StandingWatch,
    /// Dropped when all have ended.
    pub(super) _alive: mpsc::Sender<()>,
}

/// The first byte of every TLS connection: a record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// After a failure to take a connection, and where everybody is being answered, it is tried again after this long.
const AGAIN: Duration = Duration::from_millis(10);

impl<A, F> Serving<A>
where
    A: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    /// Takes connections for ever, each with a task of its own, and has their requests answered.
    pub(super) async fn listen(self, listener: TcpListener) {
        let crowd = Crowd::new(self.bounds.connections, self.bounds.silence);
        let room = Room::new();
        loop {
            let (stream, address) = match listener.accept().await {
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
            let peer = Peer { address, room: room.of_connection(), pace: self.bounds.pace };
            let serving = self.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = serving.serve(stream, peer, &place) => {}
                    () = place.shown_out() => debug!(peer = %address, "an HTTP connection gave up its place"),
                }
            });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: Peer, place: &Place) {
        let _ = stream.set_nodelay(true);
        // The end of an answer that is written and not acknowledged is the kernel's to give up.
        let _ = set_tcp_user_timeout(&stream, self.bounds.stalled.as_millis() as u32);
        let (address, mut first) = (peer.address, [0]);
        let Ok(Ok(1)) = timeout(self.bounds.handshake, stream.peek(&mut first)).await else { return };
        let served = if first == [TLS_HANDSHAKE] {
            match timeout(self.bounds.handshake, self.tls.accept(stream)).await {
                Ok(Ok(stream)) => self.requests(stream, peer, place).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err("the TLS handshake took too long".into()),
            }
        } else {
            self.requests(stream, peer, place).await
        };
        if let Err(error) = served {
            debug!(peer = %address, "an HTTP connection ended: {error}");
        }
    }

    /// Answers requests until the peer has none left.
    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        place: &Place,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let service = service_fn(|request| {
            let (asking, answer) = (place.ask(), (self.answer)(request, peer.clone()));
            async move { Ok::<_, Infallible>(answer.await.map(|body| body.answering(asking))) }
        });
        let builder = builder(&self.bounds);
        let (mut connection, mut standing) =
            (pin!(builder.serve_connection(TokioIo::new(stream), service)), self.standing.clone());
        let work = async {
            tokio::select! {
                served = connection.as_mut() => return served,
                () = place.silent_too_long() => {}
                () = ended(&mut standing) => {}
            }
            connection.as_mut().graceful_shutdown();
            timeout(GOODBYE_MAX, connection).await.unwrap_or(Ok(()))
        };
        unless_stalled(work, self.bounds.stalled).await.unwrap_or_else(|| Err("nothing of an answer was taken".into()))
    }
}

fn warn_of(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => warn!("cannot take an HTTP connection: {error}"),
    }
}

#[cfg(test)]
mod tests;
