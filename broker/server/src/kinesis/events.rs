//! The events of one SubscribeToShard: what is pushed, as messages of an event stream, for five minutes.
//!
//! ```text
//!   lane ─► subscription.rs ─► batches ─► event ─► message, made when HTTP wants one
//!                                         ▲ every five seconds one of nothing
//! ```
//!
//! What must hold: `initial-response` comes first; there is an event at least every five seconds; an event has a
//! continuation or children, and the latter is the last; nothing is taken of the lane before the
//! client takes it; who has lost its key, its consumer or its place hears so and gets no more. A client that has gone
//! drops it, and with it its place in the lane.

use std::mem;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use rheos_kinesis::codec::Encoding;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::event_stream;
use rheos_kinesis::records;
use rheos_kinesis::value::Structure;
use rheos_protocol::batch::Batch;
use rheos_protocol::message::PushEnd;
use tokio::time::{Instant, sleep_until};

use super::asking::batches_of;
use super::call::{Call, Subject};
use super::subscription::Subscription;
use crate::broker::Broker;
use crate::clock;
use crate::http::Frames;
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
    /// Without one there is nothing but the end of the shard.
    subscription: Option<Subscription>,
    /// Batches with records that are still to be given.
    rest: Vec<Batch>,
    /// How far behind the tip it was with the last event, in ms.
    behind_ms: u64,
    stage: Stage,
    pulse: Pulse,
}

/// How far the answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Opening,
    Running,
    /// The last message was made.
    Over,
}

/// What comes next.
enum Next {
    Batches {
        batches: Vec<Batch>,
        behind_ms: u64,
    },
    /// Nothing has come for long enough.
    Nothing,
    /// What was to come before this sequence has expired. The client comes again from behind it.
    Expired(u64),
    ShardEnd,
    /// It ends without a word, and the client comes again.
    Over,
    Failed(Error),
}

impl Events {
    /// The events of a subscription that may begin.
    pub(super) fn new(
        call: &Call<'_>,
        subject: Subject,
        incarnation: u64,
        records: records::Subscription,
        subscription: Option<Subscription>,
    ) -> Events {
        Events {
            broker: Arc::downgrade(call.broker),
            principal: call.caller.principal.principal().clone(),
            subject,
            incarnation,
            encoding: call.encoding,
            records,
            subscription,
            rest: Vec::new(),
            behind_ms: 0,
            stage: Stage::Opening,
            pulse: Pulse::begin(),
        }
    }

    /// The messages, made as they are taken.
    pub(super) fn frames(self) -> Frames {
        Frames::new(self, Events::message)
    }

    /// The next message, and what makes those after it.
    async fn message(mut self) -> Option<(Bytes, Events)> {
        match self.stage {
            Stage::Over => None,
            Stage::Opening => {
                self.stage = Stage::Running;
                Some((event_stream::initial_response(self.encoding), self))
            }
            Stage::Running => {
                let message = self.next_message().await?;
                Some((message, self))
            }
        }
    }

    async fn next_message(&mut self) -> Option<Bytes> {
        let next = self.next().await;
        let now_ms = clock::now().wall_ms;
        // Asked after every wait, however it ended.
        if !self.broker.upgrade().is_some_and(|broker| broker.is_live(&self.principal)) {
            return Some(self.fail(&key_is_gone()));
        }
        match next {
            Next::Batches { batches, behind_ms } => {
                self.behind_ms = behind_ms;
                let event = self.records.event(&batches, behind_ms, now_ms);
                if self.records.has_more(&batches) {
                    self.rest = batches;
                } else if let Some(subscription) = &self.subscription {
                    subscription.taken(&batches);
                }
                Some(self.event(&event))
            }
            Next::Nothing => {
                let event = self.records.event(&[], self.behind_ms, now_ms);
                Some(self.event(&event))
            }
            Next::Expired(first_kept) => {
                self.records.pass_over(first_kept);
                self.stage = Stage::Over;
                let event = self.records.event(&[], self.behind_ms, now_ms);
                Some(self.event(&event))
            }
            Next::ShardEnd => {
                let event = self.last_event().await?;
                self.stage = Stage::Over;
                Some(self.event(&event))
            }
            Next::Failed(error) => Some(self.fail(&error)),
            Next::Over => None,
        }
    }

    async fn next(&mut self) -> Next {
        if !self.rest.is_empty() {
            return Next::Batches { batches: mem::take(&mut self.rest), behind_ms: self.behind_ms };
        }
        let Some(subscription) = &mut self.subscription else { return Next::ShardEnd };
        tokio::select! {
            pushed = subscription.next() => self.understood(pushed),
            due = self.pulse.due() => match due {
                Due::Event => Next::Nothing,
                Due::End => Next::Over,
            },
        }
    }

    fn understood(&self, pushed: Option<PushedApart>) -> Next {
        match pushed {
            Some(PushedApart::Batches { fields, batches }) => match batches_of(batches) {
                Ok(batches) => Next::Batches { batches, behind_ms: fields.behind_ms },
                Err(error) => Next::Failed(self.subject.refusal(&error)),
            },
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
            // Without a word the client would come again from where it was, and end here again.
            PushEnd::Trimmed(first_kept) => Next::Expired(first_kept),
            PushEnd::GoingAway(_) => Next::Over,
            PushEnd::Error(error) => Next::Failed(self.subject.refusal(&error)),
        }
    }

    /// The last event, once the catalog says what the lane knows already. None where the stream or the shard has gone, or
    /// the catalog takes too long: whoever comes again hears how it stands.
    async fn last_event(&mut self) -> Option<Structure> {
        let given_up = Instant::now() + EVENT_EVERY;
        while Instant::now() < given_up {
            let stream = self.broker.upgrade()?.streams.by_incarnation(self.incarnation)?;
            if let Some(event) = self.records.last_event(&stream) {
                return Some(event);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        None
    }

    fn event(&self, event: &Structure) -> Bytes {
        event_stream::event("SubscribeToShardEvent", self.encoding, self.encoding.encode(event).into())
    }

    /// The last message of a stream that ends with an error.
    fn fail(&mut self, error: &Error) -> Bytes {
        self.stage = Stage::Over;
        match error.kind {
            ErrorKind::InternalFailure | ErrorKind::ServiceUnavailable => {
                event_stream::error(error.kind.name(), error.text())
            }
            _ => event_stream::exception(self.encoding, error),
        }
    }
}

/// When there is something to be done although nothing is pushed.
struct Pulse {
    ends: Instant,
}

/// What is to be done then.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// An event of nothing.
    Event,
    /// The end.
    End,
}

impl Pulse {
    /// That of a subscription that begins now.
    fn begin() -> Pulse {
        Pulse { ends: Instant::now() + LIFE }
    }

    /// Ready when something is due of which nothing was done since this was called.
    async fn due(&self) -> Due {
        let event = Instant::now() + EVENT_EVERY;
        sleep_until(event.min(self.ends)).await;
        if Instant::now() >= self.ends { Due::End } else { Due::Event }
    }
}

fn key_is_gone() -> Error {
    Error::new(ErrorKind::AccessDenied, "The access key of this subscription was revoked.")
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_event_is_due_every_five_seconds_and_the_end_after_five_minutes() {
        let (pulse, begun) = (Pulse::begin(), Instant::now());
        for event in 1..60 {
            assert_eq!(pulse.due().await, Due::Event);
            assert_eq!(begun.elapsed(), event * EVENT_EVERY);
        }
        assert_eq!((pulse.due().await, begun.elapsed()), (Due::End, LIFE));
        assert_eq!((pulse.due().await, begun.elapsed()), (Due::End, LIFE), "it stays over");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_pushed_puts_off_an_event_and_not_the_end() {
        let (pulse, begun) = (Pulse::begin(), Instant::now());
        // It is asked anew after each push.
        for _ in 0..74 {
            assert!(timeout(EVENT_EVERY - Duration::from_secs(1), pulse.due()).await.is_err());
        }
        assert_eq!((pulse.due().await, begun.elapsed()), (Due::End, LIFE));
        advance(LIFE).await;
        assert_eq!(pulse.due().await, Due::End);
    }
}
