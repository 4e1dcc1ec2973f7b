//! Whether every record of a run arrives at every consumer, once, and how long that took.
//!
//! Records are known by their numbers ([`crate::load`]): the first record of a batch carries its own in
//! its data. A latency counts from where the driver's counts from, to the moment at which the
//! consumer's task has the whole batch.
//!
//! As with acknowledgements, a record that was due and could not be sent counts with the time that it
//! has waited.
//!
//! What must hold: a record that was never put, that arrives twice, or that does not arrive fails the
//! run. Each consumer's count has a lock of its own, and the driver of an open loop takes none of
//! them: consumers may run on a thread that gets few turns, and hold up no put.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::Failure;
use crate::drive::{Outcome, Puts, drive_scheduled};
use crate::latency::Latencies;
use crate::load::{Load, Schedule, Window};

/// Whom batches are pushed to.
pub(crate) trait Consumer: Send + Sync + 'static {
    /// Takes a whole batch, whose first record has this number.
    fn take(&self, first: u64, records: u32) -> Result<(), Failure>;

    /// No more will come.
    fn fail(&self, failure: Failure);
}

/// When a put counts as answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// With its acknowledgement.
    Acked,
    /// When it has also arrived at every consumer, so that a closed loop goes as fast as they do.
    Delivered,
}

/// The deliveries of one run.
pub(crate) struct Deliveries {
    answered: Answered,
    schedule: OnceLock<Schedule>,
    records_sent: AtomicU64,
    /// When each batch of a closed loop was sent.
    sent: Mutex<Vec<Instant>>,
    /// The batches that wait for their consumers, by the number of their first record.
    waiting: Mutex<HashMap<u64, Waiting>>,
    consumers: Vec<Mutex<Arrivals>>,
    failure: Mutex<Option<Failure>>,
}

struct Waiting {
    consumers_left: usize,
    delivered: oneshot::Sender<()>,
}

/// What has arrived at one consumer.
struct Arrivals {
    seen: Seen,
    latencies: Latencies,
    /// Records that came in the measured time.
    measured: u64,
}

/// What a run met.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// Of the acknowledgements.
    pub(crate) acks: Outcome,
    /// From the record's time to its arrival, over all consumers.
    pub(crate) pushes: Latencies,
    /// Records that came to each consumer in the measured time, a second.
    pub(crate) records_per_s: Vec<f64>,
    /// Records that were put in the whole run, times consumers.
    pub(crate) records: u64,
}

impl Deliveries {
    /// To so many consumers.
    pub(crate) fn new(consumers: usize, answered: Answered) -> Arc<Self> {
        let arrivals = || Mutex::new(Arrivals { seen: Seen::default(), latencies: Latencies::new(), measured: 0 });
        Arc::new(Self {
            answered,
            schedule: OnceLock::new(),
            records_sent: AtomicU64::new(0),
            sent: Mutex::default(),
            waiting: Mutex::default(),
            consumers: (0..consumers).map(|_| arrivals()).collect(),
            failure: Mutex::default(),
        })
    }

    /// The consumer of this place, to be given what is pushed to it.
    pub(crate) fn consumer(self: &Arc<Self>, at: usize) -> Arc<dyn Consumer> {
        assert!(at < self.consumers.len(), "there are {} consumers", self.consumers.len());
        Arc::new(DeliveriesTo { deliveries: Arc::clone(self), at })
    }

    /// Puts a load, once all consumers are subscribed, and waits until all has arrived everywhere.
    pub(crate) async fn drive<P: Puts>(
        self: &Arc<Self>,
        puts: P,
        load: Load,
        window: Window,
    ) -> Result<Delivered, Failure> {
        let schedule = Schedule::begin(load, window);
        self.schedule.set(schedule).map_err(|_| "deliveries are of one run")?;
        let puts = Arc::new(Watched { puts, deliveries: Arc::clone(self) });
        let acks = drive_scheduled(&puts, schedule).await.map_err(|failure| self.failure().unwrap_or(failure))?;
        self.all_arrived(PATIENCE).await?;

        let mut pushes = Latencies::new();
        let mut records_per_s = Vec::new();
        for arrivals in &self.consumers {
            let arrivals = lock(arrivals);
            pushes.add(&arrivals.latencies);
            records_per_s.push(arrivals.measured as f64 / schedule.measured().as_secs_f64());
        }
        let now = Instant::now();
        for intended in schedule.never_sent(acks.records_sent) {
            pushes.record_many(now - intended, self.consumers.len() as u64);
        }
        let records = acks.records_sent * self.consumers.len() as u64;
        Ok(Delivered { acks, pushes, records_per_s, records })
    }

    /// Counts a batch that is about to be put; says when it has been delivered, if its put waits for that.
    fn sending(&self, first: u64, records: u32) -> Option<oneshot::Receiver<()>> {
        if self.schedule.get().is_some_and(|schedule| matches!(schedule.load, Load::Closed { .. })) {
            lock(&self.sent).push(Instant::now());
        }
        let delivered = (self.answered == Answered::Delivered).then(|| {
            let (delivered, receiver) = oneshot::channel();
            lock(&self.waiting).insert(first, Waiting { consumers_left: self.consumers.len(), delivered });
            receiver
        });
        self.records_sent.fetch_add(u64::from(records), Ordering::SeqCst);
        delivered
    }

    fn arrived(&self, at: usize, first: u64, records: u32) -> Result<(), Failure> {
        let now = Instant::now();
        let sent = self.records_sent.load(Ordering::SeqCst);
        let schedule = self.schedule.get().ok_or("a record was pushed before one was put")?;
        if first.checked_add(records.into()).is_none_or(|end| end > sent) {
            return Err(
                format!("record {first} was pushed with {records} in its batch, of {sent} that were put").into()
            );
        }
        let batch_sent = match schedule.load {
            Load::Open { .. } => now,
            Load::Closed { records, .. } => lock(&self.sent)[(first / u64::from(records)) as usize],
        };
        let mut arrivals = lock(&self.consumers[at]);
        let is_new = arrivals.seen.mark(first, records);
        if schedule.is_measured(now) {
            arrivals.measured += u64::from(records);
        }
        schedule.measured_records(first, records, batch_sent, |from, count| {
            arrivals.latencies.record_many(now - from, count);
        });
        drop(arrivals);
        if is_new && self.answered == Answered::Delivered {
            self.delivered_to_one(first);
        }
        Ok(())
    }

    fn delivered_to_one(&self, first: u64) {
        let mut waiting = lock(&self.waiting);
        let Some(batch) = waiting.get_mut(&first) else { return };
        batch.consumers_left -= 1;
        if batch.consumers_left == 0 {
            let batch = waiting.remove(&first).expect("it was just found");
            // Nobody waits any more when the run has failed elsewhere.
            let _ = batch.delivered.send(());
        }
    }

    /// Waits until every record that was put is at every consumer; fails when none has come for so long.
    async fn all_arrived(&self, patience: Duration) -> Result<(), Failure> {
        let sent = self.records_sent.load(Ordering::SeqCst);
        let (mut missing_before, mut since) = (u64::MAX, Instant::now());
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            let (mut missing, mut repeated) = (0, 0);
            for arrivals in &self.consumers {
                let arrivals = lock(arrivals);
                missing += sent - arrivals.seen.count;
                repeated += arrivals.seen.repeated;
            }
            if repeated > 0 {
                return Err(format!("{repeated} records arrived more than once").into());
            }
            if missing == 0 {
                return Ok(());
            }
            if missing < missing_before {
                (missing_before, since) = (missing, Instant::now());
            } else if since.elapsed() >= patience {
                let due = sent * self.consumers.len() as u64;
                return Err(format!("{missing} of {due} records did not arrive").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What went wrong at a consumer, told once.
    fn failure(&self) -> Option<Failure> {
        lock(&self.failure).take()
    }
}

/// A consumer's place in the deliveries of a run.
struct DeliveriesTo {
    deliveries: Arc<Deliveries>,
    at: usize,
}

impl Consumer for DeliveriesTo {
    fn take(&self, first: u64, records: u32) -> Result<(), Failure> {
        self.deliveries.arrived(self.at, first, records)
    }

    fn fail(&self, failure: Failure) {
        lock(&self.deliveries.failure).get_or_insert_with(|| format!("consumer {}: {failure}", self.at).into());
        // Puts that wait for this consumer wait no more.
        lock(&self.deliveries.waiting).clear();
    }
}

/// Puts that tell the deliveries of each batch.
struct Watched<P> {
    puts: P,
    deliveries: Arc<Deliveries>,
}

impl<P: Puts> Puts for Watched<P> {
    fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let delivered = self.deliveries.sending(first, records);
        let acked = self.puts.put(first, records);
        async move {
            acked.await?;
            let Some(delivered) = delivered else { return Ok(()) };
            let delivered = tokio::time::timeout(PATIENCE, delivered).await;
            let delivered = delivered.map_err(|_| format!("record {first} did not arrive everywhere"))?;
            Ok(delivered.map_err(|_| "a consumer failed")?)
        }
    }
}

/// Which records have been seen: a bit each, of which there are as many as were put.
#[derive(Debug, Default)]
struct Seen {
    words: Vec<u64>,
    count: u64,
    repeated: u64,
}

impl Seen {
    /// Marks `records` from `first` on; whether none of them was marked.
    fn mark(&mut self, first: u64, records: u32) -> bool {
        let end = first + u64::from(records);
        let words = end.div_ceil(u64::from(u64::BITS)) as usize;
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        let repeated_before = self.repeated;
        let mut number = first;
        while number < end {
            let bit = (number % u64::from(u64::BITS)) as u32;
            let bits = (end - number).min(u64::from(u64::BITS - bit)) as u32;
            let mask = (u64::MAX >> (u64::BITS - bits)) << bit;
            let word = &mut self.words[(number / u64::from(u64::BITS)) as usize];
            let repeated = (*word & mask).count_ones();
            self.repeated += u64::from(repeated);
            self.count += u64::from(bits - repeated);
            *word |= mask;
            number += u64::from(bits);
        }
        self.repeated == repeated_before
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while counting")
}

/// How long nothing may arrive before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives each batch to the consumers when it is put, or not, or twice.
    struct Fan {
        deliveries: Arc<Deliveries>,
        times: fn(consumer: usize, first: u64) -> u32,
    }

    impl Puts for Fan {
        fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
            for at in 0..self.deliveries.consumers.len() {
                for _ in 0..(self.times)(at, first) {
                    self.deliveries.consumer(at).take(first, records).expect("it was put");
                }
            }
            async { Ok(()) }
        }
    }

    fn window(measured_ms: u64) -> Window {
        Window { warm_up: Duration::from_millis(50), measured: Duration::from_millis(measured_ms) }
    }

    async fn run(load: Load, answered: Answered, times: fn(usize, u64) -> u32) -> Result<Delivered, Failure> {
        let deliveries = Deliveries::new(3, answered);
        let fan = Fan { deliveries: Arc::clone(&deliveries), times };
        deliveries.drive(fan, load, window(200)).await
    }

    #[tokio::test]
    async fn every_measured_record_counts_once_for_each_consumer() {
        let delivered = run(Load::Open { records_per_s: 2_000 }, Answered::Acked, |_, _| 1).await.expect("all arrived");
        assert_eq!(delivered.pushes.count(), 3 * 400);
        assert_eq!(delivered.acks.latencies.count(), 400);
        assert_eq!(delivered.records, delivered.acks.records_sent * 3);
        assert_eq!(delivered.records_per_s.len(), 3);
    }

    /// Answers so late that not all that is due can be sent.
    struct Slow(Fan);

    impl Puts for Slow {
        fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
            let put = self.0.put(first, records);
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                put.await
            }
        }
    }

    #[tokio::test]
    async fn what_could_not_be_sent_counts_for_each_consumer_too() {
        let deliveries = Deliveries::new(2, Answered::Acked);
        let slow = Slow(Fan { deliveries: Arc::clone(&deliveries), times: |_, _| 1 });
        let window = Window { warm_up: Duration::ZERO, measured: Duration::from_millis(200) };
        let delivered = deliveries.drive(slow, Load::Open { records_per_s: 200_000 }, window).await;
        let delivered = delivered.expect("what was put has arrived");
        assert!(delivered.acks.records_sent < 40_000, "{} could be sent", delivered.acks.records_sent);
        assert_eq!(delivered.pushes.count(), 2 * 40_000);
    }

    #[tokio::test]
    async fn a_closed_loop_goes_on_when_all_consumers_have_a_batch() {
        let load = Load::Closed { batches: 2, records: 3 };
        let delivered = run(load, Answered::Delivered, |_, _| 1).await.expect("all arrived");
        assert!(delivered.pushes.count() > 0 && delivered.records > 0);
        assert_eq!(delivered.records % 9, 0, "whole batches at three consumers");
    }

    #[tokio::test]
    async fn what_arrives_twice_fails_the_run_with_the_count() {
        let load = Load::Closed { batches: 1, records: 5 };
        let failure = run(load, Answered::Acked, |at, first| 1 + u32::from(at == 1 && first == 10)).await;
        let failure = failure.expect_err("a batch came twice").to_string();
        assert!(failure.contains("5 records arrived more than once"), "{failure}");
    }

    #[tokio::test]
    async fn what_does_not_arrive_is_counted_after_the_patience() {
        let deliveries = Deliveries::new(2, Answered::Acked);
        let load = Load::Open { records_per_s: 1_000 };
        deliveries.schedule.set(Schedule::begin(load, window(1_000))).expect("it is new");
        deliveries.sending(0, 10);
        deliveries.consumer(0).take(0, 10).expect("it was put");
        deliveries.consumer(1).take(2, 3).expect("it was put");
        let failure =
            deliveries.all_arrived(Duration::from_millis(10)).await.expect_err("some are missing").to_string();
        assert_eq!(failure, "7 of 20 records did not arrive");
        let failure = deliveries.consumer(1).take(8, 3).expect_err("the last was not put").to_string();
        assert!(failure.contains("record 8 was pushed with 3"), "{failure}");
    }

    #[tokio::test]
    async fn a_consumer_that_fails_ends_a_closed_loop() {
        let deliveries = Deliveries::new(1, Answered::Delivered);
        let fan = Fan { deliveries: Arc::clone(&deliveries), times: |_, _| 0 };
        let consumer = deliveries.consumer(0);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            consumer.fail("the stream was reset".into());
        });
        let failure = deliveries.drive(fan, Load::Closed { batches: 1, records: 1 }, window(10_000)).await;
        let failure = failure.expect_err("nothing arrives").to_string();
        assert_eq!(failure, "consumer 0: the stream was reset");
    }

    #[test]
    fn records_are_marked_across_words() {
        let mut seen = Seen::default();
        assert!(seen.mark(60, 10) && seen.mark(0, 60) && seen.mark(70, 128));
        assert_eq!((seen.count, seen.repeated), (198, 0));
        assert!(!seen.mark(197, 2));
        assert_eq!((seen.count, seen.repeated), (199, 1));
    }
}
