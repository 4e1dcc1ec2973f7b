//! Which metrics of its shards a stream is asked to tell.

use std::sync::Arc;

use rheos_core::catalog::{ShardMetrics, StreamRecord};
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::monitoring;
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;

use crate::dispatch::settings::publish;
use crate::dispatch::{Action, in_turn};
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::Found;

pub(super) async fn enable(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::MonitorShards).await?;
    let after = change(call, &stream, monitoring::asked(input), ShardMetrics::NONE).await?;
    Ok(monitoring::enabled(&stream.view(), after).into())
}

pub(super) async fn disable(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::MonitorShards).await?;
    let after = change(call, &stream, ShardMetrics::NONE, monitoring::asked(input)).await?;
    Ok(monitoring::disabled(&stream.view(), after).into())
}

/// Changes what is enabled, and returns what is now.
async fn change(call: &Call<'_>, stream: &Found, on: ShardMetrics, off: ShardMetrics) -> Result<ShardMetrics, Error> {
    stream.must_be_served()?;
    let changed = monitor(call, stream, on, off).await.map_err(|error| stream.subject.refusal(&error))?;
    call.kinesis.recent.changed(changed.incarnation, call.delay());
    Ok(changed.shard_metrics)
}

async fn monitor(
    call: &Call<'_>,
    stream: &Found,
    on: ShardMetrics,
    off: ShardMetrics,
) -> Result<Arc<StreamRecord>, WireError> {
    let _order = in_turn(call.broker, &call.caller.principal).await?;
    let changed = call.broker.catalog.monitor_shards(&stream.subject.name, on, off).await?;
    publish(call.broker, &changed).await?;
    Ok(changed)
}
