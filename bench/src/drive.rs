//! One driver for every target, so that a target and its yardstick get the same [load](crate::load).
//!
//! Records of the warm-up are sent and not counted.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::Failure;
use crate::latency::Latencies;
use crate::load::{Load, Schedule, Window};
use crate::machine::{Alarm, ThreadTime};

/// Something that records can be put to.
pub(crate) trait Puts: Send + Sync + 'static {
    /// Puts one batch of `records` records of [`RECORD_BYTES`](crate::load::RECORD_BYTES) each, in the
    /// order of the calls; `first` is the number of its first record in the run. The future ends when
    /// all of them are acknowledged.
    fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static;
}

/// What a load met.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of the records that were sent, or due, in the measured time.
    pub(crate) latencies: Latencies,
    /// Acknowledgements that came in the measured time, a second.
    pub(crate) records_per_s: f64,
    /// Records that were sent in all, those of the warm-up too.
    pub(crate) records_sent: u64,
    /// Batches that were sent in the measured time.
    pub(crate) batches: u64,
    /// The share of the time in which the client's thread ran, 0 to 1.
    pub(crate) client_busy: f64,
}

impl Outcome {
    /// The latency in microseconds that `percent` of the records did not exceed; not a number without a record.
    pub(crate) fn us(&self, percent: f64) -> f64 {
        self.latencies.percentile_us(percent).unwrap_or(f64::NAN)
    }
}

/// Puts `load` to `puts` for the time of `window` and waits for the last acknowledgement. To be
/// called on a runtime of one thread, whose time is the client's.
pub(crate) async fn drive(puts: &Arc<impl Puts>, load: Load, window: Window) -> Result<Outcome, Failure> {
    drive_scheduled(puts, Schedule::begin(load, window)).await
}

/// The same for a load that has begun just now.
pub(crate) async fn drive_scheduled(puts: &Arc<impl Puts>, schedule: Schedule) -> Result<Outcome, Failure> {
    let puts = Arc::clone(puts);
    // A task, because tokio polls the root future only between rounds of tasks.
    tokio::spawn(async move { Driver::new(puts, schedule)?.run().await }).await?
}

struct Driver<P> {
    puts: Arc<P>,
    schedule: Schedule,
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
    fn new(puts: Arc<P>, schedule: Schedule) -> Result<Self, Failure> {
        let tally = Tally { in_flight: 0, latencies: Latencies::new(), records_acked: 0, failure: None, sender: None };
        Ok(Self { puts, schedule, alarm: Alarm::new()?, tally: Arc::new(Mutex::new(tally)) })
    }

    async fn run(self) -> Result<Outcome, Failure> {
        let schedule = self.schedule;
        let mut batches = 0;
        let mut records_sent = 0;
        let mut thread_at_start = None;
        let client_busy = loop {
            self.fewer_in_flight_than(schedule.batches_max()).await?;
            let now = Instant::now();
            if now >= schedule.measure_from && thread_at_start.is_none() {
                thread_at_start = Some(ThreadTime::now());
            }
            let Some(due) = schedule.due(now, records_sent) else {
                let earlier = thread_at_start.ok_or("the client got no turn in all the measured time")?;
                break earlier.busy_since();
            };
            if due == 0 {
                let intended = schedule.intended(records_sent).expect("a closed loop always has a batch due");
                self.alarm.sleep_until(intended).await?;
                continue;
            }
            self.send(records_sent, due);
            records_sent += u64::from(due);
            batches += u64::from(now >= schedule.measure_from);
        };
        self.fewer_in_flight_than(1).await?;

        let mut tally = lock(&self.tally);
        let now = Instant::now();
        for intended in schedule.never_sent(records_sent) {
            tally.latencies.record(now - intended);
        }
        Ok(Outcome {
            latencies: tally.latencies.clone(),
            records_per_s: tally.records_acked as f64 / schedule.measured().as_secs_f64(),
            records_sent,
            batches,
            client_busy,
        })
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
        let acked = self.puts.put(first, records);
        let (tally, schedule) = (Arc::clone(&self.tally), self.schedule);
        tokio::spawn(async move {
            let acked = acked.await;
            let now = Instant::now();
            let mut tally = lock(&tally);
            tally.in_flight -= 1;
            if let Err(failure) = acked {
                tally.failure.get_or_insert(failure);
            } else {
                if schedule.is_measured(now) {
                    tally.records_acked += u64::from(records);
                }
                schedule.measured_records(first, records, sent, |from, count| {
                    tally.latencies.record_many(now - from, count);
                });
            }
            if let Some(sender) = tally.sender.take() {
                sender.wake();
            }
        });
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("nobody panics while counting")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{BATCH_RECORDS_MAX, BATCHES_IN_FLIGHT_MAX};

    /// Acknowledges after a fixed time, and stalls once.
    struct Delayed {
        delay: Duration,
        stall: Mutex<Option<Duration>>,
        most_records: Mutex<u32>,
    }

    impl Puts for Delayed {
        fn put(&self, _: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
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
