//! What has changed a moment ago, so that it can be shown as AWS would show it (`--kinesis-state-delay`).
//!
//! What must hold: without a delay nothing is remembered; memory is bounded by a number. What is remembered ends with
//! the process: it is for tests of clients that wait for a state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rheos_core::catalog::{ConsumerRecord, StreamRecord};
use rheos_kinesis::operations::status::{Delay, LastChanges};
use rheos_protocol::name::{ConsumerName, StreamName};

/// Most things of a kind that are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// Changes, by when they were made in ms since 1970.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// By incarnation.
    changed: BTreeMap<u64, u64>,
    /// By name, with what they were.
    deleted_streams: BTreeMap<String, (Arc<StreamRecord>, u64)>,
    deleted_consumers: BTreeMap<(u64, String), (Arc<ConsumerRecord>, u64)>,
}

impl Recent {
    /// A stream was changed.
    pub(super) fn changed(&self, incarnation: u64, delay: Delay) {
        if delay.delay_ms > 0 {
            remember(&mut self.changes().changed, incarnation, delay.now_ms, |changed_ms| *changed_ms, delay);
        }
    }

    /// A stream was deleted.
    pub(super) fn deleted(&self, stream: Arc<StreamRecord>, delay: Delay) {
        if delay.delay_ms > 0 {
            let name = stream.name.as_str().to_owned();
            remember(&mut self.changes().deleted_streams, name, (stream, delay.now_ms), |(_, ms)| *ms, delay);
        }
    }

    /// A consumer was deregistered.
    pub(super) fn deregistered(&self, consumer: Arc<ConsumerRecord>, delay: Delay) {
        if delay.delay_ms > 0 {
            let key = (consumer.incarnation, consumer.name.as_str().to_owned());
            remember(&mut self.changes().deleted_consumers, key, (consumer, delay.now_ms), |(_, ms)| *ms, delay);
        }
    }

    /// What has happened to a stream that there is.
    pub(super) fn of(&self, incarnation: u64) -> LastChanges {
        LastChanges { changed_ms: self.changes().changed.get(&incarnation).copied(), deleted_ms: None }
    }

    /// A stream of this name that was deleted, and when.
    pub(super) fn deleted_stream(&self, name: &StreamName) -> Option<(Arc<StreamRecord>, u64)> {
        self.changes().deleted_streams.get(name.as_str()).cloned()
    }

    /// Streams of which `wanted` says yes that were deleted, and when, sorted by name.
    pub(super) fn deleted_streams(&self, wanted: impl Fn(&StreamRecord) -> bool) -> Vec<(Arc<StreamRecord>, u64)> {
        self.changes().deleted_streams.values().filter(|(stream, _)| wanted(stream)).cloned().collect()
    }

    /// Consumers of a stream that were deregistered, and when, sorted by name.
    pub(super) fn deleted_consumers(&self, incarnation: u64) -> Vec<(Arc<ConsumerRecord>, u64)> {
        let changes = self.changes();
        let of_stream = changes.deleted_consumers.range((incarnation, String::new())..);
        of_stream.take_while(|((of, _), _)| *of == incarnation).map(|(_, gone)| gone.clone()).collect()
    }

    /// A consumer that was deregistered, and when.
    pub(super) fn deleted_consumer(&self, incarnation: u64, name: &ConsumerName) -> Option<(Arc<ConsumerRecord>, u64)> {
        self.changes().deleted_consumers.get(&(incarnation, name.as_str().to_owned())).cloned()
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember<K: Ord, V>(things: &mut BTreeMap<K, V>, key: K, what: V, since_ms: impl Fn(&V) -> u64, delay: Delay) {
    things.retain(|_, what| delay.now_ms.saturating_sub(since_ms(what)) < delay.delay_ms);
    if things.len() < REMEMBERED_MAX {
        things.insert(key, what);
    }
}
