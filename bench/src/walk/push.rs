//! Put to push: from the time of a record to its arrival at every registered consumer.
//!
//! A line that fails, because a record was lost or came twice, does not stop the others.

use std::sync::Arc;
use std::time::Duration;

use rheos_protocol::message::{Position, StreamDescription};

use super::Walk;
use super::lines::{Goal, Lines, Names};
use crate::Failure;
use crate::bare::client::Target;
use crate::bare::push::drive_pushes;
use crate::broker::access::Access;
use crate::broker::consumers::{Subscriptions, Wish};
use crate::broker::process::Broker;
use crate::broker::puts::BrokerPuts;
use crate::broker::session::Session;
use crate::deliveries::{Answered, Consumer, Delivered, Deliveries};
use crate::drive::Outcome;
use crate::floor::PUSHES;
use crate::load::{Load, RECORD_BYTES};

/// A run of puts with consumers.
pub(super) struct Run {
    pub(super) delivered: Delivered,
    /// The time that the server's process ran meanwhile.
    server: Duration,
}

impl Run {
    /// Seconds that the server ran for a billion bytes of data at a consumer.
    pub(super) fn server_s_per_gb(&self) -> f64 {
        self.server.as_secs_f64() / (self.delivered.records as f64 * RECORD_BYTES as f64 / 1e9)
    }

    /// Megabytes of data that came to all consumers together, a second.
    pub(super) fn delivered_mb_s(&self) -> f64 {
        self.delivered.records_per_s.iter().sum::<f64>() * RECORD_BYTES as f64 / 1e6
    }

    /// The latency of a put to its push.
    pub(super) fn push_us(&self, percent: f64) -> f64 {
        self.delivered.pushes.percentile_us(percent).unwrap_or(f64::NAN)
    }

    /// The latency of a put to its acknowledgement.
    pub(super) fn ack_us(&self, percent: f64) -> f64 {
        self.acks().latencies.percentile_us(percent).unwrap_or(f64::NAN)
    }

    pub(super) fn acks(&self) -> &Outcome {
        &self.delivered.acks
    }
}

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let target = walk.start_target()?;
    let data = walk.data("push");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("push", walk.arguments.streams.into()).await?;
    let most = PUSHES.iter().map(|(.., consumers)| *consumers).max().unwrap_or(0);
    register(walk, &broker, &stream, most).await?;
    for (name, load, consumers) in PUSHES {
        let mut pairs = Vec::new();
        let measured = async {
            for _ in walk.pairs() {
                let bare = push_bare(walk, &target, consumers, load, Answered::Acked).await?;
                pairs.push((push_broker(walk, &broker, &stream, consumers, load, Answered::Acked).await?, bare));
            }
            Ok(())
        };
        match measured.await {
            Ok(()) => report(name, load, &pairs, lines),
            Err(failure) => lines.failed(name, &failure),
        }
    }
    broker.stop()
}

fn report(name: &str, load: Load, pairs: &[(Run, Run)], lines: &mut Lines) {
    let goals = [PUSH_P50_RATIO_MAX, PUSH_P99_RATIO_MAX].map(Goal::AtMost);
    lines.compare_latencies([name, name, &format!("bare_{name}")], pairs, Run::push_us, goals);
    report_server(name, pairs, lines);
    report_busy(name, pairs, lines);
    if let Load::Open { records_per_s } = load {
        let held = |run: &Run| run.acks().records_per_s >= HELD_LEAST * f64::from(records_per_s);
        lines.fact(format!("{name}_held"), pairs.iter().all(|(ours, _)| held(ours)));
        lines.fact(format!("bare_{name}_held"), pairs.iter().all(|(_, bare)| held(bare)));
    }
}

/// What a delivered gigabyte costs the server: it stands also where the client was too busy.
pub(super) fn report_server(name: &str, pairs: &[(Run, Run)], lines: &mut Lines) {
    let found: Vec<_> = pairs.iter().map(|(ours, bare)| (ours.server_s_per_gb(), bare.server_s_per_gb())).collect();
    let names = Names {
        ratio: &format!("server_{name}_s_per_gb_ratio"),
        ours: &format!("server_{name}_s_per_gb"),
        yardstick: &format!("bare_server_{name}_s_per_gb"),
    };
    lines.compare(names, &found, Goal::None);
}

pub(super) fn report_busy(name: &str, pairs: &[(Run, Run)], lines: &mut Lines) {
    lines.client_busy(name, name, pairs.iter().map(|(ours, _)| ours.acks().client_busy));
    lines.client_busy(name, &format!("bare_{name}"), pairs.iter().map(|(_, bare)| bare.acks().client_busy));
}

/// A load on the bare target, with so many subscribers.
pub(super) async fn push_bare(
    walk: &Walk<'_>,
    target: &Target,
    consumers: usize,
    load: Load,
    answered: Answered,
) -> Result<Run, Failure> {
    let before = target.ran()?;
    let streams = walk.arguments.streams.into();
    let delivered = drive_pushes(target, streams, consumers, load, walk.window(), answered).await?;
    Ok(Run { delivered, server: target.ran()? - before })
}

/// A load on the broker, with so many registered consumers.
pub(super) async fn push_broker(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    consumers: usize,
    load: Load,
    answered: Answered,
) -> Result<Run, Failure> {
    let deliveries = Deliveries::new(consumers, answered);
    let wishes = wishes(walk, broker, stream, 0..consumers, Position::Latest).await?;
    let mut subscriptions = Vec::new();
    for (at, wish) in wishes.iter().enumerate() {
        subscriptions.push(subscribe(broker.access(), walk.launch.mtu_bound, wish, deliveries.consumer(at)).await?);
    }
    drive_broker(walk, broker, stream, &deliveries, load).await
}

/// A load on the broker, whose consumers are subscribed already.
pub(super) async fn drive_broker(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    deliveries: &Arc<Deliveries>,
    load: Load,
) -> Result<Run, Failure> {
    let puts = BrokerPuts::open(walk.session(broker).await?, std::slice::from_ref(stream)).await?.numbered();
    let before = broker.ran()?;
    let delivered = deliveries.drive(puts, load, walk.window()).await?;
    Ok(Run { delivered, server: broker.ran()? - before })
}

/// Registers so many consumers of a stream.
pub(super) async fn register(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    consumers: usize,
) -> Result<(), Failure> {
    let session = walk.session(broker).await?;
    for at in 0..consumers {
        session.register_consumer(&stream.name, &consumer_name(at)).await?;
    }
    Ok(())
}

/// What the consumers of these places are to subscribe to, with an epoch that is newer than any before.
pub(super) async fn wishes(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    places: std::ops::Range<usize>,
    position: Position,
) -> Result<Vec<Wish>, Failure> {
    let session = walk.session(broker).await?;
    let mut wishes = Vec::new();
    for consumer in places.map(consumer_name) {
        let epoch = session.consumer_epoch(&stream.name, &consumer).await?;
        wishes.push(Wish { stream: stream.clone(), consumer, epoch, position });
    }
    Ok(wishes)
}

/// Subscribes on a connection of its own, and takes what is pushed.
pub(super) async fn subscribe(
    access: &Access,
    mtu_bound: u16,
    wish: &Wish,
    consumer: Arc<dyn Consumer>,
) -> Result<Subscriptions, Failure> {
    let session = Session::open(access, mtu_bound).await?;
    Ok(Subscriptions::start(session, wish).await?.take(consumer))
}

fn consumer_name(at: usize) -> String {
    format!("consumer-{at}")
}

const PUSH_P50_RATIO_MAX: f64 = 1.2;
const PUSH_P99_RATIO_MAX: f64 = 1.3;
/// The share of the asked rate that counts as held.
const HELD_LEAST: f64 = 0.99;
