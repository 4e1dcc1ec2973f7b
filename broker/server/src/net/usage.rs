//! What the connections of a lane hold, for the lane's report.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::{Door, READ_MEMORY_KIB};

/// Looks at what connections and their tasks count for their own sake.
#[derive(Debug)]
pub(crate) struct NetUse {
    admitted: Arc<AtomicUsize>,
    read_memory: Arc<Semaphore>,
}

impl NetUse {
    pub(crate) fn new(door: &Door, read_memory: &Arc<Semaphore>) -> NetUse {
        NetUse { admitted: door.admitted(), read_memory: Arc::clone(read_memory) }
    }

    /// Connections that have said an accepted Hello.
    pub(crate) fn connections(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed) as u64
    }

    /// Bytes that reads hold or have asked for.
    pub(crate) fn read_bytes(&self) -> usize {
        (READ_MEMORY_KIB - self.read_memory.available_permits().min(READ_MEMORY_KIB)) << 10
    }
}
