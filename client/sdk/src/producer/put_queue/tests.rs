//! A queue against a model of a broker that refuses, forgets and loses connections at random, from a
//! seed that a failure prints: whatever happens, nothing is stored twice or out of order, and no outcome
//! is a lie.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rheos_protocol::batch::PutBatch;
use rheos_protocol::record::Record;

use super::*;
use crate::producer::ticket::Outcome;

const SHARD: u32 = 3;

#[test]
fn nothing_is_stored_twice_or_out_of_order() {
    let mut seen = [0; 3];
    for seed in 1..=3_000 {
        let mut world = World::new(seed, Duration::from_secs(3_600));
        world.run();
        world.check(&mut seen);
    }
    assert!(seen.iter().all(|count| *count > 1_000), "acked, refused and indeterminate: {seen:?}");
}

#[test]
fn the_same_holds_when_records_are_given_up() {
    let mut seen = [0; 3];
    for seed in 1..=3_000 {
        let mut world = World::new(seed, Duration::from_millis(30));
        world.run();
        world.check(&mut seen);
    }
    assert!(seen.iter().all(|count| *count > 1_000), "acked, refused and indeterminate: {seen:?}");
}

#[test]
fn without_faults_a_queue_sends_each_batch_once() {
    let mut world = World::new(7, Duration::from_secs(3_600));
    world.faults = 0;
    world.run();
    world.check(&mut [0; 3]);
    assert_eq!(world.broker.looked_at, world.broker.batches);
    assert_eq!(world.broker.stored.len(), world.tickets.len());
}

#[test]
fn what_a_closed_shard_has_not_stored_is_left_whole_and_in_order() {
    let (mut left, mut lost) = (0, 0);
    for seed in 1..=3_000 {
        let mut world = World::new(seed, Duration::from_secs(3_600));
        for step in 0..300 {
            world.step();
            world.broker.is_closed |= step == 100 + seed % 150;
        }
        world.faults = 0;
        let unstored = world.leave();
        // Whatever was indeterminate before, of what is left nothing is stored, and all of it came later.
        let stored: BTreeSet<u32> = world.broker.stored.iter().copied().collect();
        assert!(unstored.iter().all(|id| !stored.contains(id)), "seed {seed}: {unstored:?} of {stored:?}");
        assert!(unstored.is_sorted_by(|a, b| a < b), "seed {seed}: {unstored:?}");
        let first = unstored.first().copied().unwrap_or(u32::MAX);
        assert!(stored.iter().all(|id| *id < first), "seed {seed}: {unstored:?} behind {stored:?}");
        left += unstored.len();
        lost += world.tickets.len() - unstored.len() - stored.len();
    }
    assert!(left > 10_000 && lost > 1_000, "{left} left, {lost} refused or unknown");
}

/// What the broker knows.
#[derive(Default)]
struct Broker {
    is_closed: bool,
    /// For each producer the sequences of its batches, by number.
    producers: BTreeMap<u64, Vec<u64>>,
    stored: Vec<u32>,
    looked_at: u64,
    batches: u64,
}

enum Answer {
    Ack(u64),
    Refused(WireError),
}

struct World {
    seed: u64,
    random: u64,
    /// Of 100 steps, how many go wrong.
    faults: u64,
    now: Instant,
    queue: PutQueue,
    room: Arc<Room>,
    broker: Broker,
    frame_next: u64,
    /// Sent, not looked at.
    sent: VecDeque<(u64, Bytes)>,
    /// Stored, the answer not given: it waits for the commit.
    committing: VecDeque<(u64, u64)>,
    tickets: Vec<Ticket>,
}

impl World {
    fn new(seed: u64, delivery_timeout: Duration) -> World {
        let destination = Destination { incarnation: 9, shard: SHARD, record_bytes_max: 1 << 20, delivery_timeout };
        World {
            seed,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            faults: 12,
            now: Instant::now(),
            queue: PutQueue::new(destination),
            room: Room::new(1 << 30),
            broker: Broker::default(),
            frame_next: 1,
            sent: VecDeque::new(),
            committing: VecDeque::new(),
            tickets: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn run(&mut self) {
        for _ in 0..300 {
            self.step();
        }
        // Everything comes to an end once nothing goes wrong any more.
        self.faults = 0;
        for _ in 0..10_000 {
            if !self.queue.is_waiting() {
                return;
            }
            self.step_without_puts();
        }
        panic!("seed {}: the queue does not come to an end", self.seed);
    }

    fn step(&mut self) {
        if self.chance(40) {
            self.put();
        }
        self.step_without_puts();
    }

    fn step_without_puts(&mut self) {
        self.now += Duration::from_millis(self.random % 3);
        self.queue.expire(self.now, "nothing answers");
        self.queue.resume(self.now);
        match self.queue.next() {
            Next::Send => self.send(),
            Next::Wait(until) => self.now = self.now.max(until),
            Next::Nothing => {}
        }
        match self.below(3) {
            0 | 1 => self.look_at_one(),
            _ => self.commit(),
        }
        if self.faults > 0 && self.chance(2) {
            self.lose_connection();
        }
        // A broker evicts the producer that has been silent longest: not one whose first put is still on its way.
        if self.faults > 0 && self.queue.base > 0 && self.chance(1) {
            self.broker.producers.clear();
        }
    }

    fn put(&mut self) {
        let id = self.tickets.len() as u32;
        let record = Record::new("key", id.to_le_bytes().to_vec());
        let ticket = match self.chance(50) {
            true => self.queue.push(&record.view(), &self.room, 0, self.now),
            false => {
                let mut builder = BatchBuilder::default();
                builder.push(&record.view(), 1 << 20).unwrap();
                Ticket::new(&self.queue.push_batch(builder, &self.room, 0, self.now), 0)
            }
        };
        self.tickets.push(ticket);
    }

    /// Goes on until the queue can be left; the ids of what is in it then.
    fn leave(&mut self) -> Vec<u32> {
        for _ in 0..10_000 {
            if let Some(unstored) = self.queue.leave() {
                let ids = |batch: Unstored| {
                    batch.completion.complete(BatchOutcome::Refused(PutRefused::Closed));
                    let batch = PutBatch::parse(BytesMut::from(&batch.bytes[..])).expect("it is a batch");
                    let id = |record: RecordView<'_>| u32::from_le_bytes(record.data.try_into().unwrap());
                    batch.records().map(id).collect::<Vec<_>>()
                };
                return unstored.into_iter().flat_map(ids).collect();
            }
            self.step_without_puts();
        }
        panic!("seed {}: the queue is never left", self.seed);
    }

    fn send(&mut self) {
        let frame = self.frame_next;
        self.frame_next += 1;
        let batch = self.queue.take(frame).expect("it said that it can send");
        self.sent.push_back((frame, batch));
        assert!(self.sent.len() + self.committing.len() <= PUTS_IN_FLIGHT_MAX * 2, "seed {}", self.seed);
    }

    fn look_at_one(&mut self) {
        let Some((frame, batch)) = self.sent.pop_front() else { return };
        match self.judge(batch) {
            Answer::Ack(sequence) => self.committing.push_back((frame, sequence)),
            Answer::Refused(error) => self.queue.refused(frame, error, self.now),
        }
    }

    fn commit(&mut self) {
        let Some((frame, sequence)) = self.committing.pop_front() else { return };
        self.queue.acked(frame, sequence, 1, self.now);
    }

    /// Of what is on its way, some has been looked at, and the rest is gone.
    fn lose_connection(&mut self) {
        let looked_at = self.below(self.sent.len() as u64 + 1);
        for (_, batch) in std::mem::take(&mut self.sent).into_iter().take(looked_at as usize) {
            self.judge(batch);
        }
        self.committing.clear();
        self.queue.lost();
    }

    /// What a broker does with a put, as the protocol has it.
    fn judge(&mut self, batch: Bytes) -> Answer {
        let batch = PutBatch::parse(BytesMut::from(&batch[..])).expect("the queue makes good batches");
        let (header, refuse) = (*batch.header(), |code| Answer::Refused(WireError::new(code, "no")));
        assert_eq!((header.shard, header.incarnation), (SHARD, 9));
        self.broker.looked_at += 1;
        let ProducerStamp { id, number, .. } = header.producer;
        if number > 0 && !self.broker.producers.contains_key(&id) {
            return refuse(ErrorCode::UnknownProducer);
        }
        let known = self.broker.producers.entry(id).or_default();
        if let Some(sequence) = known.get(number as usize) {
            return Answer::Ack(*sequence);
        }
        if number > known.len() as u64 {
            return Answer::Refused(WireError::behind(known.len() as u64));
        }
        if self.broker.is_closed {
            return refuse(ErrorCode::ShardClosed);
        }
        let indeterminate = match self.below(100).checked_sub(100 - self.faults) {
            Some(fault) if fault < self.faults / 2 => {
                let wait_ms = self.below(5) as u32;
                return Answer::Refused(WireError::retry_after(ErrorCode::Busy, wait_ms, "busy"));
            }
            Some(fault) if fault < self.faults * 3 / 4 => return refuse(ErrorCode::RecordTooLarge),
            fault => fault.is_some(),
        };
        if !indeterminate || self.chance(50) {
            let sequence = self.broker.stored.len() as u64;
            let ids = batch.records().map(|record| u32::from_le_bytes(record.data.try_into().unwrap()));
            self.broker.stored.extend(ids);
            self.broker.producers.entry(id).or_default().push(sequence);
            self.broker.batches += 1;
            if !indeterminate {
                return Answer::Ack(sequence);
            }
        }
        refuse(ErrorCode::Indeterminate)
    }

    /// Counts acked, refused and indeterminate records.
    fn check(&mut self, seen: &mut [usize; 3]) {
        let seed = self.seed;
        let stored = &self.broker.stored;
        assert!(stored.is_sorted_by(|a, b| a < b), "seed {seed}: twice or out of order: {stored:?}");
        let mut context = Context::from_waker(Waker::noop());
        for (id, ticket) in self.tickets.iter_mut().enumerate() {
            let id = id as u32;
            let Poll::Ready(outcome) = pin!(ticket).poll(&mut context) else { panic!("seed {seed}: {id} waits") };
            match outcome {
                Outcome::Acked { shard, sequence, .. } => {
                    assert_eq!((shard, stored[sequence as usize]), (SHARD, id), "seed {seed}");
                    seen[0] += 1;
                }
                Outcome::Refused(why) => {
                    assert!(stored.binary_search(&id).is_err(), "seed {seed}: {id} is stored, but: {why}");
                    seen[1] += 1;
                }
                Outcome::Indeterminate(_) => seen[2] += 1,
            }
        }
    }
}
