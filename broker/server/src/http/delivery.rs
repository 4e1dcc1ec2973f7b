//! Answers that their peer takes: one that takes nothing of what waits for it is given up, alone.
//!
//! ```text
//!   HTTP/1.1: the connection   ┐ is the work that ends, and with it
//!   HTTP/2: one of its streams ┘ the body and whoever makes its frames
//! ```
//!
//! What must hold: who has nothing to be sent is never called slow, and what waits for one peer, or on one
//! stream, holds up nobody else. hyper has no bound of this kind: it asks a body for its next piece when there
//! is room for one, and this is where the time between is measured.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;
use tokio::time::{Instant, Sleep, sleep_until};

task_local! {
    /// hyper makes the work that sends a body of itself, so that the body cannot be handed this.
    static OF_THIS_WORK: Delivery;
}

/// Since when a piece of an answer waits to be taken; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery(Arc<Mutex<Option<Instant>>>);

impl Delivery {
    /// That of the work in which this is called; outside of any, one that nobody watches.
    pub(super) fn here() -> Delivery {
        OF_THIS_WORK.try_with(Clone::clone).unwrap_or_default()
    }

    /// A piece waits from now on.
    pub(super) fn handed(&self) {
        *self.waiting_since() = Some(Instant::now());
    }

    /// Nothing waits: there is room for more, or there is no more.
    pub(super) fn taken(&self) {
        *self.waiting_since() = None;
    }

    fn waiting_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the work, which hands pieces of one answer at a time to a peer, until it ends or a piece has waited for
/// too long; then it is dropped and gives nothing.
pub(super) fn unless_stalled<F: Future>(work: F, stalled_max: Duration) -> UnlessStalled<F> {
    let delivery = Delivery::default();
    let work = Box::pin(OF_THIS_WORK.scope(delivery.clone(), work));
    UnlessStalled { work, delivery, stalled_max, alarm: None }
}

/// See [`unless_stalled`].
pub(super) struct UnlessStalled<F> {
    work: Pin<Box<TaskLocalFuture<Delivery, F>>>,
    delivery: Delivery,
    stalled_max: Duration,
    /// Set while a piece waits; it may ring for an earlier one, and is then set anew.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for UnlessStalled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(output) = this.work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let waiting_since = *this.delivery.waiting_since();
        let Some(due) = waiting_since.map(|since| since + this.stalled_max) else {
            this.alarm = None;
            return Poll::Pending;
        };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= due {
                return Poll::Ready(None);
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn only_a_piece_that_waits_ends_the_work() {
        let idle = async { sleep(10 * MAX).await };
        assert_eq!(unless_stalled(idle, MAX).await, Some(()));
        let slow = async {
            let delivery = Delivery::here();
            for _ in 0..10 {
                delivery.handed();
                sleep(MAX - Duration::from_secs(1)).await;
            }
            delivery.taken();
            sleep(10 * MAX).await;
        };
        assert_eq!(unless_stalled(slow, MAX).await, Some(()));
        let began = Instant::now();
        let stalled = async {
            Delivery::here().handed();
            sleep(10 * MAX).await;
        };
        assert_eq!(unless_stalled(stalled, MAX).await, None);
        assert!(began.elapsed() < MAX + Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
