//! The machine's clocks, read once in a turn.

use rheos_core::arrival::Now;
use rustix::time::{ClockId, clock_gettime};

use crate::faults::clock_ahead_ms;

/// What boot time and wall clock say.
pub(crate) fn now() -> Now {
    Now { boot_ms: millis(ClockId::Boottime), wall_ms: millis(ClockId::Realtime) }
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Before 1970 is a clock that was never set.
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + time.tv_nsec as u64 / 1_000_000 + clock_ahead_ms()
}
