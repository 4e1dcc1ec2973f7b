//! Where in a segment the records of each shard are: one entry for each shard and commit.

use std::collections::BTreeMap;

/// The first record of a shard in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its sequence.
    pub first_sequence: u64,
    /// Its arrival, ms since 1970.
    pub arrival_ms: u64,
    /// Where the commit stands in the segment.
    pub offset: u64,
}

impl IndexEntry {
    /// Whether it can stand after another entry of its shard.
    pub fn follows(&self, other: &IndexEntry) -> bool {
        self.first_sequence > other.first_sequence && self.offset > other.offset
    }
}

/// The entries of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    shards: BTreeMap<u32, Vec<IndexEntry>>,
    entries: usize,
}

impl SegmentIndex {
    /// Adds the first record of a shard in a commit; a further batch of the same commit adds nothing.
    pub fn add(&mut self, shard: u32, entry: IndexEntry) {
        let entries = self.shards.entry(shard).or_default();
        if entries.last().is_some_and(|last| last.offset == entry.offset) {
            return;
        }
        debug_assert!(entries.last().is_none_or(|last| last.first_sequence < entry.first_sequence));
        entries.push(entry);
        self.entries += 1;
    }

    /// Entries of all shards.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether the segment holds no record.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The shards that have entries, sorted, each with its entries in order.
    pub fn shards(&self) -> impl Iterator<Item = (u32, &[IndexEntry])> {
        self.shards.iter().map(|(shard, entries)| (*shard, entries.as_slice()))
    }

    /// The entries of a shard, in order.
    pub fn of_shard(&self, shard: u32) -> &[IndexEntry] {
        self.shards.get(&shard).map_or(&[], Vec::as_slice)
    }
}

/// Which of a shard's entries a sequence belongs to: the last one that does not begin after it.
pub fn entry_of_sequence(entries: &[IndexEntry], sequence: u64) -> Option<usize> {
    entries.partition_point(|entry| entry.first_sequence <= sequence).checked_sub(1)
}

/// Which of a shard's entries holds the first record that arrived at or after a time, if one does:
/// the entry before the first that begins at or after it, because that one may end after it.
pub fn entry_of_arrival(entries: &[IndexEntry], arrival_ms: u64) -> usize {
    entries.partition_point(|entry| entry.arrival_ms < arrival_ms).saturating_sub(1)
}
