//! Which lane serves a shard.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_core::lanes::lane_of;

use crate::broker::Broker;

/// Finds lanes, and remembers the stream it was last asked of.
#[derive(Debug, Default)]
pub(crate) struct Route {
    last: Option<Arc<StreamRecord>>,
}

impl Route {
    /// The lane that serves a shard; `None` for a shard that is not known, which any lane then refuses.
    pub(crate) fn lane_of(&mut self, broker: &Broker, incarnation: u64, shard: u32) -> Option<u16> {
        // All that the only lane does about lanes.
        if broker.lanes == 1 {
            return Some(0);
        }
        let log = self.log_of(incarnation, shard).or_else(|| {
            // Another life, or a shard that has come since.
            self.last = broker.streams.by_incarnation(incarnation);
            self.log_of(incarnation, shard)
        });
        log.map(|log| lane_of(incarnation, log, broker.lanes))
    }

    fn log_of(&self, incarnation: u64, shard: u32) -> Option<u32> {
        let stream = self.last.as_ref().filter(|stream| stream.incarnation == incarnation)?;
        stream.shard(shard).map(|shard| shard.log)
    }
}
