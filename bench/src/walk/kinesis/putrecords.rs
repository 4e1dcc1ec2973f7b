//! PutRecords, 500 records of 1 KiB each, as many as go in: against kinesalite and moto's server.
//!
//! The same client code, connections and bodies here and there; each run has a stream of its own, which goes before
//! the next. rheos proves every signature and answers from the disk; the others look at no signature and keep all in
//! memory. Where a peer cannot be had its lines are null, and stderr says why.

use serde_json::Value;

use super::super::Walk;
use super::super::lines::{Goal, Lines, Names};
use super::super::put::require_room;
use super::{CONNECTIONS, drive_many};
use crate::Failure;
use crate::broker::process::Broker;
use crate::drive::Outcome;
use crate::http::endpoint::Endpoint;
use crate::http::puts::ApiPuts;
use crate::peers::{Kind, Peer};

pub(crate) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("putrecords");
    let broker = walk.start_broker(&data)?;
    lines.fact("putrecords_connections", CONNECTIONS);
    for (kind, goal) in [(Kind::Kinesalite, KINESALITE_LEAST), (Kind::Moto, MOTO_LEAST)] {
        match against(walk, &broker, kind).await {
            Ok(Some(pairs)) => report(kind, goal, &pairs, lines),
            Ok(None) => [ratio_name(kind), p99_name(kind)].into_iter().for_each(|name| lines.fact(name, Value::Null)),
            Err(failure) => lines.failed(kind.name(), &failure),
        }
    }
    broker.stop()
}

/// Runs of the broker and of a peer in turn, theirs first; none where there is no peer.
async fn against(walk: &Walk<'_>, broker: &Broker, kind: Kind) -> Result<Option<Vec<(Outcome, Outcome)>>, Failure> {
    let peer = match Peer::start(kind, &walk.launch.cores).await {
        Ok(peer) => peer,
        Err(failure) => {
            eprintln!("rheos-bench: {} is not compared with: {failure}", kind.name());
            return Ok(None);
        }
    };
    let mut pairs = Vec::new();
    for number in walk.pairs() {
        require_room(walk.scratch.path(), ROOM_BYTES)?;
        let name = format!("putrecords-{number}");
        let theirs = drive_peer(walk, &peer, &name).await?;
        pairs.push((drive_broker(walk, broker, &name).await?, theirs));
    }
    Ok(Some(pairs))
}

async fn drive_broker(walk: &Walk<'_>, broker: &Broker, stream: &str) -> Result<Outcome, Failure> {
    let session = walk.session(broker).await?;
    session.create_stream(stream, walk.arguments.streams.into()).await?;
    let puts = ApiPuts::many_at_once(Endpoint::of(broker.access()), stream, CONNECTIONS).await?;
    let outcome = drive_many(walk, puts).await?;
    session.delete_stream(stream).await?;
    Ok(outcome)
}

async fn drive_peer(walk: &Walk<'_>, peer: &Peer, stream: &str) -> Result<Outcome, Failure> {
    peer.create_stream(stream, walk.arguments.streams.into()).await?;
    let outcome = drive_many(walk, ApiPuts::many_at_once(peer.endpoint().clone(), stream, CONNECTIONS).await?).await?;
    peer.delete_stream(stream).await?;
    Ok(outcome)
}

fn report(kind: Kind, least: f64, pairs: &[(Outcome, Outcome)], lines: &mut Lines) {
    let (ratio, p99, name) = (ratio_name(kind), p99_name(kind), kind.name());
    let rates: Vec<_> = pairs.iter().map(|(ours, theirs)| (ours.records_per_s, theirs.records_per_s)).collect();
    let names = Names {
        ratio: &ratio,
        ours: &format!("{ratio}_records_per_s"),
        yardstick: &format!("{name}_putrecords_records_per_s"),
    };
    lines.compare(names, &rates, Goal::AtLeast(least));
    let p99s: Vec<_> = pairs.iter().map(|(ours, theirs)| (ours.us(99.0), theirs.us(99.0))).collect();
    let names = Names { ratio: &p99, ours: &format!("{p99}_us"), yardstick: &format!("{name}_putrecords_p99_us") };
    lines.compare(names, &p99s, Goal::AtMost(P99_RATIO_MAX));
    let busy = |of: fn(&(Outcome, Outcome)) -> &Outcome| pairs.iter().map(move |pair| of(pair).client_busy);
    lines.client_busy("putrecords", &ratio, busy(|pair| &pair.0));
    lines.client_busy("putrecords", &format!("{name}_putrecords"), busy(|pair| &pair.1));
}

fn ratio_name(kind: Kind) -> String {
    format!("putrecords_vs_{}", kind.name())
}

fn p99_name(kind: Kind) -> String {
    format!("putrecords_p99_vs_{}", kind.name())
}

const KINESALITE_LEAST: f64 = 10.0;
const MOTO_LEAST: f64 = 5.0;
/// Ours has to be lower.
const P99_RATIO_MAX: f64 = 1.0;
/// What one run may write, and room to spare.
const ROOM_BYTES: u64 = 8 << 30;
