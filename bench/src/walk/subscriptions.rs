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
use crate::broker::session::Dialer;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("subscriptions");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("subscribed", SUBSCRIPTIONS).await?;
    register(walk, &broker, &stream, 1).await?;
    broker.stop()?;
    for (name, connections) in
        [("idle_1000_subscriptions_kib_each", 1), ("idle_1000_connections_kib_each", stream.shards.len())]
    {
        let broker = walk.start_broker(&data)?;
        let without = settled_mib(walk, &broker).await?;
        let kept = subscribe(walk, &broker, &stream, connections).await?;
        let with = resident_mib(&broker).await?;
        lines.absolute(name, &[(with - without) * 1024.0 / f64::from(SUBSCRIPTIONS)], Goal::AtMost(KIB_EACH_MAX));
        drop(kept);
        broker.stop()?;
    }
    Ok(())
}

/// Subscribes to every shard, on so many connections.
async fn subscribe(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
    connections: usize,
) -> Result<Vec<Subscriptions>, Failure> {
    let mtu_bound = walk.launch.mtu_bound;
    let wish = wishes(walk, broker, stream, 0..1, Position::Latest).await?.pop().ok_or("no consumer was asked for")?;
    // One socket for all: a process may not have a thousand.
    let dialer = Dialer::new(broker.access(), transport::client(mtu_bound), mtu_bound)?;
    let mut subscriptions = Vec::new();
    for part in parts(&wish, connections) {
        subscriptions.push(Subscriptions::start(dialer.connect().await?, &part).await?);
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
