//! What a read or a push brought, once it is proved: checksums, place and density of its batches.

use std::collections::VecDeque;

use bytes::Bytes;
use rheos_protocol::batch::{BadBatch, Batch};
use rheos_protocol::message::{Batches, Position};
use rheos_protocol::record::{Record, RecordView};

use super::ReadRecord;
use crate::error::Error;

/// The batches of one read, or of one push, proved. The first may begin before `start_sequence`.
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
    /// When the shard is closed and was read to its end, the shards that take what it took.
    pub children: Option<Vec<u32>>,
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
        let start = reply.start_sequence;
        if let Some(expected) = exact(position).filter(|expected| *expected != start) {
            return Err(Error::Gap { shard, expected, found: start });
        }
        let batches = taken_apart(reply.batches)
            .map_err(|bad| Error::protocol(format!("shard {shard}, behind sequence {start}: {bad}")))?;
        let mut read = ReadBatches::joined(batches, incarnation, shard, start, Head::MayBeginBefore)?;
        if read.next_sequence != reply.next_sequence {
            return Err(Error::Gap { shard, expected: read.next_sequence, found: reply.next_sequence });
        }
        (read.tip_sequence, read.behind_ms, read.children) = (reply.tip_sequence, reply.behind_ms, reply.children);
        Ok(read)
    }

    /// Proves that batches are of this shard and dense from `start` on.
    pub(crate) fn joined(
        batches: VecDeque<Batch>,
        incarnation: u64,
        shard: u32,
        start: u64,
        head: Head,
    ) -> Result<ReadBatches, Error> {
        let mut due = start;
        for (index, batch) in batches.iter().enumerate() {
            let header = batch.header();
            if (header.incarnation, header.shard) != (incarnation, shard) {
                return Err(Error::protocol(format!(
                    "where a batch of shard {shard} was due, one of shard {} came",
                    header.shard
                )));
            }
            let joins = match head {
                Head::MayBeginBefore if index == 0 => header.first_sequence <= due && due < batch.next_sequence(),
                _ => header.first_sequence == due,
            };
            if !joins {
                return Err(Error::Gap { shard, expected: due, found: header.first_sequence });
            }
            due = batch.next_sequence();
        }
        Ok(ReadBatches {
            shard,
            start_sequence: start,
            next_sequence: due,
            tip_sequence: due,
            behind_ms: 0,
            children: None,
            batches,
        })
    }

    /// The sequence of the first record that was not taken.
    pub(crate) fn next_to_give(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.header().first_sequence.max(self.start_sequence))
    }

    /// Takes the first batch and its records, each with bytes of its own (which share the batch's).
    pub(crate) fn take_batch(&mut self) -> Option<(Batch, VecDeque<ReadRecord>)> {
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
        let records = records_from(&batch, self.start_sequence).map(owned).collect();
        Some((batch, records))
    }

    /// Puts the batch that was taken last back in front, to go on with its record `start`.
    pub(crate) fn put_back(&mut self, batch: Batch, start: u64) {
        self.start_sequence = start;
        self.batches.push_front(batch);
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

/// Whether the first of some batches may begin before the record that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    MayBeginBefore,
    IsDue,
}

/// Takes apart batches that follow each other, and proves each by itself.
pub(crate) fn taken_apart(mut bytes: Bytes) -> Result<VecDeque<Batch>, BadBatch> {
    let mut batches = VecDeque::new();
    while !bytes.is_empty() {
        batches.push_back(Batch::split_from(&mut bytes)?);
    }
    Ok(batches)
}

/// The sequence that a position names, if it names one.
pub(crate) fn exact(position: Position) -> Option<u64> {
    match position {
        Position::AtSequence(sequence) => Some(sequence),
        Position::AfterSequence(sequence) => sequence.checked_add(1),
        Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => None,
    }
}
