//! Scales on-demand streams: asks the lanes what shards have taken, the [scaler](rheos_core::scaler) of each stream what
//! to do, and has it done as anybody else's reshard is.
//!
//! ```text
//!   tick ─► lanes: counters and keys of on-demand shards ─► Scaler::observe ─┬► step: Resharder, in a task of its own
//!                                                                            └► no step: its reason to the catalog
//! ```
//!
//! What must hold: a step's reason is in the catalog with the step; while one is under way its stream's scaler hears
//! of time but gives out no other. What the scalers remember ends with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rheos_core::arrival::Now;
use rheos_core::catalog::{Reshard, StreamRecord};
use rheos_core::scaler::{Scaler, ScalerPace, ShardLoad, Verdict};
use rheos_protocol::message::{ScalingOutcome, ScalingStep};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::clock;
use crate::lane::Arrival;
use crate::reshard::Resharder;
use crate::standing::Served;

/// Steps that have ended and wait to be taken notice of. Who ends one waits for room.
const OVER_WAITING_MAX: usize = 64;

/// Steps that were done since the broker was started, by stream; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScalingCounts(Arc<Mutex<BTreeMap<u64, StepCounts>>>);

/// Steps of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StepCounts {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

impl ScalingCounts {
    /// Those of a life of a stream.
    pub(crate) fn of(&self, incarnation: u64) -> StepCounts {
        self.lock().get(&incarnation).copied().unwrap_or_default()
    }

    fn count(&self, incarnation: u64, is_up: bool) {
        let mut counts = self.lock();
        let of_stream = counts.entry(incarnation).or_default();
        *(if is_up { &mut of_stream.up } else { &mut of_stream.down }) += 1;
    }

    fn retain(&self, is_there: impl Fn(u64) -> bool) {
        self.lock().retain(|incarnation, _| is_there(*incarnation));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, StepCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scales every on-demand stream of a broker.
pub(crate) struct Scaling {
    served: Arc<Served>,
    resharder: Resharder,
    pace: ScalerPace,
    /// By incarnation.
    scalers: BTreeMap<u64, Scaler>,
    end: mpsc::Sender<u64>,
    over: mpsc::Receiver<u64>,
}

impl Scaling {
    pub(crate) fn new(served: Arc<Served>, resharder: Resharder, pace: ScalerPace) -> Scaling {
        let (end, over) = mpsc::channel(OVER_WAITING_MAX);
        Scaling { served, resharder, pace, scalers: BTreeMap::new(), end, over }
    }

    /// Scales for as long as the broker runs.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(Duration::from_millis(self.pace.tick_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await,
                Some(incarnation) = self.over.recv() => {
                    if let Some(scaler) = self.scalers.get_mut(&incarnation) {
                        scaler.step_over(clock::now());
                    }
                }
            }
        }
    }

    async fn tick(&mut self) {
        self.served.scaling.retain(|incarnation| self.served.streams.by_incarnation(incarnation).is_some());
        if self.served.streams.on_demand().is_empty() {
            self.scalers.clear();
            return;
        }
        let keys_weight_least = self.pace.keys_weight_least();
        let told = self.served.ask_lanes(|told| Arrival::Loads { keys_weight_least, told }).await;
        let mut loads: HashMap<u64, Vec<ShardLoad>> = HashMap::new();
        for (log, of_log) in told.into_iter().flatten().flatten() {
            loads.entry(log.incarnation).or_default().extend(of_log);
        }
        // As they are after the lanes have answered; where one has not, or knew another map, the next tick will do.
        let (now, streams) = (clock::now(), self.served.streams.on_demand());
        self.scalers.retain(|incarnation, _| streams.iter().any(|stream| stream.incarnation == *incarnation));
        for stream in streams {
            let mut loads = loads.remove(&stream.incarnation).unwrap_or_default();
            loads.sort_unstable_by_key(|load| load.shard);
            self.observe(now, stream, loads).await;
        }
    }

    async fn observe(&mut self, now: Now, stream: Arc<StreamRecord>, loads: Vec<ShardLoad>) {
        let pace = self.pace;
        let scaler = self.scalers.entry(stream.incarnation).or_insert_with(|| Scaler::new(pace, now, &stream));
        let Some(Verdict { step, from, to, reason }) = scaler.observe(now, &stream, loads) else { return };
        let outcome = if step.is_some() { ScalingOutcome::UnderWay } else { ScalingOutcome::NoStep };
        let written = ScalingStep { begun_ms: now.wall_ms, outcome, from, to, reason };
        match step {
            Some(reshard) => {
                info!(stream = %stream.name, from, to, "scales: {reason}");
                let ended = self.end.clone();
                let stepping = Stepping { resharder: self.resharder.clone(), counts: self.served.scaling.clone() };
                tokio::spawn(async move {
                    stepping.step(&stream, reshard, written).await;
                    // Nobody is there to hear it any more when the broker stops.
                    let _ = ended.send(stream.incarnation).await;
                });
            }
            None => {
                warn!(stream = %stream.name, shards = from, "does not scale: {reason}");
                if let Err(why) = self.resharder.catalog.note_step(&stream, written).await {
                    warn!(stream = %stream.name, "that is not in its history: {why}");
                }
            }
        }
    }
}

/// One step while it is taken.
struct Stepping {
    resharder: Resharder,
    counts: ScalingCounts,
}

impl Stepping {
    async fn step(&self, stream: &StreamRecord, reshard: Reshard, step: ScalingStep) {
        let order = Arc::clone(&self.resharder.changes).lock_owned().await;
        match self.resharder.reshard(order, stream.name.clone(), reshard, Some(step)).await {
            Ok(_) => self.counts.count(stream.incarnation, step.to > step.from),
            Err(why) => {
                warn!(stream = %stream.name, from = step.from, to = step.to, "was not scaled; again after a while: {why}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_by_stream_and_leave_with_it() {
        let counts = ScalingCounts::default();
        counts.count(7, true);
        counts.count(7, true);
        counts.count(7, false);
        counts.count(8, false);
        assert_eq!(counts.of(7), StepCounts { up: 2, down: 1 });
        counts.retain(|incarnation| incarnation == 8);
        assert_eq!((counts.of(7), counts.of(8)), (StepCounts::default(), StepCounts { up: 0, down: 1 }));
    }
}
