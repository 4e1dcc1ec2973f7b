//! The subscribers of the simulation: they subscribe from anywhere, take what is pushed when they like,
//! grant credit in fits and starts, vanish, come back, and contest the seats of their consumers.
//!
//! The simulation knows what the fan-out has to answer: who holds which seat, how much credit there is,
//! who was superseded. What it cannot know, where a position is and what stands there, is judged by what
//! was acked and read.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use rheos_core::fanout::{Ask, SubscriptionId};
use rheos_core::log::ReadStart;
use rheos_protocol::batch::Batch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::CREDIT_BYTES_MAX;
use rheos_protocol::message::{Position, PushEnd};

use super::reader::batch_seen;
use super::shrink::Scale;
use super::world::{Due, Pace, SECOND_US, World};
use crate::checker::{Seen, ShardOf};

/// A client with one connection at a time, to all lanes.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// Names its connection; 0 before the first.
    peer: u64,
    connected: bool,
    next_id: u64,
    subscriptions: Vec<Subscription>,
    /// What may be under way to it at once.
    window_bytes: usize,
    under_way: VecDeque<UnderWay>,
    /// Whether it takes what comes.
    takes: bool,
    latency_us: u64,
}

/// A push that the client has not taken yet.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    id: u64,
    bytes: usize,
    next_sequence: u64,
}

#[derive(Debug)]
struct Subscription {
    /// In the history.
    name: u64,
    log: usize,
    shard: u32,
    consumer: Arc<str>,
    epoch: u64,
    /// On the connection; 0 while it is away.
    id: u64,
    state: State,
    /// After what it has taken.
    cursor: Option<u64>,
    /// What the fan-out may still push to it.
    credit: i64,
    /// Bytes that it has taken and not granted again.
    owed: u64,
    /// The only end that it may come to.
    expects: Option<Expected>,
    /// Another has its seat, at the end of the run.
    retired: bool,
    /// It has come to the end of a closed shard.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    /// Its answer is due. With the tip as it was.
    Asked(Position, u64),
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Superseded,
    Deregistered,
    GoingAway,
    /// No subscription: the seat is held with this epoch.
    Refused(u64),
}

/// Who is subscribed as which consumer to which shard of which log, and the newest epoch so far.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    holders: BTreeMap<(usize, u32, Arc<str>), (SubscriptionId, u64)>,
    newest_epoch: u64,
    /// By shard and first sequence: what came last from a scan, to whom, and how many scans there were then.
    scanned: BTreeMap<(ShardOf, u64), (u64, u64)>,
}

impl Seats {
    /// Who is subscribed, by log: a consumer once for each shard.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = (usize, Arc<str>)> {
        self.holders.keys().map(|(log, _, consumer)| (*log, Arc::clone(consumer)))
    }
}

impl Subscriber {
    pub(crate) fn is_peer(&self, peer: u64) -> bool {
        self.connected && self.peer == peer
    }

    pub(crate) fn room(&self) -> usize {
        self.window_bytes.saturating_sub(self.under_way.iter().map(|it| it.bytes).sum())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.under_way.is_empty()
            && self.subscriptions.iter().all(|it| it.retired || it.ended || it.state == State::Live)
    }
}

impl Subscription {
    fn seat(&self) -> (usize, u32, Arc<str>) {
        (self.log, self.shard, Arc::clone(&self.consumer))
    }

    fn leave(&mut self) {
        (self.state, self.id, self.expects, self.owed) = (State::Away, 0, None, 0);
    }
}

impl World {
    /// Makes the subscribers of the run.
    pub(crate) fn people(&mut self, shard_count: u32, scale: &Scale) {
        for at in 0..self.random.one_of(&[0, 1, 1, 2, 3]).min(scale.subscribers_max) {
            let subscriptions = (0..self.random.within(1..5)).map(|one| {
                let (log, shard) = match self.random.per_mille(700) {
                    true => {
                        let producer = self.random.below(self.producers.len() as u64) as usize;
                        self.producers[producer].target()
                    }
                    false => (
                        self.random.below(self.hosts.len() as u64) as usize,
                        3 * self.random.below(u64::from(shard_count)) as u32 + 1,
                    ),
                };
                let consumer = match self.random.below(3) {
                    0 => "audit".into(),
                    1 => "billing".into(),
                    _ => format!("own-{at}").into(),
                };
                Subscription {
                    name: 100 * at + one,
                    log,
                    shard,
                    consumer,
                    epoch: 0,
                    id: 0,
                    state: State::Away,
                    cursor: None,
                    credit: 0,
                    owed: 0,
                    expects: None,
                    retired: false,
                    ended: false,
                }
            });
            let subscriptions = subscriptions.collect();
            let latency_us = self.random.one_of(&[20, 1_000, 50_000]);
            self.subscribers.push(Subscriber {
                peer: 0,
                connected: false,
                next_id: 1,
                subscriptions,
                window_bytes: 0,
                under_way: VecDeque::new(),
                takes: true,
                latency_us,
            });
        }
    }

    /// A subscriber does something, or nothing.
    pub(crate) fn subscriber_turn(&mut self, at: usize) {
        let most_us = match self.pace {
            _ if self.ending_run && self.up => SECOND_US / 2,
            Pace::Busy(gap_us) if self.up => gap_us * 30 + 2_000,
            _ => 3_600 * SECOND_US,
        };
        let wait_us = self.random.within(1..most_us);
        self.after(wait_us, Due::Subscriber(at));
        if !self.up || self.stopping.is_some() {
            return;
        }
        if !self.subscribers[at].connected {
            self.connect(at);
        }
        if self.ending_run {
            return self.finish_up(at);
        }
        let one = self.random.below(self.subscribers[at].subscriptions.len() as u64) as usize;
        let away = self.subscribers[at].subscriptions[one].state == State::Away;
        match self.random.below(40) {
            0 => self.vanish(at),
            1..4 => self.subscribers[at].takes ^= true,
            4 if !away => self.unsubscribe(at, one),
            5..30 if away => self.subscribe(at, one),
            5..15 => {
                let bytes = self.random.one_of(&[1, 1_000, 100_000, CREDIT_BYTES_MAX, u64::MAX]);
                self.grant(at, one, bytes);
            }
            _ => {}
        }
        self.will_take(at);
    }

    /// Everybody who subscribes does something soon.
    pub(crate) fn wake_subscribers(&mut self) {
        for at in 0..self.subscribers.len() {
            let wait_us = self.random.within(1..SECOND_US);
            self.queue.retain(|_, due| *due != Due::Subscriber(at));
            self.after(wait_us, Due::Subscriber(at));
        }
    }

    /// At the end of a run everybody gets everything.
    fn finish_up(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        subscriber.takes = true;
        subscriber.window_bytes = subscriber.window_bytes.max(1 << 20);
        for one in 0..self.subscribers[at].subscriptions.len() {
            let it = &self.subscribers[at].subscriptions[one];
            match it.state {
                State::Away if it.retired || it.ended => {}
                State::Away if self.seats.holders.contains_key(&it.seat()) => {
                    self.subscribers[at].subscriptions[one].retired = true;
                }
                State::Away => self.subscribe(at, one),
                State::Asked(..) | State::Live => self.grant(at, one, 1 << 20),
            }
        }
        self.has_room(at);
        self.will_take(at);
    }

    fn connect(&mut self, at: usize) {
        let window_bytes = self.random.one_of(&[1, 10_000, 100_000, 1 << 20, 8 << 20]) as usize;
        let peer = self.next_peer;
        self.next_peer += 1;
        let subscriber = &mut self.subscribers[at];
        self.met.came_back += u64::from(subscriber.peer != 0);
        (subscriber.peer, subscriber.connected, subscriber.next_id) = (peer, true, 1);
        (subscriber.window_bytes, subscriber.takes) = (window_bytes, true);
    }

    pub(crate) fn vanish(&mut self, at: usize) {
        let peer = self.subscribers[at].peer;
        self.trace.note(self.now_us, format_args!("subscriber {at} vanishes"));
        let late = self.subscribers[at].subscriptions.iter().any(|it| self.may_wait_for_scan(it));
        self.met.scans_late += u64::from(late);
        self.lanes.iter_mut().for_each(|lane| lane.fan_out.disconnect(peer));
        self.lose_connection(at);
    }

    /// A connection is gone, with all that was under way.
    pub(crate) fn lose_connection(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        subscriber.connected = false;
        subscriber.under_way.clear();
        subscriber.subscriptions.iter_mut().for_each(Subscription::leave);
        let peer = subscriber.peer;
        self.seats.holders.retain(|_, (holder, _)| holder.peer != peer);
    }

    fn subscribe(&mut self, at: usize, one: usize) {
        self.subscribers[at].subscriptions[one].ended = false;
        let Subscription { log, shard, cursor, .. } = self.subscribers[at].subscriptions[one];
        let tip = self.tip(log, shard);
        let position = match cursor {
            None => self.any_position(log, shard, tip),
            Some(cursor) if cursor > 0 && !self.ending_run && self.random.per_mille(150) => {
                self.met.resubscribed_before += 1;
                Position::AtSequence(self.random.below(cursor))
            }
            Some(cursor) => {
                self.met.resubscribed += 1;
                Position::AtSequence(cursor)
            }
        };
        let credit = match self.ending_run {
            true => 1 << 20,
            false => self.random.one_of(&[0, 1, 5_000, 1 << 20, CREDIT_BYTES_MAX, u64::MAX]),
        };
        let epoch = match self.ending_run || self.random.per_mille(700) {
            true => self.seats.newest_epoch + 1,
            false => self.random.below(self.seats.newest_epoch + 1),
        };
        self.seats.newest_epoch = self.seats.newest_epoch.max(epoch);
        let subscriber = &mut self.subscribers[at];
        let id = SubscriptionId { peer: subscriber.peer, id: subscriber.next_id };
        subscriber.next_id += 1;
        let it = &mut subscriber.subscriptions[one];
        (it.id, it.state, it.owed) = (id.id, State::Asked(position, tip), 0);
        (it.epoch, it.credit) = (epoch, credit.min(CREDIT_BYTES_MAX) as i64);
        let (consumer, seat) = (Arc::clone(&it.consumer), it.seat());
        self.trace.note(
            self.now_us,
            format_args!("{id:?} subscribes to {log}/{shard} as {consumer} {epoch} from {position:?} for {credit}"),
        );
        // One that cannot begin ends nobody else's.
        let is_beyond = match position {
            Position::AtSequence(sequence) => sequence > tip,
            Position::AfterSequence(sequence) => sequence >= tip,
            _ => false,
        };
        match self.seats.holders.get(&seat).copied() {
            _ if is_beyond => {}
            Some((_, held)) if held > epoch => it.expects = Some(Expected::Refused(held)),
            holder => {
                self.seats.holders.insert(seat, (id, epoch));
                if let Some((holder, _)) = holder {
                    self.expect(holder, Expected::Superseded);
                }
            }
        }
        let lane = self.lane_of_log(log);
        let host = &mut self.hosts[log];
        let ask = Ask { id, log: host.settings.id, shard, consumer, epoch, position, credit };
        let of_host = host.log.as_mut().expect("the broker is up");
        self.lanes[lane].fan_out.subscribe(ask, of_host);
        self.wants_push(lane);
    }

    fn any_position(&mut self, log: usize, shard: u32, tip: u64) -> Position {
        match self.random.below(8) {
            0 => Position::Latest,
            1 => Position::AtSequence(self.random.below(tip + 1)),
            2 => Position::AfterSequence(self.random.below(tip + 1)),
            3 => Position::AtSequence(tip + self.random.below(2)),
            4 => Position::AtTimestamp(self.some_arrival_ms(log, shard)),
            _ => Position::TrimHorizon,
        }
    }

    fn unsubscribe(&mut self, at: usize, one: usize) {
        self.met.unsubscribed += 1;
        self.met.scans_late += u64::from(self.may_wait_for_scan(&self.subscribers[at].subscriptions[one]));
        let subscriber = &mut self.subscribers[at];
        let it = &mut subscriber.subscriptions[one];
        let id = SubscriptionId { peer: subscriber.peer, id: it.id };
        it.leave();
        let log = it.log;
        self.seats.holders.retain(|_, (holder, _)| *holder != id);
        let lane = self.lane_of_log(log);
        self.lanes[lane].fan_out.unsubscribe(id);
        self.wants_push(lane);
    }

    fn grant(&mut self, at: usize, one: usize, bytes: u64) {
        let subscriber = &mut self.subscribers[at];
        let it = &mut subscriber.subscriptions[one];
        let id = SubscriptionId { peer: subscriber.peer, id: it.id };
        let most = CREDIT_BYTES_MAX as i64;
        it.credit = it.credit.saturating_add(i64::try_from(bytes).unwrap_or(most)).min(most);
        let log = it.log;
        let lane = self.lane_of_log(log);
        self.lanes[lane].fan_out.credit(id, bytes);
        self.wants_push(lane);
    }

    pub(crate) fn deregister_someone(&mut self) {
        let wait_us = self.random.one_of(&[SECOND_US, 60 * SECOND_US, 3_600 * SECOND_US]);
        let wait_us = self.random.within(1..wait_us);
        self.after(wait_us, Due::Deregister);
        if !self.up || self.stopping.is_some() || self.ending_run || self.random.per_mille(700) {
            return;
        }
        let Some((log, _, consumer)) = self.seats.holders.keys().next_back().cloned() else { return };
        let incarnation = self.hosts[log].settings.id.incarnation;
        let is_its = |seat: &(usize, u32, Arc<str>)| seat.0 == log && seat.2 == consumer;
        let holders: Vec<_> =
            self.seats.holders.iter().filter(|(seat, _)| is_its(seat)).map(|(_, (id, _))| *id).collect();
        self.seats.holders.retain(|seat, _| !is_its(seat));
        holders.into_iter().for_each(|holder| self.expect(holder, Expected::Deregistered));
        for lane in 0..self.lanes.len() {
            self.lanes[lane].fan_out.deregister(incarnation, &consumer);
            self.wants_push(lane);
        }
    }

    pub(crate) fn expect_going_away(&mut self) {
        let holders: Vec<_> = self.seats.holders.values().map(|(id, _)| *id).collect();
        holders.into_iter().for_each(|holder| self.expect(holder, Expected::GoingAway));
    }

    fn expect(&mut self, id: SubscriptionId, expected: Expected) {
        if let Some((at, one)) = self.find(id) {
            self.subscribers[at].subscriptions[one].expects.get_or_insert(expected);
        }
    }

    fn find(&self, id: SubscriptionId) -> Option<(usize, usize)> {
        let at = self.subscribers.iter().position(|it| it.is_peer(id.peer))?;
        let one = self.subscribers[at].subscriptions.iter().position(|it| it.id == id.id)?;
        Some((at, one))
    }

    /// Whether a subscription is behind while a scan of its log is under way.
    fn may_wait_for_scan(&self, it: &Subscription) -> bool {
        self.lacks_something(it) && self.lanes[self.lane_of_log(it.log)].scans.values().any(|scan| scan.is_of(it.log))
    }

    pub(crate) fn subscription_answered(&mut self, id: SubscriptionId, outcome: Result<u64, WireError>) {
        // Who left meanwhile wants no answer.
        let Some((at, one)) = self.find(id) else { return };
        self.trace.note(self.now_us, format_args!("{id:?} is answered {outcome:?}"));
        let it = &mut self.subscribers[at].subscriptions[one];
        let (log, shard, name, expects, seat) = (it.log, it.shard, it.name, it.expects, it.seat());
        let State::Asked(position, tip) = it.state else { return self.fail(format!("{id:?} is answered twice")) };
        let tips: RangeInclusive<u64> = tip..=self.tip(log, shard);
        let error = match outcome {
            Ok(start) => {
                let it = &mut self.subscribers[at].subscriptions[one];
                (it.state, it.cursor) = (State::Live, Some(start));
                if let Some(Expected::Refused(_)) = expects {
                    // Whoever was in its way may have ended just before.
                    it.expects = None;
                    if let Some(holder) = self.seats.holders.insert(seat, (id, it.epoch)) {
                        return self.fail(format!("{id:?} is accepted, and {holder:?} is newer"));
                    }
                }
                self.met.subscribed += 1;
                let is_sought = matches!(position, Position::TrimHorizon | Position::AtTimestamp(_));
                self.met.began_at_sought += u64::from(is_sought);
                self.judge_start(log, shard, position, tips, start);
                let shard = self.hosts[log].shard(shard);
                return self.see(&Seen::Subscribed { subscriber: name, shard, next_sequence: start });
            }
            Err(error) => error,
        };
        self.subscribers[at].subscriptions[one].leave();
        self.seats.holders.retain(|_, (holder, _)| *holder != id);
        let is_right = match expects {
            None => return self.judge_error(position, tips, &error),
            Some(Expected::Refused(held)) => {
                self.met.refused_as_older += 1;
                (error.code, error.detail) == (ErrorCode::Superseded, held)
            }
            Some(Expected::Superseded) => error.code == ErrorCode::Superseded,
            Some(Expected::Deregistered) => error.code == ErrorCode::ConsumerNotFound,
            Some(Expected::GoingAway) => error.code == ErrorCode::GoingAway,
        };
        if !is_right && error.code != ErrorCode::BeyondTip {
            self.fail(format!("{id:?} is answered {error:?}, and {expects:?} is due"));
        }
    }

    pub(crate) fn pushed(
        &mut self,
        lane: usize,
        id: SubscriptionId,
        shard: u32,
        behind_ms: u64,
        tip_sequence: u64,
        batches: Vec<Bytes>,
    ) {
        let Some((at, one)) = self.find(id) else { return self.fail(format!("{id:?} is pushed to and has left")) };
        let room = self.subscribers[at].room();
        let it = &self.subscribers[at].subscriptions[one];
        let Subscription { name, log, credit, .. } = *it;
        if it.state != State::Live || it.expects.is_some() || it.shard != shard || self.lane_of_log(log) != lane {
            return self.fail(format!("{shard} is pushed on lane {lane} to {it:?}"));
        }
        let shard_of = self.hosts[log].shard(shard);
        let place = self.checker.place(name, shard_of).unwrap_or(0);
        let lens: Vec<_> = batches.iter().map(Bytes::len).collect();
        let bytes: usize = lens.iter().sum();
        let parsed: Result<Vec<_>, _> = batches.into_iter().map(Batch::parse).collect();
        let Ok(parsed) = parsed else { return self.fail(format!("{id:?} is pushed what is no batch")) };
        let end = parsed.last().map_or(place, Batch::next_sequence);
        self.trace.note(self.now_us, format_args!("{id:?} is pushed {place}..{end} of {log}/{shard}, {bytes} bytes"));
        let within_credit = credit > 0 && (lens.len() == 1 || bytes as i64 <= credit);
        if room == 0 || !within_credit {
            self.fail(format!("{id:?} is pushed {lens:?} bytes into {room} of room and {credit} of credit"));
        }
        let tip = self.tip(log, shard);
        let completed = self.checker.end(shard_of).max(self.hosts[log].found[&shard]);
        if tip_sequence != tip || end > completed || (behind_ms > 0 && end >= tip) {
            self.fail(format!(
                "{id:?} is pushed up to {end} of {tip_sequence}, {behind_ms} ms behind; {completed} of {tip} has completed"
            ));
        }
        self.count_push(log, shard, name, place);
        self.met.credit_used_up += u64::from(bytes as i64 >= credit);
        let batches = parsed.iter().map(batch_seen).collect();
        self.see(&Seen::Pushed { subscriber: name, shard: shard_of, batches, tip_sequence });
        let subscriber = &mut self.subscribers[at];
        subscriber.subscriptions[one].credit -= bytes as i64;
        subscriber.under_way.push_back(UnderWay { id: id.id, bytes, next_sequence: end });
        self.will_take(at);
    }

    /// Says where a push came from: what a read finds in memory came from the tail.
    fn count_push(&mut self, log: usize, shard: u32, name: u64, place: u64) {
        self.met.pushes += 1;
        let of_host = self.hosts[log].log.as_ref().expect("the broker is up");
        if let Ok(ReadStart::Ready(_)) = of_host.read(self.now(), shard, Position::AtSequence(place), 1) {
            self.met.pushes_from_tail += 1;
            return;
        }
        self.met.pushes_from_scans += 1;
        let key = (self.hosts[log].shard(shard), place);
        if let Some((other, scans)) = self.seats.scanned.insert(key, (name, self.met.scans)) {
            self.met.pushes_shared += u64::from(other != name && scans == self.met.scans);
        }
    }

    pub(crate) fn subscription_ended(&mut self, id: SubscriptionId, shard: u32, end: PushEnd) {
        let Some((at, one)) = self.find(id) else { return };
        self.trace.note(self.now_us, format_args!("{id:?} ends: {end:?}"));
        let it = &mut self.subscribers[at].subscriptions[one];
        let (state, expects, name, log) = (it.state, it.expects, it.name, it.log);
        it.leave();
        self.seats.holders.retain(|_, (holder, _)| *holder != id);
        let shard_of = self.hosts[log].shard(shard);
        let place = self.checker.place(name, shard_of);
        // What was pushed before its end comes before it.
        self.subscribers[at].subscriptions[one].cursor = place;
        let is_right = match (&end, expects) {
            (PushEnd::Superseded, Some(Expected::Superseded)) => {
                self.met.superseded += 1;
                true
            }
            (PushEnd::Deregistered, Some(Expected::Deregistered)) => {
                self.met.deregistered += 1;
                true
            }
            (PushEnd::GoingAway(_), Some(Expected::GoingAway)) => {
                self.met.going_away += 1;
                true
            }
            (PushEnd::ShardEnd(children), _) => {
                self.met.shards_ended += 1;
                let closed = self.closed(log, shard);
                let is_right =
                    closed.is_some_and(|closed| closed.children == *children && Some(closed.end_sequence) == place);
                self.subscribers[at].subscriptions[one].ended = is_right;
                is_right
            }
            (PushEnd::Trimmed(first_kept), _) => {
                self.met.ended_trimmed += 1;
                self.subscribers[at].subscriptions[one].cursor = Some(*first_kept);
                let kept_since_ms = self.kept_since_ms(log);
                self.see(&Seen::Trimmed { shard: shard_of, first_kept: *first_kept, kept_since_ms });
                Some(*first_kept) > place && *first_kept <= self.tip(log, shard)
            }
            _ => false,
        };
        if state != State::Live || !is_right {
            self.fail(format!("{id:?} at {place:?} of {shard_of:?} ends with {end:?}; {expects:?} is due"));
        }
    }

    fn will_take(&mut self, at: usize) {
        let subscriber = &self.subscribers[at];
        let due = Due::Take(at);
        let waits = subscriber.takes && !subscriber.under_way.is_empty();
        if waits && !self.queue.values().any(|planned| *planned == due) {
            self.after(subscriber.latency_us, due);
        }
    }

    /// A subscriber takes some of what is under way to it, and grants the same again or not yet.
    pub(crate) fn take(&mut self, at: usize) {
        let count = self.random.one_of(&[1, 5, 1_000]) as usize;
        for _ in 0..count.min(self.subscribers[at].under_way.len()) {
            let subscriber = &mut self.subscribers[at];
            let Some(UnderWay { id, bytes, next_sequence }) = subscriber.under_way.pop_front() else { return };
            let Some(one) = subscriber.subscriptions.iter().position(|it| it.id == id) else { continue };
            let it = &mut subscriber.subscriptions[one];
            it.cursor = Some(next_sequence);
            it.owed += bytes as u64;
            let owed = it.owed;
            if self.ending_run || self.random.per_mille(800) {
                self.subscribers[at].subscriptions[one].owed = 0;
                self.grant(at, one, owed);
            }
        }
        self.has_room(at);
        self.will_take(at);
    }

    fn has_room(&mut self, at: usize) {
        let subscriber = &self.subscribers[at];
        let (peer, room) = (subscriber.peer, subscriber.room());
        if subscriber.connected && room > 0 {
            for lane in 0..self.lanes.len() {
                self.lanes[lane].fan_out.writable(peer);
                self.wants_push(lane);
            }
        }
    }

    /// There is nothing to be done on a lane: whoever could be given something waits for a scan.
    pub(crate) fn look_whether_stuck(&mut self, lane: usize) {
        if !self.lanes[lane].scans.is_empty() {
            return;
        }
        let stuck = self.subscribers.iter().filter(|it| it.connected && it.room() > 0).find_map(|subscriber| {
            subscriber.subscriptions.iter().find(|it| self.lane_of_log(it.log) == lane && self.lacks_something(it))
        });
        if let Some(stuck) = stuck {
            let what = format!("nothing is done for {stuck:?}, which lacks nothing but records");
            self.fail(what);
        }
    }

    fn lacks_something(&self, it: &Subscription) -> bool {
        // Whose pushes are limited may wait for time alone.
        let is_limited = self.hosts[it.log].settings.terms.limits.push_bytes.per_second().is_some();
        match it.state {
            State::Live if is_limited => false,
            State::Away => false,
            State::Asked(..) => true,
            State::Live => {
                let place = self.checker.place(it.name, self.hosts[it.log].shard(it.shard));
                it.expects.is_none() && it.credit > 0 && place < Some(self.tip(it.log, it.shard))
            }
        }
    }

    /// Whether every subscriber has been pushed everything.
    pub(crate) fn all_have_all(&self) -> bool {
        let has_all = |it: &Subscription| it.cursor >= Some(self.tip(it.log, it.shard));
        self.up
            && self.stopping.is_none()
            && self.subscribers.iter().all(|subscriber| {
                subscriber.is_done() && subscriber.subscriptions.iter().all(|it| it.retired || has_all(it))
            })
    }

    /// Asks the checker whether they have.
    pub(crate) fn see_who_caught_up(&mut self) {
        let all = self.subscribers.iter().flat_map(|it| &it.subscriptions).filter(|it| !it.retired);
        let caught_up: Vec<_> = all.map(|it| (it.name, self.hosts[it.log].shard(it.shard))).collect();
        for (subscriber, shard) in caught_up {
            self.see(&Seen::CaughtUp { subscriber, shard });
        }
    }
}
