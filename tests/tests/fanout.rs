//! The fan-out by itself, over the log of a rig: what is given to whom, in which order, and what it costs.
//!
//! The judge is the place of each subscription: what comes must begin where the last push ended.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use rheos_core::catalog::StreamTerms;
use rheos_core::fanout::{Ask, FanOut, FanOutEffect, SubscriptionId};
use rheos_core::limits::{AWAY_MS, LATE_MS, PUSH_QUANTUM_BYTES, SCAN_BYTES, SCANS_MAX};
use rheos_core::log::{ClosedShard, ReadStart};
use rheos_core::reader::{ReadOutcome, ReadStep, ReadTask};
use rheos_protocol::batch::Batch;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{Limit, Position, PushEnd, StreamLimits};
use rheos_tests::random::Random;
use rheos_tests::rig::Rig;

const PLENTY: u64 = 64 << 20;
/// Far more polls than anything here takes.
const POLLS_MAX: usize = 100_000;

/// A fan-out, the log that it is over, and what came of it.
struct Ground {
    rig: Rig,
    log: rheos_core::log::Log,
    fan_out: FanOut,
    /// Peers without room.
    full: BTreeSet<u64>,
    scans: BTreeMap<u64, Box<ReadTask>>,
    scans_begun: usize,
    /// Where each subscription stands; none before it is known.
    places: BTreeMap<SubscriptionId, u64>,
    bytes: BTreeMap<SubscriptionId, usize>,
    ends: BTreeMap<SubscriptionId, PushEnd>,
    refused: BTreeMap<SubscriptionId, WireError>,
    /// To whom each push went and its bytes, in order.
    pushes: Vec<(SubscriptionId, usize)>,
}

impl Ground {
    /// Over a log that was put to by `fill`, and has nothing in its tail.
    fn new(shards: u32, fill: impl FnOnce(&mut Rig)) -> Ground {
        let mut rig = Rig::new(shards);
        fill(&mut rig);
        rig.wait(61_000);
        Ground::over(rig)
    }

    fn over(mut rig: Rig) -> Ground {
        let log = rig.take_log();
        Ground {
            rig,
            log,
            fan_out: FanOut::default(),
            full: BTreeSet::new(),
            scans: BTreeMap::new(),
            scans_begun: 0,
            places: BTreeMap::new(),
            bytes: BTreeMap::new(),
            ends: BTreeMap::new(),
            refused: BTreeMap::new(),
            pushes: Vec::new(),
        }
    }

    fn subscribe(&mut self, peer: u64, shard: u32, position: Position, credit: u64) -> SubscriptionId {
        self.subscribe_as(&format!("own-{peer}"), 1, SubscriptionId { peer, id: u64::from(shard) }, position, credit)
    }

    fn subscribe_as(
        &mut self,
        name: &str,
        epoch: u64,
        id: SubscriptionId,
        position: Position,
        credit: u64,
    ) -> SubscriptionId {
        let consumer: Arc<str> = name.into();
        let ask = Ask { id, log: self.log.id(), shard: id.id as u32, consumer, epoch, position, credit };
        self.fan_out.subscribe(ask, &mut self.log);
        id
    }

    /// Puts while the fan-out looks on.
    fn put(&mut self, shard: u32, texts: &[&str]) {
        let log = std::mem::replace(&mut self.log, Rig::new(1).take_log());
        self.rig.give_log(log);
        self.rig.put(shard, texts);
        self.log = self.rig.take_log();
        self.fan_out.advanced(self.log.id(), shard);
    }

    fn set_push_limit(&mut self, push_bytes: Limit) {
        let log = std::mem::replace(&mut self.log, Rig::new(1).take_log());
        self.rig.give_log(log);
        let limits = StreamLimits { push_bytes, ..StreamLimits::NONE };
        self.rig.set_terms(StreamTerms { limits, ..self.rig.settings.terms });
        self.log = self.rig.take_log();
        self.fan_out.limits_changed(self.log.id());
    }

    /// Lets time pass and does what is due then.
    fn wait(&mut self, ms: u64) {
        self.rig.now.boot_ms += ms;
        self.rig.now.wall_ms += ms;
        self.fan_out.tick(self.rig.now);
        self.run();
    }

    fn poll(&mut self) -> Option<FanOutEffect> {
        let (log, full) = (&self.log, &self.full);
        self.fan_out.poll(self.rig.now, |_| Some(log), |peer| if full.contains(&peer) { 0 } else { 1 << 20 })
    }

    /// Takes one effect; false when there is none.
    fn turn(&mut self) -> bool {
        match self.poll() {
            None => return false,
            Some(FanOutEffect::Answer { id, outcome: Ok(start) }) => drop(self.places.insert(id, start)),
            Some(FanOutEffect::Answer { id, outcome: Err(error) }) => drop(self.refused.insert(id, error)),
            Some(FanOutEffect::End { id, end, .. }) => {
                assert!(self.ends.insert(id, end).is_none(), "{id:?} ends once");
            }
            Some(FanOutEffect::Scan { scan, task, .. }) => {
                self.scans_begun += 1;
                self.scans.insert(scan, task);
                assert!(self.scans.len() <= SCANS_MAX);
            }
            Some(FanOutEffect::Push { id, batches, tip_sequence, .. }) => {
                assert!(!self.full.contains(&id.peer) && !self.ends.contains_key(&id), "{id:?} takes nothing");
                let place = self.places.get_mut(&id).expect("the answer comes first");
                for bytes in batches {
                    let batch = Batch::parse(bytes).expect("whole batches are pushed");
                    assert!(batch.header().first_sequence <= *place && batch.next_sequence() > *place, "{id:?}: a gap");
                    *place = batch.next_sequence();
                    *self.bytes.entry(id).or_default() += batch.bytes().len();
                    self.pushes.push((id, batch.bytes().len()));
                }
                assert!(*place <= tip_sequence);
            }
        }
        true
    }

    /// Ends a scan that is under way.
    fn end_scan(&mut self, scan: u64) {
        let mut task = self.scans.remove(&scan).expect("it is under way");
        let outcome = perform(&self.rig, &mut task);
        self.fan_out.scanned(self.rig.now, scan, Some(outcome));
    }

    /// Goes on until nothing is left to be done, ending the oldest scan whenever there is nothing else.
    fn run(&mut self) {
        for _ in 0..POLLS_MAX {
            if self.turn() {
                continue;
            }
            let Some(oldest) = self.scans.keys().next().copied() else { return };
            self.end_scan(oldest);
        }
        panic!("it does not end");
    }
}

fn perform(rig: &Rig, task: &mut ReadTask) -> Result<ReadOutcome, WireError> {
    let mut input = None;
    loop {
        match task.step(input.take()) {
            ReadStep::Read { segment, place, .. } => input = Some(rig.files.read(segment, place)),
            ReadStep::Done(outcome) => return outcome,
        }
    }
}

/// So many batches of so many bytes to every shard.
fn filled(shards: u32, batches: usize, bytes: usize) -> impl FnOnce(&mut Rig) {
    move |rig| {
        for _ in 0..batches {
            (0..shards).for_each(|shard| {
                rig.put(shard, &[&"x".repeat(bytes)]);
            });
        }
    }
}

/// Nine shards far behind and eight scans: whoever found all in use has its turn while the others still
/// have much before them.
#[test]
fn all_who_need_a_scan_get_there_in_turn() {
    let shards = SCANS_MAX as u32 + 3;
    let mut ground = Ground::new(shards, |rig| {
        // Each shard in commits of its own, so that no scan serves another.
        for shard in 0..shards {
            (0..8).for_each(|_| {
                rig.put(shard, &[&"x".repeat(500_000)]);
            });
        }
    });
    let ids: Vec<_> =
        (0..shards).map(|shard| ground.subscribe(u64::from(shard), shard, Position::AtSequence(0), PLENTY)).collect();
    while ground.turn() {}
    while !ids.iter().any(|id| ground.places.get(id) == Some(&8)) {
        // As soon as one scan has ended, whoever began it goes on and needs another.
        let oldest = *ground.scans.keys().next().expect("somebody is behind");
        ground.end_scan(oldest);
        while ground.scans.len() < SCANS_MAX && ground.turn() {}
    }
    let last = ids.iter().map(|id| ground.places[id]).min();
    assert!(last > Some(0), "when the first is done the last has begun: {:?}", ground.places);
    ground.run();
    assert!(ids.iter().all(|id| ground.places[id] == 8), "{:?}", ground.places);
}

/// Somebody always has something from the tail; who needs a scan and finds all in use is not forgotten.
#[test]
fn a_busy_tail_does_not_keep_scans_from_beginning() {
    let shards = SCANS_MAX as u32 + 2;
    let mut ground = Ground::new(shards, |rig| {
        (0..shards).for_each(|shard| {
            (0..3).for_each(|_| {
                rig.put(shard, &[&"x".repeat(400_000)]);
            })
        });
    });
    (0..shards - 1).for_each(|shard| {
        ground.subscribe(u64::from(shard), shard, Position::AtSequence(0), PLENTY);
    });
    let tip = ground.log.tip(shards - 1).expect("it is there").durable_sequence;
    let busy = ground.subscribe(1_000, shards - 1, Position::AtSequence(tip), PLENTY);
    let others = |ground: &Ground| {
        (0..shards - 1).all(|shard| {
            ground.places.get(&SubscriptionId { peer: u64::from(shard), id: u64::from(shard) }) == Some(&3)
        })
    };
    (0..20).for_each(|_| ground.put(shards - 1, &[&"t".repeat(60_000)]));
    for turn in 0..400 {
        // There is always something in the tail: one put, one turn.
        ground.put(shards - 1, &[&"t".repeat(60_000)]);
        ground.fan_out.credit(busy, PLENTY);
        ground.turn();
        if turn % 10 == 9 {
            let oldest = ground.scans.keys().next().copied();
            oldest.into_iter().for_each(|scan| ground.end_scan(scan));
        }
        if others(&ground) {
            return;
        }
    }
    panic!("{:?}", ground.places);
}

/// A peer that had no room for many visits has saved nothing up: it shares with the others at once.
#[test]
fn a_peer_saves_up_nothing_while_it_has_no_room() {
    let mut ground = Ground::new(1, |_| {});
    let one = ground.subscribe(1, 0, Position::Latest, PLENTY);
    let other = ground.subscribe(2, 0, Position::Latest, PLENTY);
    ground.run();
    ground.full.insert(1);
    for _ in 0..50 {
        ground.put(0, &["small"]);
        ground.fan_out.writable(1);
        ground.run();
    }
    (0..100).for_each(|_| ground.put(0, &[&"x".repeat(30_000)]));
    ground.full.clear();
    ground.fan_out.writable(1);
    let before = ground.bytes.clone();
    let given = |ground: &Ground, id| {
        (ground.bytes.get(&id).copied().unwrap_or(0) - before.get(&id).copied().unwrap_or(0)) as i64
    };
    let batch = 30_200;
    while ground.turn() {
        let apart = given(&ground, one) - given(&ground, other);
        let unfinished = ground.places[&one].min(ground.places[&other]) < 140;
        assert!(
            !unfinished || apart.abs() <= PUSH_QUANTUM_BYTES + 2 * batch,
            "{apart} bytes apart: {:?}",
            ground.places
        );
    }
}

#[test]
fn a_large_batch_is_paid_for_in_later_turns() {
    let mut ground = Ground::new(2, |_| {});
    let large = ground.subscribe(1, 0, Position::Latest, PLENTY);
    let small = ground.subscribe(2, 1, Position::Latest, PLENTY);
    ground.run();
    ground.put(0, &[&"x".repeat(6 << 20)]);
    ground.put(0, &["after it"]);
    (0..300).for_each(|_| ground.put(1, &[&"y".repeat(5_000)]));
    ground.run();
    let second = ground.pushes.iter().rposition(|(id, _)| *id == large).expect("it was pushed");
    let between: usize = ground.pushes[..second].iter().filter(|(id, _)| *id == small).map(|(_, bytes)| bytes).sum();
    assert!(between > 1_400_000, "the other was given {between} bytes before its next turn");
    assert_eq!((ground.places[&large], ground.places[&small]), (2, 300));
}

#[test]
fn credit_is_never_exceeded_by_more_than_a_batch() {
    let mut random = Random::new(11);
    let sizes: Vec<usize> = (0..120).map(|_| random.one_of(&[10, 3_000, 70_000]) as usize).collect();
    let largest = 70_200;
    let mut ground = Ground::new(1, |rig| {
        sizes.iter().for_each(|bytes| {
            rig.put(0, &[&"x".repeat(*bytes)]);
        })
    });
    let ids: Vec<_> = (1..4).map(|peer| ground.subscribe(peer, 0, Position::AtSequence(random.below(20)), 0)).collect();
    let mut granted: BTreeMap<SubscriptionId, usize> = BTreeMap::new();
    while ids.iter().any(|id| ground.places.get(id) != Some(&120)) {
        let id = ids[random.below(3) as usize];
        let bytes = random.one_of(&[1, 100, 40_000, 200_000]);
        *granted.entry(id).or_default() += bytes as usize;
        ground.fan_out.credit(id, bytes);
        if random.per_mille(500) {
            ground.run();
        }
        for id in &ids {
            let (given, granted) = (ground.bytes.get(id).unwrap_or(&0), granted.get(id).unwrap_or(&0));
            assert!(*given < granted + largest, "{id:?} was given {given} bytes for {granted}");
        }
    }
}

#[test]
fn a_parked_peer_costs_nothing_and_comes_back() {
    let mut ground = Ground::new(2, filled(2, 30, 50_000));
    let parked = ground.subscribe(1, 0, Position::AtSequence(0), PLENTY);
    let other = ground.subscribe(2, 1, Position::AtSequence(0), PLENTY);
    ground.full.insert(1);
    ground.run();
    assert_eq!((ground.places.get(&parked), ground.places[&other]), (None, 30));
    let begun = ground.scans_begun;
    (0..20).for_each(|_| ground.put(0, &["more"]));
    ground.run();
    assert_eq!(ground.scans_begun, begun, "nothing is read for who takes nothing");
    ground.full.clear();
    ground.fan_out.writable(1);
    ground.run();
    assert_eq!(ground.places[&parked], 50);
}

/// Every place of a shard of which a part is in the tail and the rest on the disk, with room for one batch
/// or for many.
#[test]
fn every_place_is_joined_to_what_follows() {
    for credit in [1, 700, PLENTY] {
        let mut ground = Ground::new(1, |rig| {
            (0..12).for_each(|_| {
                rig.put(0, &["a", "b", "c"]);
            })
        });
        (0..6).for_each(|_| ground.put(0, &["d", "e"]));
        let tip = 48;
        let ids: Vec<_> = (0..=tip).map(|at| ground.subscribe(at + 1, 0, Position::AtSequence(at), credit)).collect();
        for _ in 0..60 {
            ground.run();
            ids.iter().for_each(|id| ground.fan_out.credit(*id, credit.max(300)));
        }
        assert!(ids.iter().all(|id| ground.places[id] == tip), "{:?}", ground.places);
        // Those who stand where somebody read are given what was read.
        assert!(ground.scans_begun <= 40, "{} scans for one MiB", ground.scans_begun);
    }
}

#[test]
fn one_far_behind_does_not_hold_up_the_others_of_its_shard() {
    let mut ground = Ground::new(1, filled(1, 40, 200_000));
    let behind = ground.subscribe(1, 0, Position::AtSequence(0), PLENTY);
    ground.turn();
    ground.turn();
    let ahead = ground.subscribe(2, 0, Position::AtSequence(40), PLENTY);
    ground.put(0, &["new"]);
    while ground.turn() {}
    assert_eq!(ground.places[&ahead], 41, "the scan of the other is still under way");
    ground.run();
    assert_eq!(ground.places[&behind], 41);
}

#[test]
fn what_ends_while_a_scan_is_under_way_ends_once() {
    let mut ground = Ground::new(1, filled(1, 5, 1_000));
    let older = ground.subscribe_as("one", 1, SubscriptionId { peer: 1, id: 0 }, Position::AtSequence(0), PLENTY);
    while ground.turn() {}
    assert_eq!(ground.scans.len(), 1);
    let newer = ground.subscribe_as("one", 2, SubscriptionId { peer: 2, id: 0 }, Position::AtSequence(0), PLENTY);
    ground.run();
    assert_eq!(ground.ends[&older], PushEnd::Superseded);
    assert_eq!((ground.places[&older], ground.places[&newer]), (0, 5));
    ground.rig.now.boot_ms += 61_000;
    ground.fan_out.tick(ground.rig.now);

    // Deregistered while its beginning is sought, and everybody gone when the scan ends.
    let sought = ground.subscribe_as("two", 1, SubscriptionId { peer: 3, id: 0 }, Position::TrimHorizon, PLENTY);
    while ground.turn() {}
    ground.fan_out.deregister(ground.log.id().incarnation, "two");
    ground.fan_out.disconnect(2);
    ground.run();
    assert!(ground.refused.contains_key(&sought) && ground.fan_out.is_empty() && ground.ends.len() == 1);
}

/// Batches so large that two scans push each other's out: everybody still gets there.
#[test]
fn what_was_pushed_out_before_it_was_taken_is_read_again() {
    let shards = 6;
    let mut ground = Ground::new(shards, filled(shards, 3, 9 << 20));
    let ids: Vec<_> =
        (0..shards).map(|shard| ground.subscribe(u64::from(shard), shard, Position::AtSequence(0), PLENTY)).collect();
    for _ in 0..1_000 {
        while ground.turn() {}
        // All that are under way end together.
        for scan in ground.scans.keys().copied().collect::<Vec<_>>() {
            ground.end_scan(scan);
        }
        if ids.iter().all(|id| ground.places.get(id) == Some(&3)) {
            return;
        }
    }
    panic!("{:?}", ground.places);
}

#[test]
fn a_closed_shard_ends_with_its_children() {
    let mut rig = Rig::new(2);
    rig.put(0, &["last"]);
    rig.stop();
    rig.settings.shards[0].closed = Some(ClosedShard { end_sequence: 1, closed_ms: 0, children: vec![7, 8] });
    rig.start().expect("it was stopped");
    let mut ground = Ground::over(rig);
    let ids = [0, 1].map(|at| ground.subscribe(at + 1, 0, Position::AtSequence(at), PLENTY));
    ground.run();
    for id in ids {
        assert_eq!(ground.ends.get(&id), Some(&PushEnd::ShardEnd(vec![7, 8])));
    }
    assert_eq!(ground.places[&ids[0]], 1);
}

/// A scan gives every batch of its shard once, others whole, and no more than it may and one batch.
#[test]
fn a_scan_is_bounded_with_what_it_meets_of_others() {
    let mut rig = Rig::new(3);
    rig.completes = false;
    rig.send(0, Default::default(), &["first"]);
    // While a commit is in flight the next one fills: several shards in each.
    for round in 0..6 {
        for shard in 0..3 {
            let bytes = if shard == 0 { 100 } else { 400_000 };
            rig.send(shard, Default::default(), &[&format!("{round}{}", "x".repeat(bytes))]);
        }
        rig.complete();
    }
    while !rig.writes.is_empty() {
        rig.complete();
    }
    rig.wait(61_000);
    while !rig.writes.is_empty() {
        rig.complete();
    }
    let (mut at, mut reads) = (0, 0);
    while at < rig.tip(0) {
        let ReadStart::Disk(task) =
            rig.log().read(rig.now, 0, Position::AtSequence(at), SCAN_BYTES).expect("it is kept")
        else {
            panic!("the tail has expired")
        };
        let outcome = perform(&rig, &mut task.with_others()).expect("it is whole");
        assert_eq!(outcome.start_sequence, at);
        for batch in &outcome.batches {
            assert_eq!((batch.header().shard, batch.header().first_sequence), (0, at));
            at = batch.next_sequence();
        }
        let all = outcome.batches.iter().chain(&outcome.others);
        let bytes: usize = all.map(|batch| batch.bytes().len()).sum();
        assert!(bytes <= SCAN_BYTES + 500, "{bytes} bytes of one scan");
        assert!(outcome.others.iter().all(|batch| batch.header().shard != 0));
        reads += 1;
    }
    assert!((2..=7).contains(&reads) && at == 7, "{reads} reads to {at}");
}

/// A limited consumer is given a second's worth at once and the limit from then on, whatever its credit; one without
/// a limit, of another stream's log, is not held up by it.
#[test]
fn a_limit_of_pushes_delays_and_queues_nothing() {
    let mut ground = Ground::new(2, filled(2, 60, 50_000));
    ground.set_push_limit(Limit::of(200_000));
    let slow = ground.subscribe(1, 0, Position::AtSequence(0), PLENTY);
    ground.run();
    let at_once = ground.bytes[&slow];
    assert!((150_000..=270_000).contains(&at_once), "{at_once} bytes at once");
    assert!(!ground.turn(), "it is simply not due");
    for second in 1..=8 {
        (0..10).for_each(|_| ground.wait(100));
        let given = ground.bytes[&slow];
        let most = 200_000 * (second + 1) + 70_000;
        assert!((200_000 * second - 70_000..=most).contains(&given), "{given} bytes after {second} s");
    }
    // It subscribes anew: the bucket is the consumer's.
    let before = ground.bytes[&slow];
    let place = ground.places[&slow];
    let again = ground.subscribe_as("own-1", 2, SubscriptionId { peer: 2, id: 0 }, Position::AtSequence(place), PLENTY);
    ground.run();
    assert_eq!(ground.ends[&slow], PushEnd::Superseded);
    assert!(ground.bytes.get(&again).copied().unwrap_or(0) <= 70_000, "it was given its second's worth before");
    // Another shard, and another consumer, have buckets of their own.
    let other = ground.subscribe(3, 1, Position::AtSequence(0), PLENTY);
    ground.run();
    assert!(ground.bytes[&other] >= 150_000);
    // Without the limit there is nothing to wait for.
    ground.set_push_limit(Limit::Unlimited);
    ground.run();
    assert_eq!((ground.places[&again], ground.places[&other]), (60, 60));
    assert!(ground.bytes[&slow] == before);
}

/// Who waits for its bucket and leaves, or whose stream goes, is not called afterwards.
#[test]
fn who_waits_for_its_bucket_may_leave() {
    let mut ground = Ground::new(1, filled(1, 40, 50_000));
    ground.set_push_limit(Limit::of(100_000));
    let one = ground.subscribe(1, 0, Position::AtSequence(0), PLENTY);
    let two = ground.subscribe(2, 0, Position::AtSequence(0), PLENTY);
    ground.run();
    ground.fan_out.unsubscribe(one);
    ground.fan_out.disconnect(2);
    let (of_one, of_two) = (ground.bytes[&one], ground.bytes[&two]);
    (0..50).for_each(|_| ground.wait(100));
    assert_eq!((ground.bytes[&one], ground.bytes[&two]), (of_one, of_two));
    assert!(ground.fan_out.is_empty());
}

/// Everybody has the same before it; the last to come has a promise.
#[test]
fn what_is_promised_is_pushed_before_anything_else() {
    let mut ground = Ground::over(Rig::new(1));
    let rate = 256 << 10;
    ground.fan_out.promise(ground.log.id().incarnation, "own-3", NonZeroU64::new(rate));
    let ids: Vec<_> = (1..=3).map(|peer| ground.subscribe(peer, 0, Position::TrimHorizon, PLENTY)).collect();
    ground.run();
    (0..64).for_each(|_| ground.put(0, &[&"x".repeat(16_000)]));
    ground.run();
    assert!(ids.iter().all(|id| ground.places[id] == 64), "nobody is left out: {:?}", ground.places);
    // One push may exceed what was promised; then it is the others' turn, and all go on side by side.
    let first = ground.pushes.iter().take_while(|(id, _)| *id == ids[2]).count();
    let bytes: usize = ground.pushes[..first].iter().map(|(_, bytes)| bytes).sum();
    assert!((rate as usize..rate as usize + (128 << 10)).contains(&bytes), "{bytes}");
    let then: BTreeSet<_> = ground.pushes[first..first + 24].iter().map(|(id, _)| *id).collect();
    assert_eq!(then.len(), 3, "{then:?}");

    // With time its promise comes back, and what is taken back is worth nothing.
    ground.pushes.clear();
    ground.wait(1_000);
    ground.put(0, &["more"]);
    ground.run();
    assert_eq!(ground.pushes[0].0, ids[2]);
    ground.fan_out.promise(ground.log.id().incarnation, "own-3", None);
    ground.pushes.clear();
    ground.wait(1_000);
    ground.put(0, &["still more"]);
    ground.run();
    assert_eq!(ground.pushes[0].0, ids[0], "who came first");
}

#[test]
fn a_lane_that_does_not_come_to_who_has_a_promise_is_late() {
    let mut ground = Ground::over(Rig::new(1));
    let incarnation = ground.log.id().incarnation;
    ground.fan_out.promise(incarnation, "own-1", NonZeroU64::new(1 << 20));
    let id = ground.subscribe(1, 0, Position::TrimHorizon, 100_000);
    ground.subscribe(2, 0, Position::TrimHorizon, PLENTY);
    ground.run();
    let tick = |ground: &mut Ground, ms| {
        (ground.rig.now.boot_ms, ground.rig.now.wall_ms) = (ground.rig.now.boot_ms + ms, ground.rig.now.wall_ms + ms);
        ground.fan_out.tick(ground.rig.now);
        ground.fan_out.is_late()
    };
    let missed = |ground: &Ground| -> Vec<u64> {
        let counted = ground.fan_out.consumers_counted(ground.rig.now, |_| Some(&ground.log));
        counted.iter().map(|consumer| consumer.missed_ms).collect()
    };
    ground.put(0, &["one"]);
    assert!(!tick(&mut ground, 0), "it has only come");
    assert!(tick(&mut ground, LATE_MS) && tick(&mut ground, 50));
    assert_eq!(missed(&ground), [LATE_MS + 50, 0], "and nothing is promised to the other");
    ground.run();
    assert!(!tick(&mut ground, LATE_MS), "it was given what there was");

    // A path that is full is not the lane's fault, unless the lane itself had no time.
    ground.full.extend([1, 2]);
    ground.put(0, &["two"]);
    ground.run();
    for (ms, expected) in [(LATE_MS, false), (AWAY_MS, true)] {
        for _ in 0..3 {
            tick(&mut ground, ms);
        }
        assert_eq!(tick(&mut ground, ms), expected);
    }
    assert_eq!(missed(&ground)[0], LATE_MS + 50 + 3 * AWAY_MS);
    // Nor is it that a consumer grants nothing.
    ground.full.clear();
    [1, 2].into_iter().for_each(|peer| ground.fan_out.writable(peer));
    (0..8).for_each(|_| ground.put(0, &[&"x".repeat(30_000)]));
    ground.run();
    assert!(ground.places[&id] < 10, "it has no credit left");
    tick(&mut ground, 1);
    assert!(!tick(&mut ground, AWAY_MS) && !tick(&mut ground, AWAY_MS));
    ground.fan_out.credit(id, PLENTY);
    tick(&mut ground, 1);
    assert!(tick(&mut ground, LATE_MS), "now it has");
}
