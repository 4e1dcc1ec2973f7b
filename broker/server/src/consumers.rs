//! The registered consumers of all streams, as lanes and connections see them, and the giver of epochs.
//!
//! What must hold: no epoch is given twice, and each is newer than all before it, whoever asks and on
//! whichever lane. Subscriptions are not here: a consumer may be registered and have none.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rheos_core::catalog::{ConsumerRecord, next_epoch};
use rheos_protocol::name::ConsumerName;

/// Reservations by incarnation of the stream, then by name of the consumer.
pub(crate) type Reserved = BTreeMap<u64, BTreeMap<String, NonZeroU64>>;

/// By incarnation of their stream, then by name.
type ByStream = BTreeMap<u64, BTreeMap<String, Arc<ConsumerRecord>>>;

/// All registered consumers; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Consumers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    registered: RwLock<ByStream>,
    last_epoch: AtomicU64,
}

impl Consumers {
    pub(crate) fn new(records: &[Arc<ConsumerRecord>]) -> Consumers {
        let consumers = Consumers(Arc::default());
        records.iter().for_each(|record| consumers.add(Arc::clone(record)));
        consumers
    }

    pub(crate) fn add(&self, record: Arc<ConsumerRecord>) {
        let name = record.name.as_str().to_owned();
        self.write().entry(record.incarnation).or_default().insert(name, record);
    }

    pub(crate) fn remove(&self, incarnation: u64, name: &ConsumerName) {
        let mut registered = self.write();
        let Some(of_stream) = registered.get_mut(&incarnation) else { return };
        of_stream.remove(name.as_str());
        if of_stream.is_empty() {
            registered.remove(&incarnation);
        }
    }

    /// Forgets the consumers of a stream that was deleted.
    pub(crate) fn remove_stream(&self, incarnation: u64) {
        self.write().remove(&incarnation);
    }

    /// The consumer of this life of a stream, if it is registered.
    pub(crate) fn named(&self, incarnation: u64, name: &ConsumerName) -> Option<Arc<ConsumerRecord>> {
        self.read().get(&incarnation)?.get(name.as_str()).cloned()
    }

    /// Whether this life of a stream has a registered consumer of this name.
    pub(crate) fn exists(&self, incarnation: u64, name: &str) -> bool {
        self.read().get(&incarnation).is_some_and(|of_stream| of_stream.contains_key(name))
    }

    /// How many consumers this life of a stream has.
    pub(crate) fn count(&self, incarnation: u64) -> usize {
        self.read().get(&incarnation).map_or(0, BTreeMap::len)
    }

    /// Up to `limit` consumers of a stream whose names sort after `after`, and whether more follow.
    pub(crate) fn page(&self, incarnation: u64, after: &str, limit: usize) -> (Vec<Arc<ConsumerRecord>>, bool) {
        let registered = self.read();
        let Some(of_stream) = registered.get(&incarnation) else { return (Vec::new(), false) };
        let mut following = of_stream.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let page = following.by_ref().take(limit).map(|(_, record)| Arc::clone(record)).collect();
        (page, following.next().is_some())
    }

    /// The first `limit` consumers of all streams, by incarnation and name, and how many there are.
    pub(crate) fn first(&self, limit: usize) -> (Vec<Arc<ConsumerRecord>>, u64) {
        let registered = self.read();
        let count = registered.values().map(|of_stream| of_stream.len() as u64).sum();
        let all = registered.values().flat_map(BTreeMap::values);
        (all.take(limit).cloned().collect(), count)
    }

    /// The reservations of every consumer that has one.
    pub(crate) fn reserved(&self) -> Reserved {
        let registered = self.read();
        let reserved = |of_stream: &BTreeMap<String, Arc<ConsumerRecord>>| {
            of_stream.iter().filter_map(|(name, record)| Some((name.clone(), record.reserved?))).collect()
        };
        let by_stream = registered.iter().map(|(incarnation, of_stream)| (*incarnation, reserved(of_stream)));
        by_stream.filter(|(_, reserved): &(u64, BTreeMap<_, _>)| !reserved.is_empty()).collect()
    }

    /// The names of those consumers of a stream that have a reservation.
    pub(crate) fn reserved_of(&self, incarnation: u64) -> Vec<String> {
        let registered = self.read();
        let of_stream = registered.get(&incarnation).into_iter().flatten();
        of_stream.filter(|(_, record)| record.reserved.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// What is promised to a consumer, in bytes a second.
    pub(crate) fn reservation(&self, incarnation: u64, name: &str) -> Option<NonZeroU64> {
        self.read().get(&incarnation)?.get(name)?.reserved
    }

    /// An epoch that is newer than every one that was given before.
    pub(crate) fn next_epoch(&self, wall_ms: u64) -> u64 {
        let newer = |last| Some(next_epoch(last, wall_ms));
        let last = self.0.last_epoch.fetch_update(Ordering::Relaxed, Ordering::Relaxed, newer);
        next_epoch(last.expect("there is always a newer one"), wall_ms)
    }

    fn read(&self) -> RwLockReadGuard<'_, ByStream> {
        self.0.registered.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ByStream> {
        self.0.registered.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use rheos_core::catalog::plan_consumer;

    use super::*;

    fn record(incarnation: u64, name: &str) -> Arc<ConsumerRecord> {
        Arc::new(plan_consumer(name, incarnation, 1).expect("it is a name"))
    }

    #[test]
    fn consumers_belong_to_one_life_of_a_stream() {
        let consumers = Consumers::new(&[record(1, "b"), record(1, "a"), record(2, "a")]);
        let name = |text: &str| ConsumerName::new(text).expect("it is a name");
        assert!(consumers.exists(1, "a") && consumers.exists(2, "a") && !consumers.exists(2, "b"));
        assert_eq!(consumers.page(1, "", 1), (vec![record(1, "a")], true));
        assert_eq!(consumers.page(1, "a", 1), (vec![record(1, "b")], false));
        assert_eq!(consumers.page(3, "", 9), (vec![], false));
        consumers.remove(1, &name("a"));
        consumers.remove(9, &name("a"));
        assert!(!consumers.exists(1, "a") && consumers.exists(2, "a"));
        consumers.clone().remove_stream(2);
        assert!(!consumers.exists(2, "a"));
    }

    #[test]
    fn an_epoch_is_given_once() {
        let consumers = Consumers::new(&[]);
        let give = |wall_ms: u64| {
            let consumers = consumers.clone();
            thread::spawn(move || (0..1_000).map(|_| consumers.next_epoch(wall_ms)).collect::<Vec<_>>())
        };
        let given: Vec<Vec<u64>> =
            [5, 500, 1_000].map(give).into_iter().map(|thread| thread.join().expect("it ends")).collect();
        assert!(given.iter().all(|epochs| epochs.is_sorted_by(|one, next| one < next)));
        let all: BTreeSet<u64> = given.concat().into_iter().collect();
        assert_eq!(all.len(), 3_000);
    }
}
