//! What subscriptions cost that nothing is pushed to: the broker's memory with a thousand, less without.
//!
//! Once all on one connection, and once with a connection for each, whose memory is then theirs. The
//! broker is started anew between, because memory that was given back is used again unseen.

use rheos_broker::transport;
use rheos_protocol::message::{Position, StreamDescription};

use super::Walk;
use super::idle::{resident_mib, settled_mib};
use super::lines::{Goal, Lines};
use super::push::{register, wishes};
use crate::Failure;
use crate::broker::consumers::{Subscriptions, Wish};
use crate::broker::process::Broker;
use crate::broker::session::{Dialer, Session};

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("subscriptions");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("subscribed", SUBSCRIPTIONS).await?;
    register(walk, &broker, &stream, 1).await?;
    broker.stop()?;
    for (name, connections) in [("subscriptions", 1), ("connections", stream.shards.len())] {
        let broker = walk.start_broker(&data)?;
        let empty = settled_mib(walk, &broker).await?;
        let sessions = connect(walk, &broker, connections).await?;
        let connected = resident_mib(&broker).await?;
        let kept = subscribe(walk, &broker, &stream, sessions).await?;
        let subscribed = resident_mib(&broker).await?;
        let kib_each = |mib: f64| [mib * 1024.0 / f64::from(SUBSCRIPTIONS)];
        let goal = Goal::AtMost(KIB_EACH_MAX);
        lines.absolute(&format!("idle_1000_{name}_kib_each"), &kib_each(subscribed - empty), goal);
        if connections > 1 {
            // What of it the connection costs that is not subscribed to anything.
            lines.absolute("idle_1000_connections_alone_kib_each", &kib_each(connected - empty), Goal::None);
        }
        drop(kept);
        broker.stop()?;
    }
    Ok(())
}

/// So many connections, all from one socket: a process may not have a thousand.
async fn connect(walk: &Walk<'_>, broker: &Broker, connections: usize) -> Result<Vec<Session>, Failure> {
    let mtu_bound = walk.launch.mtu_bound;
    let dialer = Dialer::new(broker.access(), transport::client(mtu_bound), mtu_bound)?;
    let mut sessions = Vec::new();
    for _ in 0..connections {
        sessions.push(dialer.connect().await?);
    }
    Ok(sessions)
}

/// Subscribes to every shard, spread over these connections.
async fn subscribe(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    sessions: Vec<Session>,
) -> Result<Vec<Subscriptions>, Failure> {
    let wish = wishes(walk, broker, stream, 0..1, Position::Latest).await?.pop().ok_or("no consumer was asked for")?;
    let parts = parts(&wish, sessions.len());
    let mut subscriptions = Vec::new();
    for (session, part) in sessions.into_iter().zip(parts) {
        subscriptions.push(Subscriptions::start(session, &part).await?);
    }
    Ok(subscriptions)
}

/// A wish for the shards of each connection.
fn parts(wish: &Wish, connections: usize) -> Vec<Wish> {
    let part = |shards: &[_]| Wish {
        stream: StreamDescription { shards: shards.to_vec(), ..wish.stream.clone() },
        ..wish.clone()
    };
    wish.stream.shards.chunks(wish.stream.shards.len().div_ceil(connections)).map(part).collect()
}

const SUBSCRIPTIONS: u32 = 1_000;
const KIB_EACH_MAX: f64 = 16.0;

#[cfg(test)]
mod tests {
    use rheos_protocol::hash::HashRange;
    use rheos_protocol::message::ShardDescription;

    use super::*;

    #[test]
    fn every_shard_has_one_connection() {
        let shard = |(range, shard)| ShardDescription {
            shard,
            range,
            open: true,
            parent: None,
            adjacent_parent: None,
            log: 0,
            lane: 0,
        };
        let stream = StreamDescription {
            name: "s".to_owned(),
            incarnation: 1,
            created_ms: 0,
            retention_ms: 0,
            record_bytes_max: 0,
            shards: HashRange::even(10).zip(0..).map(shard).collect(),
            settings: Default::default(),
        };
        let wish = Wish { stream, consumer: "c".to_owned(), epoch: 1, position: Position::Latest };
        for connections in [1, 3, 10] {
            let parts = parts(&wish, connections);
            assert!(parts.len() <= connections);
            let shards: Vec<u32> = parts.iter().flat_map(|part| &part.stream.shards).map(|shard| shard.shard).collect();
            assert_eq!(shards, (0..10).collect::<Vec<_>>());
        }
    }
}
