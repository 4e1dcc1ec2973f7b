//! What this lane refused of shards that another lane serves, because the way there was full.
//!
//! What must hold: the lane that has too much to do is not bothered with it; memory is bounded, also when
//! streams come and go.

use std::collections::BTreeMap;

use rheos_core::counts::Refusal;
use rheos_protocol::batch::BatchHeader;

use crate::metrics::Away;
use crate::streams::Streams;

/// Most shards that are told apart; of others nothing is counted.
const SHARDS_MAX: usize = 1_024;

/// Refusals by incarnation and shard.
#[derive(Debug)]
pub(super) struct TurnedAway {
    shards: BTreeMap<(u64, u32), Away>,
    streams: Streams,
}

impl TurnedAway {
    pub(super) fn new(streams: Streams) -> TurnedAway {
        TurnedAway { shards: BTreeMap::new(), streams }
    }

    /// Counts the records of a put.
    pub(super) fn put(&mut self, batch: &BatchHeader, why: Refusal) {
        if let Some(away) = self.shard((batch.incarnation, batch.shard)) {
            away.refused.add(why, batch.record_count.into());
        }
    }

    /// Counts a read.
    pub(super) fn read(&mut self, incarnation: u64, shard: u32) {
        if let Some(away) = self.shard((incarnation, shard)) {
            away.reads += 1;
        }
    }

    /// Everything, by incarnation and shard.
    pub(super) fn all(&self) -> Vec<((u64, u32), Away)> {
        self.shards.iter().map(|(shard, away)| (*shard, *away)).collect()
    }

    fn shard(&mut self, shard: (u64, u32)) -> Option<&mut Away> {
        if self.shards.len() >= SHARDS_MAX && !self.shards.contains_key(&shard) {
            let streams = &self.streams;
            self.shards.retain(|(incarnation, _), _| streams.by_incarnation(*incarnation).is_some());
            if self.shards.len() >= SHARDS_MAX {
                return None;
            }
        }
        Some(self.shards.entry(shard).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rheos_core::catalog::plan_stream;
    use rheos_protocol::batch::ProducerStamp;
    use rheos_protocol::message::CreateStream;

    use super::*;

    fn put(incarnation: u64, shard: u32) -> BatchHeader {
        BatchHeader {
            record_count: 3,
            body_len: 100,
            body_checksum: 0,
            producer: ProducerStamp::default(),
            incarnation,
            shard,
            first_sequence: 0,
            arrival_ms: 0,
        }
    }

    #[test]
    fn what_is_told_apart_is_bounded_and_the_dead_make_room() {
        let create = CreateStream { name: "a".to_owned(), shards: 2, ..CreateStream::default() };
        let live = Arc::new(plan_stream(&create, 1_700_000_000_000, 7, 1, None).expect("it is in order"));
        let mut away = TurnedAway::new(Streams::new(&[live]));
        away.put(&put(7, 0), Refusal::Throttled);
        away.put(&put(7, 0), Refusal::Behind);
        away.read(7, 0);
        for dead in 100..100 + SHARDS_MAX as u64 - 1 {
            away.put(&put(dead, 0), Refusal::Throttled);
        }
        assert_eq!(away.all().len(), SHARDS_MAX);
        away.put(&put(7, 1), Refusal::Throttled);
        let all = away.all();
        assert_eq!(all.iter().map(|(shard, _)| *shard).collect::<Vec<_>>(), [(7, 0), (7, 1)]);
        let (_, first) = all[0];
        assert_eq!((first.refused.records(Refusal::Throttled), first.refused.total(), first.reads), (3, 6, 1));
    }
}
