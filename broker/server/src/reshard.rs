//! Performs reshards: the catalog, the lanes and what is looked up in memory, in the order that
//! [`rheos_core::reshard`] says; and forgets closed shards whose records have expired.
//!
//! What must hold: once it has begun, a reshard is finished or undone whoever stops waiting for it; while a map
//! of shards changes, no other change of the catalog is heard of in between; lanes hear of children before
//! clients can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rheos_core::catalog::{Reshard, ReshardPlan, StreamRecord, plan_reshard};
use rheos_core::lanes::lanes_of;
use rheos_core::log::LogId;
use rheos_core::reshard::{Came, Next, Step, came, next};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::ScalingStep;
use rheos_protocol::name::StreamName;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::clock;
use crate::faults::{Moment, reached};
use crate::lane::{Arrival, Ends, Inboxes, Resharding};
use crate::reservations::Reservations;
use crate::stopping::going_away;
use crate::streams::Streams;

/// How long the parents may take to have everything on the disk. Their puts wait meanwhile.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Wait before a step is tried again whose outcome is not known.
const AGAIN: Duration = Duration::from_millis(250);
/// Most reports of expired shards that wait; each comes again within minutes.
pub(crate) const EXPIRED_WAITING_MAX: usize = 1_024;

/// Closed shards of a life of a stream whose records have expired.
pub(crate) type Expired = (u64, Vec<u32>);

/// Changes the shards of streams; every clone is the same.
#[derive(Clone)]
pub(crate) struct Resharder {
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) inboxes: Inboxes,
    /// Held while the catalog is changed, so that lanes and whoever looks things up in memory hear of changes in
    /// the catalog's order.
    pub(crate) changes: Arc<Mutex<()>>,
    pub(crate) lanes: u16,
    /// What no reshard may break.
    pub(crate) reservations: Reservations,
}

impl Resharder {
    /// Reshards a stream, in a task of its own: whoever waits for it may go. `order` is the turn to change the catalog,
    /// `step` what it is of an on-demand stream.
    ///
    /// # Errors
    /// Those of the plan and of the stream's mode, `Resharding`, `OverReserved`, those of the catalog, and why it was
    /// undone.
    pub(crate) async fn reshard(
        &self,
        order: OwnedMutexGuard<()>,
        stream: StreamName,
        reshard: Reshard,
        step: Option<ScalingStep>,
    ) -> Result<Arc<StreamRecord>, WireError> {
        let resharder = self.clone();
        let resharding = tokio::spawn(async move {
            let (planned, _) = resharder.streams.named(&stream)?.begin_reshard(reshard, step.as_ref())?;
            resharder.reservations.admit_stream(&planned)?;
            let begun = resharder.catalog.begin_reshard(&stream, reshard, step).await?;
            reached(Moment::ReshardBegun);
            resharder.streams.change(Arc::clone(&begun));
            drop(order);
            resharder.finish(&begun).await
        });
        resharding.await.unwrap_or_else(|_| Err(going_away()))
    }

    /// The stream of this name, as far as anybody can have heard of it: who asks because a lane has spoken of
    /// children is told of them.
    ///
    /// # Errors
    /// `StreamNotFound`.
    pub(crate) async fn described(&self, stream: &StreamName) -> Result<Arc<StreamRecord>, WireError> {
        let record = self.streams.named(stream)?;
        if record.resharding.is_none() {
            return Ok(record);
        }
        // Its lanes may have heard already; then this waits until everybody has.
        let _order = self.changes.lock().await;
        self.streams.named(stream)
    }

    /// Finishes what an earlier run has begun.
    pub(crate) async fn finish_all(&self, streams: Vec<Arc<StreamRecord>>) {
        for begun in streams.into_iter().filter(|stream| stream.resharding.is_some()) {
            let name = begun.name.clone();
            match self.finish(&begun).await {
                Ok(_) => info!(stream = %name, "finished the reshard that an earlier run had begun"),
                Err(why) => warn!(stream = %name, "undid the reshard that an earlier run had begun: {why}"),
            }
        }
    }

    /// Takes closed shards that have expired out of the catalog, for as long as somebody may report some.
    pub(crate) async fn forget_expired(self, mut expired: mpsc::Receiver<Expired>) {
        while let Some((incarnation, shards)) = expired.recv().await {
            let mut all: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::from([(incarnation, shards.into_iter().collect())]);
            while let Ok((incarnation, shards)) = expired.try_recv() {
                all.entry(incarnation).or_default().extend(shards);
            }
            for (incarnation, shards) in all {
                if let Err(why) = self.forget(incarnation, shards).await {
                    warn!("expired shards of incarnation {incarnation:x} stay listed for now: {why}");
                }
            }
        }
    }

    async fn forget(&self, incarnation: u64, shards: BTreeSet<u32>) -> Result<(), WireError> {
        let _order = self.changes.lock().await;
        let Some(stream) = self.streams.by_incarnation(incarnation) else { return Ok(()) };
        let record = self.catalog.forget_shards(&stream, shards).await?;
        if record == stream {
            return Ok(());
        }
        reached(Moment::ShardsForgotten);
        self.publish(record).await
    }

    /// Finishes a reshard that has begun, or undoes it.
    async fn finish(&self, begun: &Arc<StreamRecord>) -> Result<Arc<StreamRecord>, WireError> {
        let reshard = begun.resharding.expect("the caller has begun it");
        let plan = plan_reshard(begun, reshard)?;
        let mut work = Work { resharder: self, begun, plan, ends: BTreeMap::new(), order: None, done: None, why: None };
        let mut step = Step::Drain;
        loop {
            let came = work.perform(step).await;
            match next(step, came) {
                Next::Step(then) => step = then,
                Next::Again => sleep(AGAIN).await,
                Next::Over => return work.done.ok_or_else(|| work.why.unwrap_or_else(going_away)),
            }
        }
    }

    /// Lets everybody know which shards there are now: first the lanes, then who looks them up.
    async fn publish(&self, record: Arc<StreamRecord>) -> Result<(), WireError> {
        let serving = lanes_of(record.incarnation, record.log_count, self.lanes);
        let told: Vec<_> = serving
            .map(|lane| {
                let (done, told) = oneshot::channel();
                let changed = Resharding::Changed { record: Arc::clone(&record), done };
                self.inboxes.of_lane(lane).push(Arrival::Resharding(changed));
                told
            })
            .collect();
        for told in told {
            told.await.map_err(|_| going_away())?;
        }
        reached(Moment::ShardsTold);
        self.streams.change(record);
        Ok(())
    }
}

/// One reshard while it is performed.
struct Work<'a> {
    resharder: &'a Resharder,
    begun: &'a Arc<StreamRecord>,
    plan: ReshardPlan,
    /// Where the parents end, once they are drained.
    ends: BTreeMap<u32, u64>,
    /// Held from the commit until everybody has heard of it.
    order: Option<OwnedMutexGuard<()>>,
    /// The stream after it.
    done: Option<Arc<StreamRecord>>,
    /// What it first failed of.
    why: Option<WireError>,
}

impl Work<'_> {
    async fn perform(&mut self, step: Step) -> Came {
        let outcome = match step {
            Step::Drain => self.drain().await,
            Step::Commit => self.commit().await,
            Step::Announce => self.announce().await,
            Step::Undo => self.undo().await,
            Step::Reopen => self.reopen(),
        };
        match outcome {
            Ok(()) => Came::Done,
            Err(error) => {
                let came = came(&error);
                self.why.get_or_insert(error);
                came
            }
        }
    }

    async fn drain(&mut self) -> Result<(), WireError> {
        let waiting: Vec<oneshot::Receiver<Ends>> = self.parents().into_iter().map(|it| self.close(it)).collect();
        reached(Moment::ParentsClosing);
        let all = async {
            for told in waiting {
                // Lost when the stream was deleted or the broker stops.
                let ends = told.await.map_err(|_| self.gone())??;
                self.ends.extend(ends);
            }
            Ok(())
        };
        timeout(DRAIN_MAX, all).await.unwrap_or_else(|_| Err(too_slow(&self.begun.name)))?;
        reached(Moment::ParentsDrained);
        Ok(())
    }

    fn close(&self, (log, shards): (LogId, Vec<u32>)) -> oneshot::Receiver<Ends> {
        let (ends, told) = oneshot::channel();
        self.push(log, Resharding::Close { log, shards, ends });
        told
    }

    async fn commit(&mut self) -> Result<(), WireError> {
        let order = Arc::clone(&self.resharder.changes).lock_owned().await;
        let now_ms = clock::now().wall_ms;
        self.done = Some(self.resharder.catalog.finish_reshard(self.begun, self.ends.clone(), now_ms).await?);
        reached(Moment::ReshardCommitted);
        // Lanes and lookups hear of it in the catalog's order.
        self.order = Some(order);
        Ok(())
    }

    async fn announce(&mut self) -> Result<(), WireError> {
        let _order = self.order.take();
        self.resharder.publish(Arc::clone(self.done.as_ref().expect("the catalog has it"))).await
    }

    async fn undo(&self) -> Result<(), WireError> {
        let _order = self.resharder.changes.lock().await;
        let record = self.resharder.catalog.abandon_reshard(self.begun, clock::now().wall_ms).await?;
        self.resharder.streams.change(record);
        Ok(())
    }

    fn reopen(&self) -> Result<(), WireError> {
        for (log, _) in self.parents() {
            self.push(log, Resharding::Reopen { log });
        }
        Ok(())
    }

    /// The parents, by the log that holds them.
    fn parents(&self) -> BTreeMap<LogId, Vec<u32>> {
        let mut parents: BTreeMap<LogId, Vec<u32>> = BTreeMap::new();
        for parent in &self.plan.parents {
            let shard = self.begun.shard(*parent).expect("what is closed is listed");
            let log = LogId { incarnation: self.begun.incarnation, log: shard.log };
            parents.entry(log).or_default().push(*parent);
        }
        parents
    }

    fn push(&self, log: LogId, resharding: Resharding) {
        self.resharder.inboxes.of_log(log).push(Arrival::Resharding(resharding));
    }

    fn gone(&self) -> WireError {
        let message = format!("stream {} was deleted, or the broker stops", self.begun.name);
        WireError::new(ErrorCode::StreamNotFound, message)
    }
}

fn too_slow(stream: &StreamName) -> WireError {
    let message = format!(
        "stream {stream} was not resharded: what was put before was not on the disk within {} s; try again later",
        DRAIN_MAX.as_secs()
    );
    WireError::retry_after(ErrorCode::Internal, 1_000, message)
}
