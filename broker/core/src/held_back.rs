//! Puts that were refused before a log saw them, because the way to its lane was full.
//!
//! What must hold: after such a refusal of a producer's number n every later one on the same put stream
//! is refused, unlooked at, as `Behind(n)` until n comes again. The log would say the same of a producer
//! that it knows; one whose very first put was refused it would take for a stranger.

use std::collections::BTreeMap;

use rheos_protocol::batch::BatchHeader;

use crate::limits::HELD_BACK_MAX;

/// The refused puts that are waited for.
#[derive(Debug, Default)]
pub struct HeldBack {
    /// Epoch and number, by put stream, incarnation, shard and producer.
    refused: BTreeMap<(u64, u64, u32, u64), (u32, u64)>,
}

impl HeldBack {
    /// The number that must come before this put, if one must. A put that need not wait ends the waiting.
    pub fn waits_for(&mut self, stream: u64, put: &BatchHeader) -> Option<u64> {
        if self.refused.is_empty() {
            return None;
        }
        let key = key(stream, put);
        let (epoch, number) = *self.refused.get(&key)?;
        if put.producer.epoch == epoch && put.producer.number > number {
            return Some(number);
        }
        self.refused.remove(&key);
        None
    }

    /// This put was refused. Beyond the bound nothing more is remembered, and the log answers what follows.
    pub fn refuse(&mut self, stream: u64, put: &BatchHeader) {
        if put.producer.is_numbered() && self.refused.len() < HELD_BACK_MAX {
            self.refused.insert(key(stream, put), (put.producer.epoch, put.producer.number));
        }
    }

    /// The put stream has ended: whoever goes on elsewhere begins with what has no answer.
    pub fn end(&mut self, stream: u64) {
        if !self.refused.is_empty() {
            self.refused.retain(|(of, ..), _| *of != stream);
        }
    }
}

fn key(stream: u64, put: &BatchHeader) -> (u64, u64, u32, u64) {
    (stream, put.incarnation, put.shard, put.producer.id)
}

#[cfg(test)]
mod tests {
    use rheos_protocol::batch::ProducerStamp;

    use super::*;

    fn put(id: u64, epoch: u32, number: u64) -> BatchHeader {
        BatchHeader {
            record_count: 1,
            body_len: 10,
            body_checksum: 0,
            producer: ProducerStamp { id, epoch, number },
            incarnation: 7,
            shard: 3,
            first_sequence: 0,
            arrival_ms: 0,
        }
    }

    #[test]
    fn later_puts_wait_until_the_refused_one_comes_again() {
        let mut held = HeldBack::default();
        assert_eq!(held.waits_for(1, &put(9, 0, 0)), None);
        held.refuse(1, &put(9, 0, 0));
        assert_eq!(held.waits_for(1, &put(9, 0, 1)), Some(0));
        assert_eq!(held.waits_for(1, &put(9, 0, 7)), Some(0));
        // Other producers, other streams and other shards have nothing to do with it.
        assert_eq!(held.waits_for(1, &put(8, 0, 1)), None);
        assert_eq!(held.waits_for(2, &put(9, 0, 1)), None);
        assert_eq!(held.waits_for(1, &BatchHeader { shard: 4, ..put(9, 0, 1) }), None);
        assert_eq!(held.waits_for(1, &put(9, 0, 0)), None);
        assert_eq!(held.waits_for(1, &put(9, 0, 1)), None, "it has come");
    }

    #[test]
    fn a_resend_from_before_and_a_new_epoch_end_the_waiting() {
        for next in [put(9, 2, 3), put(9, 3, 0)] {
            let mut held = HeldBack::default();
            held.refuse(1, &put(9, 2, 5));
            assert_eq!(held.waits_for(1, &put(9, 2, 6)), Some(5));
            assert_eq!(held.waits_for(1, &next), None);
            assert!(held.refused.is_empty());
        }
    }

    #[test]
    fn what_is_not_numbered_is_not_remembered_and_memory_is_bounded() {
        let mut held = HeldBack::default();
        held.refuse(1, &put(0, 0, 0));
        assert!(held.refused.is_empty());
        for producer in 1..=HELD_BACK_MAX as u64 + 10 {
            held.refuse(producer % 2, &put(producer, 0, 0));
        }
        assert_eq!(held.refused.len(), HELD_BACK_MAX);
        held.end(0);
        assert_eq!(held.refused.len(), HELD_BACK_MAX / 2);
        held.end(1);
        assert!(held.refused.is_empty());
    }
}
