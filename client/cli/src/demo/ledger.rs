//! What was put, and what became of it: the producer's side of the proof.
//!
//! What must hold: the puts of a shard stand in the order in which they were made; each has one fate,
//! told once. Nothing here knows what a consumer was given.

use std::collections::BTreeMap;

use rheos_client::RecordView;
use xxhash_rust::xxh3::Xxh3;

/// Stands for a record: key and data, hashed.
pub(super) type Fingerprint = u64;

/// The fingerprint of a record.
pub(super) fn fingerprint(record: &RecordView<'_>) -> Fingerprint {
    let mut hash = Xxh3::new();
    hash.update(&(record.partition_key.len() as u64).to_le_bytes());
    hash.update(record.partition_key.as_bytes());
    hash.update(record.data);
    hash.digest()
}

/// A record that was put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Put {
    pub(super) fingerprint: Fingerprint,
    /// When it was due to be sent, on the demo's clock.
    pub(super) intended_ns: u64,
    pub(super) fate: Fate,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not known yet.
    Open,
    /// It is on the broker's disk, at this sequence of its shard.
    Acked(u64),
    /// It is not stored.
    Refused,
    /// It may or may not be stored.
    Indeterminate,
}

/// All puts to a stream whose shards are numbered from 0 on.
#[derive(Debug)]
pub(super) struct Ledger {
    shards: Vec<Page>,
    counts: Counts,
}

/// How many puts there are of each fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) put: u64,
    pub(super) acked: u64,
    pub(super) refused: u64,
    pub(super) indeterminate: u64,
}

impl Counts {
    /// Puts whose fate is not known yet.
    pub(super) fn open(&self) -> u64 {
        self.put - self.acked - self.refused - self.indeterminate
    }
}

/// The puts to one shard.
#[derive(Debug, Default)]
struct Page {
    puts: Vec<Put>,
    /// Which put has the sequence.
    placed: BTreeMap<u64, usize>,
}

impl Ledger {
    pub(super) fn new(shards: usize) -> Ledger {
        Ledger { shards: (0..shards).map(|_| Page::default()).collect(), counts: Counts::default() }
    }

    /// Notes a put, and gives its place among those of its shard.
    pub(super) fn put(&mut self, shard: usize, fingerprint: Fingerprint, intended_ns: u64) -> usize {
        let puts = &mut self.shards[shard].puts;
        puts.push(Put { fingerprint, intended_ns, fate: Fate::Open });
        self.counts.put += 1;
        puts.len() - 1
    }

    /// Notes what became of a put, and gives it back.
    ///
    /// # Panics
    ///
    /// When its fate was told before.
    pub(super) fn settle(&mut self, shard: usize, place: usize, fate: Fate) -> Put {
        let page = &mut self.shards[shard];
        let put = &mut page.puts[place];
        assert_eq!(put.fate, Fate::Open, "a put has one fate");
        put.fate = fate;
        match fate {
            Fate::Open => {}
            Fate::Acked(sequence) => {
                // Of two puts at one sequence the first stays here; the proof finds the other.
                page.placed.entry(sequence).or_insert(place);
                self.counts.acked += 1;
            }
            Fate::Refused => self.counts.refused += 1,
            Fate::Indeterminate => self.counts.indeterminate += 1,
        }
        *put
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The puts to a shard, in their order.
    pub(super) fn puts(&self, shard: usize) -> &[Put] {
        &self.shards[shard].puts
    }

    /// The put that was acknowledged with this sequence, and its place.
    pub(super) fn at(&self, shard: usize, sequence: u64) -> Option<(usize, Put)> {
        let page = &self.shards[shard];
        page.placed.get(&sequence).map(|place| (*place, page.puts[*place]))
    }

    /// The first put of a shard with a sequence of at least this.
    pub(super) fn at_or_after(&self, shard: usize, sequence: u64) -> Option<Put> {
        let page = &self.shards[shard];
        page.placed.range(sequence..).next().map(|(_, place)| page.puts[*place])
    }

    /// The sequences of a shard that were acknowledged, in order.
    pub(super) fn acked(&self, shard: usize) -> impl Iterator<Item = u64> {
        self.shards[shard].placed.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_key_from_data() {
        let of = |partition_key, data| fingerprint(&RecordView { partition_key, explicit_hash_key: None, data });
        assert_eq!(of("k", b"data"), of("k", b"data"));
        assert_ne!(of("k", b"data"), of("kd", b"ata"));
        assert_ne!(of("k", b"data"), of("k", b"dat"));
    }

    #[test]
    fn every_put_is_counted_with_its_fate() {
        let mut ledger = Ledger::new(2);
        let places: Vec<usize> = (0..4).map(|i| ledger.put(1, i, 10 * i)).collect();
        assert_eq!((ledger.counts().open(), places), (4, vec![0, 1, 2, 3]));
        ledger.settle(1, 0, Fate::Acked(7));
        ledger.settle(1, 1, Fate::Refused);
        ledger.settle(1, 3, Fate::Indeterminate);
        assert_eq!(ledger.counts(), Counts { put: 4, acked: 1, refused: 1, indeterminate: 1 });
        assert_eq!(ledger.counts().open(), 1);
        assert_eq!(ledger.at(1, 7).map(|(place, put)| (place, put.intended_ns)), Some((0, 0)));
        assert!(ledger.at(0, 7).is_none() && ledger.at(1, 8).is_none());
        assert_eq!(ledger.at_or_after(1, 3).map(|put| put.fate), Some(Fate::Acked(7)));
        assert_eq!(ledger.acked(1).collect::<Vec<_>>(), [7]);
    }
}
