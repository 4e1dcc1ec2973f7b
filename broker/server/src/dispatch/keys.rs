//! Requests about access keys.
//!
//! What must hold: a key opens nothing before the catalog has it; one that is revoked is gone from the
//! catalog first, then opens nothing, and then its connections end; one that the catalog no longer has opens
//! nothing after it was to be revoked, also when an earlier answer was lost with the disk. A secret is told once, in the answer to
//! who asked for the key.

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{CreateKey, NewKey, Reply};
use tracing::info;

use super::authority::Authenticated;
use super::{in_turn, page_len};
use crate::broker::Broker;
use crate::clock;
use crate::identity::{AccessKey, Principal};

pub(super) async fn create(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    create: CreateKey,
) -> Result<Reply, WireError> {
    let _order = in_turn(broker, principal).await?;
    if broker.identity.is_admins(&create.name) {
        let message = format!("{} is the administrator's own key; choose another name", create.name);
        return Err(WireError::new(ErrorCode::KeyExists, message));
    }
    let key = AccessKey::generate().map_err(|error| crate::internal_error(&error.to_string()))?;
    let record = broker.catalog.create_key(create, key, clock::now().wall_ms).await?;
    broker.identity.add_key(&record);
    info!(key = %record.name, id = record.id, by = principal.principal().name, "access key created");
    Ok(Reply::Key(NewKey { id: record.id.clone(), secret: record.secret.clone() }))
}

pub(super) fn list(broker: &Broker, after: &str, limit: u32) -> Reply {
    let (page, more) = broker.identity.keys_page(after, page_len(limit));
    Reply::Keys(page, more)
}

/// Who revokes its own key is not told that it was done: its connection ends with the others.
pub(super) async fn revoke(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    id_or_name: &str,
) -> Result<Reply, WireError> {
    let _order = in_turn(broker, principal).await?;
    if broker.identity.is_admins(id_or_name) {
        let message =
            "the administrator's own key cannot be revoked: it is kept in the data directory, not in the catalog";
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let live = broker.identity.live_key_id(id_or_name);
    let outcome = broker.catalog.revoke_key(id_or_name).await;
    match (outcome.as_ref().map_err(|error| error.code), live) {
        // Where the catalog has lost it without a word, or perhaps has, nobody goes on with it.
        (Ok(_) | Err(ErrorCode::KeyNotFound | ErrorCode::Indeterminate), Some(id)) => {
            broker.identity.revoke_key(&id);
            broker.connections.close_revoked(&id);
            info!(key = id_or_name, id, by = principal.principal().name, "access key revoked");
            match outcome {
                Err(error) if error.code == ErrorCode::Indeterminate => Err(error),
                _ => Ok(Reply::Done),
            }
        }
        _ => outcome.map(|_| Reply::Done),
    }
}
