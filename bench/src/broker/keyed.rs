//! Puts as programs make them: through the client crate, by partition keys, following what happens to the shards.
//!
//! The keys are in *homes*, sets that are used in turn, a batch from each, so that what a batch meets is what its
//! home met. Each record's latency is kept with its home, to be sorted out by what went on in that time.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rheos_client::{Outcome, Producer, RecordView};
use rheos_protocol::hash::{HashRange, hash_key};

use crate::Failure;
use crate::drive::Puts;
use crate::load::{RECORD_BYTES, Schedule};

/// Puts of a producer, a batch to each home in turn.
pub(crate) struct KeyedPuts {
    producer: Producer,
    homes: Arc<Vec<Vec<String>>>,
    schedule: Schedule,
    next: AtomicUsize,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Records that were due together and came back together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Which set of keys they have.
    pub(crate) home: usize,
    /// When they were due.
    pub(crate) due: Instant,
    /// How long after that they were acknowledged.
    pub(crate) took: Duration,
    pub(crate) records: u64,
}

impl KeyedPuts {
    pub(crate) fn new(producer: Producer, homes: Arc<Vec<Vec<String>>>, schedule: Schedule) -> KeyedPuts {
        assert!(homes.iter().all(|keys| !keys.is_empty()), "a home has keys");
        KeyedPuts { producer, homes, schedule, next: AtomicUsize::new(0), seen: Arc::default() }
    }

    /// What was measured, in no order.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Puts for KeyedPuts {
    fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let home = self.next.fetch_add(1, Ordering::Relaxed) % self.homes.len();
        let (producer, homes, schedule) = (self.producer.clone(), Arc::clone(&self.homes), self.schedule);
        let seen = Arc::clone(&self.seen);
        async move {
            let sent = Instant::now();
            let keys = &homes[home];
            let mut tickets = Vec::with_capacity(records as usize);
            for number in first..first + u64::from(records) {
                let key = &keys[number as usize % keys.len()];
                let record = RecordView { partition_key: key, explicit_hash_key: None, data: &[0x42; RECORD_BYTES] };
                tickets.push(producer.put_view(record).await?);
            }
            for ticket in tickets {
                match ticket.await {
                    Outcome::Acked { .. } => {}
                    other => return Err(format!("a put came to {other:?}").into()),
                }
            }
            let now = Instant::now();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            schedule.measured_records(first, records, sent, |due, records| {
                seen.push(Seen { home, due, took: now - due, records });
            });
            Ok(())
        }
    }
}

/// So many partition keys whose hash keys lie in the range, found by trying.
pub(crate) fn keys_in(range: HashRange, count: usize) -> Vec<String> {
    let keys = (0_u64..).map(|at| format!("key-{at:012x}"));
    keys.filter(|key| range.contains(hash_key(key))).take(count).collect()
}
