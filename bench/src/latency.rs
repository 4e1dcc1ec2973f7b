//! Latencies in nanoseconds, kept to three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of latencies up to one minute; what takes longer counts as a minute.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("the bounds are valid"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.record_many(latency, 1);
    }

    /// The same latency of `count` records that came back together.
    pub(crate) fn record_many(&mut self, latency: Duration, count: u64) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(NANOS_MAX);
        self.0.saturating_record_n(nanos, count);
    }

    /// Adds all that another histogram holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in microseconds that `percent` of all records do not exceed, or none of none.
    pub(crate) fn percentile_us(&self, percent: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.0.value_at_percentile(percent) as f64 / 1e3)
    }
}

const NANOS_MAX: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile_us(50.0), None);
        for us in 1..=1000 {
            latencies.record(Duration::from_micros(us));
        }
        let median = latencies.percentile_us(50.0).expect("there are records");
        assert!((499.0..=502.0).contains(&median), "{median}");
        latencies.record_many(Duration::from_secs(3600), 2000);
        assert_eq!(latencies.count(), 3000);
        let mut both = latencies.clone();
        both.add(&latencies);
        assert_eq!(both.count(), 6000);
        assert!(latencies.percentile_us(99.0).expect("there are records") <= 60.1e6);
    }
}
