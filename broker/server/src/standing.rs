//! Where the broker stands in its life, for those who are asked about it from outside, and what the lanes say
//! of themselves.
//!
//! What must hold: a lane is asked through its inbox and answers in its next turn, whatever else it does; one
//! that does not answer holds nobody up for longer than a bound.

use std::sync::Arc;
use std::time::Duration;

use rheos_core::readiness::{LaneReadiness, NotReady, judge};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::consumers::Consumers;
use crate::directory::DataDirectory;
use crate::kinesis::KinesisCounts;
use crate::lane::{Arrival, Inboxes};
use crate::metrics::LaneReport;
use crate::scaling::ScalingCounts;
use crate::streams::Streams;

/// How long lanes are waited for. Their turns take far less than a millisecond.
const LANES_WAIT_MAX: Duration = Duration::from_secs(1);

/// Where the broker stands. It only goes forward.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It opens its catalog, recovers its logs and starts its lanes.
    Starting,
    /// Every lane serves.
    Serving(Arc<Served>),
    /// It was told to stop.
    Stopping,
}

/// What can be asked of a broker that serves.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
    pub(crate) inboxes: Inboxes,
    /// Steps of on-demand streams.
    pub(crate) scaling: ScalingCounts,
    /// Requests of the Kinesis face.
    pub(crate) kinesis: KinesisCounts,
}

/// Hears where the broker stands.
pub(crate) type StandingWatch = watch::Receiver<Standing>;

/// Ready when the broker was told to stop.
pub(crate) async fn stops(standing: &mut StandingWatch) {
    // Who says so no more has stopped.
    let _ = standing.wait_for(|standing| matches!(standing, Standing::Stopping)).await;
}

/// Ready when nobody says any more where the broker stands.
pub(crate) async fn ended(standing: &mut StandingWatch) {
    while standing.changed().await.is_ok() {}
}

impl Standing {
    /// Whether the broker is ready: what its lanes say together, or why it is not.
    ///
    /// # Errors
    ///
    /// The first reason for which it is not.
    pub(crate) async fn readiness(&self, directory: &DataDirectory) -> Result<LaneReadiness, NotReady> {
        let lanes = match self {
            Standing::Starting => return Err(NotReady::Starting),
            Standing::Stopping => return Err(NotReady::Stopping),
            Standing::Serving(served) => served.ask_lanes(Arrival::Readiness).await,
        };
        judge(lanes, is_read_only(directory))
    }

    /// The same by what lanes have reported.
    ///
    /// # Errors
    ///
    /// The first reason for which it is not.
    pub(crate) fn readiness_by(
        &self,
        reports: &[Option<Box<LaneReport>>],
        directory: &DataDirectory,
    ) -> Result<LaneReadiness, NotReady> {
        match self {
            Standing::Starting => Err(NotReady::Starting),
            Standing::Stopping => Err(NotReady::Stopping),
            Standing::Serving(_) => {
                let said = |report: &Option<Box<LaneReport>>| report.as_ref().map(|report| report.readiness);
                judge(reports.iter().map(said), is_read_only(directory))
            }
        }
    }
}

impl Served {
    /// What each lane answers, in their order; nothing of one that does not answer in time.
    pub(crate) async fn ask_lanes<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Arrival) -> Vec<Option<T>> {
        let deadline = Instant::now() + LANES_WAIT_MAX;
        let ask = |inbox: &crate::lane::Inbox| {
            let (answer, answered) = oneshot::channel();
            inbox.push(question(answer));
            answered
        };
        let asked: Vec<_> = self.inboxes.all().map(ask).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for answered in asked {
            answers.push(timeout_at(deadline, answered).await.ok().and_then(Result::ok));
        }
        answers
    }
}

/// What cannot be asked for shows when it is written.
fn is_read_only(directory: &DataDirectory) -> bool {
    directory.layout().space().is_ok_and(|space| space.is_read_only)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_does_not_answer_holds_nobody_up_for_long() {
        let inboxes = Inboxes::new(3);
        let served = Arc::new(Served {
            streams: Streams::new(&[]),
            consumers: Consumers::new(&[]),
            inboxes: inboxes.clone(),
            scaling: ScalingCounts::default(),
            kinesis: KinesisCounts::default(),
        });
        let asking = tokio::spawn({
            let served = Arc::clone(&served);
            async move { (served.ask_lanes(Arrival::Readiness).await, Instant::now()) }
        });
        let asked_at = Instant::now();
        tokio::task::yield_now().await;
        // The second lane answers, the third goes without a word.
        let ready = LaneReadiness { logs: 7, read_only_logs: 0, storage_low: false };
        for lane in [1, 2] {
            let mut arrivals = Vec::new();
            inboxes.of_lane(lane).take(&mut arrivals, &Context::from_waker(Waker::noop()));
            let [Arrival::Readiness(_)] = &arrivals[..] else { panic!("it is asked once: {arrivals:?}") };
            if lane == 1 {
                let Some(Arrival::Readiness(answer)) = arrivals.pop() else { unreachable!("it was just seen") };
                answer.send(ready).expect("somebody waits");
            }
        }
        let (answers, answered_at) = asking.await.expect("it does not panic");
        assert_eq!(answers, [None, Some(ready), None]);
        assert_eq!(answered_at - asked_at, LANES_WAIT_MAX);
    }
}
