//! Push on the bare target: what has been put is, once it is on the disk, sent to every subscriber.
//!
//! What is sent is the written buffer itself, shared and not copied: put frames one after the other, as
//! they were put. An empty frame comes first, and says that the subscriber will get what is put from
//! then on. A subscriber subscribes while no put is on its way, so that it begins with a whole frame.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::task::JoinHandle;

use super::client::{BarePuts, Target, open};
use super::{LENGTH_BYTES, NUMBER_BYTES, SUBSCRIBE};
use crate::Failure;
use crate::byte_stream::ByteStream;
use crate::deliveries::{Answered, Consumer, Delivered, Deliveries};
use crate::load::{Load, RECORD_BYTES, Window};

/// The target's subscribers, owned by its lane.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Vec<Subscriber>);

/// One subscriber, and what its windows have not taken yet.
#[derive(Debug)]
struct Subscriber {
    pushes: SendStream,
    backlog: VecDeque<Bytes>,
    backlog_bytes: usize,
}

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a subscriber and tells it so.
    pub(super) fn add(&mut self, pushes: SendStream, cx: &mut Context<'_>) {
        let mut subscriber = Subscriber { pushes, backlog: VecDeque::new(), backlog_bytes: 0 };
        if subscriber.push(&Bytes::from_static(&[0; LENGTH_BYTES]), cx) {
            self.0.push(subscriber);
        }
    }

    /// Sends the same bytes to each. Who has gone, or is too far behind, is a subscriber no more.
    pub(super) fn push(&mut self, bytes: &Bytes, cx: &mut Context<'_>) {
        self.0.retain_mut(|subscriber| subscriber.push(bytes, cx));
    }

    /// Sends what their windows take now of what they did not take before.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>) {
        self.0.retain_mut(|subscriber| subscriber.backlog.is_empty() || subscriber.send(cx));
    }
}

impl Subscriber {
    fn push(&mut self, bytes: &Bytes, cx: &mut Context<'_>) -> bool {
        self.backlog.push_back(bytes.clone());
        self.backlog_bytes += bytes.len();
        let is_behind = self.backlog_bytes > BACKLOG_BYTES_MAX;
        if is_behind {
            eprintln!("bare-target: a subscriber is {} MiB behind and is given up", self.backlog_bytes >> 20);
        }
        !is_behind && self.send(cx)
    }

    /// False when the subscriber has gone.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.backlog.is_empty() {
            // What is taken is cut off the front; a future that is dropped has taken nothing.
            let sent = pin!(self.pushes.write_chunks(self.backlog.make_contiguous())).poll(cx);
            match sent {
                Poll::Ready(Ok(written)) => {
                    self.backlog_bytes -= written.bytes;
                    self.backlog.drain(..written.chunks);
                }
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => break,
            }
        }
        true
    }
}

/// A load on a target with so many subscribers, each on a connection of its own.
pub(crate) async fn drive_pushes(
    target: &Target,
    streams: usize,
    consumers: usize,
    load: Load,
    window: Window,
    answered: Answered,
) -> Result<Delivered, Failure> {
    let deliveries = Deliveries::new(consumers, answered);
    let mut subscriptions = Vec::new();
    for at in 0..consumers {
        subscriptions.push(BareSubscription::start(target.connect().await?, deliveries.consumer(at)).await?);
    }
    let puts = BarePuts::open(target.connect().await?, streams).await?.numbered();
    deliveries.drive(puts, load, window).await
}

/// A subscription to a bare target; ends with this value.
struct BareSubscription {
    taking: JoinHandle<()>,
    connection: Connection,
}

impl BareSubscription {
    /// Subscribes on a connection of its own, and gives what is pushed to `consumer`.
    async fn start(connection: Connection, consumer: Arc<dyn Consumer>) -> Result<Self, Failure> {
        let (_, recv) = open(&connection, SUBSCRIBE).await?;
        let mut frames = PushedFrames::new(recv);
        if frames.next().await?.is_some() {
            return Err("the bare target pushed before it said that it would".into());
        }
        let taking = tokio::spawn(async move {
            let failure = loop {
                match frames.next().await {
                    Ok(Some((first, records))) => {
                        if let Err(failure) = consumer.take(first, records) {
                            break failure;
                        }
                    }
                    Ok(None) => break "the bare target pushed an empty frame".into(),
                    Err(failure) => break failure,
                }
            };
            consumer.fail(failure);
        });
        Ok(Self { taking, connection })
    }
}

impl Drop for BareSubscription {
    fn drop(&mut self) {
        self.taking.abort();
        self.connection.close(VarInt::from_u32(0), b"done");
    }
}

/// The frames of a subscription.
struct PushedFrames(ByteStream);

impl PushedFrames {
    fn new(recv: RecvStream) -> Self {
        Self(ByteStream::new(recv))
    }

    /// The number of the first record of the next frame, once all of it is there, and how many there
    /// are; none of an empty frame.
    async fn next(&mut self) -> Result<Option<(u64, u32)>, Failure> {
        let mut left = LENGTH_BYTES as u64;
        let length = u32::from_le_bytes(self.0.array(&mut left).await?);
        if length == 0 {
            return Ok(None);
        }
        if !(length as usize).is_multiple_of(RECORD_BYTES) {
            return Err(format!("the bare target pushed {length} bytes, which are no records").into());
        }
        let mut left = u64::from(length);
        let first = u64::from_le_bytes(self.0.array::<NUMBER_BYTES>(&mut left).await?);
        let rest = left;
        self.0.skip(rest, &mut left).await?;
        Ok(Some((first, length / RECORD_BYTES as u32)))
    }
}

/// How far a subscriber may be behind. All of them share the same bytes.
const BACKLOG_BYTES_MAX: usize = 256 << 20;
