//! The account: what it has and may have, and its settings.

use rheos_core::catalog::{SHARDS_OF_BROKER_MAX, StreamRecord};
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::account::{self, ON_DEMAND_STREAMS_MAX, SHARDS_OF_ACCOUNT_MAX, ShardUsage};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;

use crate::dispatch::{Action, in_turn};
use crate::kinesis::call::{Call, Outcome};

pub(super) async fn describe_limits(call: &Call<'_>, _: &Structure) -> Result<Outcome, Error> {
    call.authorise_here(Action::DescribeAccount)?;
    let on_demand = call.broker.streams.those(|stream| is_here(call, stream) && is_on_demand(stream)).len();
    let usage = usage(call);
    // Without AWS's limits what a broker has room for is all: each stream has a shard at least.
    let on_demand_limit = if call.has_limits_of_kinesis() { ON_DEMAND_STREAMS_MAX } else { usage.limit };
    Ok(account::describe_limits(&usage, on_demand as u64, on_demand_limit).into())
}

pub(super) async fn describe_settings(call: &Call<'_>, _: &Structure) -> Result<Outcome, Error> {
    call.authorise_here(Action::DescribeAccount)?;
    let commitment = call.broker.catalog.commitment(call.elsewhere()).await;
    let commitment = commitment.map_err(|error| call.refusal_here(&error))?;
    Ok(account::describe_settings(commitment, call.now_ms()).into())
}

pub(super) async fn update_settings(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    call.authorise_here(Action::UpdateAccount)?;
    let updated = update(call, account::commits(input)).await;
    updated.map_err(|error| call.refusal_here(&error))
}

async fn update(call: &Call<'_>, commits: bool) -> Result<Outcome, WireError> {
    let _order = in_turn(call.broker, &call.caller.principal).await?;
    let now_ms = call.now_ms();
    let commitment = call.broker.catalog.commit_throughput(call.elsewhere(), commits, now_ms).await?;
    Ok(account::updated_settings(commitment, now_ms).into())
}

/// Shards of the caller's account and region. Those of streams on demand do not count, as on AWS.
pub(super) fn usage(call: &Call<'_>) -> ShardUsage {
    let provisioned = call.broker.streams.those(|stream| is_here(call, stream) && !is_on_demand(stream));
    let open = provisioned.iter().map(|stream| stream.open_shards().len() as u64).sum();
    let limit = if call.has_limits_of_kinesis() { SHARDS_OF_ACCOUNT_MAX } else { SHARDS_OF_BROKER_MAX };
    ShardUsage { open, limit }
}

fn is_here(call: &Call<'_>, stream: &StreamRecord) -> bool {
    let place = &call.caller.place;
    call.broker.kinesis.is_in(&stream.name, &place.account, &place.region)
}

fn is_on_demand(stream: &StreamRecord) -> bool {
    stream.terms.mode.bounds().is_some()
}
