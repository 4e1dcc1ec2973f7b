//! Shards listed, split, merged and scaled.

use rheos_core::catalog::Reshard;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::shards::{self, ListAsked, Listed, ScaleLimits};
use rheos_kinesis::value::Structure;
use rheos_protocol::message::{MergeShards, Request, SplitShard, UpdateShardCount};

use super::account::usage;
use crate::dispatch::Action;
use crate::dispatch::settings::horizon_ms;
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::Found;

pub(super) async fn list(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let issue = call.issue();
    let asked = ListAsked::read(input, &call.caller.place, &issue)?;
    let subject = match &asked.of {
        Listed::Stream(arn, _) => call.subject_of(arn.clone())?,
        Listed::Life { name, .. } => call.subject_named(name),
    };
    let stream = call.found(subject, Action::DescribeStream).await?;
    let horizon_ms = horizon_ms(call.broker, &stream.record).await;
    let horizon_ms = horizon_ms.map_err(|error| stream.subject.refusal(&error))?;
    Ok(asked.answer(&stream.view(), horizon_ms, &issue)?.into())
}

pub(super) async fn split(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::ReshardStream).await?;
    let reshard = shards::split(input, &stream.view(), &usage(call))?;
    perform(call, &stream, reshard).await?;
    Ok(Outcome::DONE)
}

pub(super) async fn merge(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::ReshardStream).await?;
    let reshard = shards::merge(input, &stream.view())?;
    perform(call, &stream, reshard).await?;
    Ok(Outcome::DONE)
}

pub(super) async fn scale(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::ReshardStream).await?;
    let limits = if call.has_limits_of_kinesis() { ScaleLimits::Kinesis } else { ScaleLimits::None };
    if let Some(reshard) = shards::scale(input, &stream.view(), &usage(call), limits)? {
        perform(call, &stream, reshard).await?;
    }
    Ok(shards::scaled(input, &stream.view()).into())
}

/// Reshards a stream. It is done when this returns, and shown as UPDATING for as long as states are.
async fn perform(call: &Call<'_>, stream: &Found, reshard: Reshard) -> Result<(), Error> {
    let name = stream.subject.name.as_str().to_owned();
    let request = match reshard {
        Reshard::Split { shard, at } => Request::SplitShard(SplitShard { stream: name, shard, at: Some(at) }),
        Reshard::Merge { shard, adjacent } => Request::MergeShards(MergeShards { stream: name, shard, adjacent }),
        Reshard::Scale { target } => Request::UpdateShardCount(UpdateShardCount { stream: name, target }),
    };
    call.ask(request, &stream.subject).await?;
    call.kinesis.recent.changed(stream.record.incarnation, call.delay());
    Ok(())
}
