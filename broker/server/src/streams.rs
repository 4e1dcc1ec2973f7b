//! The streams that there are, by name: what describes and lists them without asking the catalog.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use rheos_core::catalog::{StreamRecord, stream_not_found};
use rheos_protocol::error::WireError;
use rheos_protocol::message::StreamSummary;
use rheos_protocol::name::StreamName;

/// All streams; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<RwLock<BTreeMap<String, Arc<StreamRecord>>>>);

impl Streams {
    pub(crate) fn new(records: &[Arc<StreamRecord>]) -> Streams {
        let named = |record: &Arc<StreamRecord>| (record.name.as_str().to_owned(), Arc::clone(record));
        Streams(Arc::new(RwLock::new(records.iter().map(named).collect())))
    }

    pub(crate) fn add(&self, record: Arc<StreamRecord>) {
        let name = record.name.as_str().to_owned();
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Of two lives of a name that come here in the wrong order the later one stays.
        let newer = streams.get(&name).is_none_or(|there| there.incarnation < record.incarnation);
        if newer {
            streams.insert(name, record);
        }
    }

    pub(crate) fn remove(&self, record: &StreamRecord) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if streams.get(record.name.as_str()).is_some_and(|there| there.incarnation == record.incarnation) {
            streams.remove(record.name.as_str());
        }
    }

    /// The stream of this name.
    pub(crate) fn named(&self, name: &StreamName) -> Result<Arc<StreamRecord>, WireError> {
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(name.as_str()).cloned().ok_or_else(|| stream_not_found(name))
    }

    /// The stream of this incarnation.
    pub(crate) fn by_incarnation(&self, incarnation: u64) -> Option<Arc<StreamRecord>> {
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().find(|record| record.incarnation == incarnation).cloned()
    }

    /// Up to `limit` streams whose names sort after `after`, and whether more follow.
    pub(crate) fn page(&self, after: &str, limit: usize) -> (Vec<StreamSummary>, bool) {
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut following = streams.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let page = following.by_ref().take(limit).map(|(_, record)| record.summary()).collect();
        (page, following.next().is_some())
    }
}
