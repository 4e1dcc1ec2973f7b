//! Stored batches as the records of an answer.
//!
//! What must hold: records come in the order of their shard and none twice; what is before the start, in the batch that
//! it begins in, is not among them; where the records stop for want of room, the next page begins with the one
//! that found none. Data is not copied: it stays in the memory of its batch until the answer is written.

use bytes::Bytes;
use rheos_protocol::batch::Batch;
use rheos_protocol::record::RecordView;

use super::NO_KEY;
use crate::shapes::structures::RECORD;
use crate::shard_view::ShardNumbers;
use crate::value::{Structure, TimestampMs};

/// What a read of a shard has found: whole batches, as they are stored.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The sequence that the position meant; records before it are not asked for.
    pub start_sequence: u64,
    /// Where to read on after the batches.
    pub next_sequence: u64,
    /// The batches, dense and in order; the first may begin before the start.
    pub batches: &'a [Batch],
    /// How old the first record at or after `next_sequence` is, in ms; 0 at the tip.
    pub behind_ms: u64,
}

/// As much of it as one answer may carry.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) records: Vec<Structure>,
    /// Where the next page begins.
    pub(super) next_sequence: u64,
    /// How old the first record of the next page is, in ms; 0 at the tip.
    pub(super) behind_ms: u64,
}

/// Takes records up to a count and a number of bytes of keys and data, at least one if there is one.
pub(super) fn page(
    numbers: &ShardNumbers,
    found: &Found<'_>,
    records_max: usize,
    bytes_max: usize,
    now_ms: u64,
) -> Page {
    let mut page = Page { records: Vec::new(), next_sequence: found.next_sequence, behind_ms: found.behind_ms };
    let mut bytes = 0;
    for batch in found.batches {
        let header = batch.header();
        for (record, sequence) in batch.records().zip(header.first_sequence..) {
            if sequence < found.start_sequence {
                continue;
            }
            bytes += record.partition_key.len() + record.data.len();
            let is_full = page.records.len() == records_max || bytes > bytes_max;
            if is_full && !page.records.is_empty() {
                // 0 would say that nothing is left, and some readers stop there.
                let behind_ms = now_ms.saturating_sub(header.arrival_ms).max(1);
                return Page { next_sequence: sequence, behind_ms, ..page };
            }
            page.records.push(structure(numbers, batch.bytes(), sequence, header.arrival_ms, &record));
        }
    }
    page
}

fn structure(
    numbers: &ShardNumbers,
    held_by: &Bytes,
    sequence: u64,
    arrival_ms: u64,
    record: &RecordView<'_>,
) -> Structure {
    let key = (record.partition_key != NO_KEY).then_some(record.partition_key);
    // A stream that is not encrypted has no EncryptionType in its records: that is how AWS answers.
    Structure::of(&RECORD)
        .with("SequenceNumber", numbers.of_record(sequence, arrival_ms).to_string())
        .with("ApproximateArrivalTimestamp", TimestampMs(i64::try_from(arrival_ms).unwrap_or(i64::MAX)))
        .with("Data", held_by.slice_ref(record.data))
        .with_some("PartitionKey", key)
}
