//! Requests that change a stream while it is served, or tags, and listings that look for them.
//!
//! What must hold: the catalog has a change before a lane hears of it, and lanes and lookups hear of changes in
//! the catalog's order.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use rheos_core::catalog::{StreamRecord, Tags, consumer_not_found};
use rheos_core::lanes::lanes_of;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{Access, ChangeTags, Reply, StreamFilter, StreamSummary, Tagged, UpdateStream};
use tokio::sync::oneshot;
use tracing::info;

use super::authority::Authenticated;
use super::consumers::consumer_name;
use super::{describe, in_turn, stream_name};
use crate::broker::Broker;
use crate::identity::Principal;
use crate::lane::Arrival;
use crate::stopping::going_away;
use crate::streams::Streams;

pub(super) async fn update(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    update: UpdateStream,
) -> Result<Reply, WireError> {
    let _order = in_turn(broker, principal).await?;
    let before = broker.streams.named(&stream_name(&update.stream)?)?;
    let horizon_ms = horizon_ms(broker, &before).await?;
    if let Some(changed) = before.update(&update, horizon_ms)? {
        broker.resharder.reservations.admit_stream(&changed)?;
    }
    let record = broker.catalog.update_stream(&before.name, update, horizon_ms).await?;
    publish(broker, &record).await?;
    if record != before {
        info!(stream = %record.name, by = principal.principal().name, terms = ?record.terms, "terms changed");
    }
    Ok(Reply::Stream(describe(broker, &record)))
}

pub(super) async fn change_tags(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    change: ChangeTags,
) -> Result<Reply, WireError> {
    let _order = in_turn(broker, principal).await?;
    let ChangeTags { of, set, remove } = change;
    let stream = stream_name(&of.stream)?;
    match of.consumer {
        None => publish(broker, &broker.catalog.tag_stream(&stream, set, remove).await?).await?,
        Some(consumer) => {
            let consumer = consumer_name(&consumer)?;
            broker.consumers.add(broker.catalog.tag_consumer(&stream, &consumer, set, remove).await?);
        }
    }
    Ok(Reply::Done)
}

pub(super) fn list_tags(broker: &Broker, of: &Tagged) -> Result<Reply, WireError> {
    let stream = broker.streams.named(&stream_name(&of.stream)?)?;
    let list = |tags: &Tags| Ok(Reply::Tags(tags.list()));
    let Some(consumer) = &of.consumer else { return list(&stream.tags) };
    let name = consumer_name(consumer)?;
    let record = broker.consumers.named(stream.incarnation, &name);
    list(&record.ok_or_else(|| consumer_not_found(&stream.name, &name))?.tags)
}

/// Only streams that the key may see; who may not see all is granted a few by name.
pub(super) fn list_streams(
    streams: &Streams,
    principal: &Principal,
    filter: &StreamFilter,
    after: &str,
    limit: usize,
) -> (Vec<StreamSummary>, bool) {
    let Some(filter) = within(principal, filter) else { return (Vec::new(), false) };
    let policy = &principal.policy;
    if policy.everywhere >= Access::ReadOnly {
        return streams.page(&filter, after, limit);
    }
    let seen = policy.streams.iter().filter(|(_, access)| *access >= Access::ReadOnly);
    let seen: BTreeSet<&str> = seen.map(|(stream, _)| stream.as_str()).collect();
    streams.page_of(seen, &filter, after, limit)
}

/// The filter narrowed to the streams of the key's account; `None` when none of them passes it.
fn within<'a>(principal: &Principal, filter: &'a StreamFilter) -> Option<Cow<'a, StreamFilter>> {
    let Some(account) = &principal.account else { return Some(Cow::Borrowed(filter)) };
    let place = format!("{account}/");
    if filter.name_prefix.starts_with(&place) {
        return Some(Cow::Borrowed(filter));
    }
    let all = place.starts_with(&filter.name_prefix);
    all.then(|| Cow::Owned(StreamFilter { name_prefix: place, ..filter.clone() }))
}

/// Lets everybody know what the catalog says of a stream now: first the lanes, then who looks it up.
pub(crate) async fn publish(broker: &Broker, record: &Arc<StreamRecord>) -> Result<(), WireError> {
    broker.tell(record, |done| Arrival::StreamUpdated { record: Arc::clone(record), done }).await?;
    broker.streams.change(Arc::clone(record));
    Ok(())
}

/// The time before which everything of a stream has expired, by the clocks of all its logs: none of them is
/// thereby to lose what it still has.
pub(crate) async fn horizon_ms(broker: &Broker, stream: &StreamRecord) -> Result<u64, WireError> {
    let ask = |lane| {
        let (told, horizon) = oneshot::channel();
        broker.inboxes.of_lane(lane).push(Arrival::HorizonOf { incarnation: stream.incarnation, told });
        horizon
    };
    let asked: Vec<_> = lanes_of(stream.incarnation, stream.log_count, broker.lanes).map(ask).collect();
    let mut least = None;
    for horizon in asked {
        least = [least, horizon.await.map_err(|_| going_away())?].into_iter().flatten().min();
    }
    Ok(least.unwrap_or(0))
}
