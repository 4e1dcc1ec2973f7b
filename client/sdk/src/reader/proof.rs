//! What a read brought, once it is proved: checksums, place and density of its batches.

use std::collections::VecDeque;

use rheos_protocol::batch::Batch;
use rheos_protocol::message::{Batches, Position};
use rheos_protocol::record::{Record, RecordView};

use super::ReadRecord;
use crate::error::Error;

/// The batches of one read, proved. The first may begin before `start_sequence`.
#[derive(Debug, Clone)]
pub struct ReadBatches {
    /// The shard that was read.
    pub shard: u32,
    /// Where the read began; records before it were not asked for.
    pub start_sequence: u64,
    /// Where to read on.
    pub next_sequence: u64,
    /// Next sequence of the shard when it was read.
    pub tip_sequence: u64,
    /// Age in ms of the first record that is still to be read; 0 at the tip.
    pub behind_ms: u64,
    batches: VecDeque<Batch>,
}

/// A record that was read, inside its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordAt<'a> {
    /// Its place in the shard.
    pub sequence: u64,
    /// When the broker took it, ms since 1970.
    pub arrival_ms: u64,
    /// Key and data.
    pub record: RecordView<'a>,
}

impl ReadBatches {
    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether nothing was left to read when it was read.
    pub fn is_at_tip(&self) -> bool {
        self.next_sequence >= self.tip_sequence
    }

    /// The batches as they are stored.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }

    /// The records from `start_sequence` on, without copying them.
    pub fn records(&self) -> impl Iterator<Item = RecordAt<'_>> {
        self.batches.iter().flat_map(|batch| records_from(batch, self.start_sequence))
    }

    /// Proves a reply to a read at `position`.
    pub(super) fn prove(
        reply: Batches,
        incarnation: u64,
        shard: u32,
        position: Position,
    ) -> Result<ReadBatches, Error> {
        let gap = |expected, found| Error::Gap { shard, expected, found };
        let start = reply.start_sequence;
        if let Some(expected) = exact(position).filter(|expected| *expected != start) {
            return Err(gap(expected, start));
        }
        let (mut bytes, mut batches, mut due) = (reply.batches, VecDeque::new(), start);
        while !bytes.is_empty() {
            let batch = Batch::split_from(&mut bytes)
                .map_err(|bad| Error::protocol(format!("shard {shard}, behind sequence {due}: {bad}")))?;
            let header = batch.header();
            if (header.incarnation, header.shard) != (incarnation, shard) {
                return Err(Error::protocol(format!(
                    "a read of shard {shard} brought a batch of shard {}",
                    header.shard
                )));
            }
            let end = batch.next_sequence();
            let joins = match batches.is_empty() {
                true => header.first_sequence <= start && start < end,
                false => header.first_sequence == due,
            };
            if !joins {
                return Err(gap(due, header.first_sequence));
            }
            due = end;
            batches.push_back(batch);
        }
        if due != reply.next_sequence {
            return Err(gap(due, reply.next_sequence));
        }
        Ok(ReadBatches {
            shard,
            start_sequence: start,
            next_sequence: due,
            tip_sequence: reply.tip_sequence,
            behind_ms: reply.behind_ms,
            batches,
        })
    }

    /// The sequence of the first record that was not taken.
    pub(super) fn next_to_give(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.header().first_sequence.max(self.start_sequence))
    }

    /// Takes the records of the first batch, each with bytes of its own (which share the batch's).
    pub(super) fn take_batch(&mut self) -> Option<VecDeque<ReadRecord>> {
        let batch = self.batches.pop_front()?;
        let owned = |at: RecordAt<'_>| ReadRecord {
            shard: self.shard,
            sequence: at.sequence,
            arrival_ms: at.arrival_ms,
            behind_ms: self.behind_ms,
            record: Record {
                partition_key: at.record.partition_key.to_owned(),
                explicit_hash_key: at.record.explicit_hash_key,
                data: batch.bytes().slice_ref(at.record.data),
            },
        };
        Some(records_from(&batch, self.start_sequence).map(owned).collect())
    }
}

fn records_from(batch: &Batch, start: u64) -> impl Iterator<Item = RecordAt<'_>> {
    let header = batch.header();
    let (first, arrival_ms) = (header.first_sequence, header.arrival_ms);
    let numbered = batch.records().zip(first..);
    numbered.skip_while(move |(_, sequence)| *sequence < start).map(move |(record, sequence)| RecordAt {
        sequence,
        arrival_ms,
        record,
    })
}

/// The sequence that a position names, if it names one.
fn exact(position: Position) -> Option<u64> {
    match position {
        Position::AtSequence(sequence) => Some(sequence),
        Position::AfterSequence(sequence) => sequence.checked_add(1),
        Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => None,
    }
}
