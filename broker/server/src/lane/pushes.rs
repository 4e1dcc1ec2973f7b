//! Pushes: what the fan-out decides, performed over the connections of subscribers.
//!
//! Batches are handed to QUIC as they lie in memory. QUIC holds them until the peer has acknowledged
//! them, so each connection is charged with what is held for it, and is given no more than its window: about
//! twice what its path has under way, and a fair part of what the lane may have handed out in all. What
//! puts need is counted elsewhere: no number of slow subscribers takes a byte of it.
//!
//! What must hold: a connection that takes nothing costs its window and holds up nobody; one that has taken
//! nothing for 10 s is closed; the frames of a subscription stand on one stream, whole and in order.

mod path;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use rheos_core::arrival::Now;
use rheos_core::fanout::{Ask, FanOut, FanOutEffect, SubscriptionId};
use rheos_core::log::{Log, LogId};
use rheos_core::reader::{ReadOutcome, ReadTask};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Push, Reply, Subscribe};
use tokio::sync::mpsc::OwnedPermit;

use super::inbox::{Answer, Arrival, Inbox};
use super::logs::Logs;
use crate::blocks::{Blocks, perform};
use path::{Path, WINDOW_BYTES_LEAST};

pub(crate) use path::{PushWay, PushedApart};

/// Bytes that are handed to QUIC in one turn of the lane.
const TURN_BYTES_MAX: usize = 256 << 10;
/// Scans that begin in one turn of the lane.
const TURN_SCANS_MAX: usize = 2;
/// What all connections of a lane may have been given and not acknowledged, batches shared by several counted
/// for each, as long as everybody has the least.
pub(super) const HELD_BYTES_MAX: usize = 512 << 20;

/// The subscribers of a lane.
pub(super) struct Pushes {
    pub(super) fan_out: FanOut,
    paths: HashMap<u64, Path>,
    /// The path of each peer, and of each connection by quinn's number for it.
    of_peers: HashMap<u64, u64>,
    of_connections: HashMap<usize, u64>,
    next_path: u64,
    /// Segments that scans have found gone. One that had expired is not asked for again; what is asked for
    /// again is missing.
    gone: BTreeMap<LogId, BTreeSet<u64>>,
    /// Requests that wait for the fan-out's answer.
    asked: HashMap<SubscriptionId, OwnedPermit<Answer>>,
    inbox: Inbox,
    blocks: Blocks,
}

/// Whether there is more to push at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    More,
    All,
}

impl Pushes {
    pub(super) fn new(inbox: Inbox, blocks: Blocks) -> Pushes {
        Pushes {
            fan_out: FanOut::default(),
            paths: HashMap::new(),
            of_peers: HashMap::new(),
            of_connections: HashMap::new(),
            next_path: 0,
            gone: BTreeMap::new(),
            asked: HashMap::new(),
            inbox,
            blocks,
        }
    }

    /// Takes a subscription to a shard of a log, or says why there is no such log.
    pub(super) fn subscribe(
        &mut self,
        (peer, way): (u64, PushWay),
        id: u64,
        subscribe: Subscribe,
        answer: OwnedPermit<Answer>,
        log: Result<&mut Log, WireError>,
    ) {
        let name = SubscriptionId { peer, id };
        let log = match log {
            Err(error) => return drop(answer.send(Answer { id, reply: Reply::Error(error) })),
            Ok(_) if self.asked.contains_key(&name) => {
                let error = WireError::new(ErrorCode::BadRequest, format!("subscription {id} is asked for already"));
                return drop(answer.send(Answer { id, reply: Reply::Error(error) }));
            }
            Ok(log) => log,
        };
        self.find_path(peer, way);
        self.asked.insert(name, answer);
        let Subscribe { shard, consumer, epoch, position, credit, .. } = subscribe;
        let consumer = consumer.into();
        self.fan_out.subscribe(Ask { id: name, log: log.id(), shard, consumer, epoch, position, credit }, log);
    }

    /// A subscription stream has ended.
    pub(super) fn forget(&mut self, peer: u64) {
        self.fan_out.disconnect(peer);
        self.asked.retain(|id, _| id.peer != peer);
        let Some(number) = self.of_peers.remove(&peer) else { return };
        let path = self.paths.get_mut(&number).expect("a peer's path is there");
        path.peers.remove(&peer);
        if path.peers.is_empty() {
            self.paths.remove(&number);
            self.of_connections.retain(|_, of| *of != number);
        }
    }

    /// A connection takes bytes again: first what waits for it.
    pub(super) fn writable(&mut self, number: u64) {
        let Some(path) = self.paths.get_mut(&number) else { return };
        if path.send_waiting() && path.room() > 0 {
            path.peers.iter().for_each(|peer| self.fan_out.writable(*peer));
        }
    }

    /// Hands what the fan-out has for the subscribers to QUIC, as much as fits in one turn.
    pub(super) fn push(&mut self, now: Now, logs: &Logs) -> Pushed {
        let (mut bytes, mut scans) = (0, 0);
        while bytes < TURN_BYTES_MAX && scans < TURN_SCANS_MAX {
            let (paths, of_peers) = (&self.paths, &self.of_peers);
            let room = |peer: u64| paths.get(&of_peers[&peer]).map_or(0, Path::room);
            match self.fan_out.poll(now, |log| logs.log(log), room) {
                Some(FanOutEffect::Push { id, shard, behind_ms, tip_sequence, batches }) => {
                    bytes += batches.iter().map(Bytes::len).sum::<usize>();
                    let fields = Push { behind_ms, tip_sequence, batches: Bytes::new() };
                    self.path_of(id.peer).push(id, shard, fields, batches);
                }
                Some(FanOutEffect::Scan { scan, log, task }) => {
                    scans += 1;
                    self.begin_scan(scan, log, *task);
                }
                Some(FanOutEffect::Answer { id, outcome }) => self.answer(id, outcome),
                Some(FanOutEffect::End { id, shard, end }) => self.path_of(id.peer).end(id, shard, end),
                None => return Pushed::All,
            }
        }
        Pushed::More
    }

    /// A scan has ended.
    pub(super) fn scanned(
        &mut self,
        now: Now,
        scan: u64,
        outcome: Option<Result<ReadOutcome, WireError>>,
        (log, gone): (LogId, BTreeSet<u64>),
    ) {
        if !gone.is_empty() {
            self.gone.entry(log).or_default().extend(gone);
        }
        self.fan_out.scanned(now, scan, outcome);
    }

    /// The segments of a log below this one have expired, or, with `u64::MAX`, the log is deleted.
    pub(super) fn trimmed(&mut self, log: LogId, lowest: u64) {
        if let Some(gone) = self.gone.remove(&log) {
            let kept: BTreeSet<u64> = gone.into_iter().filter(|segment| *segment >= lowest).collect();
            if !kept.is_empty() {
                self.gone.insert(log, kept);
            }
        }
    }

    /// Time has passed: windows follow their paths, and who takes nothing is closed.
    pub(super) fn tick(&mut self, now: Now) {
        self.fan_out.tick(now);
        let fair = (HELD_BYTES_MAX / self.paths.len().max(1)).max(WINDOW_BYTES_LEAST);
        for path in self.paths.values_mut() {
            let before = path.room();
            path.follow(now.boot_ms, fair);
            if before == 0 && path.room() > 0 {
                path.peers.iter().for_each(|peer| self.fan_out.writable(*peer));
            }
        }
    }

    /// What QUIC holds of what was pushed, batches that are held for several connections counted for each.
    pub(super) fn held_bytes(&self) -> usize {
        self.paths.values().map(Path::held_bytes).sum()
    }

    fn find_path(&mut self, peer: u64, way: PushWay) {
        let next = &mut self.next_path;
        let new = || {
            *next += 1;
            *next
        };
        let number = match &way {
            PushWay::Connection { connection, .. } => {
                *self.of_connections.entry(connection.stable_id()).or_insert_with(new)
            }
            PushWay::Apart(_) => self.of_peers.get(&peer).copied().unwrap_or_else(new),
        };
        let path = self.paths.entry(number).or_insert_with(|| Path::new(number, way, self.inbox.clone()));
        path.peers.insert(peer);
        self.of_peers.insert(peer, number);
    }

    fn path_of(&mut self, peer: u64) -> &mut Path {
        let number = self.of_peers.get(&peer).expect("who has a subscription has a path");
        self.paths.get_mut(number).expect("a peer's path is there")
    }

    fn answer(&mut self, id: SubscriptionId, outcome: Result<u64, WireError>) {
        // A peer whose stream has ended asks no more.
        let Some(answer) = self.asked.remove(&id) else { return };
        let reply = outcome.map_or_else(Reply::Error, Reply::Subscribed);
        answer.send(Answer { id: id.id, reply });
    }

    fn begin_scan(&self, scan: u64, log: LogId, task: ReadTask) {
        let (inbox, blocks) = (self.inbox.clone(), self.blocks.gently());
        let mut gone = self.gone.get(&log).cloned().unwrap_or_default();
        tokio::spawn(async move {
            let outcome = perform(&blocks, log, task, &mut gone).await.transpose();
            inbox.push(Arrival::Scanned { scan, log, outcome, gone });
        });
    }
}
