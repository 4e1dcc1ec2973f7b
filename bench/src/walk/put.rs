//! Puts: acknowledgements one in flight and at constant rates, and ingest in a closed loop.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rheos_broker::directory::Layout;
use rheos_protocol::message::StreamDescription;

use super::Walk;
use super::lines::{Goal, Lines, Names};
use crate::Failure;
use crate::bare::client::{BarePuts, Target};
use crate::broker::process::{Broker, Data};
use crate::broker::puts::BrokerPuts;
use crate::drive::{Outcome, drive};
use crate::floor::LOADS;
use crate::load::Load;

/// A run on the broker and the run on the bare target before it.
type Pair = (Outcome, Outcome);

/// Measures every load but ingest.
pub(super) async fn measure_puts(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let target = walk.start_target()?;
    let data = walk.data("put");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("put", walk.arguments.streams.into()).await?;
    for (name, load) in LOADS.into_iter().filter(|(name, _)| *name != INGEST) {
        let mut pairs = Vec::new();
        for _ in walk.pairs() {
            let bare = drive_bare(walk, &target, load).await?;
            pairs.push((drive_broker(walk, &broker, std::slice::from_ref(&stream), load).await?, bare));
        }
        report_latencies(name, load, &pairs, lines);
    }
    broker.stop()
}

/// Measures ingest, each time into a stream of its own, which goes before the next.
pub(super) async fn measure_ingest(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let target = walk.start_target()?;
    let data = walk.data("ingest");
    let broker = walk.start_broker(&data)?;
    let load = super::load(INGEST);
    let mut pairs = Vec::new();
    for number in walk.pairs() {
        require_room(data.path(), INGEST_ROOM_BYTES)?;
        let bare = drive_bare(walk, &target, load).await?;
        let name = format!("ingest-{number}");
        let stream = walk.session(&broker).await?.create_stream(&name, walk.arguments.streams.into()).await?;
        pairs.push((drive_broker(walk, &broker, &[stream], load).await?, bare));
        walk.session(&broker).await?.delete_stream(&name).await?;
        wait_until_removed(&data).await;
    }
    let rates: Vec<_> = pairs.iter().map(|(ours, bare)| (ours.records_per_s, bare.records_per_s)).collect();
    let names = Names { ratio: "ingest_ratio", ours: "ingest_records_per_s", yardstick: "bare_ingest_records_per_s" };
    lines.compare(names, &rates, Goal::AtLeast(INGEST_RATIO_LEAST));
    report_busy(INGEST, &pairs, lines);
    broker.stop()
}

/// A load on the broker, from a connection and a producer of its own.
pub(super) async fn drive_broker(
    walk: &Walk<'_>,
    broker: &Broker,
    streams: &[StreamDescription],
    load: Load,
) -> Result<Outcome, Failure> {
    let puts = Arc::new(BrokerPuts::open(walk.session(broker).await?, streams).await?);
    drive(&puts, load, walk.window()).await
}

/// Fails unless the file system has so much room.
pub(super) fn require_room(below: &Path, bytes: u64) -> Result<(), Failure> {
    let free = Layout::new(below).free_bytes()?;
    if free < bytes {
        let (free, needed) = (free >> 30, bytes >> 30);
        return Err(format!("{} has {free} GiB free; the rig needs {needed} GiB there", below.display()).into());
    }
    Ok(())
}

async fn drive_bare(walk: &Walk<'_>, target: &Target, load: Load) -> Result<Outcome, Failure> {
    let puts = Arc::new(BarePuts::open(target.connect().await?, walk.arguments.streams.into()).await?);
    drive(&puts, load, walk.window()).await
}

fn report_latencies(name: &str, load: Load, pairs: &[Pair], lines: &mut Lines) {
    let goals = [PUT_P50_RATIO_MAX, PUT_P99_RATIO_MAX].map(Goal::AtMost);
    lines.compare_latencies([name, name, &format!("bare_{name}")], pairs, Outcome::us, goals);
    report_busy(name, pairs, lines);
    if let Load::Open { records_per_s } = load {
        let held = |outcome: &Outcome| outcome.records_per_s >= HELD_LEAST * f64::from(records_per_s);
        lines.fact(format!("{name}_held"), pairs.iter().all(|(ours, _)| held(ours)));
        lines.fact(format!("bare_{name}_held"), pairs.iter().all(|(_, bare)| held(bare)));
    }
}

fn report_busy(name: &str, pairs: &[Pair], lines: &mut Lines) {
    lines.client_busy(name, name, pairs.iter().map(|(ours, _)| ours.client_busy));
    lines.client_busy(name, &format!("bare_{name}"), pairs.iter().map(|(_, bare)| bare.client_busy));
}

/// Waits until the files of deleted streams have gone, so that their going is not measured.
async fn wait_until_removed(data: &Data) {
    let deadline = Instant::now() + REMOVED_MAX;
    while data.disk_bytes() > REMOVED_BYTES && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const INGEST: &str = "ingest";
const PUT_P50_RATIO_MAX: f64 = 1.15;
const PUT_P99_RATIO_MAX: f64 = 1.25;
const INGEST_RATIO_LEAST: f64 = 0.85;
/// The share of the asked rate that counts as held.
const HELD_LEAST: f64 = 0.99;
/// What one run of ingest may write, and room to spare.
const INGEST_ROOM_BYTES: u64 = 24 << 30;
const REMOVED_BYTES: u64 = 512 << 20;
const REMOVED_MAX: Duration = Duration::from_secs(20);
