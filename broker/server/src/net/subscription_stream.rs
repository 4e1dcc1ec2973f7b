//! A subscription stream: Subscribe, Credit, Unsubscribe and Ping, for as long as the client keeps it.
//!
//! Requests are left for the lane that serves the shard; its answers come back through a queue in which each request has
//! reserved its place before it is passed on, so that the lane never waits. What is pushed does not
//! come by here.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Reply, Request, Subscribe};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Net;
use super::connection::ended_early;
use super::frames::{Frame, Frames};
use crate::dispatch::{Authenticated, allow};
use crate::identity::Principal;
use crate::lane::{Answer, Arrival, PushWay, Subscribing};
use crate::mesh::Asked;
use crate::route::Route;

/// Requests of one stream that have no answer yet; the next one is not read before one has.
const UNANSWERED_MAX: usize = 256;
/// Wait where the way to another lane is full.
const FULL_WAIT: Duration = Duration::from_millis(1);
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
    let (peer, route, lanes) = (net.new_peer(), Route::default(), BTreeSet::new());
    let mut subscriber = Subscriber { peer, connection, net, principal, answers, route, lanes };
    let mut answering = pin!(send_answers(send, told));
    let (ended, is_answered) = tokio::select! {
        ended = subscriber.take_all(recv, frames, first, rest) => (ended, false),
        () = &mut answering => (Ok(()), true),
    };
    let Subscriber { answers, route: _, lanes, .. } = subscriber;
    drop(answers);
    if ended.is_ok() && !is_answered {
        // What was asked before the end is answered: the lane holds a place for each.
        answering.await;
    }
    for lane in lanes {
        pass(net, lane, Subscribing::Ended { peer }).await;
    }
    ended
}

struct Subscriber<'a> {
    peer: u64,
    connection: &'a Connection,
    net: &'a Net,
    principal: &'a Authenticated<Principal>,
    answers: mpsc::Sender<Answer>,
    route: Route,
    /// Lanes that have subscriptions of this stream: one for a client that knows of lanes.
    lanes: BTreeSet<u16>,
}

impl Subscriber<'_> {
    async fn take_all(
        &mut self,
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

    async fn take(&mut self, frame: Frame) -> Result<(), WireError> {
        let (peer, id) = (self.peer, frame.header.id);
        let request = Request::decode(frame.header.kind, &frame.payload)
            .map_err(|malformed| WireError::new(ErrorCode::BadFrame, malformed.to_string()))?;
        match request {
            Some(Request::Subscribe(subscribe)) => self.subscribe(id, subscribe).await,
            // Which lane has the subscription is not remembered: the others know none of this number.
            Some(Request::Credit(bytes)) => self.pass_all(|| Subscribing::Credit { peer, id, bytes }).await,
            Some(Request::Unsubscribe) => self.pass_all(|| Subscribing::Unsubscribe { peer, id }).await,
            Some(Request::Ping) => self.answer(id, Reply::Pong).await,
            _ => {
                let message = format!("a subscription stream carries no frames of kind {}", frame.header.kind);
                self.answer(id, Reply::Error(WireError::new(ErrorCode::Unsupported, message))).await;
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self, id: u64, subscribe: Subscribe) {
        // Whoever sends the answers has gone only when the whole stream is on its way out.
        let Ok(answer) = self.answers.clone().reserve_owned().await else { return };
        if let Err(error) = allow(&self.net.broker.streams, self.principal, &Request::Subscribe(subscribe.clone())) {
            return drop(answer.send(Answer { id, reply: Reply::Error(error) }));
        }
        let lane =
            self.route.lane_of(&self.net.broker, subscribe.incarnation, subscribe.shard).unwrap_or(self.net.lane);
        self.lanes.insert(lane);
        let (peer, is_own) = (self.peer, lane == self.net.lane);
        let way = PushWay::Connection { connection: self.connection.clone(), is_own };
        pass(self.net, lane, Subscribing::Subscribe { peer, way, id, subscribe, answer }).await;
    }

    async fn pass_all(&self, subscribing: impl Fn() -> Subscribing) {
        for lane in &self.lanes {
            pass(self.net, *lane, subscribing()).await;
        }
    }

    async fn answer(&self, id: u64, reply: Reply) {
        let _ = self.answers.send(Answer { id, reply }).await;
    }
}

/// Leaves something for a lane. Where the way is full it waits: this stream alone is held up.
async fn pass(net: &Net, lane: u16, subscribing: Subscribing) {
    if lane == net.lane {
        return net.inbox.push(Arrival::Subscribing(subscribing));
    }
    let mesh = net.broker.mesh.as_ref().expect("where there are other lanes there is a mesh");
    let mut asked = Asked::Subscribing(subscribing);
    while let Err(refused) = mesh.try_ask(lane, asked) {
        asked = refused;
        sleep(FULL_WAIT).await;
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
