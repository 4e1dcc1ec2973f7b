//! Pushes: what the fan-out decides, performed over the connections of subscribers.
//!
//! Batches are handed to QUIC as they lie in memory. QUIC holds them until the peer has acknowledged
//! them, so each peer is charged with what is held for it, and is given no more than its window: about
//! twice what its path has under way, and a fair part of what the lane may have handed out in all. What
//! puts need is counted elsewhere: no number of slow subscribers takes a byte of it.
//!
//! What must hold: a peer that takes nothing costs its window and holds up nobody; one that has taken
//! nothing for 10 s is closed; the frames of a subscription stand on one stream, whole and in order.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{Connection, SendStream};
use rheos_core::arrival::Now;
use rheos_core::fanout::{Ask, FanOut, FanOutEffect, SubscriptionId};
use rheos_core::log::{Log, LogId};
use rheos_core::reader::ReadTask;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::limits::PUSH_STREAMS_MAX;
use rheos_protocol::message::{Push, Reply, Subscribe};
use tokio::sync::mpsc::OwnedPermit;
use tracing::debug;

use super::inbox::{Answer, Arrival, Inbox};
use super::logs::Logs;
use crate::blocks::{Blocks, perform};
use crate::net::close_code;

/// Bytes that are handed to QUIC in one turn of the lane.
const TURN_BYTES_MAX: usize = 256 << 10;
/// Scans that begin in one turn of the lane.
const TURN_SCANS_MAX: usize = 2;
/// The least that a peer may have been given and not acknowledged; and what one starts with.
const WINDOW_BYTES_LEAST: usize = 64 << 10;
const WINDOW_BYTES_FIRST: usize = 1 << 20;
/// The most.
const WINDOW_BYTES_MAX: usize = 8 << 20;
/// What all peers of a lane may have been given and not acknowledged, batches shared by several counted
/// for each, as long as everybody has the least.
const HELD_BYTES_MAX: usize = 512 << 20;
/// A peer that takes nothing for this long is closed.
const STALLED_MS_MAX: u64 = 10_000;
/// Pushes give way to everything else on a connection.
const PUSH_PRIORITY: i32 = -1;

/// The subscribers of a lane.
pub(super) struct Pushes {
    pub(super) fan_out: FanOut,
    peers: HashMap<u64, Peer>,
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

/// A connection with subscriptions.
struct Peer {
    connection: Connection,
    streams: [Option<PushStream>; PUSH_STREAMS_MAX as usize],
    held: Arc<Held>,
    /// Woken when the peer takes bytes again.
    waker: Waker,
    window_bytes: usize,
    /// What it had taken when that was last looked at.
    taken_bytes: usize,
    /// Since when it owes and has taken nothing more.
    stalled_boot_ms: Option<u64>,
}

#[derive(Default)]
struct PushStream {
    /// None until the peer lets it be opened.
    send: Option<SendStream>,
    /// What QUIC did not take yet: the rest of what was given in one turn, and ends.
    waiting: VecDeque<Bytes>,
}

/// What QUIC holds of pushes to one peer.
struct Held {
    bytes: AtomicUsize,
    /// Bytes that were let go so far; it may wrap.
    taken: AtomicUsize,
    /// The lane waits for room.
    is_awaited: AtomicBool,
    peer: u64,
    inbox: Inbox,
}

/// Bytes of a push, charged to a peer until QUIC lets go of them.
struct Charged {
    bytes: Bytes,
    held: Arc<Held>,
}

impl Pushes {
    pub(super) fn new(inbox: Inbox, blocks: Blocks) -> Pushes {
        Pushes { fan_out: FanOut::default(), peers: HashMap::new(), asked: HashMap::new(), inbox, blocks }
    }

    /// Takes a subscription to a shard of a log, or says why there is no such log.
    pub(super) fn subscribe(
        &mut self,
        peer: u64,
        connection: Connection,
        id: u64,
        subscribe: Subscribe,
        answer: OwnedPermit<Answer>,
        log: Result<&mut Log, WireError>,
    ) {
        let log = match log {
            Ok(log) => log,
            Err(error) => return drop(answer.send(Answer { id, reply: Reply::Error(error) })),
        };
        self.peers.entry(peer).or_insert_with(|| Peer::new(peer, connection, self.inbox.clone()));
        let id = SubscriptionId { peer, id };
        self.asked.insert(id, answer);
        let Subscribe { shard, consumer, epoch, position, credit, .. } = subscribe;
        self.fan_out
            .subscribe(Ask { id, log: log.id(), shard, consumer: consumer.into(), epoch, position, credit }, log);
    }

    /// The subscription stream of a peer has ended.
    pub(super) fn forget(&mut self, peer: u64) {
        self.fan_out.disconnect(peer);
        self.asked.retain(|id, _| id.peer != peer);
        self.peers.remove(&peer);
    }

    /// A peer takes bytes again: first what waits for it.
    pub(super) fn writable(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        if peer.send_waiting() && peer.room() > 0 {
            self.fan_out.writable(number);
        }
    }

    /// Hands what the fan-out has for the subscribers to QUIC, as much as fits in one turn.
    pub(super) fn push(&mut self, now: Now, logs: &Logs) -> Pushed {
        let (mut bytes, mut scans) = (0, 0);
        while bytes < TURN_BYTES_MAX && scans < TURN_SCANS_MAX {
            let peers = &self.peers;
            let room = |peer: u64| peers.get(&peer).map_or(0, Peer::room);
            match self.fan_out.poll(now, |log| logs.log(log), room) {
                Some(FanOutEffect::Push { id, shard, behind_ms, tip_sequence, batches }) => {
                    bytes += self.send_push(id, shard, behind_ms, tip_sequence, batches);
                }
                Some(FanOutEffect::Scan { scan, log, task }) => {
                    scans += 1;
                    self.begin_scan(scan, log, *task);
                }
                Some(FanOutEffect::Answer { id, outcome }) => self.answer(id, outcome),
                Some(FanOutEffect::End { id, shard, end }) => {
                    let mut out = BytesMut::new();
                    Reply::PushEnd(end).write(id.id, &mut out);
                    if let Some(peer) = self.peers.get_mut(&id.peer) {
                        peer.send(shard, [out.freeze()]);
                    }
                }
                None => return Pushed::All,
            }
        }
        Pushed::More
    }

    /// Time has passed: windows follow their paths, and who takes nothing is closed.
    pub(super) fn tick(&mut self, now: Now) {
        self.fan_out.tick(now);
        let fair = (HELD_BYTES_MAX / self.peers.len().max(1)).max(WINDOW_BYTES_LEAST);
        for (number, peer) in &mut self.peers {
            let before = peer.room();
            peer.follow(now.boot_ms, fair);
            if before == 0 && peer.room() > 0 && !peer.is_blocked() {
                self.fan_out.writable(*number);
            }
        }
    }

    fn answer(&mut self, id: SubscriptionId, outcome: Result<u64, WireError>) {
        // A peer whose stream has ended asks no more.
        let Some(answer) = self.asked.remove(&id) else { return };
        let reply = outcome.map_or_else(Reply::Error, Reply::Subscribed);
        answer.send(Answer { id: id.id, reply });
    }

    fn send_push(
        &mut self,
        id: SubscriptionId,
        shard: u32,
        behind_ms: u64,
        tip_sequence: u64,
        batches: Vec<Bytes>,
    ) -> usize {
        let bytes: usize = batches.iter().map(Bytes::len).sum();
        let peer = self.peers.get_mut(&id.peer).expect("who has room is there");
        let fields = Push { behind_ms, tip_sequence, batches: Bytes::new() };
        let mut payload = BytesMut::with_capacity(32);
        fields.encode_fields(&mut payload);
        let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
        let len = (payload.len() + bytes) as u32;
        FrameHeader { len, kind: kind::PUSH, id: id.id }.encode(&mut head);
        head.put_slice(&payload);
        let held = &peer.held;
        held.bytes.fetch_add(bytes, Ordering::Relaxed);
        let charged: Vec<Bytes> = std::iter::once(head.freeze())
            .chain(batches.into_iter().map(|bytes| Bytes::from_owner(Charged { bytes, held: Arc::clone(held) })))
            .collect();
        peer.send(shard, charged);
        bytes
    }

    fn begin_scan(&self, scan: u64, log: LogId, task: ReadTask) {
        let (inbox, blocks) = (self.inbox.clone(), self.blocks.clone());
        tokio::spawn(async move {
            let outcome = perform(&blocks, log, task, &mut Default::default()).await;
            inbox.push(Arrival::Scanned { scan, outcome: outcome.transpose() });
        });
    }
}

impl Peer {
    fn new(number: u64, connection: Connection, inbox: Inbox) -> Peer {
        let held = Arc::new(Held {
            bytes: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            peer: number,
            inbox,
        });
        let waker = Waker::from(Arc::new(Writable(Arc::clone(&held))));
        let (window_bytes, streams) = (WINDOW_BYTES_FIRST, Default::default());
        Peer { connection, streams, held, waker, window_bytes, taken_bytes: 0, stalled_boot_ms: None }
    }

    /// Bytes it may be given now. When there are none, [`Arrival::Writable`] comes when there are.
    fn room(&self) -> usize {
        if self.is_blocked() {
            return 0;
        }
        let room = || self.window_bytes.saturating_sub(self.held.bytes.load(Ordering::Acquire));
        if room() > 0 {
            return room();
        }
        self.held.is_awaited.store(true, Ordering::Release);
        // Something may have been let go just before that was said.
        room()
    }

    fn is_blocked(&self) -> bool {
        self.streams.iter().flatten().any(|stream| !stream.waiting.is_empty())
    }

    /// Gives pieces to the stream of a shard.
    fn send(&mut self, shard: u32, pieces: impl IntoIterator<Item = Bytes>) {
        let stream = self.streams[(shard % PUSH_STREAMS_MAX) as usize].get_or_insert_default();
        stream.waiting.extend(pieces);
        stream.send(&self.connection, &self.waker);
    }

    /// Gives QUIC what waits. False when something still does.
    fn send_waiting(&mut self) -> bool {
        for stream in self.streams.iter_mut().flatten() {
            stream.send(&self.connection, &self.waker);
        }
        !self.is_blocked()
    }

    fn follow(&mut self, boot_ms: u64, fair: usize) {
        let taken = self.held.taken.load(Ordering::Relaxed);
        let owes = self.held.bytes.load(Ordering::Relaxed) > 0 || self.is_blocked();
        if taken != self.taken_bytes || !owes {
            (self.taken_bytes, self.stalled_boot_ms) = (taken, None);
        } else if boot_ms.saturating_sub(*self.stalled_boot_ms.get_or_insert(boot_ms)) >= STALLED_MS_MAX {
            let message = format!("nothing of what was pushed was taken for {} s", STALLED_MS_MAX / 1_000);
            debug!(peer = %self.connection.remote_address(), "connection closed: {message}");
            self.connection.close(close_code(ErrorCode::LimitExceeded), message.as_bytes());
        }
        if owes {
            let under_way = usize::try_from(self.connection.stats().path.cwnd).unwrap_or(WINDOW_BYTES_MAX);
            self.window_bytes = (2 * under_way).clamp(WINDOW_BYTES_LEAST, WINDOW_BYTES_MAX).min(fair);
        }
        // A peer that does not let streams be opened says nothing when it does.
        self.send_waiting();
    }
}

impl PushStream {
    /// Gives QUIC what waits, as far as it takes it. A connection that is lost takes everything.
    fn send(&mut self, connection: &Connection, waker: &Waker) {
        let mut cx = Context::from_waker(waker);
        if self.send.is_none() && !self.waiting.is_empty() {
            match pin!(connection.open_uni()).poll(&mut cx) {
                Poll::Ready(Ok(send)) => {
                    let _ = send.set_priority(PUSH_PRIORITY);
                    self.send = Some(send);
                }
                Poll::Ready(Err(_)) => return self.waiting.clear(),
                Poll::Pending => return,
            }
        }
        let Some(send) = &mut self.send else { return };
        while !self.waiting.is_empty() {
            let written = pin!(send.write_chunks(self.waiting.make_contiguous())).poll(&mut cx);
            match written {
                Poll::Ready(Ok(written)) => drop(self.waiting.drain(..written.chunks)),
                Poll::Ready(Err(_)) => self.waiting.clear(),
                Poll::Pending => return,
            }
        }
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        let bytes = self.bytes.len();
        self.held.taken.fetch_add(bytes, Ordering::Relaxed);
        self.held.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.held.is_awaited.swap(false, Ordering::AcqRel) {
            self.held.inbox.push(Arrival::Writable { peer: self.held.peer });
        }
    }
}

/// Wakes the lane for one peer.
struct Writable(Arc<Held>);

impl Wake for Writable {
    fn wake(self: Arc<Self>) {
        self.0.inbox.push(Arrival::Writable { peer: self.0.peer });
    }
}
