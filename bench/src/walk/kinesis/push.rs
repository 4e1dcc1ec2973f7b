//! SubscribeToShard: from a native put to its arrival in an event, against its arrival at a native consumer.
//!
//! The puts are the same on both sides, and so is the stream, of one shard; only who subscribes differs.

use rheos_protocol::message::StreamDescription;

use super::super::Walk;
use super::super::lines::{Goal, Lines};
use super::super::push::{Run, drive_broker, push_broker, register, report_busy};
use crate::Failure;
use crate::broker::process::Broker;
use crate::deliveries::{Answered, Deliveries};
use crate::http::endpoint::{Endpoint, REGION};
use crate::http::subscription::ApiSubscription;
use crate::load::Load;

pub(crate) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("subscribe");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("subscribe", 1).await?;
    register(walk, &broker, &stream, 1).await?;
    let mut pairs = Vec::new();
    for number in walk.pairs() {
        let native = push_broker(walk, &broker, &stream, 1, LOAD, Answered::Acked).await?;
        pairs.push((push_face(walk, &broker, &stream, number).await?, native));
    }
    let goals = [Goal::AtMost(P50_RATIO_MAX), Goal::None];
    lines.compare_latencies([NAME, NAME, "native_push"], &pairs, Run::push_us, goals);
    report_busy(NAME, &pairs, lines);
    broker.stop()
}

/// The load with a consumer over HTTP: a new one each time, because one may not subscribe again at once.
async fn push_face(walk: &Walk<'_>, broker: &Broker, stream: &StreamDescription, number: u16) -> Result<Run, Failure> {
    let name = format!("face-{number}");
    let registered = walk.session(broker).await?.register_consumer(&stream.name, &name).await?;
    let created_s = registered.created_ms / 1_000;
    let arn = format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{}/consumer/{name}:{created_s}", stream.name);
    let deliveries = Deliveries::new(1, Answered::Acked);
    let endpoint = Endpoint::of(broker.access());
    let _subscription = ApiSubscription::start(&endpoint, &arn, SHARD, deliveries.consumer(0)).await?;
    drive_broker(walk, broker, stream, &deliveries, LOAD).await
}

const NAME: &str = "subscribe_push";
/// The account of a broker that is told no other.
const ACCOUNT: &str = "000000000000";
/// The only one.
const SHARD: &str = "shardId-000000000000";
const LOAD: Load = Load::Open { records_per_s: 1_000 };
const P50_RATIO_MAX: f64 = 1.5;
