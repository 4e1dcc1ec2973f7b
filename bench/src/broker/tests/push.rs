//! The listener's pushes, as a broker's: whole batches to who has credit, each subscription in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use quinn::Connection;
use rheos_protocol::message::{
    ConsumerDescription, ConsumerOf, ConsumerTerms, Position, Push, Reply, Request, StreamDescription,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{Listener, Memory};
use crate::Failure;
use crate::broker::consumers::{Subscriptions, Wish};
use crate::broker::puts::BrokerPuts;
use crate::deliveries::{Answered, Consumer, Deliveries};
use crate::drive::Puts;
use crate::load::{Load, Window};

/// What is subscribed, and what goes wrong with it.
#[derive(Default)]
pub(super) struct Pushes {
    subscriptions: Mutex<Vec<Subscription>>,
    /// The batch of each subscription, from 0, that comes twice.
    pub(super) repeat: Option<usize>,
    /// The batch of each subscription that does not come.
    pub(super) skip: Option<usize>,
}

struct Subscription {
    connection: usize,
    id: u64,
    shard: (u64, u32),
    /// The batch that comes next.
    next: usize,
    credit: i64,
    out: UnboundedSender<BytesMut>,
}

impl Memory {
    /// Answers what stands on a subscription stream; none of what does not concern consumers. Credit has no reply.
    pub(super) fn subscription(&self, connection: &Connection, id: u64, request: &Request) -> Option<Option<Reply>> {
        let reply = match request {
            Request::RegisterConsumer(ConsumerTerms { consumer, .. })
            | Request::DescribeConsumer(ConsumerOf { consumer, .. }) => {
                let (name, incarnation, epoch) = (consumer.clone(), 1, 1);
                let described = ConsumerDescription { name, incarnation, created_ms: 0, epoch, reserved_bytes: 0 };
                Some(Reply::Consumer(described))
            }
            Request::Subscribe(subscribe) => {
                let shard = (subscribe.incarnation, subscribe.shard);
                let stored = self.shards.lock().expect("no panic while held").get(&shard).map_or(0, Vec::len);
                let next = if subscribe.position == Position::TrimHorizon { 0 } else { stored };
                let credit = subscribe.credit as i64;
                let (connection, out) = (connection.stable_id(), push_stream(connection.clone()));
                let subscription = Subscription { connection, id, shard, next, credit, out };
                self.pushes.subscriptions.lock().expect("no panic while held").push(subscription);
                Some(Reply::Subscribed(next as u64))
            }
            Request::Credit(bytes) => {
                let mut subscriptions = self.pushes.subscriptions.lock().expect("no panic while held");
                let known = |subscription: &&mut Subscription| {
                    (subscription.connection, subscription.id) == (connection.stable_id(), id)
                };
                subscriptions.iter_mut().find(known).expect("it is subscribed").credit += *bytes as i64;
                None
            }
            _ => return None,
        };
        self.push();
        Some(reply)
    }

    /// Pushes what is there to all who have credit.
    pub(super) fn push(&self) {
        let shards = self.shards.lock().expect("no panic while held");
        for subscription in self.pushes.subscriptions.lock().expect("no panic while held").iter_mut() {
            let Some(stored) = shards.get(&subscription.shard) else { continue };
            while subscription.credit > 0 && subscription.next < stored.len() {
                let batches = stored[subscription.next].bytes().clone();
                let times = match Some(subscription.next) {
                    place if place == self.pushes.repeat => 2,
                    place if place == self.pushes.skip => 0,
                    _ => 1,
                };
                for _ in 0..times {
                    let mut frame = BytesMut::new();
                    let push = Push { behind_ms: 0, tip_sequence: 0, batches: batches.clone() };
                    Reply::Push(push).write(subscription.id, &mut frame);
                    // The rig may be gone.
                    let _ = subscription.out.send(frame);
                }
                subscription.credit -= batches.len() as i64;
                subscription.next += 1;
            }
        }
    }
}

/// A push stream, which the broker opens.
fn push_stream(connection: Connection) -> UnboundedSender<BytesMut> {
    let (out, mut frames) = unbounded_channel::<BytesMut>();
    tokio::spawn(async move {
        let Ok(mut send) = connection.open_uni().await else { return };
        while let Some(frame) = frames.recv().await {
            if send.write_chunk(frame.freeze()).await.is_err() {
                return;
            }
        }
    });
    out
}

async fn subscribe(listener: &Listener, stream: &StreamDescription, consumer: Arc<dyn Consumer>) -> Subscriptions {
    let session = listener.session().await;
    session.register_consumer(&stream.name, "c").await.expect("it is made");
    let epoch = session.consumer_epoch(&stream.name, "c").await.expect("it is there");
    let wish = Wish { stream: stream.clone(), consumer: "c".to_owned(), epoch, position: Position::Latest };
    Subscriptions::start(session, &wish).await.expect("it is answered").take(consumer)
}

async fn run(pushes: Pushes, load: Load, answered: Answered) -> Result<(), Failure> {
    let listener = Listener::pushing(pushes);
    let stream = listener.session().await.create_stream("s", 2).await?;
    let before = BrokerPuts::open(listener.session().await, std::slice::from_ref(&stream)).await?;
    before.put(0, 5).await?;
    let deliveries = Deliveries::new(3, answered);
    let mut subscriptions = Vec::new();
    for at in 0..3 {
        subscriptions.push(subscribe(&listener, &stream, deliveries.consumer(at)).await);
    }
    let puts = BrokerPuts::open(listener.session().await, &[stream]).await?.numbered();
    let window = Window { warm_up: Duration::from_millis(20), measured: Duration::from_millis(300) };
    let delivered = deliveries.drive(puts, load, window).await?;
    assert!(delivered.pushes.count() > 0);
    assert_eq!(delivered.records, delivered.acks.records_sent * 3);
    Ok(())
}

#[tokio::test]
async fn what_is_put_arrives_at_every_consumer_once() {
    run(Pushes::default(), Load::Open { records_per_s: 2_000 }, Answered::Acked).await.expect("all arrives");
}

#[tokio::test]
async fn more_arrives_than_the_credit_was_at_first() {
    let load = Load::Closed { batches: 1_000, records: 64 };
    run(Pushes::default(), load, Answered::Delivered).await.expect("all arrives");
}

#[tokio::test]
async fn what_is_pushed_twice_or_skipped_fails_the_run() {
    let load = Load::Open { records_per_s: 2_000 };
    for pushes in [Pushes { repeat: Some(3), ..Pushes::default() }, Pushes { skip: Some(3), ..Pushes::default() }] {
        let failure = run(pushes, load, Answered::Acked).await.expect_err("a batch is wrong").to_string();
        assert!(failure.contains("was pushed where"), "{failure}");
    }
}
