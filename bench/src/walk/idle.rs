//! What shards cost that nobody uses: the broker's memory with ten thousand of them, less without.

use std::time::Duration;

use super::Walk;
use super::lines::{Goal, Lines};
use crate::Failure;
use crate::broker::process::Broker;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("idle");
    let broker = walk.start_broker(&data)?;
    let empty = settled_mib(walk, &broker).await?;
    walk.session(&broker).await?.create_stream("idle", SHARDS).await?;
    let created = settled_mib(walk, &broker).await?;
    broker.stop()?;
    let broker = walk.start_broker(&data)?;
    let restarted = settled_mib(walk, &broker).await?;
    lines.absolute("idle_10k_shards_mib", &[created - empty], Goal::AtMost(SHARDS_MIB_MAX));
    lines.absolute("idle_10k_shards_restarted_mib", &[restarted - empty], Goal::AtMost(SHARDS_MIB_MAX));
    let bytes_of_shard = (created - empty) * f64::from(1 << 20) / f64::from(SHARDS);
    lines.absolute("shard_bytes", &[bytes_of_shard], Goal::AtMost(SHARD_BYTES_MAX));
    lines.absolute("idle_empty_mib", &[empty], Goal::None);
    broker.stop()
}

/// The broker's memory when the last client has gone. One is let come and go first, because the first
/// makes the broker touch buffers that every later one uses again.
pub(super) async fn settled_mib(walk: &Walk<'_>, broker: &Broker) -> Result<f64, Failure> {
    walk.session(broker).await?.ping().await?;
    resident_mib(broker).await
}

/// The broker's memory, once what was just done is over.
pub(super) async fn resident_mib(broker: &Broker) -> Result<f64, Failure> {
    tokio::time::sleep(SETTLED).await;
    Ok(broker.resident_bytes()? as f64 / f64::from(1 << 20))
}

const SHARDS: u32 = 10_000;
const SHARD_BYTES_MAX: f64 = 4_096.0;
const SHARDS_MIB_MAX: f64 = 40.0;
/// After this time a connection that was closed is forgotten.
const SETTLED: Duration = Duration::from_secs(3);
