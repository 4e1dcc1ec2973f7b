//! The simulator: logs and their lanes, their disk, their clock, and who puts, reads and subscribes,
//! all from one seed.
//!
//! It is an owner of logs like the server: it tells each [`Log`](rheos_core::log::Log) what happened
//! and performs what the log asks for, over a disk whose writes may tear, fail, come late or not at
//! all, and a clock that goes where it likes. Every answer, every read and every push goes to the
//! [`Checker`](crate::checker::Checker). At the end of a run what lies on the disk is damaged, and what
//! is said of it then is judged too.
//!
//! What must hold: one seed gives one run, to the byte; nothing here looks into a log.
//!
//! ```
//! let ran = rheos_tests::sim::run(7);
//! assert_eq!(ran, rheos_tests::sim::run(7));
//! ```

pub mod broker;
pub mod charges;
pub mod coverage;
pub mod disk;
pub mod hostile;
pub mod lanes;
pub mod producer;
pub mod promises;
pub mod reader;
pub mod reshard;
pub mod rot;
pub mod shrink;
pub mod subscriber;
pub mod terms;
pub mod trace;
pub mod world;

use coverage::Coverage;
use shrink::Scale;
use trace::Met;
use world::World;

/// What came of a run in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Hash of everything that happened.
    pub trace: u64,
    /// What was met.
    pub met: Met,
    /// What was reached of what can be.
    pub coverage: Coverage,
}

/// What came of a run in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What did not.
    pub why: String,
    /// The last that happened before, when that was asked for.
    pub lines: String,
}

/// Runs a seed.
///
/// # Panics
/// When something does not hold; the message names the seed and what to set to see it again.
pub fn run(seed: u64) -> Ran {
    run_traced(seed, false)
}

/// Runs a seed and, when something does not hold, tells the last that happened.
///
/// # Panics
/// As [`run`].
pub fn run_traced(seed: u64, verbose: bool) -> Ran {
    let Broken { why, lines } = match try_run(seed, &Scale::default(), verbose) {
        Ok(ran) => return ran,
        Err(broken) => broken,
    };
    panic!("{lines}seed {seed} (run it alone with RHEOS_SIM_SEED={seed}): {why}");
}

/// Runs a seed on a scale.
///
/// # Errors
/// Something does not hold, or panics.
pub fn try_run(seed: u64, scale: &Scale, verbose: bool) -> Result<Ran, Broken> {
    let mut world = World::new(seed, scale);
    world.trace.verbose = verbose;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    let why = match result {
        Ok(Ok(())) => return Ok(Ran { trace: world.trace.hash(), met: world.met, coverage: world.coverage }),
        Ok(Err(why)) => why,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    };
    Err(Broken { why, lines: world.trace.lines() })
}
