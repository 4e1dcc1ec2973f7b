//! PutRecord, one record of 1 KiB a request at a constant rate: against bare hyper with the same durable write.

use std::sync::Arc;

use super::super::Walk;
use super::super::lines::{Goal, Lines};
use crate::Failure;
use crate::bare::http::HttpTarget;
use crate::drive::{Outcome, drive};
use crate::http::endpoint::Endpoint;
use crate::http::puts::ApiPuts;
use crate::load::Load;

pub(crate) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let target = HttpTarget::start(walk.scratch.path(), walk.arguments.server_core, &walk.http_cores())?;
    let data = walk.data("putrecord");
    let broker = walk.start_broker(&data)?;
    walk.session(&broker).await?.create_stream(STREAM, walk.arguments.streams.into()).await?;
    let (bare, ours) = (Endpoint::unproved(target.address), Endpoint::of(broker.access()));
    let mut pairs = Vec::new();
    for _ in walk.pairs() {
        let bare = put_one_by_one(walk, &bare).await?;
        pairs.push((put_one_by_one(walk, &ours).await?, bare));
    }
    let goals = [P50_RATIO_MAX, P99_RATIO_MAX].map(Goal::AtMost);
    lines.compare_latencies([NAME, NAME, "bare_putrecord"], &pairs, Outcome::us, goals);
    lines.client_busy(NAME, NAME, pairs.iter().map(|(ours, _)| ours.client_busy));
    lines.client_busy(NAME, "bare_putrecord", pairs.iter().map(|(_, bare)| bare.client_busy));
    let held = |outcome: &Outcome| outcome.records_per_s >= HELD_LEAST * f64::from(RECORDS_PER_S);
    lines.fact("putrecord_held", pairs.iter().all(|(ours, _)| held(ours)));
    lines.fact("bare_putrecord_held", pairs.iter().all(|(_, bare)| held(bare)));
    lines.fact("putrecord_records_per_s", RECORDS_PER_S);
    lines.fact("putrecord_connections", CONNECTIONS);
    broker.stop()
}

async fn put_one_by_one(walk: &Walk<'_>, endpoint: &Endpoint) -> Result<Outcome, Failure> {
    let puts = Arc::new(ApiPuts::one_by_one(endpoint.clone(), STREAM, CONNECTIONS).await?);
    drive(&puts, Load::Open { records_per_s: RECORDS_PER_S }, walk.window()).await
}

const NAME: &str = "putrecord";
const STREAM: &str = "putrecord";
/// A rate at which neither server nor client is near its limit, on one core for both.
const RECORDS_PER_S: u32 = 1_000;
/// More than are on their way at that rate, but for stalls.
const CONNECTIONS: usize = 16;
const P50_RATIO_MAX: f64 = 1.3;
const P99_RATIO_MAX: f64 = 1.5;
/// The share of the asked rate that counts as held.
const HELD_LEAST: f64 = 0.99;
