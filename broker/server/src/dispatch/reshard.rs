//! Requests that change the shards of a stream.

use rheos_core::catalog::{Reshard, StreamRecord};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{MergeShards, Reply, SplitShard, UpdateShardCount};

use super::{Authenticated, describe, in_turn, stream_name};
use crate::broker::Broker;
use crate::identity::Principal;

/// What is asked, once the stream is known.
pub(super) enum Asked {
    Split(SplitShard),
    Merge(MergeShards),
    Scale(UpdateShardCount),
}

/// Reshards a stream, and answers when that is done or was undone.
pub(super) async fn perform(
    broker: &Broker,
    principal: &Authenticated<Principal>,
    asked: Asked,
) -> Result<Reply, WireError> {
    let order = in_turn(broker, principal).await?;
    let stream = broker.streams.named(&stream_name(asked.stream())?)?;
    let record = broker.resharder.reshard(order, stream.name.clone(), asked.reshard(&stream)?, None).await?;
    Ok(Reply::Stream(describe(broker, &record)))
}

impl Asked {
    fn stream(&self) -> &str {
        match self {
            Asked::Split(split) => &split.stream,
            Asked::Merge(merge) => &merge.stream,
            Asked::Scale(scale) => &scale.stream,
        }
    }

    fn reshard(&self, stream: &StreamRecord) -> Result<Reshard, WireError> {
        match self {
            Asked::Split(SplitShard { shard, at: Some(at), .. }) => Ok(Reshard::Split { shard: *shard, at: *at }),
            Asked::Split(SplitShard { shard, at: None, .. }) => {
                let range = stream.shard(*shard).map(|shard| shard.range);
                // The plan says what is wrong with a shard that is not there.
                let middle = range.map_or(Some(0), |range| range.middle());
                let at = middle.ok_or_else(|| too_narrow(stream, *shard))?;
                Ok(Reshard::Split { shard: *shard, at })
            }
            Asked::Merge(MergeShards { shard, adjacent, .. }) => {
                Ok(Reshard::Merge { shard: *shard, adjacent: *adjacent })
            }
            Asked::Scale(UpdateShardCount { target, .. }) => Ok(Reshard::Scale { target: *target }),
        }
    }
}

fn too_narrow(stream: &StreamRecord, shard: u32) -> WireError {
    let message = format!("shard {shard} of stream {} has one hash key and cannot be split", stream.name);
    WireError::new(ErrorCode::BadRequest, message)
}
