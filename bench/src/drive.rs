//! The load: one driver for every target, so that a target and its yardstick get the same.
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
//! Records of the warm-up are sent and not counted.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::latency::Latencies;
use crate::machine::{Alarm, ThreadTime};

/// Data bytes of a record.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Most records in a batch.
pub(crate) const BATCH_RECORDS_MAX: u32 = 64;
/// Most batches that wait for their acknowledgement.
pub(crate) const BATCHES_IN_FLIGHT_MAX: u32 = 64;

/// Most moments in a second at which records of an open loop become due. With one for every record,
/// 100,000 records/s would measure how often the client's core can wake up.
pub(crate) const TICKS_PER_S: u32 = 10_000;

/// Something that records can be put to.
pub(crate) trait Puts: Send + Sync + 'static {
    /// Puts one batch of `records` records of [`RECORD_BYTES`] each, in the order of the calls. The
    /// future ends when all of them are acknowledged.
    fn put(&self, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static;
}

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

/// What a load met.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of the records that were sent, or due, in the measured time.
    pub(crate) latencies: Latencies,
    /// Acknowledgements that came in the measured time, a second.
    pub(crate) records_per_s: f64,
    /// Batches that were sent in the measured time.
    pub(crate) batches: u64,
    /// The share of the time in which the client's thread ran, 0 to 1.
    pub(crate) client_busy: f64,
}

/// Puts `load` to `puts` for the time of `window` and waits for the last acknowledgement. To be
/// called on a runtime of one thread, whose time is the client's.
pub(crate) async fn drive(puts: &Arc<impl Puts>, load: Load, window: Window) -> Result<Outcome, Failure> {
    let puts = Arc::clone(puts);
    // A task, because tokio polls the root future only between rounds of tasks.
    tokio::spawn(async move { Driver::new(puts, load, window)?.run().await }).await?
}

struct Driver<P> {
    puts: Arc<P>,
    load: Load,
    begun: Instant,
    measure_from: Instant,
    end: Instant,
    alarm: Alarm,
    tally: Arc<Mutex<Tally>>,
}

/// What the acknowledgements leave behind for the sender.
struct Tally {
    in_flight: u32,
    latencies: Latencies,
    records_acked: u64,
    failure: Option<Failure>,
    sender: Option<Waker>,
}

impl<P: Puts> Driver<P> {
    fn new(puts: Arc<P>, load: Load, window: Window) -> Result<Self, Failure> {
        let begun = Instant::now();
        let measure_from = begun + window.warm_up;
        let tally = Tally { in_flight: 0, latencies: Latencies::new(), records_acked: 0, failure: None, sender: None };
        Ok(Self {
            puts,
            load,
            begun,
            measure_from,
            end: measure_from + window.measured,
            alarm: Alarm::new()?,
            tally: Arc::new(Mutex::new(tally)),
        })
    }

    async fn run(self) -> Result<Outcome, Failure> {
        let mut batches = 0;
        let mut records_sent = 0;
        let mut thread_at_start = None;
        let client_busy = loop {
            self.fewer_in_flight_than(self.batches_max()).await?;
            let now = Instant::now();
            if now >= self.measure_from && thread_at_start.is_none() {
                thread_at_start = Some(ThreadTime::now());
            }
            let Some(due) = self.due(now, records_sent) else {
                let earlier = thread_at_start.ok_or("the client got no turn in all the measured time")?;
                break earlier.busy_since();
            };
            if due == 0 {
                self.alarm.sleep_until(self.intended(records_sent)).await?;
                continue;
            }
            self.send(records_sent, due);
            records_sent += u64::from(due);
            batches += u64::from(now >= self.measure_from);
        };
        self.fewer_in_flight_than(1).await?;

        let mut tally = lock(&self.tally);
        let now = Instant::now();
        for number in records_sent.. {
            // What was due and never sent has waited for at least this long.
            if self.is_closed() || self.intended(number) >= self.end {
                break;
            }
            tally.latencies.record(now - self.intended(number));
        }
        Ok(Outcome {
            latencies: tally.latencies.clone(),
            records_per_s: tally.records_acked as f64 / (self.end - self.measure_from).as_secs_f64(),
            batches,
            client_busy,
        })
    }

    fn is_closed(&self) -> bool {
        matches!(self.load, Load::Closed { .. })
    }

    fn batches_max(&self) -> u32 {
        match self.load {
            Load::Closed { batches, .. } => batches,
            Load::Open { .. } => BATCHES_IN_FLIGHT_MAX,
        }
    }

    /// When record `number` of an open loop is due.
    fn intended(&self, number: u64) -> Instant {
        match self.load {
            Load::Open { records_per_s } => self.begun + intended(number, records_per_s),
            Load::Closed { .. } => unreachable!("a closed loop has no schedule"),
        }
    }

    /// How many records the next batch takes now that `sent` have been sent, or that it is over.
    ///
    /// An open loop goes on until all that was due in the measured time is sent, for at most as long
    /// again.
    fn due(&self, now: Instant, sent: u64) -> Option<u32> {
        match self.load {
            Load::Closed { records, .. } => (now < self.end).then_some(records),
            Load::Open { records_per_s } => {
                let patience = self.end - self.measure_from;
                if self.intended(sent) >= self.end || now >= self.end + patience {
                    return None;
                }
                let due = records_due(now - self.begun, records_per_s) - sent;
                Some(due.min(u64::from(BATCH_RECORDS_MAX)) as u32)
            }
        }
    }

    /// Waits for room, before the next batch takes what is due.
    async fn fewer_in_flight_than(&self, batches: u32) -> Result<(), Failure> {
        poll_fn(|cx| {
            let mut tally = lock(&self.tally);
            if let Some(failure) = tally.failure.take() {
                return Poll::Ready(Err(failure));
            }
            if tally.in_flight < batches {
                return Poll::Ready(Ok(()));
            }
            tally.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Puts the records from number `first` on, and sees to it that their acknowledgement is counted.
    fn send(&self, first: u64, records: u32) {
        lock(&self.tally).in_flight += 1;
        let sent = Instant::now();
        let acked = self.puts.put(records);
        let tally = Arc::clone(&self.tally);
        let (load, begun, measured) = (self.load, self.begun, self.measure_from..self.end);
        tokio::spawn(async move {
            let acked = acked.await;
            let now = Instant::now();
            let mut tally = lock(&tally);
            tally.in_flight -= 1;
            if let Err(failure) = acked {
                tally.failure.get_or_insert(failure);
            } else {
                if measured.contains(&now) {
                    tally.records_acked += u64::from(records);
                }
                match load {
                    Load::Closed { .. } if measured.contains(&sent) => {
                        tally.latencies.record_many(now - sent, u64::from(records));
                    }
                    Load::Closed { .. } => {}
                    Load::Open { records_per_s } => {
                        for number in first..first + u64::from(records) {
                            let intended = begun + intended(number, records_per_s);
                            if measured.contains(&intended) {
                                tally.latencies.record(now - intended);
                            }
                        }
                    }
                }
            }
            if let Some(sender) = tally.sender.take() {
                sender.wake();
            }
        });
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

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("nobody panics while counting")
}

const NANOS_PER_S: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Acknowledges after a fixed time, and stalls once.
    struct Delayed {
        delay: Duration,
        stall: Mutex<Option<Duration>>,
        most_records: Mutex<u32>,
    }

    impl Puts for Delayed {
        fn put(&self, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
            let mut most = self.most_records.lock().unwrap();
            *most = records.max(*most);
            let delay = self.stall.lock().unwrap().take().unwrap_or(self.delay);
            async move {
                tokio::time::sleep(delay).await;
                Ok(())
            }
        }
    }

    fn window(warm_up_ms: u64, measured_ms: u64) -> Window {
        Window { warm_up: Duration::from_millis(warm_up_ms), measured: Duration::from_millis(measured_ms) }
    }

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

    #[tokio::test]
    async fn an_open_loop_counts_every_record_of_the_measured_time_once() {
        let puts = Delayed { delay: Duration::from_millis(2), stall: Mutex::new(None), most_records: Mutex::new(0) };
        let outcome = drive(&Arc::new(puts), Load::Open { records_per_s: 2000 }, window(100, 500)).await.unwrap();
        assert_eq!(outcome.latencies.count(), 1000);
        assert!(outcome.latencies.percentile_us(1.0).unwrap() >= 1_990.0);
    }

    #[tokio::test]
    async fn a_stall_is_charged_to_what_it_delays() {
        let stall = Mutex::new(Some(Duration::from_millis(200)));
        let puts = Arc::new(Delayed { delay: Duration::ZERO, stall, most_records: Mutex::new(0) });
        // One batch in flight at a time: the stall of the first holds up all that come due meanwhile.
        let outcome = drive(&puts, Load::Closed { batches: 1, records: 1 }, window(0, 300)).await.unwrap();
        assert!(outcome.latencies.percentile_us(100.0).unwrap() >= 199_000.0);
    }

    #[tokio::test]
    async fn batches_are_bounded_and_so_is_what_is_in_flight() {
        let puts = Delayed { delay: Duration::from_millis(50), stall: Mutex::new(None), most_records: Mutex::new(0) };
        let puts = Arc::new(puts);
        let outcome = drive(&puts, Load::Open { records_per_s: 200_000 }, window(0, 200)).await.unwrap();
        assert_eq!(*puts.most_records.lock().unwrap(), BATCH_RECORDS_MAX);
        // 64 batches every 50 ms at most; the load goes on for up to 200 ms more to send what was due.
        assert!(outcome.batches <= u64::from(BATCHES_IN_FLIGHT_MAX) * 9, "{}", outcome.batches);
        assert_eq!(outcome.latencies.count(), 40_000, "what could not be sent counts too");
    }
}
