//! Sees to it that every lane of a consumer is carried, and that the children of ended shards begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::carrier::carry;
use super::feeds::Feeds;
use crate::core::Core;
use crate::random::jittered;

/// Wait before the stream is described again.
const BACKOFF: Duration = Duration::from_millis(100);

/// One steward for each consumer; its carriers end with it.
pub(super) async fn attend(feeds: Arc<Feeds>, core: Arc<Core>) {
    let mut carriers = JoinSet::new();
    while !feeds.is_over() {
        for lane in feeds.lanes_to_carry() {
            carriers.spawn(carry(Arc::clone(&feeds), Arc::clone(&core), lane));
        }
        if !feeds.has_children() {
            feeds.changed().await;
            continue;
        }
        match core.describe_stream(feeds.stream()).await {
            Ok(stream) => feeds.adopt(&stream, core.lanes.count()),
            Err(error) if error.may_pass() => tokio::time::sleep(jittered(BACKOFF)).await,
            Err(error) => feeds.end(error),
        }
    }
    while carriers.join_next().await.is_some() {}
}
