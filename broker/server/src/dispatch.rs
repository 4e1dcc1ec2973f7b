//! The one dispatch table: every operation, what it needs to be allowed, and who performs it.
//!
//! What must hold: nothing is done for anybody who is not [`Authenticated`], and nothing before
//! [`authorise`] has said yes to the principal, the action and the resource as it was resolved.

mod authority;
pub(crate) mod consumers;
mod keys;
mod reshard;
pub(crate) mod settings;
pub(crate) mod streams;

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_core::lanes::lane_of;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::LIST_PAGE_MAX;
use rheos_protocol::message::{Reply, Request, StreamDescription};
use rheos_protocol::name::StreamName;
use tokio::sync::OwnedMutexGuard;

use crate::broker::Broker;
use crate::identity::Principal;
use crate::net::revoked;
use crate::streams::Streams;

use reshard::Asked;

pub(crate) use authority::{Action, Authenticated, Resource, authorise};

/// The action and the resource of a request; `None` for what is no request of its own on an admitted
/// connection: Hello is said once, credit and the end of a subscription belong to a subscription stream.
fn needs(streams: &Streams, request: &Request) -> Result<Option<(Action, Resource)>, WireError> {
    Ok(Some(match request {
        Request::Ping => (Action::Ping, Resource::broker()),
        Request::Read(read) => (Action::GetRecords, Resource::incarnation(streams, read.incarnation)),
        Request::CreateStream(create) => (Action::CreateStream, Resource::stream(&create.name)?),
        Request::DescribeStream(name) => (Action::DescribeStream, Resource::stream(name)?),
        Request::DeleteStream(name) => (Action::DeleteStream, Resource::stream(name)?),
        Request::ListStreams { .. } => (Action::ListStreams, Resource::broker()),
        Request::RegisterConsumer(of) if of.reserved_bytes > 0 => (Action::Reserve, Resource::stream(&of.stream)?),
        Request::RegisterConsumer(of) => (Action::RegisterConsumer, Resource::stream(&of.stream)?),
        Request::UpdateConsumer(of) => (Action::Reserve, Resource::stream(&of.stream)?),
        Request::DescribeConsumer(of) => (Action::DescribeConsumer, Resource::stream(&of.stream)?),
        Request::ListConsumers { stream, .. } => (Action::ListConsumers, Resource::stream(stream)?),
        Request::DeregisterConsumer(of) => (Action::DeregisterConsumer, Resource::stream(&of.stream)?),
        Request::Subscribe(subscribe) => (Action::Subscribe, Resource::incarnation(streams, subscribe.incarnation)),
        Request::CreateKey(_) => (Action::CreateKey, Resource::broker()),
        Request::ListKeys { .. } => (Action::ListKeys, Resource::broker()),
        Request::RevokeKey(_) => (Action::RevokeKey, Resource::broker()),
        Request::SplitShard(split) => (Action::ReshardStream, Resource::stream(&split.stream)?),
        Request::MergeShards(merge) => (Action::ReshardStream, Resource::stream(&merge.stream)?),
        Request::UpdateShardCount(update) => (Action::ReshardStream, Resource::stream(&update.stream)?),
        Request::ReadMetrics => (Action::ReadMetrics, Resource::broker()),
        Request::UpdateStream(update) => (Action::UpdateStream, Resource::stream(&update.stream)?),
        Request::ChangeTags(change) => match change.of.consumer {
            None => (Action::TagStream, Resource::stream(&change.of.stream)?),
            Some(_) => (Action::TagConsumer, Resource::stream(&change.of.stream)?),
        },
        Request::ListScalingSteps(stream) => (Action::DescribeStream, Resource::stream(stream)?),
        Request::ListTags(of) => (Action::ListTags, Resource::stream(&of.stream)?),
        Request::Hello(_) | Request::Credit(_) | Request::Unsubscribe => return Ok(None),
    }))
}

/// Whether the principal may have a request performed.
pub(crate) fn allow(
    streams: &Streams,
    principal: &Authenticated<Principal>,
    request: &Request,
) -> Result<(), WireError> {
    let (action, resource) = needs(streams, request)?.ok_or_else(|| unsupported(request.kind()))?;
    authorise(principal, action, &resource)
}

/// Performs a request that was allowed. Reads, puts, subscriptions and the metrics are no such requests: their answers
/// are no replies of one frame.
pub(crate) async fn perform(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    request: Request,
) -> Result<Reply, WireError> {
    match request {
        Request::Ping => Ok(Reply::Pong),
        Request::CreateStream(create) => {
            let record = streams::create(broker, principal, create, Vec::new()).await?;
            Ok(Reply::Stream(describe(broker, &record)))
        }
        Request::DescribeStream(name) => {
            let record = broker.resharder.described(&stream_name(&name)?).await?;
            Ok(Reply::Stream(describe(broker, &record)))
        }
        Request::ListStreams { after, limit, filter } => {
            let (streams, key) = (&broker.streams, principal.principal());
            let (page, more) = settings::list_streams(streams, key, &filter, &after, page_len(limit));
            Ok(Reply::Streams(page, more))
        }
        Request::DeleteStream(name) => {
            streams::delete(broker, principal, &stream_name(&name)?).await?;
            Ok(Reply::Done)
        }
        Request::RegisterConsumer(terms) => consumers::register(broker, principal, &terms).await,
        Request::UpdateConsumer(terms) => consumers::update(broker, principal, &terms).await,
        Request::DescribeConsumer(of) => consumers::describe(broker, &of),
        Request::ListConsumers { stream, after, limit } => consumers::list(broker, &stream, &after, limit),
        Request::DeregisterConsumer(of) => consumers::deregister(broker, principal, &of).await,
        Request::CreateKey(create) => keys::create(broker, principal, create).await,
        Request::ListKeys { after, limit } => Ok(keys::list(broker, &after, limit)),
        Request::RevokeKey(id_or_name) => keys::revoke(broker, principal, &id_or_name).await,
        Request::SplitShard(split) => reshard::perform(broker, principal, Asked::Split(split)).await,
        Request::MergeShards(merge) => reshard::perform(broker, principal, Asked::Merge(merge)).await,
        Request::UpdateShardCount(update) => reshard::perform(broker, principal, Asked::Scale(update)).await,
        Request::UpdateStream(update) => settings::update(broker, principal, update).await,
        Request::ChangeTags(change) => settings::change_tags(broker, principal, change).await,
        Request::ListTags(of) => settings::list_tags(broker, &of),
        Request::ListScalingSteps(stream) => {
            Ok(Reply::ScalingSteps(broker.catalog.list_steps(&stream_name(&stream)?).await?))
        }
        request => Err(unsupported(request.kind())),
    }
}

/// Has changes of the catalog wait for each other. Who has waited may have lost its key meanwhile.
pub(crate) async fn in_turn(
    broker: &Broker,
    principal: &Authenticated<Principal>,
) -> Result<OwnedMutexGuard<()>, WireError> {
    let order = Arc::clone(&broker.resharder.changes).lock_owned().await;
    if !broker.is_live(principal.principal()) {
        return Err(revoked(&principal.principal().key_id));
    }
    Ok(order)
}

fn describe(broker: &Broker, stream: &StreamRecord) -> StreamDescription {
    stream.describe(|log| lane_of(stream.incarnation, log, broker.lanes), broker.limits)
}

/// Entries of a page of a list, when so many are asked for.
fn page_len(limit: u32) -> usize {
    limit.clamp(1, LIST_PAGE_MAX) as usize
}

fn stream_name(text: &str) -> Result<StreamName, WireError> {
    StreamName::new(text).map_err(|bad| WireError::new(ErrorCode::BadRequest, bad.to_string()))
}

pub(crate) fn unsupported(kind: u16) -> WireError {
    WireError::new(ErrorCode::Unsupported, format!("this broker does not perform requests of kind {kind}"))
}

#[cfg(test)]
mod tests;
