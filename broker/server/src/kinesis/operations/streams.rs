//! Streams made, deleted, described and listed.

use rheos_core::catalog::{StreamRecord, stream_exists};
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::streams::{self, ListAsked, StreamView};
use rheos_kinesis::value::Structure;
use rheos_protocol::message::{Access, CreateStream};

use super::account::usage;
use crate::dispatch::{self, Action, Resource};
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::Found;
use crate::kinesis::operations::consumers::consumers_of;

pub(super) async fn create(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let subject = call.subject(input)?;
    call.authorise(Action::CreateStream, &Resource::of(&subject.name), &subject)?;
    let _counting = call.kinesis.counting.lock().await;
    // Before its shards are counted, as on AWS; one that is shown as being deleted has its name still.
    if call.find(&subject).await.is_some() {
        return Err(subject.refusal(&stream_exists(&subject.name)));
    }
    let asked = streams::create(input, &call.caller.place, &usage(call))?;
    let create = CreateStream { name: subject.name.as_str().to_owned(), ..asked.create };
    let made = dispatch::streams::create(call.broker, &call.caller.principal, create, asked.tags).await;
    made.map_err(|error| subject.refusal(&error))?;
    Ok(Outcome::DONE)
}

pub(super) async fn delete(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::DeleteStream).await?;
    streams::admit_deletion(input, &stream.view(), consumers_of(call, &stream))?;
    let name = &stream.subject.name;
    let deleted = dispatch::streams::delete(call.broker, &call.caller.principal, name).await;
    let record = deleted.map_err(|error| stream.subject.refusal(&error))?;
    call.kinesis.recent.deleted(record, call.delay());
    Ok(Outcome::DONE)
}

pub(super) async fn describe(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::DescribeStream).await?;
    Ok(streams::describe(input, &stream.view())?.into())
}

pub(super) async fn describe_summary(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::DescribeStream).await?;
    Ok(streams::describe_summary(&stream.view(), consumers_of(call, &stream)).into())
}

/// Those of the caller's account and region that its key may see.
pub(super) async fn list(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    call.authorise_here(Action::ListStreams)?;
    let issue = call.issue();
    let asked = ListAsked::read(input, &issue)?;
    let (found, has_more) = seen(call, &asked)?;
    let views: Vec<StreamView<'_>> = found.iter().map(Found::view).collect();
    Ok(asked.answer(&views, has_more, &issue).into())
}

/// A page of streams in the order of their names, and whether more follow.
fn seen(call: &Call<'_>, asked: &ListAsked) -> Result<(Vec<Found>, bool), Error> {
    let (settings, place) = (&call.broker.kinesis, &call.caller.place);
    let policy = &call.caller.principal.principal().policy;
    let is_seen = |record: &StreamRecord| {
        settings.is_in(&record.name, &place.account, &place.region)
            && policy.with_stream(record.name.as_str()) >= Access::ReadOnly
    };
    let after = match asked.after.as_str() {
        "" => String::new(),
        after => {
            let name = settings.stream_name(&place.account, &place.region, after);
            name.map_err(|bad| Error::invalid_argument(bad.to_string()))?.as_str().to_owned()
        }
    };
    let (there, has_more) = call.broker.streams.those_after(&after, asked.limit, is_seen);
    let mut found: Vec<Found> = there
        .into_iter()
        .map(|record| Found { subject: call.subject_named(&record.name), status: call.status(&record), record })
        .collect();
    let gone = call.kinesis.recent.deleted_streams(|record| is_seen(record) && record.name.as_str() > after.as_str());
    for (record, deleted_ms) in gone {
        let status = call.status_of_deleted(&record, deleted_ms);
        let has_name = call.broker.streams.named(&record.name).is_ok();
        if let Some(status) = status.filter(|_| !has_name) {
            found.push(Found { subject: call.subject_named(&record.name), status, record });
        }
    }
    found.sort_unstable_by(|one, other| one.record.name.cmp(&other.record.name));
    let has_more = has_more || found.len() > asked.limit;
    found.truncate(asked.limit);
    Ok((found, has_more))
}
