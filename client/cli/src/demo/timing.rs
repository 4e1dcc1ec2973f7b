//! The demo's clock, its latencies, and the window in which the broker was away.
//!
//! What must hold: a latency runs from when its record was due to be sent, so that a load that is held up
//! hides nothing; one that overlaps the outage is not mixed with the others, and is not left out either.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longest latency that is told from others; what takes longer counts as this.
const NANOS_MAX: u64 = 600_000_000_000;

/// Nanoseconds since the demo began, never back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The moment at which this clock shows so much.
    pub(super) fn at(&self, since_start: Duration) -> Instant {
        self.0 + since_start
    }
}

/// Latencies of one way, in and out of the outage.
#[derive(Debug)]
pub(super) struct Latencies {
    usual: Histogram<u64>,
    outage: Histogram<u64>,
}

/// What is shown of many latencies, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Latencies {
    pub(super) fn new() -> Latencies {
        let histogram = || Histogram::new_with_bounds(1_000, NANOS_MAX, 3).expect("the bounds are valid");
        Latencies { usual: histogram(), outage: histogram() }
    }

    /// Notes a latency that ran from `begun_ns` to `done_ns`.
    pub(super) fn record(&mut self, begun_ns: u64, done_ns: u64, outage: &Outage) {
        let histogram = if outage.overlaps(begun_ns, done_ns) { &mut self.outage } else { &mut self.usual };
        histogram.saturating_record(done_ns.saturating_sub(begun_ns));
    }

    /// Forgets what was noted: the broker was not warm yet.
    pub(super) fn forget(&mut self) {
        self.usual.reset();
        self.outage.reset();
    }

    /// While the broker was there.
    pub(super) fn usual(&self) -> Option<Percentiles> {
        Percentiles::of(&self.usual)
    }

    /// Of what had to wait for it to come back.
    pub(super) fn outage(&self) -> Option<Percentiles> {
        Percentiles::of(&self.outage)
    }
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Option<Percentiles> {
        (!histogram.is_empty()).then(|| Percentiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        })
    }
}

/// The time from the kill until the broker had taken everything that waited for it.
#[derive(Debug, Default)]
pub(super) struct Outage {
    killed_ns: Option<u64>,
    over_ns: Option<u64>,
    last_ack_ns: u64,
    longest_gap_ns: u64,
}

impl Outage {
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.killed_ns = Some(now_ns);
    }

    pub(super) fn end(&mut self, now_ns: u64) {
        self.over_ns = Some(now_ns);
    }

    /// Notes when an ack came.
    pub(super) fn acked(&mut self, now_ns: u64) {
        if self.killed_ns.is_some() && self.over_ns.is_none() {
            self.longest_gap_ns = self.longest_gap_ns.max(now_ns - self.last_ack_ns);
        }
        self.last_ack_ns = now_ns;
    }

    /// The longest time without an ack, as far as it is known.
    pub(super) fn longest_gap_ns(&self) -> u64 {
        self.longest_gap_ns
    }

    fn overlaps(&self, begun_ns: u64, done_ns: u64) -> bool {
        let begun_before_its_end = self.over_ns.is_none_or(|over_ns| begun_ns < over_ns);
        self.killed_ns.is_some_and(|killed_ns| done_ns > killed_ns) && begun_before_its_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_the_outage_is_kept_apart() {
        let mut outage = Outage::default();
        let overlaps = |outage: &Outage| {
            [(1, 5), (5, 15), (12, 18), (18, 25), (21, 25)]
                .map(|(begun_ns, done_ns)| outage.overlaps(begun_ns, done_ns))
        };
        assert_eq!(overlaps(&outage), [false; 5]);
        outage.begin(10);
        assert_eq!(overlaps(&outage), [false, true, true, true, true]);
        outage.end(20);
        assert_eq!(overlaps(&outage), [false, true, true, true, false]);
    }

    #[test]
    fn the_outage_is_the_longest_time_without_an_ack() {
        let mut outage = Outage::default();
        outage.acked(100);
        outage.acked(900);
        outage.begin(1_000);
        outage.acked(1_001);
        outage.acked(2_500);
        outage.acked(2_600);
        outage.end(2_700);
        outage.acked(9_999);
        assert_eq!(outage.longest_gap_ns(), 1_499);
    }

    #[test]
    fn percentiles_are_of_both_apart() {
        let (mut latencies, mut outage) = (Latencies::new(), Outage::default());
        assert_eq!(latencies.usual(), None);
        for ms in 1..=100 {
            latencies.record(0, ms * 1_000_000, &outage);
        }
        outage.begin(0);
        latencies.record(5, 3_000_000_005, &outage);
        let usual = latencies.usual().expect("there are some");
        assert_eq!(usual.count, 100);
        for (value, ms) in [(usual.p50, 50), (usual.p99, 99), (usual.max, 100)] {
            assert!(value.abs_diff(ms * 1_000_000) <= ms * 1_000, "{value} for {ms} ms");
        }
        assert_eq!(latencies.outage().map(|outage| (outage.count, outage.max / 10_000_000)), Some((1, 300)));
        latencies.forget();
        assert_eq!((latencies.usual(), latencies.outage()), (None, None));
    }
}
