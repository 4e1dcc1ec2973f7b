//! What a lane has promised: each consumer with a reservation its even part of every shard, as long as the stream
//! has so many open shards.

use rheos_core::reservation::share_of_shard;

use super::Lane;

impl Lane {
    /// What is promised to a consumer of a stream may have changed.
    pub(super) fn promise(&mut self, incarnation: u64, consumer: &str) {
        let open_shards = self.logs.record(incarnation).map(|record| record.open_shards().len());
        let reservation = self.consumers.reservation(incarnation, consumer);
        let share = reservation.zip(open_shards).map(|(reservation, open)| share_of_shard(reservation, open));
        self.pushes.fan_out.promise(incarnation, consumer, share);
    }

    /// A stream has other shards.
    pub(super) fn promise_all(&mut self, incarnation: u64) {
        for consumer in self.consumers.reserved_of(incarnation) {
            self.promise(incarnation, &consumer);
        }
    }
}
