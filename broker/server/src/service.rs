//! What the service manager is told (sd_notify): that the broker serves, what it does, and that it is alive.
//!
//! What must hold: it is told that the broker is alive only after every lane has answered a roll call since it
//! was told before; so a lane that is stuck has the broker restarted. Where there is no service manager, nothing
//! is asked of anybody.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use crate::lane::{Arrival, Inbox, Inboxes};

/// Says that clients can connect, and how it is with the broker.
pub(crate) fn serving(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the broker stops.
pub(crate) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Says that the broker is alive, as often as it is to be said and for as long as every lane answers. Does
/// nothing for ever where nobody wants to know.
pub(crate) async fn watch(inboxes: &Inboxes) {
    match sd_notify::watchdog_enabled() {
        Some(within) => watch_every(within / 2, inboxes, || tell(&[NotifyState::Watchdog])).await,
        None => std::future::pending().await,
    }
}

async fn watch_every(every: Duration, inboxes: &Inboxes, mut is_alive: impl FnMut()) {
    let mut lanes: Vec<Roll<'_>> = (0..).zip(inboxes.all()).map(|(lane, inbox)| Roll::call(lane, inbox)).collect();
    let mut beats = interval_at(tokio::time::Instant::now() + every, every.max(BEAT_LEAST));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        // Each is looked at, and asked again if it has answered.
        let silent = lanes.iter_mut().filter_map(|lane| (!lane.has_answered(every)).then_some(())).count();
        if silent == 0 {
            is_alive();
        }
    }
}

/// A lane that was asked whether it is there. It is asked again only when it has answered.
struct Roll<'a> {
    lane: u16,
    inbox: &'a Inbox,
    answer: oneshot::Receiver<()>,
    is_silent: bool,
}

impl<'a> Roll<'a> {
    fn call(lane: u16, inbox: &'a Inbox) -> Roll<'a> {
        Roll { lane, inbox, answer: ask(inbox), is_silent: false }
    }

    fn has_answered(&mut self, within: Duration) -> bool {
        let answered = !matches!(self.answer.try_recv(), Err(TryRecvError::Empty));
        let (lane, within_ms) = (self.lane, within.as_millis() as u64);
        match (answered, self.is_silent) {
            (false, false) => error!(lane, within_ms, "a lane does not answer; its puts and reads wait"),
            (true, true) => info!(lane, "the lane answers again"),
            _ => {}
        }
        self.is_silent = !answered;
        if answered {
            self.answer = ask(self.inbox);
        }
        answered
    }
}

fn ask(inbox: &Inbox) -> oneshot::Receiver<()> {
    let (here, answer) = oneshot::channel();
    inbox.push(Arrival::RollCall { here });
    answer
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell the service manager: {error}");
    }
}

/// A watchdog that wants to know more often is not believed to mean it.
const BEAT_LEAST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::{Context, Waker};

    use super::*;

    /// Answers the roll calls that lie in a lane's inbox, and says how many there were.
    fn answer(inboxes: &Inboxes, lane: u16) -> usize {
        let mut arrivals = Vec::new();
        inboxes.of_lane(lane).take(&mut arrivals, &Context::from_waker(Waker::noop()));
        arrivals
            .into_iter()
            .map(|arrival| {
                let Arrival::RollCall { here } = arrival else { panic!("{arrival:?}") };
                here.send(()).expect("it is waited for");
            })
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn alive_is_said_only_while_every_lane_answers() {
        const EVERY: Duration = Duration::from_secs(15);
        let inboxes = Inboxes::new(2);
        let said = Cell::new(0);
        let watching = watch_every(EVERY, &inboxes, || said.set(said.get() + 1));
        let judge = async {
            let beat = || tokio::time::sleep(EVERY);
            // Between two beats.
            tokio::time::sleep(EVERY / 3).await;
            for beats in 1..=3 {
                assert_eq!((answer(&inboxes, 0), answer(&inboxes, 1)), (1, 1));
                beat().await;
                assert_eq!(said.get(), beats);
            }
            assert_eq!(answer(&inboxes, 0), 1, "lane 1 is stuck from here on");
            for _ in 0..10 {
                beat().await;
                assert_eq!(said.get(), 3);
                answer(&inboxes, 0);
            }
            assert_eq!(answer(&inboxes, 1), 1, "a lane that does not answer is not asked again");
            beat().await;
            assert_eq!(said.get(), 4, "it goes on once the lane does");
        };
        tokio::select! {
            () = watching => unreachable!("it watches for ever"),
            () = judge => {}
        }
    }
}
