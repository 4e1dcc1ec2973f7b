//! The newest batches of a log, in memory for those who read at the tip.
//!
//! It holds the batches' own memory, never the buffers they were written from, so that a slow
//! reader cannot hold up a commit. Everything in it is durable.

use std::collections::{BTreeMap, VecDeque};

use rheos_protocol::batch::Batch;

use crate::budget::LaneBudget;
use crate::fanout::Part;
use crate::limits::TAIL_MS_MAX;

/// The newest durable batches of one log.
#[derive(Debug, Default)]
pub struct Tail {
    shards: BTreeMap<u32, VecDeque<Batch>>,
    /// Shard and boot time of every batch, oldest first.
    order: VecDeque<(u32, u64)>,
}

impl Tail {
    /// Adds a batch that has become durable; older ones of this log make room when the lane has none.
    pub fn push(&mut self, batch: Batch, boot_ms: u64, budget: &mut LaneBudget) {
        budget.keep_tail(batch.bytes().len());
        self.order.push_back((batch.header().shard, boot_ms));
        self.shards.entry(batch.header().shard).or_default().push_back(batch);
        while budget.tail_is_full() && self.order.len() > 1 {
            self.drop_oldest(budget);
        }
    }

    /// Drops what has been here for too long.
    pub fn expire(&mut self, boot_ms: u64, budget: &mut LaneBudget) {
        while self.order.front().is_some_and(|(_, since_ms)| since_ms + TAIL_MS_MAX <= boot_ms) {
            self.drop_oldest(budget);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, budget: &mut LaneBudget) {
        while !self.order.is_empty() {
            self.drop_oldest(budget);
        }
    }

    /// The batches of a shard from the one that holds `sequence`, up to `bytes_max`, at least one;
    /// `None` when that batch is not here.
    pub fn from_sequence(&self, shard: u32, sequence: u64, bytes_max: usize) -> Option<Vec<Batch>> {
        let batches = self.shards.get(&shard)?;
        let at = batches.partition_point(|batch| batch.next_sequence() <= sequence);
        let first = batches.get(at)?;
        if first.header().first_sequence > sequence {
            return None;
        }
        let mut bytes = 0;
        let fits = |batch: &&Batch| {
            bytes += batch.bytes().len();
            bytes <= bytes_max
        };
        let mut taken: Vec<_> = batches.range(at..).take_while(fits).cloned().collect();
        if taken.is_empty() {
            taken.push(first.clone());
        }
        Some(taken)
    }

    /// The same as bytes to be sent, and what is known of how it goes on.
    pub(crate) fn part(&self, shard: u32, sequence: u64, bytes_max: usize) -> Option<Part> {
        let batches = self.shards.get(&shard)?;
        let at = batches.partition_point(|batch| batch.next_sequence() <= sequence);
        Part::gather(batches.range(at..), sequence, bytes_max)
    }

    /// When the record of a sequence arrived, when it is here.
    pub(crate) fn arrival_of(&self, shard: u32, sequence: u64) -> Option<u64> {
        let batches = self.shards.get(&shard)?;
        let at = batches.partition_point(|batch| batch.next_sequence() <= sequence);
        let header = batches.get(at)?.header();
        (header.first_sequence <= sequence).then_some(header.arrival_ms)
    }

    /// The first sequence of a shard that arrived at or after a time, when the answer is here for sure.
    pub fn sequence_at(&self, shard: u32, arrival_ms: u64) -> Option<u64> {
        let batches = self.shards.get(&shard)?;
        let at = batches.partition_point(|batch| batch.header().arrival_ms < arrival_ms);
        // Whether the first one here is the first at all is not known here.
        (at > 0).then(|| {
            batches.get(at).map_or_else(|| batches[at - 1].next_sequence(), |batch| batch.header().first_sequence)
        })
    }

    fn drop_oldest(&mut self, budget: &mut LaneBudget) {
        let (shard, _) = self.order.pop_front().expect("the caller saw one");
        let batches = self.shards.get_mut(&shard).expect("order and shards name the same batches");
        let batch = batches.pop_front().expect("order and shards name the same batches");
        if batches.is_empty() {
            self.shards.remove(&shard);
        }
        budget.drop_tail(batch.bytes().len());
    }
}
