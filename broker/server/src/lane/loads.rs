//! What a lane tells the [scaling](crate::scaling) of on-demand streams.

use rheos_core::log::LogId;
use rheos_core::scaler::ShardLoad;

use super::Lane;

impl Lane {
    /// What the open shards of on-demand streams have taken, of each log that has some.
    pub(super) fn take_loads(&mut self, keys_weight_least: u64) -> Vec<(LogId, Vec<ShardLoad>)> {
        let told = self.logs.logs_mut().map(|log| (log.id(), log.take_loads(keys_weight_least)));
        told.filter(|(_, loads)| !loads.is_empty()).collect()
    }
}
