//! A subscription stream: Subscribe, Credit, Unsubscribe and Ping, for as long as the client keeps it.
//!
//! Requests are left for the lane; its answers come back through a queue in which each request has
//! reserved its place before it is passed on, so that the lane never waits. What is pushed does not
//! come by here.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Reply, Request, Subscribe};
use tokio::sync::mpsc;

use super::Net;
use super::connection::ended_early;
use super::dispatch::{Authenticated, allow};
use super::frames::{Frame, Frames};
use crate::identity::Principal;
use crate::lane::{Answer, Arrival};

/// Requests of one stream that have no answer yet; the next one is not read before one has.
const UNANSWERED_MAX: usize = 256;
/// Answers that are sent in one piece.
const ANSWERS_AT_ONCE: usize = 64;

/// Serves the stream until the client ends it. An error is the connection's end.
pub(super) async fn take_subscriptions(
    connection: &Connection,
    (send, recv): (SendStream, RecvStream),
    net: &Arc<Net>,
    principal: &Authenticated<Principal>,
    frames: Frames,
    (first, rest): (Frame, Bytes),
) -> Result<(), WireError> {
    let (answers, told) = mpsc::channel(UNANSWERED_MAX);
    let subscriber = Subscriber { peer: net.new_peer(), connection, net, principal, answers };
    let ended = tokio::select! {
        ended = subscriber.take_all(recv, frames, first, rest) => ended,
        () = send_answers(send, told) => Ok(()),
    };
    net.inbox.push(Arrival::Unsubscribed { peer: subscriber.peer });
    ended
}

struct Subscriber<'a> {
    peer: u64,
    connection: &'a Connection,
    net: &'a Net,
    principal: &'a Authenticated<Principal>,
    answers: mpsc::Sender<Answer>,
}

impl Subscriber<'_> {
    async fn take_all(
        &self,
        mut recv: RecvStream,
        mut frames: Frames,
        first: Frame,
        mut rest: Bytes,
    ) -> Result<(), WireError> {
        self.take(first).await?;
        loop {
            while let Some(frame) = frames.next(&mut rest)? {
                self.take(frame).await?;
            }
            match recv.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => rest = chunk.bytes,
                Ok(None) if frames.is_between() => return Ok(()),
                Ok(None) => return Err(ended_early()),
                // The client has thought better of it, or is gone.
                Err(_) => return Ok(()),
            }
        }
    }

    async fn take(&self, frame: Frame) -> Result<(), WireError> {
        let (peer, id) = (self.peer, frame.header.id);
        let request = Request::decode(frame.header.kind, &frame.payload)
            .map_err(|malformed| WireError::new(ErrorCode::BadFrame, malformed.to_string()))?;
        match request {
            Some(Request::Subscribe(subscribe)) => self.subscribe(id, subscribe).await,
            Some(Request::Credit(bytes)) => self.net.inbox.push(Arrival::Credit { peer, id, bytes }),
            Some(Request::Unsubscribe) => self.net.inbox.push(Arrival::Unsubscribe { peer, id }),
            Some(Request::Ping) => self.answer(id, Reply::Pong).await,
            _ => {
                let message = format!("a subscription stream carries no frames of kind {}", frame.header.kind);
                self.answer(id, Reply::Error(WireError::new(ErrorCode::Unsupported, message))).await;
            }
        }
        Ok(())
    }

    async fn subscribe(&self, id: u64, subscribe: Subscribe) {
        // Whoever sends the answers has gone only when the whole stream is on its way out.
        let Ok(answer) = self.answers.clone().reserve_owned().await else { return };
        if let Err(error) = allow(&self.net.streams, self.principal, &Request::Subscribe(subscribe.clone())) {
            return drop(answer.send(Answer { id, reply: Reply::Error(error) }));
        }
        let (peer, connection) = (self.peer, self.connection.clone());
        self.net.inbox.push(Arrival::Subscribe { peer, connection, id, subscribe, answer });
    }

    async fn answer(&self, id: u64, reply: Reply) {
        let _ = self.answers.send(Answer { id, reply }).await;
    }
}

/// Sends answers as they come, until nobody can give any more or the client takes none.
async fn send_answers(mut send: SendStream, mut told: mpsc::Receiver<Answer>) {
    let mut answers = Vec::with_capacity(ANSWERS_AT_ONCE);
    while told.recv_many(&mut answers, ANSWERS_AT_ONCE).await > 0 {
        let mut out = BytesMut::new();
        for Answer { id, reply } in answers.drain(..) {
            reply.write(id, &mut out);
        }
        if send.write_all(&out).await.is_err() {
            return;
        }
    }
}
