//! Which lane serves a shard.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_core::lanes::lane_of;

use super::Net;

/// Finds lanes, and remembers the stream it was last asked of.
#[derive(Debug, Default)]
pub(super) struct Route {
    last: Option<Arc<StreamRecord>>,
}

impl Route {
    /// The lane that serves a shard; this one for a shard that is not known, which it then refuses.
    pub(super) fn lane_of(&mut self, net: &Net, incarnation: u64, shard: u32) -> u16 {
        // All that the only lane does about lanes.
        if net.lanes == 1 {
            return net.lane;
        }
        let log = self.log_of(incarnation, shard).or_else(|| {
            // Another life, or a shard that has come since.
            self.last = net.streams.by_incarnation(incarnation);
            self.log_of(incarnation, shard)
        });
        log.map_or(net.lane, |log| lane_of(incarnation, log, net.lanes))
    }

    fn log_of(&self, incarnation: u64, shard: u32) -> Option<u32> {
        let stream = self.last.as_ref().filter(|stream| stream.incarnation == incarnation)?;
        stream.shard(shard).map(|shard| shard.log)
    }
}
