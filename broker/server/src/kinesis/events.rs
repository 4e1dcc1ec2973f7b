//! The events of one SubscribeToShard: what is pushed, as messages of an event stream, for five minutes.
//!
//! ```text
//!   lane ─► subscription.rs ─► batches ─► event ─► frames (room for one) ─► HTTP
//!                                         ▲ every five seconds one of nothing
//! ```
//!
//! What must hold: `initial-response` comes first; there is an event at least every five seconds; an event has a
//! continuation or children, and the latter is the last; nothing is taken of the lane for which the client has no
//! room; who has lost its key, its consumer or its place hears so and gets no more. A client that has gone ends it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use rheos_kinesis::codec::Encoding;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::event_stream;
use rheos_kinesis::operations::refusals;
use rheos_kinesis::records;
use rheos_kinesis::value::Structure;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::WireError;
use rheos_protocol::message::PushEnd;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::call::{Call, Subject};
use super::operations::batch_of;
use super::subscription::Subscription;
use crate::broker::Broker;
use crate::clock;
use crate::identity::Principal;
use crate::lane::PushedApart;

/// A subscription ends after this long, and the client subscribes again.
const LIFE: Duration = Duration::from_secs(300);
/// There is an event at least this often.
const EVENT_EVERY: Duration = Duration::from_secs(5);
/// How often the end of a shard is looked for in the catalog, which its lane may run ahead of.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A subscription whose answer has begun.
pub(super) struct Events {
    broker: Weak<Broker>,
    principal: Principal,
    subject: Subject,
    incarnation: u64,
    encoding: Encoding,
    records: records::Subscription,
    /// How far behind the tip it was with the last event, in ms.
    behind_ms: u64,
}

/// What comes next.
enum Next {
    Batches { batches: Vec<Batch>, behind_ms: u64 },
    /// Nothing has come for long enough.
    Nothing,
    ShardEnd,
    /// It ends without a word, and the client comes again.
    Over,
    Failed(Error),
}

impl Events {
    /// Begins the answer: frames come as they are taken. Without a subscription there is nothing but the end of the
    /// shard.
    pub(super) fn begin(
        call: &Call<'_>,
        subject: Subject,
        incarnation: u64,
        records: records::Subscription,
        subscription: Option<Subscription>,
    ) -> mpsc::Receiver<Bytes> {
        let (frames, answer) = mpsc::channel(1);
        let events = Events {
            broker: Arc::downgrade(call.broker),
            principal: call.caller.principal.principal().clone(),
            subject,
            incarnation,
            encoding: call.encoding,
            records,
            behind_ms: 0,
        };
        tokio::spawn(events.run(subscription, frames));
        answer
    }

    async fn run(mut self, mut subscription: Option<Subscription>, frames: mpsc::Sender<Bytes>) {
        let ends = Instant::now() + LIFE;
        if frames.send(event_stream::initial_response(self.encoding)).await.is_err() {
            return;
        }
        loop {
            // Room comes first: what is not taken of the lane costs nobody anything.
            let Ok(room) = frames.reserve().await else { return };
            let idle = Instant::now() + EVENT_EVERY;
            let next = tokio::select! {
                next = self.next(subscription.as_mut()) => next,
                () = sleep_until(idle) => Next::Nothing,
                () = sleep_until(ends) => Next::Over,
                () = frames.closed() => return,
            };
            let is_live = self.broker.upgrade().is_some_and(|broker| broker.is_live(&self.principal));
            match next {
                _ if !is_live => return room.send(self.failed(&key_is_gone())),
                Next::Batches { batches, behind_ms } => {
                    self.behind_ms = behind_ms;
                    let event = self.records.event(&batches, behind_ms, clock::now().wall_ms);
                    room.send(self.event(&event));
                    if let Some(subscription) = &subscription {
                        subscription.taken(&batches);
                    }
                }
                Next::Nothing => {
                    let event = self.records.event(&[], self.behind_ms, clock::now().wall_ms);
                    room.send(self.event(&event));
                }
                Next::ShardEnd => {
                    if let Some(event) = self.last_event().await {
                        room.send(self.event(&event));
                    }
                    return;
                }
                Next::Failed(error) => return room.send(self.failed(&error)),
                Next::Over => return,
            }
        }
    }

    /// What the lane has next. To be called again after it was given up on.
    async fn next(&self, subscription: Option<&mut Subscription>) -> Next {
        let Some(subscription) = subscription else { return Next::ShardEnd };
        match subscription.next().await {
            Some(PushedApart::Batches { fields, batches }) => {
                let batches: Result<Vec<Batch>, WireError> = batches.into_iter().map(batch_of).collect();
                match batches {
                    Ok(batches) => Next::Batches { batches, behind_ms: fields.behind_ms },
                    Err(error) => Next::Failed(refusals::of(&error, &self.subject.arn)),
                }
            }
            Some(PushedApart::End(end)) => self.ended(end),
            None => Next::Over,
        }
    }

    fn ended(&self, end: PushEnd) -> Next {
        match end {
            PushEnd::ShardEnd(_) => Next::ShardEnd,
            PushEnd::Superseded => {
                let message = "Another SubscribeToShard of this consumer has taken over the shard.";
                Next::Failed(Error::new(ErrorKind::ResourceInUse, message))
            }
            PushEnd::Deregistered => {
                let message = "The consumer was deregistered.";
                Next::Failed(Error::new(ErrorKind::ResourceNotFound, message))
            }
            // The client comes again from the continuation that it has: what has expired is then passed over.
            PushEnd::Trimmed(_) | PushEnd::GoingAway(_) => Next::Over,
            PushEnd::Error(error) => Next::Failed(refusals::of(&error, &self.subject.arn)),
        }
    }

    /// The last event, once the catalog says what the lane knows already. None where the stream has gone.
    async fn last_event(&mut self) -> Option<Structure> {
        loop {
            let stream = self.broker.upgrade()?.streams.by_incarnation(self.incarnation)?;
            if let Some(event) = self.records.last_event(&[], &stream, clock::now().wall_ms) {
                return Some(event);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn event(&self, event: &Structure) -> Bytes {
        event_stream::event("SubscribeToShardEvent", self.encoding, self.encoding.encode(event).into())
    }

    fn failed(&self, error: &Error) -> Bytes {
        match error.kind {
            ErrorKind::InternalFailure | ErrorKind::ServiceUnavailable => {
                event_stream::error(error.kind.name(), error.message.as_deref().unwrap_or_default())
            }
            _ => event_stream::exception(self.encoding, error),
        }
    }
}

fn key_is_gone() -> Error {
    Error::new(ErrorKind::AccessDenied, "The access key of this subscription was revoked.")
}
