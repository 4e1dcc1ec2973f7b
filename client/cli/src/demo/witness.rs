//! What one consumer or reader was given, in the order in which it was given.
//!
//! It keeps everything, wrong or right: judging is the [proof](super::proof)'s.

use rheos_client::ReadBatches;

use super::ledger::{Fingerprint, Ledger, fingerprint};

/// A record as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) sequence: u64,
    pub(super) fingerprint: Fingerprint,
}

/// One that was given records.
#[derive(Debug)]
pub(super) struct Witness {
    /// How it is called in the proof.
    pub(super) name: &'static str,
    shards: Vec<Vec<Given>>,
    count: u64,
}

impl Witness {
    pub(super) fn new(name: &'static str, shards: usize) -> Witness {
        Witness { name, shards: vec![Vec::new(); shards], count: 0 }
    }

    pub(super) fn give(&mut self, shard: usize, given: Given) {
        self.shards[shard].push(given);
        self.count += 1;
    }

    /// Everything that a read or a push brought.
    pub(super) fn give_all(&mut self, read: &ReadBatches) {
        for at in read.records() {
            self.give(read.shard as usize, Given { sequence: at.sequence, fingerprint: fingerprint(&at.record) });
        }
    }

    /// What it was given of a shard.
    pub(super) fn given(&self, shard: usize) -> &[Given] {
        &self.shards[shard]
    }

    /// How many records it was given, each as often as it was.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The sequence that is due next in a shard.
    pub(super) fn next(&self, shard: usize) -> u64 {
        self.shards[shard].last().map_or(0, |given| given.sequence + 1)
    }

    /// When the oldest acknowledged record that it was not given yet was due to be sent; `None` when it was
    /// given all.
    pub(super) fn behind_since_ns(&self, ledger: &Ledger) -> Option<u64> {
        let oldest = |shard| Some(ledger.at_or_after(shard, self.next(shard))?.intended_ns);
        (0..self.shards.len()).filter_map(oldest).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Fate;
    use super::*;

    #[test]
    fn a_witness_is_as_far_behind_as_its_worst_shard() {
        let mut ledger = Ledger::new(2);
        for (shard, intended_ns, sequence) in [(0, 10, 0), (0, 30, 1), (1, 20, 0)] {
            let place = ledger.put(shard, 0, intended_ns);
            ledger.settle(shard, place, Fate::Acked(sequence));
        }
        let mut witness = Witness::new("alerts", 2);
        let mut give = |shard, sequence| {
            witness.give(shard, Given { sequence, fingerprint: 0 });
            witness.behind_since_ns(&ledger)
        };
        assert_eq!(give(0, 0), Some(20));
        assert_eq!(give(1, 0), Some(30));
        assert_eq!(give(0, 1), None);
        assert_eq!((witness.count(), witness.next(0), witness.next(1)), (3, 2, 1));
    }
}
