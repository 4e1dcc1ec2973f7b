//! What logs and the fan-out count is what has happened to them, whatever that is.

use std::collections::BTreeMap;

use rheos_core::counts::{Amount, Refusal};
use rheos_core::fanout::{Ask, ConsumerCounted, FanOut, FanOutEffect, SubscriptionId};
use rheos_core::log::Log;
use rheos_protocol::batch::ProducerStamp;
use rheos_protocol::message::Position;
use rheos_tests::random::Random;
use rheos_tests::rig::{Rig, numbered};

const NOBODY: ProducerStamp = ProducerStamp { id: 0, epoch: 0, number: 0 };
/// Bytes of key and data of each record here.
const RECORD_BYTES: u64 = 3 + 4;
const TEXT: &str = "text";
/// Credit that is never used up.
const PLENTY: u64 = 64 << 20;

/// Compares what a log counts with what its puts were answered.
#[derive(Default)]
struct Judge {
    /// Records of the puts that have no answer yet, by token.
    sent: BTreeMap<u64, u64>,
    refused: BTreeMap<&'static str, u64>,
}

impl Judge {
    fn put(&mut self, rig: &mut Rig, shard: u32, producer: ProducerStamp, records: u64) {
        let token = rig.send(shard, producer, &vec![TEXT; records as usize]);
        self.sent.insert(token, records);
    }

    /// Takes the answers that have come, and judges.
    fn judge(&mut self, rig: &mut Rig, what: &str) {
        while let Some((token, outcome)) = rig.replies.pop_front() {
            let records = self.sent.remove(&token).expect("a put is answered once");
            if let Err(error) = outcome {
                *self.refused.entry(Refusal::of(error.code).name()).or_default() += records;
            }
        }
        let log = rig.log();
        let counted = Refusal::ALL.map(|why| (why.name(), log.counts().refused.records(why)));
        let counted: BTreeMap<_, _> = counted.into_iter().filter(|(_, records)| *records > 0).collect();
        assert_eq!(counted, self.refused, "{what}");
        let of_shards: u64 = log.shards_counted().map(|shard| shard.counts.refused_records).sum();
        assert_eq!(of_shards, log.counts().refused.total(), "{what}: every one was of a shard");
        for shard in log.shards_counted() {
            assert_eq!(shard.counts.incoming, amount(shard.tip.durable_sequence), "{what}: shard {}", shard.shard);
        }
        let durable = log.shards_counted().map(|shard| shard.tip.durable_sequence).sum();
        assert_eq!(log.counts().incoming, amount(durable), "{what}");
    }
}

fn amount(records: u64) -> Amount {
    Amount { records, bytes: records * RECORD_BYTES }
}

#[test]
fn every_put_is_counted_as_what_it_was_answered() {
    let mut seen = BTreeMap::new();
    for seed in 0..300 {
        let (mut random, mut rig, mut judge) = (Random::new(seed), Rig::new(3), Judge::default());
        (rig.completes, rig.makes) = (false, random.per_mille(700));
        let mut next = [0_u64; 4];
        for step in 0..80 {
            match random.below(10) {
                0..=4 => {
                    let (shard, producer) = (random.below(3), random.below(4));
                    let number = &mut next[producer as usize];
                    // Some are sent again, some leave a number out.
                    *number += u64::from(random.per_mille(500)) + u64::from(random.per_mille(20));
                    let stamp = if producer == 0 { NOBODY } else { numbered(producer, *number) };
                    judge.put(&mut rig, shard as u32, stamp, 1 + random.below(5));
                }
                5..=7 if !rig.writes.is_empty() => rig.complete(),
                8 if !rig.writes.is_empty() && random.per_mille(200) => rig.fail_write(|_| false),
                8 if !rig.asked.is_empty() && random.per_mille(300) => rig.fail_to_make(),
                8 if !rig.asked.is_empty() => rig.make(),
                _ => rig.wait(random.below(2_000)),
            }
            judge.judge(&mut rig, &format!("seed {seed}, step {step}"));
        }
        judge.refused.iter().for_each(|(why, records)| *seen.entry(*why).or_insert(0) += records);
    }
    let met: Vec<&str> = seen.into_keys().collect();
    assert_eq!(met, ["behind", "indeterminate", "producer", "read_only", "storage_full"], "the days were bad enough");
}

#[test]
fn a_read_is_counted_with_its_shard_until_nobody_reads_any_more() {
    let mut rig = Rig::new(2);
    rig.put(1, &[TEXT; 3]);
    rig.wait(5_000);
    rig.put(1, &[TEXT; 2]);
    let mut log = rig.take_log();
    log.count_read(rig.now, 1, amount(3), 5_000);
    log.count_read(rig.now, 0, amount(0), 0);
    // Of a shard that is gone only the sum remains.
    log.count_read(rig.now, 9, amount(1), 7);
    assert_eq!((log.counts().reads, log.counts().read), (3, amount(4)));
    let ages = |boot_ms| log.shards_counted().map(|shard| shard.counts.iterator_age_ms(boot_ms)).collect::<Vec<_>>();
    assert_eq!(ages(rig.now.boot_ms), [Some(0), Some(5_000)]);
    assert_eq!(ages(rig.now.boot_ms + 60_000), [Some(0), Some(5_000)]);
    assert_eq!(ages(rig.now.boot_ms + 60_001), [None, None]);
    assert_eq!(log.shards_counted().map(|shard| shard.counts.read).collect::<Vec<_>>(), [amount(0), amount(3)]);
}

/// A fan-out over a log with one shard, whose tail may have expired.
struct Watched {
    rig: Rig,
    log: Log,
    fan_out: FanOut,
}

impl Watched {
    fn over(mut rig: Rig) -> Watched {
        let log = rig.take_log();
        Watched { rig, log, fan_out: FanOut::default() }
    }

    fn subscribe(&mut self, peer: u64, consumer: &str, epoch: u64, position: Position, credit: u64) {
        let id = SubscriptionId { peer, id: 0 };
        let ask = Ask { id, log: self.log.id(), shard: 0, consumer: consumer.into(), epoch, position, credit };
        self.fan_out.subscribe(ask, &mut self.log);
        self.run();
    }

    /// Does everything that needs no disk.
    fn run(&mut self) {
        let log = &self.log;
        while let Some(effect) = self.fan_out.poll(self.rig.now, |_| Some(log), |_| 1 << 20) {
            assert!(!matches!(effect, FanOutEffect::Scan { .. }), "all of it is in the tail");
        }
    }

    /// Lets time pass until nothing is in the tail.
    fn expire_tail(&mut self) {
        let log = std::mem::replace(&mut self.log, Rig::new(1).take_log());
        self.rig.give_log(log);
        self.rig.wait(61_000);
        self.log = self.rig.take_log();
    }

    fn consumer(&self, name: &str) -> Option<ConsumerCounted> {
        let counted = self.fan_out.consumers_counted(self.rig.now, |_| Some(&self.log));
        assert!(counted.is_sorted_by(|a, b| (a.incarnation, &a.consumer) < (b.incarnation, &b.consumer)));
        counted.into_iter().find(|it| &*it.consumer == name)
    }

    fn pushed(&self) -> Amount {
        self.fan_out.shard_pushed(self.log.id(), 0)
    }
}

#[test]
fn what_was_pushed_stays_counted_until_its_consumer_goes() {
    let mut rig = Rig::new(1);
    for _ in 0..5 {
        rig.put(0, &[TEXT; 2]);
    }
    let mut ground = Watched::over(rig);
    assert_eq!(ground.consumer("a"), None, "it was never here");
    ground.subscribe(1, "a", 1, Position::AtSequence(0), PLENTY);
    ground.subscribe(2, "b", 1, Position::AtSequence(4), PLENTY);
    let told = |counted: Option<ConsumerCounted>| {
        let it = counted.expect("it has subscribed");
        (it.subscriptions, it.subscribed, it.superseded, it.pushed, it.behind_ms)
    };
    assert_eq!(told(ground.consumer("a")), (1, 1, 0, amount(10), Some(0)));
    assert_eq!(told(ground.consumer("b")), (1, 1, 0, amount(6), Some(0)));
    assert_eq!(ground.pushed(), amount(16));
    // A newer one of the same name, and the end of both.
    ground.subscribe(3, "a", 2, Position::AtSequence(8), PLENTY);
    assert_eq!(told(ground.consumer("a")), (1, 2, 1, amount(12), Some(0)));
    ground.fan_out.disconnect(3);
    ground.fan_out.disconnect(1);
    assert_eq!(told(ground.consumer("a")), (0, 2, 1, amount(12), None));
    assert_eq!(ground.pushed(), amount(18));
    ground.fan_out.deregister(ground.log.id().incarnation, "a");
    ground.run();
    assert_eq!((ground.consumer("a"), ground.pushed()), (None, amount(18)));
    assert!(ground.consumer("b").is_some());
    let gone =
        rheos_protocol::error::WireError::new(rheos_protocol::error::ErrorCode::StreamNotFound, "it was deleted");
    ground.fan_out.delete(ground.log.id().incarnation, &gone);
    assert_eq!((ground.consumer("b"), ground.pushed()), (None, Amount::default()));
}

#[test]
fn how_far_a_consumer_is_behind_is_known_from_the_tail_and_from_the_index() {
    let mut rig = Rig::new(1);
    for _ in 0..4 {
        rig.put(0, &[TEXT; 2]);
        rig.wait(1_000);
    }
    let mut ground = Watched::over(rig);
    // Each may be given a byte, and so is given one batch; the last none.
    ground.subscribe(1, "first", 1, Position::AtSequence(0), 1);
    ground.subscribe(2, "third", 1, Position::AtSequence(4), 1);
    ground.subscribe(3, "last", 1, Position::AtSequence(7), PLENTY);
    ground.subscribe(4, "none", 1, Position::AtSequence(2), 0);
    let behind = |ground: &Watched| {
        ["first", "third", "last", "none"].map(|name| ground.consumer(name).expect("it has subscribed").behind_ms)
    };
    assert_eq!(behind(&ground), [Some(3_000), Some(1_000), Some(0), Some(3_000)]);
    ground.expire_tail();
    assert_eq!(behind(&ground), [Some(64_000), Some(62_000), Some(0), Some(64_000)]);
    // Of two subscriptions of one consumer the one farther behind counts.
    ground.subscribe(5, "third", 2, Position::AtSequence(6), 0);
    assert_eq!(ground.consumer("third").expect("it has subscribed").behind_ms, Some(62_000));
}
