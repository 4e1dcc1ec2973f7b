//! Two lanes with a client each, against one lane with one.
//!
//! Each client puts, in a closed loop, to the shards of its lane alone, over a connection that begins on
//! it. With four cores that shows what a second lane brings. With fewer, lanes and clients take turns,
//! and what is compared is the time that the broker runs for a million records.

use rheos_broker::transport;

use super::Walk;
use super::aside::on_thread;
use super::lines::{Goal, Lines, Names};
use super::put::require_room;
use crate::Failure;
use crate::broker::process::{Broker, Launch};
use crate::broker::puts::BrokerPuts;
use crate::broker::session::Dialer;
use crate::drive::{Outcome, drive};

/// What one run brought.
struct Run {
    records_per_s: f64,
    broker_s_per_million: f64,
    /// Of the busiest client.
    client_busy: f64,
}

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let cores = cores(walk)?;
    let mut pairs = Vec::new();
    for number in walk.pairs() {
        let one = run(walk, number, &cores[..1]).await?;
        pairs.push((run(walk, number, &cores).await?, one));
    }
    if has_four(walk) {
        let rates: Vec<_> = pairs.iter().map(|(two, one)| (two.records_per_s, one.records_per_s)).collect();
        let names =
            Names { ratio: "two_lane_speedup", ours: "two_lanes_records_per_s", yardstick: "one_lane_records_per_s" };
        lines.compare(names, &rates, Goal::None);
        lines.client_busy("two_lane", "two_lanes", pairs.iter().map(|(two, _)| two.client_busy));
        lines.client_busy("two_lane", "one_lane", pairs.iter().map(|(_, one)| one.client_busy));
    } else {
        // What was not measured is not guessed.
        lines.fact("two_lane_speedup", serde_json::Value::Null);
    }
    let costs: Vec<_> = pairs.iter().map(|(two, one)| (two.broker_s_per_million, one.broker_s_per_million)).collect();
    let names = Names {
        ratio: "lanes_s_per_million_ratio",
        ours: "two_lanes_s_per_million",
        yardstick: "one_lane_s_per_million",
    };
    lines.compare(names, &costs, Goal::None);
    Ok(())
}

/// The cores of each lane and of its client.
fn cores(walk: &Walk<'_>) -> Result<[(usize, usize); 2], Failure> {
    let (server, client) = (walk.arguments.server_core, walk.arguments.client_core);
    let spare = walk.spare_cores();
    match spare[..] {
        _ if server == client => Err("two lanes need two cores: give --server-core and --client-core two".into()),
        [second, its_client, ..] => Ok([(server, client), (second, its_client)]),
        _ => Ok([(server, client), (client, client)]),
    }
}

fn has_four(walk: &Walk<'_>) -> bool {
    walk.spare_cores().len() >= 2
}

/// A broker with a lane on each of these cores, and its clients.
async fn run(walk: &Walk<'_>, number: u16, cores: &[(usize, usize)]) -> Result<Run, Failure> {
    require_room(walk.scratch.path(), ROOM_BYTES)?;
    let data = walk.data(&format!("lanes-{}-{number}", cores.len()));
    let launch = Launch { lane_cores: cores.iter().map(|(lane, _)| *lane).collect(), ..walk.launch.clone() };
    let broker = Broker::start(&launch, &data)?;
    // One shard for each put stream of each lane's client.
    let shards = u32::from(walk.arguments.streams) * cores.len() as u32;
    let stream = walk.session(&broker).await?.create_stream("lanes", shards).await?;

    let before = broker.ran()?;
    let mut clients = Vec::new();
    for (lane, (_, core)) in (0..).zip(cores) {
        let mut of_lane = stream.clone();
        of_lane.shards.retain(|shard| shard.lane == u16::from(lane));
        let (access, mtu_bound, window) = (broker.access().clone(), walk.launch.mtu_bound, walk.window());
        let client = on_thread(*core, async move {
            let dialer = Dialer::new(&access, transport::client(mtu_bound), mtu_bound)?.on_lane(lane);
            let puts = BrokerPuts::open(dialer.connect().await?, &[of_lane]).await?;
            drive(&std::sync::Arc::new(puts), super::load("ingest"), window).await
        });
        clients.push(tokio::spawn(client));
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for client in clients {
        outcomes.push(client.await??);
    }
    let ran = broker.ran()? - before;
    broker.stop()?;
    let records: u64 = outcomes.iter().map(|outcome| outcome.records_sent).sum();
    Ok(Run {
        records_per_s: outcomes.iter().map(|outcome| outcome.records_per_s).sum(),
        broker_s_per_million: ran.as_secs_f64() / (records as f64 / 1e6),
        client_busy: outcomes.iter().map(|outcome| outcome.client_busy).fold(0.0, f64::max),
    })
}

/// What one run may write, and room to spare.
const ROOM_BYTES: u64 = 32 << 30;
