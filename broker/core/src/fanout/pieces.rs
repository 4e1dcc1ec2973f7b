//! What scans have brought: batches of the disk, kept for a while for all who stand where they are.
//!
//! What must hold: everything here is durable and proved; the bytes are bounded, the oldest go first;
//! what is given follows the place that was asked for, without a gap.

use std::collections::{BTreeMap, VecDeque};

use rheos_protocol::batch::Batch;

use super::Part;
use crate::limits::{PIECES_BYTES_MAX, TAIL_MS_MAX};
use crate::log::LogId;

#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// By log, shard and first sequence.
    batches: BTreeMap<(LogId, u32, u64), Batch>,
    /// The same with the time they came, oldest first.
    order: VecDeque<((LogId, u32, u64), u64)>,
    bytes: usize,
}

impl Pieces {
    /// Keeps batches of a log, for which so many bytes were read. Where most of those are not batches, they
    /// would be kept too: the batches are then copied.
    pub(super) fn keep(&mut self, log: LogId, batches: Vec<Batch>, read_bytes: usize, boot_ms: u64) {
        let kept: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let is_sparse = kept < read_bytes / 2;
        for batch in batches {
            let key = (log, batch.header().shard, batch.header().first_sequence);
            if self.batches.contains_key(&key) {
                continue;
            }
            self.bytes += batch.bytes().len();
            self.batches.insert(key, if is_sparse { batch.detached() } else { batch });
            self.order.push_back((key, boot_ms));
        }
        while self.bytes > PIECES_BYTES_MAX && self.order.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Lets go of what has been here for too long: nobody stands there any more.
    pub(super) fn expire(&mut self, boot_ms: u64) {
        while self.order.front().is_some_and(|(_, since_ms)| since_ms + TAIL_MS_MAX <= boot_ms) {
            self.drop_oldest();
        }
    }

    /// What follows a place, up to `bytes_max`, at least one batch.
    pub(super) fn from(&self, log: LogId, shard: u32, sequence: u64, bytes_max: usize) -> Option<Part> {
        let (first, _) = self.batches.range((log, shard, 0)..=(log, shard, sequence)).next_back()?;
        let following = self.batches.range(*first..=(log, shard, u64::MAX)).map(|(_, batch)| batch);
        Part::gather(following, sequence, bytes_max)
    }

    /// Lets go of everything of a stream.
    pub(super) fn forget(&mut self, incarnation: u64) {
        let gone = |log: &LogId| log.incarnation == incarnation;
        self.order.retain(|((log, ..), _)| !gone(log));
        let bytes = &mut self.bytes;
        self.batches.retain(|(log, ..), batch| {
            *bytes -= if gone(log) { batch.bytes().len() } else { 0 };
            !gone(log)
        });
    }

    fn drop_oldest(&mut self) {
        let (oldest, _) = self.order.pop_front().expect("the caller saw one");
        let batch = self.batches.remove(&oldest).expect("order and batches name the same");
        self.bytes -= batch.bytes().len();
    }
}
