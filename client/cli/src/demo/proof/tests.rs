//! Every fault that the proof is to find, planted.

use super::super::witness::Given;
use super::*;

/// Ten records in each of two shards, all acknowledged; record `i` of a shard has sequence `i`.
fn ledger() -> Ledger {
    ledger_with(|_, place| Fate::Acked(place as u64))
}

fn ledger_with(fate: impl Fn(usize, usize) -> Fate) -> Ledger {
    let mut ledger = Ledger::new(2);
    for shard in 0..2 {
        for i in 0..10 {
            let place = ledger.put(shard, fingerprint(shard, i), 0);
            match fate(shard, place) {
                Fate::Open => {}
                fate => drop(ledger.settle(shard, place, fate)),
            }
        }
    }
    ledger
}

fn fingerprint(shard: usize, i: u64) -> Fingerprint {
    100 * shard as u64 + i
}

fn given(shard: usize, sequence: u64) -> Given {
    Given { sequence, fingerprint: fingerprint(shard, sequence) }
}

fn lose(given: &mut Vec<Given>, place: usize) {
    given.remove(place);
}

/// What was given of shard 0 after `change`; shard 1 is as it should be.
fn proof_of(ledger: &Ledger, change: impl FnOnce(&mut Vec<Given>)) -> Proof {
    let mut of_shard_0: Vec<Given> = (0..10).map(|sequence| given(0, sequence)).collect();
    change(&mut of_shard_0);
    let mut witness = Witness::new("alerts", 2);
    of_shard_0.into_iter().for_each(|given| witness.give(0, given));
    (0..10).for_each(|sequence| witness.give(1, given(1, sequence)));
    Proof::of(ledger, [&witness])
}

#[test]
fn what_is_whole_is_proved() {
    let proof = proof_of(&ledger(), |_| {});
    assert!(proof.holds() && proof.faults.is_empty(), "{proof:?}");
    assert_eq!(proof.counts, Counts { put: 20, acked: 20, ..Counts::default() });
    assert_eq!(proof.verdicts, [Verdict { name: "alerts", records: 20, ..Verdict::default() }]);
}

#[test]
fn every_planted_fault_is_found() {
    type Change = fn(&mut Vec<Given>);
    let good = || Verdict { name: "alerts", records: 20, ..Verdict::default() };
    let cases: [(&str, Change, Verdict); 8] = [
        ("lost", |given| lose(given, 4), Verdict { records: 19, missing: 1, ..good() }),
        ("lost at the end", |given| given.truncate(7), Verdict { records: 17, missing: 3, ..good() }),
        ("pushed twice", |given| given.insert(5, given[4]), Verdict { duplicates: 1, ..good() }),
        ("pushed again later", |given| given.push(given[0]), Verdict { duplicates: 1, ..good() }),
        ("swapped", |given| given.swap(4, 5), Verdict { out_of_order: 1, ..good() }),
        ("stored twice", |all| all.push(Given { sequence: 10, ..given(0, 3) }), Verdict { duplicates: 1, ..good() }),
        ("altered", |given| given[6].fingerprint = 999, Verdict { records: 19, altered: 1, ..good() }),
        ("from nowhere", |all| all.push(given(0, 10)), Verdict { unknown: 1, ..good() }),
    ];
    for (name, change, verdict) in cases {
        let proof = proof_of(&ledger(), change);
        assert_eq!(proof.verdicts, [verdict], "{name}");
        assert!(!proof.holds(), "{name}");
        assert!(proof.faults[0].starts_with("alerts: shard 0 sequence "), "{name}: {:?}", proof.faults);
    }
}

#[test]
fn bytes_at_the_wrong_sequences_are_found() {
    let proof = proof_of(&ledger(), |given| {
        let (a, b) = (given[2].fingerprint, given[3].fingerprint);
        (given[2].fingerprint, given[3].fingerprint) = (b, a);
    });
    assert_eq!((proof.verdicts[0].altered, proof.holds()), (2, false));
}

#[test]
fn acks_that_contradict_each_other_are_found() {
    let shared = ledger_with(|_, place| Fate::Acked(if place == 7 { 3 } else { place as u64 }));
    let proof = proof_of(&shared, |given| lose(given, 7));
    assert_eq!((proof.shared_sequences, proof.holds()), (2, false), "once in each shard: {proof:?}");

    let swapped = ledger_with(|_, place| Fate::Acked([0, 1, 2, 4, 3, 5, 6, 7, 8, 9][place]));
    let proof = proof_of(&swapped, |_| {});
    assert_eq!((proof.stored_out_of_order, proof.holds()), (2, false), "once in each shard: {proof:?}");
}

#[test]
fn an_indeterminate_put_may_be_stored_once_or_not_at_all() {
    let ledger = ledger_with(|shard, place| match (shard, place) {
        (0, 9) => Fate::Indeterminate,
        (_, place) => Fate::Acked(place as u64),
    });
    let stored = proof_of(&ledger, |_| {});
    assert_eq!((stored.holds(), stored.verdicts[0].indeterminate), (true, 1), "{stored:?}");
    assert_eq!((stored.counts.indeterminate, stored.verdicts[0].records), (1, 19));
    let lost = proof_of(&ledger, |given| given.truncate(9));
    assert_eq!((lost.holds(), lost.verdicts[0].indeterminate), (true, 0), "{lost:?}");
    let twice = proof_of(&ledger, |given| given.push(Given { sequence: 10, ..given[9] }));
    assert_eq!((twice.holds(), twice.verdicts[0].unknown), (false, 1), "{twice:?}");
}

#[test]
fn a_refused_put_may_not_be_stored() {
    let ledger = ledger_with(|shard, place| match (shard, place) {
        (0, 9) => Fate::Refused,
        (_, place) => Fate::Acked(place as u64),
    });
    let proof = proof_of(&ledger, |_| {});
    assert_eq!((proof.holds(), proof.verdicts[0].unknown), (false, 1), "{proof:?}");
    assert!(proof_of(&ledger, |given| given.truncate(9)).holds());
}

#[test]
fn nothing_is_proved_of_nothing() {
    assert!(!Proof::of(&Ledger::new(2), [&Witness::new("alerts", 2)]).holds(), "no record was put");
    assert!(!Proof::of(&ledger(), []).holds(), "nobody was given anything");
    assert!(!Proof::of(&ledger(), [&Witness::new("alerts", 2)]).holds(), "it was given nothing");
    let open = ledger_with(|_, place| if place == 9 { Fate::Open } else { Fate::Acked(place as u64) });
    assert!(!proof_of(&open, |given| given.truncate(9)).holds(), "the fate of a put is not known");
}

#[test]
fn few_faults_are_told_and_all_are_counted() {
    let proof = proof_of(&ledger(), Vec::clear);
    assert_eq!((proof.verdicts[0].missing, proof.faults.len()), (10, FAULTS_TOLD_MAX));
}
