//! The simulator over many seeds, and the proof that a seed is a run.

#![allow(clippy::print_stderr, reason = "what the runs have met is shown")]

use rheos_tests::sim::coverage::Coverage;
use rheos_tests::sim::trace::Met;
use rheos_tests::sim::{run, run_traced};

/// `RHEOS_SIM_SEED` runs one seed and tells what happened; `RHEOS_SIM_RUNS` says how many are run.
#[test]
fn everything_holds_in_many_runs() {
    if let Some(seed) = number("RHEOS_SIM_SEED") {
        eprintln!("{:?}", run_traced(seed, true));
        return;
    }
    let first = number("RHEOS_SIM_FIRST").unwrap_or(1);
    let runs = number("RHEOS_SIM_RUNS").unwrap_or(RUNS);
    let (mut met, mut coverage) = (Met::default(), Coverage::default());
    for seed in first..first + runs {
        let ran = run(seed);
        met.add(&ran.met);
        coverage.add(&ran.coverage);
    }
    eprintln!("{runs} runs: {met:#?}");
    assert_everything_was_met(&met);
    assert_eq!(coverage.missed(), [], "what can be reached is");
}

/// Runs that have found a bug, and what it was.
#[test]
fn seeds_that_have_found_a_bug_hold() {
    let found = [
        (7, "children that were opened in the middle of a segment were damage without its footer"),
        (1858, "a segment without a footer was read beyond its end while its successor was in memory"),
        (2343, "a write that landed late was read in place of what was acked after a restart"),
    ];
    for (seed, what) in found {
        eprintln!("seed {seed}: {what}");
        run(seed);
    }
}

#[test]
fn a_seed_gives_one_run() {
    for seed in [3, 17, 1_000_003] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(3).trace, run(4).trace);
}

/// Runs that meet nothing prove nothing.
fn assert_everything_was_met(met: &Met) {
    let counts = [
        ("acks", met.acks),
        ("resends acked", met.resend_acks),
        ("refusals", met.refusals),
        ("behind", met.behinds),
        ("rolls", met.rolls),
        ("seals", met.seals),
        ("write failures", met.write_failures),
        ("prepare failures", met.prepare_failures),
        ("hurries", met.hurries),
        ("discards", met.discards),
        ("trims", met.trims),
        ("terms that change", met.terms_changed),
        ("puts over a limit", met.over_limit),
        ("subscriptions that a limit delays", met.paced),
        ("promises that change", met.promises_changed),
        ("lanes that are late with a promise", met.late_with_promises),
        ("read-only logs", met.read_only),
        ("indeterminate puts", met.indeterminate),
        ("reshards", met.reshards),
        ("reshards that are undone", met.reshards_undone),
        ("puts to closed shards", met.refused_as_closed),
        ("subscriptions that come to the end of a shard", met.shards_ended),
        ("crashes", met.crashes),
        ("crashes in recovery", met.crashes_in_recovery),
        ("clean stops", met.clean_stops),
        ("cuts", met.cuts),
        ("spares removed", met.spares_removed),
        ("reads from the disk", met.disk_reads),
        ("trimmed reads", met.trimmed_reads),
        ("clock jumps", met.clock_jumps),
        ("lanes dealt anew", met.lanes_dealt_anew),
        ("pushes from the tail", met.pushes_from_tail),
        ("pushes from scans", met.pushes_from_scans),
        ("a scan that serves two", met.pushes_shared),
        ("scans of segments that are gone", met.scans_gone),
        ("subscriptions that leave before a scan ends", met.scans_late),
        ("peers without room", met.peers_parked),
        ("credit used up", met.credit_used_up),
        ("positions that are looked for", met.began_at_sought),
        ("subscriptions that go on", met.resubscribed),
        ("subscriptions that go back", met.resubscribed_before),
        ("superseded subscriptions", met.superseded),
        ("older epochs", met.refused_as_older),
        ("deregistered consumers", met.deregistered),
        ("unsubscribed", met.unsubscribed),
        ("subscriptions that retention has overtaken", met.ended_trimmed),
        ("subscriptions that a stop ends", met.going_away),
        ("subscribers that come back", met.came_back),
        ("writes that land after the next start", met.ghosts),
        ("starts after which everything is read", met.sweeps),
        ("places that are damaged", met.rots),
        ("logs that take no puts because of damage", met.rots_refused),
        ("damaged records that are named", met.rots_named),
        ("damage to a commit that nothing proves", met.rots_in_the_last_second),
    ];
    for (name, count) in counts {
        assert!(count > 0, "no run has met {name}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("it is a number"))
}

/// Runs that take about half a minute of CPU in a debug build.
const RUNS: u64 = 250;
