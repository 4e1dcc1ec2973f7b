//! The clocks: whether the wall clock is kept right, and goes as fast as the machine's own.

use std::time::Instant;

use rheos_core::arrival::Now;

use crate::clock as machine_clock;
use crate::finding::Finding;

/// `began` is what the clocks said when the examination began.
pub(super) fn examine((began, before): (Instant, Now), tell: &mut impl FnMut(Finding)) {
    tell(match synchronised() {
        Some(true) => Finding::ok(WALL_CLOCK, "kept right by a time service"),
        Some(false) => {
            let what =
                "no time service keeps it right: arrivals and retention follow it, jumps are believed after 10 minutes";
            Finding::warning(WALL_CLOCK, what, "timedatectl set-ntp true, or run chronyd on the host")
        }
        None => Finding::note(WALL_CLOCK, "the kernel does not say whether it is kept right"),
    });
    tell(steps(before, machine_clock::now(), began.elapsed().as_millis() as u64));
}

/// Compares how far the clocks have come.
fn steps(before: Now, now: Now, elapsed_ms: u64) -> Finding {
    let boot_ms = now.boot_ms.saturating_sub(before.boot_ms);
    let wall_ms = now.wall_ms as i64 - before.wall_ms as i64;
    let apart_ms = (wall_ms - boot_ms as i64).unsigned_abs();
    if now.wall_ms < SENSIBLE_MS {
        let what = "the wall clock stands before 2024";
        return Finding::warning(
            STEPS,
            what,
            "set it before streams are made: timedatectl set-time, or a time service",
        );
    }
    if apart_ms > APART_MS_MAX || boot_ms.abs_diff(elapsed_ms) > APART_MS_MAX {
        let what = format!("the wall clock went {wall_ms} ms while the machine's went {boot_ms} ms");
        return Finding::warning(STEPS, what, "find out what sets the clock; a time service should slew it");
    }
    Finding::ok(STEPS, "the wall clock and the machine's clock go alike")
}

/// Whether the kernel says that something keeps the wall clock right.
fn synchronised() -> Option<bool> {
    let mut about = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros are a valid `timex`, and with `modes` zero the call changes nothing: it fills the
    // structure, which is this function's own and lives until after the call.
    let state = unsafe { libc::adjtimex(about.as_mut_ptr()) };
    // SAFETY: it was initialised with zeros, and filled by the kernel if the call succeeded.
    let about = unsafe { about.assume_init() };
    (state >= 0).then_some(state != libc::TIME_ERROR && about.status & libc::STA_UNSYNC == 0)
}

const WALL_CLOCK: &str = "wall clock";
const STEPS: &str = "clock steps";
/// 2024-01-01.
const SENSIBLE_MS: u64 = 1_704_067_200_000;
/// More than a clock is ever slewed in a few seconds.
const APART_MS_MAX: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Grade;

    #[test]
    fn a_clock_that_steps_is_told() {
        let at = |boot_ms, wall_ms| Now { boot_ms, wall_ms: SENSIBLE_MS + wall_ms };
        assert_eq!(steps(at(0, 0), at(1_000, 1_010), 1_000).grade, Grade::Ok);
        assert_eq!(steps(at(0, 5_000), at(1_000, 2_000), 1_000).grade, Grade::Warning);
        assert_eq!(steps(at(0, 0), at(1_000, 61_000), 1_000).grade, Grade::Warning);
        let unset = steps(Now { boot_ms: 0, wall_ms: 0 }, Now { boot_ms: 9, wall_ms: 9 }, 9);
        assert!(unset.what.contains("2024") && unset.fix.is_some());
    }

    #[test]
    fn the_kernel_is_asked_and_nothing_is_changed() {
        assert!(synchronised().is_some(), "every kernel tells");
    }
}
