//! Which numbered puts of which producers a log has stored: what makes a resend harmless.
//!
//! For every (producer, shard) the table knows the number it expects next and where the last
//! 64 puts went. It is bounded; the producer unused for longest is forgotten first, and its
//! next put is answered `UnknownProducer`.
//!
//! What must hold: numbers are taken in order without gaps; what is staged is told apart from what
//! is stored, because only the latter goes into a carry-over.

use std::collections::{BTreeMap, VecDeque};

use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::limits::PUTS_IN_FLIGHT_MAX;

use crate::limits::{PRODUCER_PUTS_MAX, PRODUCERS_MAX};
use crate::planted::Bug;

/// Where a put went: first sequence and arrival in ms.
pub type PutPlace = (u64, u64);

/// What a numbered put is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOrder {
    /// The next one: it can be staged.
    Next,
    /// A resend of one that is staged or stored there.
    Known(PutPlace),
    /// An earlier one is missing: resend from this number.
    Behind(u64),
    /// The producer is not known and the number is not 0.
    Unknown,
    /// A newer epoch of the producer has put here; it is carried.
    Fenced(u32),
    /// It was stored, and where has been forgotten.
    TooOld,
    /// Too many puts of the producer are unanswered.
    TooMany,
}

/// The puts of one (producer, shard) that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPuts {
    /// Epoch of the producer.
    pub epoch: u32,
    /// Number after the last stored put.
    pub next_number: u64,
    /// Whether puts from that number on may have been stored too, and are lost.
    pub is_interrupted: bool,
    places: VecDeque<PutPlace>,
}

impl StoredPuts {
    /// No places known; `next_number` is the number after the last stored put.
    pub fn new(epoch: u32, next_number: u64) -> StoredPuts {
        StoredPuts { epoch, next_number, is_interrupted: false, places: VecDeque::new() }
    }

    /// Adds the place of the newest put; the oldest is forgotten beyond 64. The number is the caller's to raise.
    pub fn push(&mut self, place: PutPlace) {
        if self.places.len() == PUTS_IN_FLIGHT_MAX {
            self.places.pop_front();
        }
        self.places.push_back(place);
    }

    /// Places remembered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no place is remembered.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The places, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = PutPlace> + '_ {
        self.places.iter().copied()
    }

    /// Forgets the places up to the last of those that are lost.
    fn forget_lost(&mut self, is_lost: impl Fn(u64) -> bool) {
        let kept = self.places.iter().rposition(|(sequence, _)| is_lost(*sequence)).map_or(0, |lost| lost + 1);
        self.places.drain(..kept);
    }

    fn place(&self, number: u64) -> Option<PutPlace> {
        let back = usize::try_from(self.next_number - number).ok()?;
        self.places.len().checked_sub(back).map(|at| self.places[at])
    }
}

/// The producers of one log.
#[derive(Debug, Clone, Default)]
pub struct ProducerTable {
    producers: BTreeMap<Key, Producer>,
    /// By last use, oldest first.
    recency: BTreeMap<u64, Key>,
    uses: u64,
    places: usize,
}

type Key = (u64, u32);

#[derive(Debug, Clone)]
struct Producer {
    stored: StoredPuts,
    /// Staged or submitted, following `stored.next_number`.
    pending: VecDeque<PutPlace>,
    used: u64,
}

impl Producer {
    fn expected(&self) -> u64 {
        self.stored.next_number + self.pending.len() as u64
    }
}

impl ProducerTable {
    /// What the put is. A producer that is new is remembered from here on, so that a refusal of its
    /// first put makes the second one `Behind`.
    pub fn order(&mut self, stamp: ProducerStamp, shard: u32) -> PutOrder {
        assert!(stamp.is_numbered(), "unnumbered puts have no order");
        let key = (stamp.id, shard);
        let Some(producer) = self.producers.get_mut(&key) else {
            if stamp.number > 0 {
                return PutOrder::Unknown;
            }
            self.insert(key, StoredPuts::new(stamp.epoch, 0));
            return PutOrder::Next;
        };
        if stamp.epoch < producer.stored.epoch {
            return PutOrder::Fenced(producer.stored.epoch);
        }
        if stamp.epoch > producer.stored.epoch {
            if stamp.number > 0 {
                return PutOrder::Unknown;
            }
            if !producer.pending.is_empty() {
                // The older epoch's puts are on their way to the disk; the new one begins after them.
                return PutOrder::TooMany;
            }
            self.places -= producer.stored.len();
            producer.stored = StoredPuts::new(stamp.epoch, 0);
        }
        let order = order_of(producer, stamp.number);
        self.touch(key);
        order
    }

    /// Takes the number of a put that has just been staged; [`order`](Self::order) said it is next.
    pub fn stage(&mut self, stamp: ProducerStamp, shard: u32, place: PutPlace) {
        let producer = self.producers.get_mut(&(stamp.id, shard)).expect("order() has made the producer known");
        let is_next = producer.expected() == stamp.number || Bug::lets_puts_out_of_order();
        assert!(is_next, "puts are staged in the order of their numbers");
        producer.pending.push_back(place);
    }

    /// The oldest staged put of the producer is on the disk.
    pub fn store(&mut self, stamp: ProducerStamp, shard: u32) {
        let producer = self.producers.get_mut(&(stamp.id, shard)).expect("a producer with pending puts is kept");
        let place = producer.pending.pop_front().expect("it was staged");
        let is_next = producer.stored.next_number == stamp.number || Bug::lets_puts_out_of_order();
        assert!(is_next, "puts become durable in the order of their numbers");
        self.remember((stamp.id, shard), place);
    }

    /// The staged puts from this one on are refused: their numbers are expected again.
    pub fn unstage(&mut self, stamp: ProducerStamp, shard: u32) {
        let producer = self.producers.get_mut(&(stamp.id, shard)).expect("a producer with pending puts is kept");
        let kept = stamp.number.saturating_sub(producer.stored.next_number) as usize;
        producer.pending.truncate(kept);
    }

    /// A put that recovery has found on the disk. When puts before it are missing, their places and all
    /// before them are forgotten.
    pub fn replay(&mut self, stamp: ProducerStamp, shard: u32, place: PutPlace) {
        let key = (stamp.id, shard);
        match self.producers.get_mut(&key).map(|producer| &mut producer.stored) {
            // Nothing of it is lost in between.
            Some(stored) if stored.epoch == stamp.epoch && stored.next_number == stamp.number => {
                stored.is_interrupted = false;
            }
            _ => {
                self.forget(key);
                self.insert(key, StoredPuts::new(stamp.epoch, stamp.number));
            }
        }
        self.remember(key, place);
        self.touch(key);
    }

    /// A put of which recovery has found that it was stored and is lost: no place of the producer is known
    /// any more.
    pub fn replay_lost(&mut self, stamp: ProducerStamp, shard: u32) {
        let key = (stamp.id, shard);
        self.forget(key);
        self.insert(key, StoredPuts::new(stamp.epoch, stamp.number.saturating_add(1)));
    }

    /// From here on any puts of any producer may be stored and lost: what is known of each keeps its answer,
    /// and what would come next is unknown.
    pub fn interrupt(&mut self) {
        self.producers.values_mut().for_each(|producer| producer.stored.is_interrupted = true);
    }

    /// Forgets where the lost puts are, and those before them of the same producer: they were stored, and are
    /// not to be acked again.
    pub fn forget_lost(&mut self, is_lost: impl Fn(u32, u64) -> bool) {
        for ((_, shard), producer) in &mut self.producers {
            let before = producer.stored.len();
            producer.stored.forget_lost(|sequence| is_lost(*shard, sequence));
            self.places -= before - producer.stored.len();
        }
    }

    /// A producer from a carry-over; less recent than those restored after it.
    pub fn restore(&mut self, id: u64, shard: u32, stored: StoredPuts) {
        self.forget((id, shard));
        self.insert((id, shard), stored);
    }

    /// Forgets the puts to shards that are not kept.
    pub fn forget_shards(&mut self, is_kept: impl Fn(u32) -> bool) {
        let gone: Vec<Key> = self.producers.keys().filter(|(_, shard)| !is_kept(*shard)).copied().collect();
        gone.into_iter().for_each(|key| self.forget(key));
    }

    /// The producers that have stored something, least recent first.
    pub fn stored(&self) -> impl Iterator<Item = (u64, u32, &StoredPuts)> {
        self.recency.values().map(|key| (key.0, key.1, &self.producers[key].stored)).filter(|(.., stored)| {
            // A producer whose places were all given up is still known by its number.
            stored.next_number > 0
        })
    }

    fn remember(&mut self, key: Key, place: PutPlace) {
        let producer = self.producers.get_mut(&key).expect("the caller has looked it up");
        let before = producer.stored.len();
        producer.stored.push(place);
        producer.stored.next_number += 1;
        self.places += producer.stored.len() - before;
        self.shrink(key);
    }

    fn insert(&mut self, key: Key, stored: StoredPuts) {
        self.uses += 1;
        self.places += stored.len();
        self.recency.insert(self.uses, key);
        self.producers.insert(key, Producer { stored, pending: VecDeque::new(), used: self.uses });
        self.shrink(key);
    }

    fn touch(&mut self, key: Key) {
        let producer = self.producers.get_mut(&key).expect("the caller has looked it up");
        if producer.used == self.uses {
            return;
        }
        self.recency.remove(&producer.used);
        self.uses += 1;
        producer.used = self.uses;
        self.recency.insert(self.uses, key);
    }

    /// Forgets the least recent producers while there are too many; never one with staged puts.
    fn shrink(&mut self, spared: Key) {
        while self.places > PRODUCER_PUTS_MAX || self.producers.len() > PRODUCERS_MAX {
            let idle = |key: &Key| *key != spared && self.producers[key].pending.is_empty();
            let Some(key) = self.recency.values().copied().find(idle) else { return };
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(producer) = self.producers.remove(&key) {
            self.places -= producer.stored.len();
            self.recency.remove(&producer.used);
        }
    }
}

/// Two tables are equal when the same is stored in the same order of use.
impl PartialEq for ProducerTable {
    fn eq(&self, other: &ProducerTable) -> bool {
        self.stored().eq(other.stored())
    }
}

impl Eq for ProducerTable {}

fn order_of(producer: &Producer, number: u64) -> PutOrder {
    let stored_next = producer.stored.next_number;
    if number < stored_next {
        return producer.stored.place(number).map_or(PutOrder::TooOld, PutOrder::Known);
    }
    match producer.pending.get((number - stored_next) as usize) {
        Some(place) => PutOrder::Known(*place),
        None if producer.stored.is_interrupted => PutOrder::Unknown,
        None if number > producer.expected() => PutOrder::Behind(producer.expected()),
        None if producer.pending.len() == PUTS_IN_FLIGHT_MAX => PutOrder::TooMany,
        None => PutOrder::Next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(number: u64) -> ProducerStamp {
        ProducerStamp { id: 7, epoch: 0, number }
    }

    #[test]
    fn numbers_are_taken_in_order_and_known_again() {
        let mut table = ProducerTable::default();
        assert_eq!(table.order(put(1), 0), PutOrder::Unknown);
        assert_eq!(table.order(put(0), 0), PutOrder::Next);
        // Refused for some reason: the second is behind, the first is still next.
        assert_eq!(table.order(put(1), 0), PutOrder::Behind(0));
        assert_eq!(table.order(put(0), 0), PutOrder::Next);
        table.stage(put(0), 0, (100, 5));
        assert_eq!(table.order(put(0), 0), PutOrder::Known((100, 5)));
        assert_eq!(table.stored().count(), 0, "what is staged is not carried over");
        table.store(put(0), 0);
        assert_eq!(table.order(put(0), 0), PutOrder::Known((100, 5)));
        assert_eq!(table.stored().count(), 1);
        assert_eq!(table.order(put(1), 1), PutOrder::Unknown, "each shard counts for itself");
    }

    #[test]
    fn old_places_are_forgotten_and_said_to_be() {
        let mut table = ProducerTable::default();
        for number in 0..100 {
            assert_eq!(table.order(put(number), 0), PutOrder::Next);
            table.stage(put(number), 0, (number * 10, 1));
            table.store(put(number), 0);
        }
        assert_eq!(table.order(put(35), 0), PutOrder::TooOld);
        assert_eq!(table.order(put(36), 0), PutOrder::Known((360, 1)));
        assert_eq!(table.order(put(99), 0), PutOrder::Known((990, 1)));
        assert_eq!(table.order(put(101), 0), PutOrder::Behind(100));
    }

    #[test]
    fn after_missing_puts_only_what_follows_them_is_known() {
        let mut table = ProducerTable::default();
        for number in [0, 1, 2, 7, 8] {
            table.replay(put(number), 0, (number * 10, 1));
        }
        assert_eq!(table.order(put(8), 0), PutOrder::Known((80, 1)));
        assert_eq!(table.order(put(7), 0), PutOrder::Known((70, 1)));
        assert_eq!(table.order(put(6), 0), PutOrder::TooOld);
        assert_eq!(table.order(put(9), 0), PutOrder::Next);
    }

    #[test]
    fn what_may_be_lost_is_neither_acked_again_nor_stored_again() {
        let mut table = ProducerTable::default();
        for number in 0..5 {
            table.replay(put(number), 0, (number * 10, 1));
        }
        table.interrupt();
        assert_eq!(table.order(put(0), 0), PutOrder::Known((0, 1)));
        assert_eq!(table.order(put(5), 0), PutOrder::Unknown, "it may have been stored and lost");
        assert_eq!(table.order(put(9), 0), PutOrder::Unknown);
        table.forget_lost(|shard, sequence| shard == 0 && (10..=20).contains(&sequence));
        assert_eq!(table.order(put(0), 0), PutOrder::TooOld);
        assert_eq!(table.order(put(2), 0), PutOrder::TooOld);
        assert_eq!(table.order(put(3), 0), PutOrder::Known((30, 1)));
        // What follows on the disk proves that nothing of it was lost in between.
        table.replay(put(5), 0, (50, 1));
        assert_eq!(table.order(put(6), 0), PutOrder::Next);
        // Another life of the producer begins anew.
        table.interrupt();
        assert_eq!(table.order(ProducerStamp { epoch: 1, ..put(0) }, 0), PutOrder::Next);
        assert_eq!(table.order(ProducerStamp { epoch: 1, ..put(1) }, 0), PutOrder::Behind(0));
    }

    #[test]
    fn unstaged_numbers_are_expected_again() {
        let mut table = ProducerTable::default();
        for number in 0..3 {
            assert_eq!(table.order(put(number), 0), PutOrder::Next);
            table.stage(put(number), 0, (number, 1));
        }
        table.store(put(0), 0);
        table.unstage(put(1), 0);
        assert_eq!(table.order(put(2), 0), PutOrder::Behind(1));
        assert_eq!(table.order(put(1), 0), PutOrder::Next);
    }

    #[test]
    fn a_newer_epoch_fences_the_older() {
        let mut table = ProducerTable::default();
        table.order(put(0), 0);
        table.stage(put(0), 0, (0, 1));
        let newer = |number| ProducerStamp { id: 7, epoch: 3, number };
        assert_eq!(table.order(newer(0), 0), PutOrder::TooMany);
        table.store(put(0), 0);
        assert_eq!(table.order(newer(1), 0), PutOrder::Unknown);
        assert_eq!(table.order(newer(0), 0), PutOrder::Next);
        assert_eq!(table.order(put(1), 0), PutOrder::Fenced(3));
    }

    #[test]
    fn the_least_recent_producer_is_forgotten_first() {
        let mut table = ProducerTable::default();
        let of = |id| ProducerStamp { id, epoch: 0, number: 0 };
        for id in 1..=PRODUCERS_MAX as u64 {
            table.replay(of(id), 0, (id, 1));
        }
        assert_eq!(table.order(of(1), 0), PutOrder::Known((1, 1)), "and is now the most recent");
        table.replay(of(1 << 40), 0, (9, 9));
        assert_eq!(table.order(ProducerStamp { number: 1, ..of(2) }, 0), PutOrder::Unknown);
        assert_eq!(table.order(of(1), 0), PutOrder::Known((1, 1)));
    }

    #[test]
    fn a_flood_of_new_producers_stays_bounded() {
        let mut table = ProducerTable::default();
        for id in 1..=(PRODUCERS_MAX as u64 + 1_000) {
            assert_eq!(table.order(ProducerStamp { id, epoch: 0, number: 0 }, 0), PutOrder::Next);
        }
        assert_eq!((table.producers.len(), table.recency.len()), (PRODUCERS_MAX, PRODUCERS_MAX));
    }
}
