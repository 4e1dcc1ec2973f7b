//! Resource policies put, got and deleted. They are kept and given back; who may do what is decided by grants alone.
//!
//! A policy's principals are users and roles of AWS accounts, by their ARNs; who calls the broker is a key with a name
//! of its own choosing. To take one for the other would let a key's name decide what it may do.

use rheos_core::catalog::ResourcePolicy;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::{policies, subject};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;

use crate::dispatch::{Action, in_turn};
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::FoundResource;

pub(super) async fn put(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let arn = subject::resource(input, &call.caller.place)?;
    let found = call.resource(&arn, |_| Action::ChangeResourcePolicy).await?;
    let policy = policies::put(input, &arn)?;
    found.must_be_active()?;
    keep(call, &found, policy).await.map_err(|error| found.refusal(&error))?;
    Ok(Outcome::DONE)
}

pub(super) async fn get(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let arn = subject::resource(input, &call.caller.place)?;
    let found = call.resource(&arn, |_| Action::ReadResourcePolicy).await?;
    let policy = call.broker.catalog.policy(&found.stream().record, found.consumer()).await;
    let policy = policy.map_err(|error| found.refusal(&error))?;
    Ok(policies::get(policy.as_ref()).into())
}

pub(super) async fn delete(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let arn = subject::resource(input, &call.caller.place)?;
    let found = call.resource(&arn, |_| Action::ChangeResourcePolicy).await?;
    found.must_be_active()?;
    let deleted = forget(call, &found).await.map_err(|error| found.refusal(&error))?;
    policies::delete(deleted.as_ref(), &arn)?;
    Ok(Outcome::DONE)
}

async fn keep(call: &Call<'_>, found: &FoundResource, policy: ResourcePolicy) -> Result<(), WireError> {
    let _order = in_turn(call.broker, &call.caller.principal).await?;
    call.broker.catalog.put_policy(&found.stream().record, found.consumer(), policy).await
}

async fn forget(call: &Call<'_>, found: &FoundResource) -> Result<Option<ResourcePolicy>, WireError> {
    let _order = in_turn(call.broker, &call.caller.principal).await?;
    call.broker.catalog.delete_policy(&found.stream().record, found.consumer()).await
}
