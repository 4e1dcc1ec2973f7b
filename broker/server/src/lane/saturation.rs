//! How busy a lane is: whether its thread has used all of its core since one last looked.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The part of a core, in percent, that is as good as all of it.
const SATURATED_PERCENT: u128 = 90;

/// CPU time of the calling thread: everything that runs on a lane's thread is the lane.
pub(super) fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// What was used when one last looked. To be made and asked on the lane's own thread.
#[derive(Debug)]
pub(super) struct Saturation {
    busy: Duration,
    at: Instant,
}

impl Saturation {
    pub(super) fn new() -> Saturation {
        Saturation { busy: busy(), at: Instant::now() }
    }

    /// Whether the lane has used all of its core since the last look.
    pub(super) fn look(&mut self) -> bool {
        let (busy, at) = (busy(), Instant::now());
        let (used, passed) = (busy.saturating_sub(self.busy), at.duration_since(self.at));
        *self = Saturation { busy, at };
        used.as_nanos() * 100 >= passed.as_nanos() * SATURATED_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_is_not_saturated() {
        let mut saturation = Saturation::new();
        std::thread::sleep(Duration::from_millis(50));
        assert!(!saturation.look());
    }
}
