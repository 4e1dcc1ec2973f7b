//! A token bucket: a ceiling of so much a second, of which one second's worth may be used at once.
//!
//! Tokens are counted in thousandths, so that a rate times milliseconds is exact: nothing is lost or won by
//! how often one looks. What costs more than a full bucket is let through by a full one, which then owes the
//! rest: it would never pass otherwise, and over time as much passes as is allowed.
//!
//! What must hold: in any stretch of time no more passes than the rate times that stretch, one second's worth
//! and what the last one exceeded that by; who waits as long as it is told, alone, is let through.

use std::num::NonZeroU64;

use rheos_protocol::limits::RATE_MAX;

/// The state of one ceiling. The rate is an argument, because it may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of tokens that are left; below zero, those that are owed.
    left: i64,
    /// When that was so.
    at_ms: u64,
}

impl Bucket {
    /// A full one.
    pub fn full(rate: NonZeroU64, now_ms: u64) -> Bucket {
        Bucket { left: capacity(rate), at_ms: now_ms }
    }

    /// How long to wait until `cost` tokens may be taken, in ms; `None` when they may be now.
    pub fn wait_ms(&mut self, rate: NonZeroU64, cost: u64, now_ms: u64) -> Option<u64> {
        self.fill(rate, now_ms);
        // What exceeds a full bucket needs a full one, and what costs nothing needs one that owes nothing.
        let needed = thousandths(cost).min(capacity(rate));
        let missing = needed.saturating_sub(self.left);
        (missing > 0).then(|| (missing as u64).div_ceil(rate.get()))
    }

    /// Takes tokens, whether they are there or not.
    pub fn take(&mut self, rate: NonZeroU64, cost: u64, now_ms: u64) {
        self.fill(rate, now_ms);
        self.left = self.left.saturating_sub(thousandths(cost));
    }

    /// Whole tokens that are left.
    pub fn left(&mut self, rate: NonZeroU64, now_ms: u64) -> u64 {
        self.fill(rate, now_ms);
        self.left.max(0) as u64 / THOUSAND
    }

    /// Whether nothing was taken of it that time has not brought back: it is as good as a new one.
    pub fn is_full(&mut self, rate: NonZeroU64, now_ms: u64) -> bool {
        self.fill(rate, now_ms);
        self.left == capacity(rate)
    }

    fn fill(&mut self, rate: NonZeroU64, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let come = rate.get().saturating_mul(passed_ms).min(i64::MAX as u64) as i64;
        self.left = self.left.saturating_add(come).min(capacity(rate));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

fn capacity(rate: NonZeroU64) -> i64 {
    thousandths(rate.get())
}

fn thousandths(tokens: u64) -> i64 {
    tokens.saturating_mul(THOUSAND).min(i64::MAX as u64) as i64
}

const THOUSAND: u64 = 1_000;
const _: () = assert!(RATE_MAX < i64::MAX as u64 / THOUSAND);

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: u64) -> NonZeroU64 {
        NonZeroU64::new(rate).expect("it is a rate")
    }

    /// What passes in `run_ms` of what comes `every_ms` and costs so much, where whoever was refused waits as told.
    fn passed(rate: NonZeroU64, cost: u64, every_ms: u64, run_ms: u64) -> u64 {
        let mut bucket = Bucket::full(rate, 0);
        let (mut passed, mut next_ms) = (0, 0);
        while next_ms < run_ms {
            match bucket.wait_ms(rate, cost, next_ms) {
                None => {
                    bucket.take(rate, cost, next_ms);
                    passed += cost;
                    next_ms += every_ms;
                }
                Some(wait_ms) => next_ms += wait_ms,
            }
        }
        passed
    }

    #[test]
    fn over_a_minute_at_three_times_the_limit_the_limit_passes() {
        for (rate, cost, every_ms) in [
            // 1 MiB/s in puts of 64 KiB, 256 KiB, and half a MiB; 1,000 records/s one by one and in batches.
            (rate(1 << 20), 64 << 10, 20),
            (rate(1 << 20), 256 << 10, 80),
            (rate(1 << 20), 512 << 10, 160),
            (rate(1_000), 3, 1),
            (rate(1_000), 250, 83),
            (rate(7), 1, 47),
        ] {
            let share = passed(rate, cost, every_ms, 60_000) as f64 / (60 * rate.get()) as f64;
            assert!((0.97..=1.03).contains(&share), "{cost} every {every_ms} ms of {rate}: {share}");
        }
    }

    #[test]
    fn what_is_within_the_limit_is_never_refused() {
        let (rate, mut bucket) = (rate(1_000), Bucket::full(rate(1_000), 5));
        for now_ms in (5..60_000).step_by(100) {
            assert_eq!(bucket.wait_ms(rate, 100, now_ms), None);
            bucket.take(rate, 100, now_ms);
        }
    }

    #[test]
    fn a_seconds_worth_may_be_used_at_once_and_no_more() {
        let (rate, mut bucket) = (rate(1_000), Bucket::full(rate(1_000), 0));
        bucket.take(rate, 1_000, 3_600_000);
        assert_eq!(bucket.left(rate, 3_600_000), 0);
        assert_eq!(bucket.wait_ms(rate, 250, 3_600_000), Some(250));
        assert_eq!(bucket.wait_ms(rate, 250, 3_600_249), Some(1));
        assert_eq!(bucket.wait_ms(rate, 250, 3_600_250), None);
        assert!(!bucket.is_full(rate, 3_600_999) && bucket.is_full(rate, 3_601_000));
    }

    #[test]
    fn what_exceeds_a_full_bucket_passes_and_is_paid_back() {
        let (rate, mut bucket) = (rate(1_000), Bucket::full(rate(1_000), 0));
        assert_eq!(bucket.wait_ms(rate, 10_000, 0), None);
        bucket.take(rate, 10_000, 0);
        assert_eq!(bucket.wait_ms(rate, 1, 0), Some(9_001));
        assert_eq!(bucket.wait_ms(rate, 10_000, 0), Some(10_000), "ten seconds' worth every ten seconds");
        assert_eq!(bucket.wait_ms(rate, 0, 8_999), Some(1), "what costs nothing waits for what is owed");
        assert_eq!(bucket.wait_ms(rate, 0, 9_000), None);
    }

    #[test]
    fn a_rate_may_change_and_a_clock_stand_still() {
        let mut bucket = Bucket::full(rate(1_000), 0);
        assert_eq!(bucket.left(rate(10), 0), 10, "a lower ceiling holds at once");
        assert_eq!(bucket.left(rate(1_000), 100), 110, "a higher one fills from there");
        bucket.take(rate(1_000), 110, 100);
        assert_eq!(bucket.wait_ms(rate(1_000), 1, 50), Some(1), "time that goes back brings nothing");
        for extreme in [rate(1), rate(RATE_MAX)] {
            let mut bucket = Bucket::full(extreme, 0);
            bucket.take(extreme, u64::MAX, u64::MAX);
            assert!(bucket.wait_ms(extreme, u64::MAX, u64::MAX).is_some());
            bucket.take(extreme, u64::MAX, u64::MAX);
        }
    }
}
