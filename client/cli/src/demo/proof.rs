//! The proof: what was put held against what came back. Pure, so that its tests can plant every fault.
//!
//! What must hold, or the verdict says which does not:
//! - no two puts of a shard have one sequence, and their sequences rise in the order of the puts;
//! - each witness was given every acknowledged record, unchanged, once, in the order of the sequences;
//! - beside those it was given nothing but puts whose fate is indeterminate, each at most once.
//!
//! A key's records are in one shard, so what is in order in a shard is in order for every key.

use std::collections::{HashMap, HashSet};

use super::ledger::{Counts, Fate, Fingerprint, Ledger};
use super::witness::Witness;

/// Most faults that are told in words; all are counted.
const FAULTS_TOLD_MAX: usize = 5;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub(super) counts: Counts,
    /// Sequences that were given to two puts.
    pub(super) shared_sequences: u64,
    /// Puts that were stored before one that was put earlier.
    pub(super) stored_out_of_order: u64,
    pub(super) verdicts: Vec<Verdict>,
    /// The first faults, in words.
    pub(super) faults: Vec<String>,
}

/// What was found of one witness.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) name: &'static str,
    /// Acknowledged records that it was given, each counted once.
    pub(super) records: u64,
    /// Records that it was given again, or that are stored twice.
    pub(super) duplicates: u64,
    /// Records that it was given after a later one of the same shard.
    pub(super) out_of_order: u64,
    /// Acknowledged records that it was not given.
    pub(super) missing: u64,
    /// Records that came back other than they were put.
    pub(super) altered: u64,
    /// Records that nobody has put, or whose put was refused.
    pub(super) unknown: u64,
    /// Records whose put was indeterminate, and that are stored.
    pub(super) indeterminate: u64,
}

impl Verdict {
    fn is_good(&self) -> bool {
        self.duplicates + self.out_of_order + self.missing + self.altered + self.unknown == 0
    }
}

impl Proof {
    /// Holds what was put against what every witness was given.
    pub(super) fn of<'a>(ledger: &Ledger, witnesses: impl IntoIterator<Item = &'a Witness>) -> Proof {
        let mut proof = Proof { counts: ledger.counts(), ..Proof::default() };
        for shard in 0..ledger.shards() {
            proof.see_puts(ledger, shard);
        }
        for witness in witnesses {
            let mut verdict = Verdict { name: witness.name, ..Verdict::default() };
            for shard in 0..ledger.shards() {
                Judge { ledger, witness, shard, proof: &mut proof, verdict: &mut verdict }.judge();
            }
            proof.verdicts.push(verdict);
        }
        proof
    }

    /// Whether everything holds, of at least one record.
    pub(super) fn holds(&self) -> bool {
        let stored_well = self.shared_sequences + self.stored_out_of_order == 0;
        let settled = self.counts.open() == 0 && self.counts.acked > 0;
        stored_well && settled && !self.verdicts.is_empty() && self.verdicts.iter().all(Verdict::is_good)
    }

    fn see_puts(&mut self, ledger: &Ledger, shard: usize) {
        let mut last = None;
        for (place, put) in ledger.puts(shard).iter().enumerate() {
            let Fate::Acked(sequence) = put.fate else { continue };
            if ledger.at(shard, sequence).is_none_or(|(owner, _)| owner != place) {
                self.shared_sequences += 1;
                self.tell(|| format!("shard {shard}: two puts were acknowledged with sequence {sequence}"));
            } else if last.is_some_and(|last| sequence < last) {
                self.stored_out_of_order += 1;
                self.tell(|| format!("shard {shard}: sequence {sequence} was put after what follows it"));
            }
            last = last.max(Some(sequence));
        }
    }

    fn tell(&mut self, fault: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(fault());
        }
    }
}

/// Looks at what one witness was given of one shard.
struct Judge<'a> {
    ledger: &'a Ledger,
    witness: &'a Witness,
    shard: usize,
    proof: &'a mut Proof,
    verdict: &'a mut Verdict,
}

impl Judge<'_> {
    fn judge(mut self) {
        let (mut seen, mut unplaced, mut highest) = (HashSet::new(), Vec::new(), None);
        for given in self.witness.given(self.shard) {
            if !seen.insert(given.sequence) {
                self.verdict.duplicates += 1;
                self.tell(given.sequence, "was given twice");
                continue;
            }
            if highest > Some(given.sequence) {
                self.verdict.out_of_order += 1;
                self.tell(given.sequence, "was given after a later one");
            }
            highest = highest.max(Some(given.sequence));
            match self.ledger.at(self.shard, given.sequence) {
                Some((_, put)) if put.fingerprint == given.fingerprint => self.verdict.records += 1,
                Some(_) => {
                    self.verdict.altered += 1;
                    self.tell(given.sequence, "came back other than it was put");
                }
                None => unplaced.push((given.sequence, given.fingerprint)),
            }
        }
        for sequence in self.ledger.acked(self.shard).filter(|sequence| !seen.contains(sequence)) {
            self.verdict.missing += 1;
            self.tell(sequence, "was acknowledged and is missing");
        }
        if !unplaced.is_empty() {
            self.judge_unplaced(&unplaced);
        }
    }

    /// Records at sequences that no ack has named.
    fn judge_unplaced(&mut self, unplaced: &[(u64, Fingerprint)]) {
        let (mut open, mut acked) = (HashMap::<Fingerprint, u64>::new(), HashSet::new());
        for put in self.ledger.puts(self.shard) {
            match put.fate {
                Fate::Indeterminate | Fate::Open => *open.entry(put.fingerprint).or_default() += 1,
                Fate::Acked(_) => drop(acked.insert(put.fingerprint)),
                Fate::Refused => {}
            }
        }
        for (sequence, fingerprint) in unplaced {
            if let Some(left @ 1..) = open.get_mut(fingerprint) {
                *left -= 1;
                self.verdict.indeterminate += 1;
            } else if acked.contains(fingerprint) {
                self.verdict.duplicates += 1;
                self.tell(*sequence, "is a record that is stored elsewhere too");
            } else {
                self.verdict.unknown += 1;
                self.tell(*sequence, "holds a record that was not put, or was refused");
            }
        }
    }

    fn tell(&mut self, sequence: u64, what: &str) {
        let (name, shard) = (self.witness.name, self.shard);
        self.proof.tell(|| format!("{name}: shard {shard} sequence {sequence} {what}"));
    }
}

#[cfg(test)]
mod tests;
