//! Which queue takes a record, while shards are split and merged.
//!
//! ```text
//!   hash key -> segment -> queue of its shard
//!   the shard is closed, its queue has nothing unanswered -> segment by segment to the queues of the open shards
//! ```
//!
//! The segments tile the hash space. What must hold: a segment leaves a shard only when the broker has said of
//! everything that was put to it whether it is stored, and what is not goes on before anything that is put later.
//! Each closed shard leaves when it can: of two that are merged one may still wait for its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::BytesMut;
use rheos_protocol::batch::{BatchBuilder, PutBatch};
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::RECORD_BYTES_MAX;
use rheos_protocol::message::{ShardDescription, StreamDescription};
use rheos_protocol::record::RecordView;
use tokio::time::Instant;

use super::put_queue::Unstored;
use super::room::Charge;
use super::shard_puts::ShardPuts;
use super::ticket::{BatchOutcome, Completion};
use crate::error::Error;

/// See the module.
#[derive(Debug)]
pub(super) struct Map {
    /// Sorted by their stretch of the hash space.
    segments: Vec<Segment>,
    shards: BTreeMap<u32, Arc<ShardPuts>>,
    /// Shards that were closed and left.
    left: BTreeSet<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    range: HashRange,
    shard: u32,
}

impl Map {
    /// The open shards of a stream, each with the queue that `queue_of` makes for it.
    ///
    /// # Errors
    ///
    /// When the open shards do not tile the hash space.
    pub(super) fn new(stream: &StreamDescription, queue_of: impl Fn(u32, u16) -> Arc<ShardPuts>) -> Result<Map, Error> {
        let segments = open_segments(stream)?;
        let open = stream.shards.iter().filter(|shard| shard.open);
        let shards = open.map(|shard| (shard.shard, queue_of(shard.shard, shard.lane))).collect();
        Ok(Map { segments, shards, left: BTreeSet::new() })
    }

    /// The shard that takes records with this hash key.
    pub(super) fn shard_of(&self, hash_key: u128) -> u32 {
        self.segments[self.segments.partition_point(|segment| segment.range.last < hash_key)].shard
    }

    /// The queue that takes records with this hash key.
    pub(super) fn queue_of(&self, hash_key: u128) -> &Arc<ShardPuts> {
        &self.shards[&self.shard_of(hash_key)]
    }

    /// The queue of a shard.
    pub(super) fn shard(&self, shard: u32) -> Option<&Arc<ShardPuts>> {
        self.shards.get(&shard)
    }

    /// Whether a shard was closed and left.
    pub(super) fn has_left(&self, shard: u32) -> bool {
        self.left.contains(&shard)
    }

    /// The shards in the order of their stretches of the hash space.
    pub(super) fn in_order(&self) -> Vec<u32> {
        let mut shards: Vec<u32> = self.segments.iter().map(|segment| segment.shard).collect();
        shards.dedup();
        shards
    }

    /// All queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Arc<ShardPuts>> {
        self.shards.values()
    }

    /// Leaves every closed shard that can be left, for the open shards that cover it in a new description.
    ///
    /// # Errors
    ///
    /// When the open shards do not tile the hash space.
    pub(super) fn follow(
        &mut self,
        stream: &StreamDescription,
        queue_of: impl Fn(u32, u16) -> Arc<ShardPuts>,
    ) -> Result<(), Error> {
        let open = open_segments(stream)?;
        let described: BTreeMap<u32, &ShardDescription> = stream.shards.iter().map(|it| (it.shard, it)).collect();
        let is_open = |shard: &u32| described.get(shard).is_some_and(|shard| shard.open);
        let closed: Vec<u32> = self.shards.keys().copied().filter(|shard| !is_open(shard)).collect();
        for shard in closed {
            if let Some(unstored) = self.shards[&shard].leave() {
                // One that has expired is not described any more.
                let range = described.get(&shard).map_or(HashRange::FULL, |closed| closed.range);
                for cover in self.replace(shard, range, &open) {
                    let queue = || queue_of(cover, described[&cover].lane);
                    self.shards.entry(cover).or_insert_with(queue);
                }
                self.shards.remove(&shard);
                self.left.insert(shard);
                unstored.into_iter().for_each(|batch| self.go_on(batch));
            }
        }
        Ok(())
    }

    /// Puts records that were put together to the shards that take them now, in their order: a batch for each.
    /// Returns for each record which batch it is in, and where.
    pub(super) fn put_parts<'a>(
        &self,
        records: impl Iterator<Item = RecordView<'a>>,
        charge: &mut Charge,
        deadline: Instant,
    ) -> Vec<(Arc<Completion>, u32)> {
        let (mut parts, mut places) = (BTreeMap::<u32, BatchBuilder>::new(), Vec::new());
        for record in records {
            let shard = self.shard_of(record.hash_key());
            let builder = parts.entry(shard).or_default();
            places.push((shard, builder.record_count()));
            // Whether the stream takes it is the broker's to say.
            builder.push(&record, RECORD_BYTES_MAX).expect("it was in a batch before");
        }
        let put = |(shard, builder): (u32, BatchBuilder)| {
            let charge = charge.split(builder.body_len());
            (shard, self.shards[&shard].push_moved(builder, charge, deadline))
        };
        let put: BTreeMap<u32, Arc<Completion>> = parts.into_iter().map(put).collect();
        places.into_iter().map(|(shard, index)| (Arc::clone(&put[&shard]), index)).collect()
    }

    /// Gives the segments of a shard, which lie within `range`, to the open shards that cover them; says to which.
    fn replace(&mut self, shard: u32, range: HashRange, open: &[Segment]) -> Vec<u32> {
        let from = self.segments.partition_point(|it| it.range.last < range.first);
        let to = self.segments.partition_point(|it| it.range.first <= range.last);
        let (mut after, mut covers) = (Vec::new(), Vec::new());
        for segment in &self.segments[from..to] {
            if segment.shard != shard {
                after.push(*segment);
                continue;
            }
            let HashRange { first, last } = segment.range;
            let from = open.partition_point(|it| it.range.last < first);
            for cover in open[from..].iter().take_while(|it| it.range.first <= last) {
                let range = HashRange { first: cover.range.first.max(first), last: cover.range.last.min(last) };
                after.push(Segment { range, shard: cover.shard });
                covers.push(cover.shard);
            }
        }
        self.segments.splice(from..to, after);
        covers
    }

    /// Has a batch that a closed shard has not stored go on where its records belong now.
    fn go_on(&self, batch: Unstored) {
        let Unstored { bytes, completion, deadline, mut charge } = batch;
        let batch = PutBatch::parse(BytesMut::from(&bytes[..])).expect("we made it");
        completion.complete(BatchOutcome::Moved(self.put_parts(batch.records(), &mut charge, deadline)));
    }
}

fn open_segments(stream: &StreamDescription) -> Result<Vec<Segment>, Error> {
    let open = stream.shards.iter().filter(|shard| shard.open);
    let mut segments: Vec<_> = open.map(|shard| Segment { range: shard.range, shard: shard.shard }).collect();
    segments.sort_by_key(|segment| segment.range.first);
    let tiled = segments.first().is_some_and(|segment| segment.range.first == 0)
        && segments.last().is_some_and(|segment| segment.range.last == u128::MAX)
        && segments.windows(2).all(|pair| pair[0].range.last.checked_add(1) == Some(pair[1].range.first));
    match tiled {
        true => Ok(segments),
        false => Err(Error::protocol(format!("the open shards of stream {} leave a gap or overlap", stream.name))),
    }
}

#[cfg(test)]
mod tests;
