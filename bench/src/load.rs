//! The load: which record is sent when.
//!
//! In an *open loop* every record has an intended time on a constant schedule, and its latency counts
//! from there, whether or not the sender was free: a stall is charged to every record it delayed. The
//! schedule has at most [`TICKS_PER_S`] ticks a second, at each of which equally many records are due:
//! 50,000 records a second are five every 100 us. A batch closes when the sender gets its turn and
//! takes what is due by then, at most [`BATCH_RECORDS_MAX`]; there is no linger; at most
//! [`BATCHES_IN_FLIGHT_MAX`] batches are unanswered.
//! In a *closed loop* a fixed number of batches of fixed size is kept in flight, and a latency counts
//! from the moment of sending.
//!
//! The records of a run have numbers: 0, 1, 2 ... in the order in which they are sent.

use std::time::{Duration, Instant};

/// Data bytes of a record.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Most records in a batch.
pub(crate) const BATCH_RECORDS_MAX: u32 = 64;
/// Most batches that wait for their acknowledgement.
pub(crate) const BATCHES_IN_FLIGHT_MAX: u32 = 64;

/// Most moments in a second at which records of an open loop become due. With one for every record,
/// 100,000 records/s would measure how often the client's core can wake up.
pub(crate) const TICKS_PER_S: u32 = 10_000;

/// What is sent when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// So many records a second, each at its time.
    Open { records_per_s: u32 },
    /// So many batches of so many records always on their way.
    Closed { batches: u32, records: u32 },
}

/// How long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// A load that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) load: Load,
    begun: Instant,
    pub(crate) measure_from: Instant,
    pub(crate) end: Instant,
}

impl Schedule {
    /// Begins now.
    pub(crate) fn begin(load: Load, window: Window) -> Self {
        let begun = Instant::now();
        let measure_from = begun + window.warm_up;
        Self { load, begun, measure_from, end: measure_from + window.measured }
    }

    pub(crate) fn is_measured(&self, at: Instant) -> bool {
        (self.measure_from..self.end).contains(&at)
    }

    /// How long is measured.
    pub(crate) fn measured(&self) -> Duration {
        self.end - self.measure_from
    }

    pub(crate) fn batches_max(&self) -> u32 {
        match self.load {
            Load::Closed { batches, .. } => batches,
            Load::Open { .. } => BATCHES_IN_FLIGHT_MAX,
        }
    }

    /// When record `number` of an open loop is due; none in a closed loop, which has no such time.
    pub(crate) fn intended(&self, number: u64) -> Option<Instant> {
        match self.load {
            Load::Open { records_per_s } => Some(self.begun + intended(number, records_per_s)),
            Load::Closed { .. } => None,
        }
    }

    /// Passes the records of a batch on by the time their latency counts from, with how many they are;
    /// only those whose time is in the measured one. In a closed loop that is when they were sent.
    pub(crate) fn measured_records(&self, first: u64, records: u32, sent: Instant, mut pass: impl FnMut(Instant, u64)) {
        let mut left = u64::from(records);
        let mut number = first;
        while left > 0 {
            let (from, together) = match self.load {
                Load::Closed { .. } => (sent, left),
                Load::Open { records_per_s } => {
                    let (_, at_once) = ticks(records_per_s);
                    let from = self.begun + intended(number, records_per_s);
                    (from, left.min(at_once - number % at_once))
                }
            };
            if self.is_measured(from) {
                pass(from, together);
            }
            number += together;
            left -= together;
        }
    }

    /// How many records the next batch takes now that `sent` have been sent, or that it is over.
    ///
    /// An open loop goes on until all that was due in the measured time is sent, for at most as long
    /// again.
    pub(crate) fn due(&self, now: Instant, sent: u64) -> Option<u32> {
        match self.load {
            Load::Closed { records, .. } => (now < self.end).then_some(records),
            Load::Open { records_per_s } => {
                if self.is_over(sent) || now >= self.end + self.measured() {
                    return None;
                }
                let due = records_due(now - self.begun, records_per_s) - sent;
                Some(due.min(u64::from(BATCH_RECORDS_MAX)) as u32)
            }
        }
    }

    /// When each record from `number` on was due that is measured and was never sent: it has waited since.
    pub(crate) fn never_sent(&self, number: u64) -> impl Iterator<Item = Instant> + use<> {
        let schedule = *self;
        let intended = (number..).map_while(move |number| schedule.intended(number));
        intended.take_while(move |at| *at < schedule.end).filter(move |at| schedule.is_measured(*at))
    }

    /// Whether record `number` is due after the end; always so in a closed loop.
    fn is_over(&self, number: u64) -> bool {
        self.intended(number).is_none_or(|intended| intended >= self.end)
    }
}

/// How many records of a schedule are due after `elapsed`: those of the first tick at once.
fn records_due(elapsed: Duration, records_per_s: u32) -> u64 {
    let (ticks_per_s, records) = ticks(records_per_s);
    let ticks_due = elapsed.as_nanos() * ticks_per_s / NANOS_PER_S + 1;
    ticks_due as u64 * records
}

/// When record `number` of a schedule is due.
fn intended(number: u64, records_per_s: u32) -> Duration {
    let (ticks_per_s, records) = ticks(records_per_s);
    let nanos = (u128::from(number / records) * NANOS_PER_S).div_ceil(ticks_per_s);
    Duration::from_nanos(nanos as u64)
}

/// Ticks a second, and records at each.
fn ticks(records_per_s: u32) -> (u128, u64) {
    let records = records_per_s.div_ceil(TICKS_PER_S);
    assert!(records_per_s.is_multiple_of(records), "{records_per_s} records/s do not divide into equal ticks");
    (u128::from(records_per_s / records), records.into())
}

const NANOS_PER_S: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_constant_and_agrees_with_itself() {
        for (rate, at_once) in [(1, 1), (3, 1), (7_000, 1), (10_000, 1), (50_000, 5), (100_000, 10)] {
            for tick in [0, 1, 2, 999, 1_000_000] {
                let first = tick * at_once;
                let at = intended(first, rate);
                assert_eq!(intended(first + at_once - 1, rate), at, "one tick at {rate}/s");
                assert_eq!(records_due(at, rate), first + at_once, "{first} at {rate}/s");
                if tick > 0 {
                    assert_eq!(records_due(at - Duration::from_nanos(1), rate), first);
                }
            }
            assert_eq!(intended(rate.into(), rate), Duration::from_secs(1));
        }
    }

    #[test]
    fn what_was_never_sent_is_what_is_due_in_the_measured_time() {
        let window = Window { warm_up: Duration::from_secs(1), measured: Duration::from_secs(1) };
        let open = Schedule::begin(Load::Open { records_per_s: 50_000 }, window);
        for (sent, left) in [(0, 50_000), (50_000, 50_000), (99_990, 10), (100_000, 0), (100_005, 0)] {
            assert_eq!(open.never_sent(sent).count(), left, "{sent} were sent");
        }
        let closed = Schedule::begin(Load::Closed { batches: 1, records: 1 }, window);
        assert_eq!(closed.never_sent(0).count(), 0);
    }

    #[test]
    fn records_pass_once_by_the_tick_they_belong_to() {
        let window = Window { warm_up: Duration::from_secs(1), measured: Duration::from_secs(1) };
        let schedule = Schedule::begin(Load::Open { records_per_s: 50_000 }, window);
        for (first, records, expected) in [
            (50_000, 12, vec![(50_000, 5), (50_005, 5), (50_010, 2)]),
            (50_003, 4, vec![(50_003, 2), (50_005, 2)]),
            (49_998, 4, vec![(50_000, 2)]),
            (99_999, 2, vec![(99_999, 1)]),
            (0, 64, vec![]),
        ] {
            let mut passed = Vec::new();
            schedule.measured_records(first, records, Instant::now(), |from, count| passed.push((from, count)));
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(number, count)| (schedule.intended(number).expect("it is an open loop"), count))
                .collect();
            assert_eq!(passed, expected, "{records} from {first}");
        }
    }
}
