//! Requests that make and delete streams.
//!
//! What must hold: lanes hear of a stream before anybody can look it up, and of its end after nobody can.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{CreateStream, Tag};
use rheos_protocol::name::StreamName;

use super::authority::Authenticated;
use super::{in_turn, stream_name};
use crate::broker::Broker;
use crate::clock;
use crate::files::FileJob;
use crate::identity::Principal;
use crate::lane::Arrival;

/// Makes a stream that has these tags from the beginning.
pub(crate) async fn create(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    create: CreateStream,
    tags: Vec<Tag>,
) -> Result<Arc<StreamRecord>, WireError> {
    broker.kinesis.refuse_own(&stream_name(&create.name)?)?;
    let _order = in_turn(broker, principal).await?;
    let (now_ms, lanes) = (clock::now().wall_ms, broker.lanes);
    let record = broker.catalog.create_tagged_stream(create, tags, now_ms, lanes).await?;
    broker.tell(&record, |done| Arrival::StreamCreated { record: Arc::clone(&record), done }).await?;
    broker.streams.add(Arc::clone(&record));
    Ok(record)
}

/// Deletes a stream, and returns what it was.
pub(crate) async fn delete(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    name: &StreamName,
) -> Result<Arc<StreamRecord>, WireError> {
    let _order = in_turn(broker, principal).await?;
    let record = broker.catalog.delete_stream(name).await?;
    broker.streams.remove(&record);
    broker.consumers.remove_stream(record.incarnation);
    broker.tell(&record, |done| Arrival::StreamDeleted { record: Arc::clone(&record), done }).await?;
    // No lane writes to them any more, or asks for others.
    broker.files.push(FileJob::RemoveStream { incarnation: record.incarnation });
    Ok(record)
}
