//! Tags of streams and consumers: the operations for streams, and the newer ones for whatever has an ARN.

use rheos_kinesis::arn::ResourceArn;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::subject;
use rheos_kinesis::operations::tags::{self, TagChange};
use rheos_kinesis::value::Structure;
use rheos_protocol::message::{ChangeTags, Request, Tagged};

use crate::dispatch::Action;
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::FoundResource;

pub(super) async fn add_to_stream(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    add(call, input, ResourceArn::Stream(call.subject(input)?.arn)).await
}

pub(super) async fn add_to_resource(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    add(call, input, subject::resource(input, &call.caller.place)?).await
}

pub(super) async fn remove_from_stream(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    remove(call, input, ResourceArn::Stream(call.subject(input)?.arn)).await
}

pub(super) async fn remove_from_resource(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    remove(call, input, subject::resource(input, &call.caller.place)?).await
}

pub(super) async fn list_for_stream(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::ListTags).await?;
    Ok(tags::list_page(input, &stream.record.tags).into())
}

pub(super) async fn list_for_resource(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let arn = subject::resource(input, &call.caller.place)?;
    let found = call.resource(&arn, |_| Action::ListTags).await?;
    Ok(tags::list_all(found.tags()).into())
}

async fn add(call: &Call<'_>, input: &Structure, arn: ResourceArn) -> Result<Outcome, Error> {
    let found = call.resource(&arn, to_tag).await?;
    change(call, &found, tags::add(input, &tags::named(&arn), found.tags())?).await
}

async fn remove(call: &Call<'_>, input: &Structure, arn: ResourceArn) -> Result<Outcome, Error> {
    let found = call.resource(&arn, to_tag).await?;
    change(call, &found, tags::remove(input, &tags::named(&arn))?).await
}

fn to_tag(arn: &ResourceArn) -> Action {
    match arn {
        ResourceArn::Stream(_) => Action::TagStream,
        ResourceArn::Consumer(_) => Action::TagConsumer,
    }
}

async fn change(call: &Call<'_>, found: &FoundResource, change: TagChange) -> Result<Outcome, Error> {
    found.stream().must_be_served()?;
    let of = Tagged {
        stream: found.stream().subject.name.as_str().to_owned(),
        consumer: found.consumer().map(|consumer| consumer.as_str().to_owned()),
    };
    let TagChange { set, remove } = change;
    let changed = call.request(Request::ChangeTags(ChangeTags { of, set, remove })).await;
    changed.map_err(|error| found.refusal(&error))?;
    Ok(Outcome::DONE)
}
