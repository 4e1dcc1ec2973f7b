//! The simulator over any number of seeds:
//! `rheos-tests simulate [--seeds=N] [--first=SEED] [--jobs=N]`, and the proof that it would see a bug, in a build
//! with the feature `planted`: `rheos-tests planted [--seeds=N]`.
//!
//! What holds goes to stdout; the exit code is 1 when something does not.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a person reads it")]

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rheos_core::planted::Bug;
use rheos_tests::sim::coverage::Coverage;
use rheos_tests::sim::shrink::{Scale, shrink};
use rheos_tests::sim::trace::Met;
use rheos_tests::sim::try_run;

const USAGE: &str = "usage: rheos-tests simulate [--seeds N] [--first SEED] [--jobs N]
       rheos-tests planted [--seeds N]        (build with --features planted)";
/// What is run when nothing is said: as many as `cargo test` runs.
const SEEDS: u64 = 250;
/// Failures that are told of before the rest is left.
const BROKEN_MAX: usize = 5;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, options)) = args.split_first().and_then(|(command, rest)| Some((command, options(rest)?)))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let number = |name: &str, otherwise: u64| options.get(name).copied().unwrap_or(otherwise);
    let (first, seeds) = (number("--first", 1), number("--seeds", SEEDS));
    // What does not hold is told in one line, not by the panic that found it.
    std::panic::set_hook(Box::new(|_| {}));
    match command.as_str() {
        "simulate" => simulate(first, seeds, number("--jobs", cores())),
        "planted" => planted(first, seeds),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn options(args: &[String]) -> Option<BTreeMap<String, u64>> {
    let words: Vec<&str> = args.iter().flat_map(|arg| arg.split('=')).collect();
    words.chunks(2).map(|pair| Some((pair[0].to_owned(), pair.get(1)?.parse().ok()?))).collect()
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// What the runs have come to.
#[derive(Default)]
struct Sum {
    runs: u64,
    met: Met,
    coverage: Coverage,
    broken: BTreeMap<u64, String>,
}

fn simulate(first: u64, seeds: u64, jobs: u64) -> ExitCode {
    let begun = Instant::now();
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| run_some(&next, first + seeds, &sum));
        }
    });
    let sum = sum.into_inner().expect("no run panics while the sum is locked");
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} seeds from {first}: {:.0} simulated hours in {minutes:.1} minutes, {:.0} seeds a minute, {} broken",
        sum.runs,
        sum.met.sim_hours,
        sum.runs as f64 / minutes,
        sum.broken.len()
    );
    println!("\nmet: {:#?}", sum.met);
    println!("\nreached:");
    sum.coverage.reached().for_each(|(kind, name, count)| println!("{count:>12}  {kind}: {name}"));
    println!("\nnever reached:");
    sum.coverage.missed().iter().for_each(|(kind, name)| println!("              {kind}: {name}"));
    sum.broken.iter().for_each(|(seed, why)| println!("\nseed {seed} is broken: {why}"));
    let Some(seed) = sum.broken.keys().next() else { return ExitCode::SUCCESS };
    eprintln!("\nlooking for a smaller run that breaks like seed {seed} ...");
    if let Some(smallest) = shrink(*seed) {
        println!("\nas small as it was found: seed {} with {:?}", smallest.seed, smallest.scale);
        println!("{}{}", smallest.broken.lines, smallest.broken.why);
    }
    ExitCode::FAILURE
}

fn run_some(next: &AtomicU64, end: u64, sum: &Mutex<Sum>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let ran = try_run(seed, &Scale::default(), false);
        let mut sum = sum.lock().expect("no run panics while the sum is locked");
        sum.runs += 1;
        match ran {
            Ok(ran) => {
                sum.met.add(&ran.met);
                sum.coverage.add(&ran.coverage);
            }
            Err(broken) => drop(sum.broken.insert(seed, broken.why)),
        }
        if sum.broken.len() >= BROKEN_MAX {
            return;
        }
    }
}

/// Runs the seeds once with each bug in it, in a process of its own, until the first that breaks.
fn planted(first: u64, seeds: u64) -> ExitCode {
    if !cfg!(feature = "planted") {
        eprintln!("error: this build has no bugs in it; build it with --features planted");
        return ExitCode::from(2);
    }
    if std::env::var("RHEOS_PLANTED").is_ok() {
        return until_broken(first, seeds);
    }
    let program = std::env::current_exe().expect("it is running");
    let mut all_are_seen = true;
    println!("{:<24} {:>6}  what is said", "planted", "seed");
    for bug in Bug::ALL {
        let args = ["planted", "--first", &first.to_string(), "--seeds", &seeds.to_string()];
        let ran = Command::new(&program).args(args).env("RHEOS_PLANTED", bug.name()).output().expect("it runs again");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        all_are_seen &= ran.status.code() == Some(1);
        let (seed, why) = said.trim().split_once(' ').unwrap_or(("-", "NOT SEEN"));
        println!("{:<24} {seed:>6}  {}", bug.name(), why.chars().take(150).collect::<String>());
    }
    if all_are_seen { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn until_broken(first: u64, seeds: u64) -> ExitCode {
    for seed in first..first + seeds {
        if let Err(broken) = try_run(seed, &Scale::default(), false) {
            println!("{seed} {}", broken.why.lines().next().unwrap_or_default());
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}
