//! Which core is whose: each lane has one of its own, and threads that are no lane stay off those.
//!
//! On a machine with fewer cores than lanes nobody is tied to any; with as many, the others share the
//! lanes' cores, because they must run somewhere.

use std::thread;

use rheos_core::limits::LANES_MAX;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tracing::warn;

use crate::finding::Finding;
use crate::start_error::StartError;

/// The lanes of a broker that is not told how many: one for each core that this process may use but
/// one, which is left for everything else; at least one lane.
pub fn default_lanes() -> u16 {
    let cores = sched_getaffinity(None).map_or(1, |allowed| allowed.count());
    (cores.saturating_sub(1).clamp(1, LANES_MAX.into())) as u16
}

/// The cores of this process, dealt out.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    /// Every core that the process may use.
    allowed: Vec<usize>,
    /// The core of each lane; none when they share all.
    lanes: Vec<usize>,
    /// What is left for the other threads.
    others: Vec<usize>,
}

impl Cores {
    /// Deals the cores that this process may use: `chosen` ones, or the last.
    ///
    /// # Errors
    ///
    /// When cores were chosen that are not one for each lane, or may not be used.
    pub(crate) fn deal(lanes: u16, chosen: &[usize]) -> Result<Cores, StartError> {
        let allowed = sched_getaffinity(None)
            .map_or_else(|_| Vec::new(), |allowed| (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect());
        Cores::deal_of(allowed, lanes, chosen)
    }

    fn deal_of(allowed: Vec<usize>, lanes: u16, chosen: &[usize]) -> Result<Cores, StartError> {
        if !chosen.is_empty() && chosen.len() != usize::from(lanes) {
            return Err(StartError::CoresMismatch { cores: chosen.len(), lanes });
        }
        if let Some(core) = chosen.iter().find(|core| !allowed.contains(core)) {
            let allowed = allowed.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            return Err(StartError::CoreNotAllowed { core: *core, allowed });
        }
        let lanes = match (chosen, allowed.len().checked_sub(lanes.into())) {
            ([], Some(first)) => allowed[first..].to_vec(),
            ([], None) => Vec::new(),
            (chosen, _) => chosen.to_vec(),
        };
        let others = allowed.iter().copied().filter(|core| !lanes.contains(core)).collect();
        Ok(Cores { allowed, lanes, others })
    }

    /// Whether each lane has a core of its own.
    pub(crate) fn finding(&self, lanes: u16) -> Finding {
        let cores = self.allowed.len();
        let cores_text = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        if self.lanes.is_empty() && cores > 0 {
            let fix = "--lanes: one for each core, or fewer, is faster";
            return Finding::warning(CORES, format!("{lanes} lanes share {cores_text}"), fix);
        }
        let others = if self.others.is_empty() { ", which all else shares" } else { "" };
        let which = self.lanes.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let lanes = if lanes == 1 { "1 lane".to_owned() } else { format!("{lanes} lanes") };
        Finding::ok(CORES, format!("{cores_text} for this process; {lanes} on {which}{others}"))
    }

    /// The cores of the lanes, in their order; none when they share all.
    pub(crate) fn of_lanes(&self) -> &[usize] {
        &self.lanes
    }

    /// How many cores the process may use.
    pub(crate) fn allowed(&self) -> usize {
        self.allowed.len()
    }

    /// How many cores are beside those of the lanes; none when all are theirs.
    pub(crate) fn beside_lanes(&self) -> usize {
        if self.lanes.is_empty() { 0 } else { self.others.len() }
    }

    /// Ties the calling thread to the core of a lane.
    pub(crate) fn keep_to_lane(&self, lane: u16) {
        match self.lanes.get(usize::from(lane)) {
            Some(core) => keep_to(&[*core]),
            None => keep_to(&self.allowed),
        }
    }

    /// Keeps the calling thread, and those that it starts, off the lanes' cores; until the value is dropped.
    pub(crate) fn keep_off_lanes(&self) -> KeptOff {
        keep_to(if self.others.is_empty() { &self.allowed } else { &self.others });
        KeptOff { before: self.allowed.clone() }
    }
}

/// While this lives, the thread that made it runs on some of its cores only.
#[derive(Debug)]
pub(crate) struct KeptOff {
    before: Vec<usize>,
}

impl Drop for KeptOff {
    fn drop(&mut self) {
        keep_to(&self.before);
    }
}

fn keep_to(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if let Err(error) = sched_setaffinity(None, &set) {
        warn!("thread {} runs on any core: {error}", thread::current().name().unwrap_or("?"));
    }
}

const CORES: &str = "cores";

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(allowed: &[usize], lanes: u16, chosen: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let cores = Cores::deal_of(allowed.to_vec(), lanes, chosen).expect("it can be dealt");
        (cores.lanes, cores.others)
    }

    #[test]
    fn lanes_take_the_last_cores_and_others_the_rest() {
        assert_eq!(dealt(&[0, 1, 2, 3], 1, &[]), (vec![3], vec![0, 1, 2]));
        assert_eq!(dealt(&[0, 2, 4, 6], 3, &[]), (vec![2, 4, 6], vec![0]));
        assert_eq!(dealt(&[0, 1], 2, &[]), (vec![0, 1], vec![]), "others share them");
        assert_eq!(dealt(&[0, 1], 3, &[]), (vec![], vec![0, 1]), "nobody is tied");
        assert_eq!(dealt(&[], 1, &[]), (vec![], vec![]), "the kernel does not say");
        let shared = Cores::deal_of(vec![0, 1], 3, &[]).expect("it can be dealt");
        let said = shared.finding(3).said_at_start().expect("they share");
        assert!(said.contains("3 lanes share 2 cores") && said.contains("--lanes"), "{said}");
        assert_eq!(Cores::deal_of(vec![0, 1], 2, &[]).expect("it can be dealt").finding(2).said_at_start(), None);
    }

    #[test]
    fn chosen_cores_are_one_for_each_lane_and_allowed() {
        assert_eq!(dealt(&[0, 1, 2, 3], 2, &[2, 0]), (vec![2, 0], vec![1, 3]));
        for chosen in [&[1][..], &[1, 2, 3]] {
            let error = Cores::deal_of(vec![0, 1, 2, 3], 2, chosen).expect_err("they are not two").to_string();
            assert!(error.contains("for 2 lanes") && error.contains(&chosen.len().to_string()), "{error}");
        }
        let error = Cores::deal_of(vec![0, 2], 1, &[1]).expect_err("it is another's").to_string();
        assert!(error.contains("core 1") && error.contains("0,2"), "{error}");
    }

    #[test]
    fn there_is_always_a_lane() {
        assert!((1..=LANES_MAX).contains(&default_lanes()));
    }
}
