//! Egress: as many bytes to registered consumers as go out, in a closed loop.
//!
//! A put is answered when all consumers have it, so that both sides go as fast as what they push, and
//! neither puts more than it delivers.

use super::Walk;
use super::lines::{Goal, Lines, Names};
use super::push::{push_bare, push_broker, register, report_busy, report_server};
use crate::Failure;
use crate::deliveries::Answered;
use crate::load::{BATCH_RECORDS_MAX, BATCHES_IN_FLIGHT_MAX, Load};

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let target = walk.start_target()?;
    let data = walk.data("egress");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("egress", walk.arguments.streams.into()).await?;
    register(walk, &broker, &stream, CONSUMERS).await?;
    let mut pairs = Vec::new();
    for _ in walk.pairs() {
        let bare = push_bare(walk, &target, CONSUMERS, LOAD, Answered::Delivered).await?;
        pairs.push((push_broker(walk, &broker, &stream, CONSUMERS, LOAD, Answered::Delivered).await?, bare));
    }
    let rates: Vec<_> = pairs.iter().map(|(ours, bare)| (ours.delivered_mb_s(), bare.delivered_mb_s())).collect();
    let names = Names { ratio: "egress_ratio", ours: "egress_mb_s", yardstick: "bare_egress_mb_s" };
    lines.compare(names, &rates, Goal::AtLeast(EGRESS_RATIO_LEAST));
    report_server("egress", &pairs, lines);
    report_busy("egress", &pairs, lines);
    broker.stop()
}

const CONSUMERS: usize = 8;
const LOAD: Load = Load::Closed { batches: BATCHES_IN_FLIGHT_MAX, records: BATCH_RECORDS_MAX };
const EGRESS_RATIO_LEAST: f64 = 0.85;
