//! Busy streams: the same records a second over a thousand streams and over one.

use std::sync::Arc;

use rheos_protocol::message::StreamDescription;

use super::Walk;
use super::lines::{Goal, Lines};
use super::put::drive_broker;
use crate::Failure;
use crate::broker::puts::BrokerPuts;
use crate::broker::session::Session;
use crate::drive::{Outcome, Puts};

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("busy");
    let broker = walk.start_broker(&data)?;
    let session = walk.session(&broker).await?;
    let one = [session.create_stream("one", 1).await?];
    let many = create_streams(&session, STREAMS).await?;
    drop(session);
    // The first put to a log makes its files, which is not what is measured.
    put_once_to_each(walk.session(&broker).await?, &many).await?;

    let load = super::load("put_10k");
    let mut pairs = Vec::new();
    for _ in walk.pairs() {
        let alone = drive_broker(walk, &broker, &one, load).await?;
        pairs.push((drive_broker(walk, &broker, &many, load).await?, alone));
    }
    let names = ["busy_1000_streams", "busy_1000_streams", "busy_1_stream"];
    lines.compare_latencies(names, &pairs, Outcome::us, [Goal::None, Goal::AtMost(P99_RATIO_MAX)]);
    lines.client_busy("busy_1000_streams", "busy_1000_streams", pairs.iter().map(|(many, _)| many.client_busy));
    lines.client_busy("busy_1000_streams", "busy_1_stream", pairs.iter().map(|(_, one)| one.client_busy));
    broker.stop()
}

/// Makes so many streams of one shard.
pub(super) async fn create_streams(session: &Session, count: u32) -> Result<Vec<StreamDescription>, Failure> {
    let mut streams = Vec::new();
    for number in 0..count {
        streams.push(session.create_stream(&format!("many-{number}"), 1).await?);
    }
    Ok(streams)
}

/// Puts one record to each stream, a few at a time.
pub(super) async fn put_once_to_each(session: Session, streams: &[StreamDescription]) -> Result<(), Failure> {
    let puts = Arc::new(BrokerPuts::open(session, streams).await?);
    for some in streams.chunks(PUTS_AT_ONCE) {
        let acked: Vec<_> = some.iter().map(|_| puts.put(0, 1)).collect();
        for acked in acked {
            acked.await?;
        }
    }
    Ok(())
}

/// Streams of the many.
pub(super) const STREAMS: u32 = 1_000;
const P99_RATIO_MAX: f64 = 3.0;
const PUTS_AT_ONCE: usize = 32;
