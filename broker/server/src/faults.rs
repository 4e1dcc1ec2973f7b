//! What tests do to a broker: have it die at a moment they name, or live at another time.
//!
//! Only with the feature `faults`, which the tests alone ask for. Without it a moment that is reached is nothing, and
//! the clock is the machine's.

/// Moments between two steps that a crash must not be able to tell apart from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The catalog has the intent of a reshard; no lane has heard of it.
    ReshardBegun,
    /// The parents take no more puts; they have not said where they end.
    ParentsClosing,
    /// The parents' last records are on the disk; the catalog does not know.
    ParentsDrained,
    /// The catalog has the children; no lane has heard of them.
    ReshardCommitted,
    /// The lanes have heard of changed shards; whoever looks them up has not.
    ShardsTold,
    /// The catalog has forgotten expired shards; no lane has heard of it.
    ShardsForgotten,
    /// The catalog has given up expired segments; their files are there and the lane still gives them.
    SegmentsGivenUp,
    /// The lane has heard that segments are given up; their files are there.
    SegmentsTold,
    /// One of the files of expired segments has gone.
    SegmentRemoved,
}

#[cfg(feature = "faults")]
pub use planted::{ALL, advance_clock, die_at};
#[cfg(feature = "faults")]
pub(crate) use planted::{clock_ahead_ms, reached};

#[cfg(feature = "faults")]
mod planted {
    use std::sync::OnceLock;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Moment;

    static FATAL: OnceLock<Moment> = OnceLock::new();
    static AHEAD_MS: OnceLock<u64> = OnceLock::new();

    /// Every moment, by the name that a test gives it.
    pub const ALL: [(&str, Moment); 9] = [
        ("reshard-begun", Moment::ReshardBegun),
        ("parents-closing", Moment::ParentsClosing),
        ("parents-drained", Moment::ParentsDrained),
        ("reshard-committed", Moment::ReshardCommitted),
        ("shards-told", Moment::ShardsTold),
        ("shards-forgotten", Moment::ShardsForgotten),
        ("segments-given-up", Moment::SegmentsGivenUp),
        ("segments-told", Moment::SegmentsTold),
        ("segment-removed", Moment::SegmentRemoved),
    ];

    /// Has the process killed when it first reaches the moment. To be said once, before the broker is started.
    pub fn die_at(moment: Moment) {
        FATAL.set(moment).expect("a process dies once");
    }

    /// Has the broker live so many milliseconds later than the machine. To be said once, before it is started.
    pub fn advance_clock(ahead_ms: u64) {
        AHEAD_MS.set(ahead_ms).expect("the clock is set once");
    }

    /// How far the broker's clocks are ahead of the machine's.
    pub(crate) fn clock_ahead_ms() -> u64 {
        AHEAD_MS.get().copied().unwrap_or(0)
    }

    /// Dies here if a test wants it, as of SIGKILL: nothing is written that was not.
    pub(crate) fn reached(moment: Moment) {
        if FATAL.get() == Some(&moment) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

/// How far the broker's clocks are ahead of the machine's.
#[cfg(not(feature = "faults"))]
pub(crate) const fn clock_ahead_ms() -> u64 {
    0
}

/// Nothing, in any broker that is not a test's.
#[cfg(not(feature = "faults"))]
pub(crate) const fn reached(_: Moment) {}
