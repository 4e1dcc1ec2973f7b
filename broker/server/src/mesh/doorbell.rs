//! The doorbell of a lane: who has left something for it learns whether it must be woken.
//!
//! ```text
//!   lane:    lie down (asleep = true; fence); look again ── nothing there ──► sleep
//!                                                        └─ something ──► get up
//!   others:  leave something; ring (fence; was it asleep?) ── yes ──► wake it
//! ```
//!
//! What must hold: of a lane that lies down and finds nothing, and somebody who leaves something and finds
//! it awake, there is no pair. The two fences see to it: whichever comes second sees what was before the
//! first. `tests/doorbell.rs` goes through every order in which the two can meet.
//!
//! A lane that is awake costs its callers a fence and a load, never a system call.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether a lane sleeps. It is only ever swapped: so every change follows on the one that it has seen.
#[derive(Debug)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
}

impl Doorbell {
    /// The doorbell of a lane that is awake.
    pub(crate) fn new() -> Doorbell {
        Doorbell { asleep: AtomicBool::new(false) }
    }

    /// To be called after something was left for the lane. When it says true the lane sleeps, and this
    /// caller, who is the only one told so, must wake it.
    #[must_use]
    pub(crate) fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }

    /// The lane is about to sleep. It must look once more at what was left, and sleep only if that is nothing.
    pub(crate) fn lie_down(&self) {
        self.asleep.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The lane is awake, whoever woke it.
    pub(crate) fn get_up(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.asleep.swap(false, Ordering::Relaxed);
        }
    }
}
