//! A run that breaks, made smaller: fewer logs, producers and puts, and less that chance may do, for as long as some
//! run still breaks in the same way.
//!
//! Chance has one source, so whatever is left out changes what follows. A smaller run is therefore looked for
//! among other seeds too; what is found is a run of its own, as small as any that was met.

use super::world::Faults;
use super::{Broken, try_run};

/// How much a run may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Most logs.
    pub logs_max: u64,
    /// Most shards of a log at the beginning.
    pub shards_max: u64,
    /// Most producers.
    pub producers_max: u64,
    /// Most subscribers.
    pub subscribers_max: u64,
    /// Most puts.
    pub puts_max: u64,
    /// What does not happen.
    pub without: Vec<Kind>,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale {
            logs_max: u64::MAX,
            shards_max: u64::MAX,
            producers_max: u64::MAX,
            subscribers_max: u64::MAX,
            puts_max: u64::MAX,
            without: Vec::new(),
        }
    }
}

/// What may be left out of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what it is")]
pub enum Kind {
    FailedWrites,
    FailedPrepares,
    FailedSeals,
    BrokenConnections,
    CrashesInRecovery,
    LateWrites,
    Downtime,
    ClockJumps,
    FullDisk,
    LowDisk,
    Reshards,
    OtherTerms,
    LongSilences,
    Sweeps,
    Damage,
    Crashes,
    Stops,
}

impl Kind {
    const ALL: [Kind; 17] = [
        Kind::FailedWrites,
        Kind::FailedPrepares,
        Kind::FailedSeals,
        Kind::BrokenConnections,
        Kind::CrashesInRecovery,
        Kind::LateWrites,
        Kind::Downtime,
        Kind::ClockJumps,
        Kind::FullDisk,
        Kind::LowDisk,
        Kind::Reshards,
        Kind::OtherTerms,
        Kind::LongSilences,
        Kind::Sweeps,
        Kind::Damage,
        Kind::Crashes,
        Kind::Stops,
    ];

    pub(crate) fn leave_out(self, faults: &mut Faults) {
        match self {
            Kind::FailedWrites => faults.write_fails = 0,
            Kind::FailedPrepares => faults.prepare_fails = 0,
            Kind::FailedSeals => faults.seal_fails = 0,
            Kind::BrokenConnections => faults.connection_breaks = 0,
            Kind::CrashesInRecovery => faults.recovery_crashes = 0,
            Kind::LateWrites => faults.ghosts = 0,
            Kind::Downtime => faults.downtime_us = None,
            Kind::ClockJumps => faults.clock = false,
            Kind::FullDisk => faults.disk_full = false,
            Kind::LowDisk => faults.disk_low = false,
            Kind::Reshards => faults.reshards = false,
            Kind::OtherTerms => faults.terms = false,
            Kind::LongSilences => faults.long_silences = false,
            Kind::Sweeps => faults.sweeps = 0,
            Kind::Damage => faults.rots = 0,
            Kind::Crashes => faults.crashes = false,
            Kind::Stops => faults.stops = false,
        }
    }
}

impl Scale {
    /// Scales that are a little smaller.
    fn smaller(&self) -> Vec<Scale> {
        let less = |change: &dyn Fn(&mut Scale)| {
            let mut scale = self.clone();
            change(&mut scale);
            scale
        };
        let mut all = vec![
            less(&|it| it.logs_max = 1),
            less(&|it| it.shards_max = 1),
            less(&|it| it.subscribers_max = 0),
            less(&|it| it.producers_max = 1),
        ];
        all.extend([40, 20, 10, 5, 3, 2, 1].map(|most| less(&|it| it.puts_max = it.puts_max.min(most))));
        for kind in Kind::ALL.into_iter().filter(|kind| !self.without.contains(kind)) {
            all.push(less(&|it| it.without.push(kind)));
        }
        all.retain(|scale| scale != self);
        all
    }
}

/// A run that breaks.
#[derive(Debug, Clone)]
pub struct Smallest {
    /// Its seed.
    pub seed: u64,
    /// On which scale.
    pub scale: Scale,
    /// What does not hold, and the last that happened.
    pub broken: Broken,
}

/// Looks for the smallest run that breaks like this seed does; `None` when it does not break.
pub fn shrink(seed: u64) -> Option<Smallest> {
    let scale = Scale::default();
    let broken = try_run(seed, &scale, true).err()?;
    let way = way_of(&broken.why);
    let mut best = Smallest { seed, scale, broken };
    while let Some(smaller) = best.scale.smaller().iter().find_map(|scale| breaks_alike(best.seed, scale, &way)) {
        best = smaller;
    }
    Some(best)
}

/// A run on this scale that breaks in this way: of the same seed, or of one of those that follow.
fn breaks_alike(seed: u64, scale: &Scale, way: &str) -> Option<Smallest> {
    let seed = (seed..seed + SEEDS_TRIED)
        .find(|seed| try_run(*seed, scale, false).is_err_and(|broken| way_of(&broken.why) == way))?;
    let broken = try_run(seed, scale, true).err()?;
    Some(Smallest { seed, scale: scale.clone(), broken })
}

/// What two runs have in common that break alike: the words, and not the numbers.
fn way_of(why: &str) -> String {
    why.chars().filter(|letter| !letter.is_ascii_digit()).take(WAY_LETTERS).collect()
}

/// Seeds among which a smaller run is looked for.
const SEEDS_TRIED: u64 = 200;
/// Two messages that begin alike for so long say the same.
const WAY_LETTERS: usize = 50;
