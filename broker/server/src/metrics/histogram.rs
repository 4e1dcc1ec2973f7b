//! Durations in fixed buckets: what a lane keeps of many of them.

use std::time::Duration;

/// Upper bounds of the buckets in nanoseconds, ascending; what takes longer is in one more. Each is at most
/// twice the one before, so that a percentile is known to that.
const BOUNDS_NS: [u64; BOUNDS] = [
    50_000,
    75_000,
    100_000,
    125_000,
    150_000,
    200_000,
    250_000,
    300_000,
    400_000,
    500_000,
    750_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_500_000,
    10_000_000,
    20_000_000,
    40_000_000,
    75_000_000,
    150_000_000,
    300_000_000,
    600_000_000,
    1_000_000_000,
    2_000_000_000,
    4_000_000_000,
];
const BOUNDS: usize = 27;

/// How many durations there were, by how long they were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Histogram {
    counts: [u64; BOUNDS + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one.
    pub(crate) fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[BOUNDS_NS.partition_point(|bound| *bound < ns)] += 1;
        self.sum += duration;
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// The upper bound of each bucket in seconds, the last one without end, and how many lay in it.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_reaches_it() {
        assert!(BOUNDS_NS.windows(2).all(|two| two[0] < two[1] && two[1] <= 2 * two[0]));
        let mut histogram = Histogram::default();
        for ns in [0, 50_000, 50_001, 75_000, 4_000_000_000, 4_000_000_001, u64::MAX / 4] {
            histogram.add(Duration::from_nanos(ns));
        }
        let buckets = histogram.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[2]), ((0.000_05, 2), (0.000_075, 2), (0.000_1, 0)));
        assert_eq!(buckets[BOUNDS - 1], (4.0, 1));
        assert_eq!(buckets[BOUNDS], (f64::INFINITY, 2));
        assert_eq!(histogram.count(), 7);
        histogram = Histogram::default();
        histogram.add(Duration::from_millis(1_500));
        histogram.add(Duration::from_millis(500));
        assert_eq!((histogram.count(), histogram.sum_seconds()), (2, 2.0));
    }
}
