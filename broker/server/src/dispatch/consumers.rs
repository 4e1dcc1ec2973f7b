//! Requests about registered consumers.

use std::sync::Arc;

use rheos_core::catalog::{ConsumerRecord, consumer_not_found};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{ConsumerOf, ConsumerTerms, Reply, Tag};
use rheos_protocol::name::ConsumerName;

use super::authority::Authenticated;
use super::{in_turn, page_len, stream_name};
use crate::broker::Broker;
use crate::clock;
use crate::identity::Principal;
use crate::lane::Arrival;

pub(super) async fn register(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    terms: &ConsumerTerms,
) -> Result<Reply, WireError> {
    let record = register_tagged(broker, principal, terms, Vec::new()).await?;
    Ok(Reply::Consumer(record.describe(broker.consumers.next_epoch(clock::now().wall_ms))))
}

/// Registers a consumer that has tags from the beginning.
pub(crate) async fn register_tagged(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    terms: &ConsumerTerms,
    tags: Vec<Tag>,
) -> Result<Arc<ConsumerRecord>, WireError> {
    let ConsumerTerms { stream, consumer, reserved_bytes } = terms;
    let _order = in_turn(broker, principal).await?;
    let stream = broker.streams.named(&stream_name(stream)?)?;
    // One that is there already is refused for that, and keeps what it was promised.
    if *reserved_bytes > 0 && !broker.consumers.exists(stream.incarnation, consumer) {
        broker.resharder.reservations.admit_consumer(&stream, consumer, *reserved_bytes)?;
    }
    let wall_ms = clock::now().wall_ms;
    let catalog = &broker.catalog;
    let record = catalog.register_tagged_consumer(&stream.name, consumer, *reserved_bytes, tags, wall_ms).await?;
    broker.consumers.add(Arc::clone(&record));
    Ok(record)
}

/// Changes what is promised to a consumer. The answer has no epoch: whoever changes it need not be about to subscribe.
pub(super) async fn update(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    terms: &ConsumerTerms,
) -> Result<Reply, WireError> {
    let ConsumerTerms { stream, consumer, reserved_bytes } = terms;
    let _order = in_turn(broker, principal).await?;
    let (stream, consumer) = (broker.streams.named(&stream_name(stream)?)?, consumer_name(consumer)?);
    if !broker.consumers.exists(stream.incarnation, consumer.as_str()) {
        return Err(consumer_not_found(&stream.name, &consumer));
    }
    broker.resharder.reservations.admit_consumer(&stream, consumer.as_str(), *reserved_bytes)?;
    let record = broker.catalog.reserve(&stream.name, &consumer, *reserved_bytes).await?;
    broker.consumers.add(Arc::clone(&record));
    let (incarnation, name) = (record.incarnation, || record.name.as_str().to_owned());
    broker.tell(&stream, |done| Arrival::ConsumerUpdated { incarnation, consumer: name(), done }).await?;
    Ok(Reply::Consumer(record.describe(0)))
}

/// Whoever describes a consumer is about to subscribe as it, so each description has an epoch of its own.
pub(super) fn describe(broker: &Broker, of: &ConsumerOf) -> Result<Reply, WireError> {
    let stream = broker.streams.named(&stream_name(&of.stream)?)?;
    let name = consumer_name(&of.consumer)?;
    let record =
        broker.consumers.named(stream.incarnation, &name).ok_or_else(|| consumer_not_found(&stream.name, &name))?;
    Ok(Reply::Consumer(record.describe(broker.consumers.next_epoch(clock::now().wall_ms))))
}

pub(super) fn list(broker: &Broker, stream: &str, after: &str, limit: u32) -> Result<Reply, WireError> {
    let stream = broker.streams.named(&stream_name(stream)?)?;
    let (page, more) = broker.consumers.page(stream.incarnation, after, page_len(limit));
    Ok(Reply::Consumers(page.iter().map(|record| record.describe(0)).collect(), more))
}

pub(super) async fn deregister(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    of: &ConsumerOf,
) -> Result<Reply, WireError> {
    let _order = in_turn(broker, principal).await?;
    let name = consumer_name(&of.consumer)?;
    let record = broker.catalog.deregister_consumer(&stream_name(&of.stream)?, &name).await?;
    broker.consumer_deregistered(record.incarnation, &record.name).await?;
    Ok(Reply::Done)
}

pub(super) fn consumer_name(text: &str) -> Result<ConsumerName, WireError> {
    ConsumerName::new(text).map_err(|bad| WireError::new(ErrorCode::BadRequest, format!("consumer: {bad}")))
}
