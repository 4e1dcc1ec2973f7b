//! What the face counts of its requests, for the metrics: how each operation ended, and how long it took.
//!
//! What must hold: there are as many counters as there are operations and kinds of errors, whatever is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rheos_kinesis::error::ErrorKind;
use rheos_kinesis::shapes::operations::Operation;

use crate::metrics::Histogram;

/// All counters; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct KinesisCounts(Arc<Mutex<BTreeMap<&'static str, OperationCounts>>>);

/// Those of one operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct OperationCounts {
    /// From when the request had come whole to when its answer, or the first of its events, was made.
    pub(crate) took: Histogram,
    /// By what the answer says: `ok`, or the name of an error.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
}

impl KinesisCounts {
    /// An operation has ended.
    pub(super) fn count(&self, operation: &Operation, failed: Option<ErrorKind>, took: Duration) {
        let mut counts = self.counts();
        let of_operation = counts.entry(operation.name).or_default();
        of_operation.took.add(took);
        *of_operation.outcomes.entry(failed.map_or("ok", ErrorKind::name)).or_default() += 1;
    }

    /// What was counted of every operation that was asked for.
    pub(crate) fn all(&self) -> Vec<(&'static str, OperationCounts)> {
        self.counts().iter().map(|(name, counts)| (*name, counts.clone())).collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, OperationCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
