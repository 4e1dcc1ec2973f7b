//! Follows a stream whose shards are split and merged: describes it again when a shard is closed, and has its puts
//! go on where they belong.
//!
//! What must hold: the closed shard has been asked before anything goes to its children, so that what it has
//! stored is never stored again; nothing waits for ever: a put that finds no way is given up at its time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rheos_protocol::error::{ErrorCode, WireError};
use tokio::sync::Notify;

use super::ticket::PutRefused;
use super::{Shared, queue_maker};
use crate::error::Error;
use crate::random::jittered;

/// Wait before the stream is described again, when it is not as the broker has said.
const AGAIN: Duration = Duration::from_millis(5);
/// The same when the broker was out of reach.
const BACKOFF: Duration = Duration::from_millis(100);

/// One for each producer; ends with it.
pub(super) async fn follow(shared: Weak<Shared>, shard_closed: Arc<Notify>) {
    loop {
        shard_closed.notified().await;
        let Some(shared) = shared.upgrade() else { return };
        while shared.has_closed_shards() {
            if let Some(wait) = look_again(&shared).await {
                tokio::time::sleep(jittered(wait)).await;
            }
        }
    }
}

/// Describes the stream and follows it. Returns how long to wait when that has led to nothing.
async fn look_again(shared: &Arc<Shared>) -> Option<Duration> {
    match shared.core.describe_stream(&shared.stream).await {
        Ok(stream) if stream.incarnation != shared.incarnation => {
            let message = format!("stream {} was deleted and made again", stream.name);
            shared.give_up(&PutRefused::Broker(WireError::new(ErrorCode::StreamNotFound, message)));
        }
        Ok(stream) => {
            let queue_of = queue_maker(&shared.core, &stream, &shared.room, &shared.shard_closed);
            if let Err(error) = shared.map_to_change().follow(&stream, queue_of) {
                shared.give_up(&PutRefused::Unreachable { why: error.to_string() });
            }
            return Some(AGAIN);
        }
        Err(Error::Broker(error)) if !matches!(error.retry, rheos_protocol::error::Retry::After(_)) => {
            shared.give_up(&PutRefused::Broker(error));
        }
        Err(Error::Closed) => shared.give_up(&PutRefused::Closed),
        Err(error) if error.is_final() => shared.give_up(&PutRefused::Unreachable { why: error.to_string() }),
        Err(_) => return Some(BACKOFF),
    }
    None
}
