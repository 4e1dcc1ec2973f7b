//! Registered consumers: registered, deregistered, described and listed.

use std::sync::Arc;

use rheos_core::catalog::{ConsumerRecord, consumer_exists};
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::consumers::{self, ListAsked};
use rheos_kinesis::operations::status::ConsumerStatus;
use rheos_kinesis::operations::subject;
use rheos_kinesis::refusals::{About, refusal};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{ConsumerOf, ConsumerTerms, Request};

use crate::dispatch::{self, Action};
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::found::Found;

pub(super) async fn register(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let asked = consumers::register(input, &call.caller.place)?;
    let stream = call.found(call.subject_of(asked.stream.clone())?, Action::RegisterConsumer).await?;
    stream.must_be_served()?;
    let _counting = call.kinesis.counting.lock().await;
    let about = About { stream: &stream.subject.arn, consumer: Some(asked.name.as_str()) };
    let refused = |error: &WireError| refusal(error, &about);
    // Before consumers are counted: who registers again is to hear that it is there.
    let name = &asked.name;
    let is_there = shown(call, &stream).iter().any(|(consumer, _)| consumer.name == *name);
    if is_there {
        return Err(refused(&consumer_exists(&stream.subject.name, name)));
    }
    if call.has_limits_of_kinesis() {
        consumers::admit(&asked, consumers_of(call, &stream))?;
    }
    let of = ConsumerOf { stream: stream.subject.name.as_str().to_owned(), consumer: name.as_str().to_owned() };
    let (principal, terms) = (&call.caller.principal, ConsumerTerms::from(of));
    let made = dispatch::consumers::register_tagged(call.broker, principal, &terms, asked.tags).await;
    let record = made.map_err(|error| refused(&error))?;
    Ok(consumers::registered(&stream.subject.arn, &record).into())
}

pub(super) async fn deregister(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let asked = subject::consumer(input, &call.caller.place)?;
    let found = call.consumer(&asked, Action::DeregisterConsumer).await?;
    if found.status == ConsumerStatus::Deleting {
        return Err(consumers::not_active(&asked.stream, &found.record));
    }
    let of = ConsumerOf {
        stream: found.stream.subject.name.as_str().to_owned(),
        consumer: found.record.name.as_str().to_owned(),
    };
    call.request(Request::DeregisterConsumer(of)).await.map_err(|error| found.refusal(&error))?;
    call.kinesis.recent.deregistered(found.record, call.delay());
    Ok(Outcome::DONE)
}

pub(super) async fn describe(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let asked = subject::consumer(input, &call.caller.place)?;
    let found = call.consumer(&asked, Action::DescribeConsumer).await?;
    Ok(consumers::describe(&asked.stream, &found.record, found.status).into())
}

pub(super) async fn list(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let issue = call.issue();
    let asked = ListAsked::read(input, &call.caller.place, &issue)?;
    let stream = call.found(call.subject_of(asked.stream.clone())?, Action::ListConsumers).await?;
    asked.admit(stream.record.incarnation, stream.record.created_ms)?;
    let all = shown(call, &stream);
    let mut following = all.iter().filter(|(consumer, _)| consumer.name.as_str() > asked.after.as_str());
    let page: Vec<_> = following.by_ref().take(asked.limit).map(|(consumer, status)| (&**consumer, *status)).collect();
    Ok(asked.answer(&page, following.next().is_some(), &stream.subject.name, &issue).into())
}

/// How many consumers a stream has.
pub(super) fn consumers_of(call: &Call<'_>, stream: &Found) -> usize {
    call.broker.consumers.count(stream.record.incarnation)
}

/// All consumers of a stream as they are shown, those included that were deregistered a moment ago, sorted by name.
fn shown(call: &Call<'_>, stream: &Found) -> Vec<(Arc<ConsumerRecord>, ConsumerStatus)> {
    let (incarnation, delay) = (stream.record.incarnation, call.delay());
    let there = call.broker.consumers.page(incarnation, "", usize::MAX).0.into_iter().map(|record| (record, None));
    let gone = call.kinesis.recent.deleted_consumers(incarnation).into_iter();
    let gone = gone.filter(|(record, _)| call.broker.consumers.named(incarnation, &record.name).is_none());
    let all = there.chain(gone.map(|(record, deleted_ms)| (record, Some(deleted_ms))));
    let mut shown: Vec<_> = all
        .filter_map(|(record, deleted_ms)| {
            let status = ConsumerStatus::of(record.created_ms, deleted_ms, delay)?;
            Some((record, status))
        })
        .collect();
    shown.sort_unstable_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    shown
}
