//! The way to one connection of subscribers, or to somebody on another thread: what was pushed and is still held.
//!
//! What must hold: what is pushed arrives whole and in order; bytes are charged from when they are handed on until
//! nobody holds them any more; whoever waits for room hears of it.

mod quic;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use quinn::Connection;
use rheos_core::fanout::SubscriptionId;
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::message::{Push, PushEnd, Reply};
use tokio::sync::mpsc::UnboundedSender;

use crate::lane::inbox::{Arrival, Inbox};
use quic::QuicPushes;

/// The least that a connection may have been given and not acknowledged; and what one starts with.
pub(super) const WINDOW_BYTES_LEAST: usize = 64 << 10;
const WINDOW_BYTES_FIRST: usize = 1 << 20;
/// The most.
const WINDOW_BYTES_MAX: usize = 8 << 20;
/// A connection that takes nothing for this long is closed.
const STALLED_MS_MAX: u64 = 10_000;

/// Where what is pushed goes.
#[derive(Debug)]
pub(crate) enum PushWay {
    /// Over a connection of this lane, or of another.
    Connection { connection: Connection, is_own: bool },
    /// To a task on another thread. What waits there is bounded by the credit that it gives, and by the window.
    Apart(UnboundedSender<PushedApart>),
}

/// What is pushed to another thread.
#[derive(Debug)]
pub(crate) enum PushedApart {
    /// Batches, whole and as they are stored; their bytes are charged until they are dropped.
    Batches { fields: Push, batches: Vec<Bytes> },
    /// The last that comes.
    End(PushEnd),
}

/// A connection with subscriptions.
pub(super) struct Path {
    /// Its subscription streams.
    pub(super) peers: BTreeSet<u64>,
    carrier: Carrier,
    held: Arc<Held>,
    window_bytes: usize,
    /// What it had taken when that was last looked at.
    taken_bytes: usize,
    /// Since when it owes and has taken nothing more.
    stalled_boot_ms: Option<u64>,
}

enum Carrier {
    Quic(QuicPushes),
    Apart(UnboundedSender<PushedApart>),
}

/// What is held of pushes to one connection.
struct Held {
    bytes: AtomicUsize,
    /// Bytes that were let go so far; it may wrap.
    taken: AtomicUsize,
    /// The lane waits for room.
    is_awaited: AtomicBool,
    path: u64,
    inbox: Inbox,
}

/// Bytes of a push, charged to a connection until nobody holds them.
struct Charged {
    bytes: Bytes,
    held: Arc<Held>,
}

impl Path {
    /// The way that has this number.
    pub(super) fn new(number: u64, way: PushWay, inbox: Inbox) -> Path {
        let held = Arc::new(Held {
            bytes: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            path: number,
            inbox,
        });
        let waker = Waker::from(Arc::new(Writable(Arc::clone(&held))));
        let (carrier, window_bytes) = match way {
            PushWay::Connection { connection, is_own } => {
                (Carrier::Quic(QuicPushes::new(connection, is_own, waker)), WINDOW_BYTES_FIRST)
            }
            PushWay::Apart(sender) => (Carrier::Apart(sender), WINDOW_BYTES_MAX),
        };
        Path { peers: BTreeSet::new(), carrier, held, window_bytes, taken_bytes: 0, stalled_boot_ms: None }
    }

    /// The same bytes, charged to this connection until nobody holds them.
    fn charge(&self, bytes: Bytes) -> Bytes {
        self.held.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Charged { bytes, held: Arc::clone(&self.held) })
    }

    /// Bytes it may be given now. When there are none, [`Arrival::Writable`] comes when there are.
    pub(super) fn room(&self) -> usize {
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

    /// Bytes that it was given and that are still held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes.load(Ordering::Relaxed)
    }

    /// Whether something that it was given waits to be handed on.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&self.carrier, Carrier::Quic(pushes) if pushes.is_blocked())
    }

    /// Pushes batches of a shard to a subscription.
    pub(super) fn push(&mut self, id: SubscriptionId, shard: u32, fields: Push, batches: Vec<Bytes>) {
        let batches = batches.into_iter().map(|batch| self.charge(batch)).collect();
        match &mut self.carrier {
            Carrier::Quic(pushes) => pushes.send(shard, frames(id, &fields, batches)),
            // Whoever has gone says so in its turn.
            Carrier::Apart(sender) => drop(sender.send(PushedApart::Batches { fields, batches })),
        }
    }

    /// Says that a subscription has ended.
    pub(super) fn end(&mut self, id: SubscriptionId, shard: u32, end: PushEnd) {
        match &mut self.carrier {
            Carrier::Quic(pushes) => {
                let mut out = BytesMut::new();
                Reply::PushEnd(end).write(id.id, &mut out);
                pushes.send(shard, vec![out.freeze()]);
            }
            Carrier::Apart(sender) => drop(sender.send(PushedApart::End(end))),
        }
    }

    /// Hands on what waits. False when something still does.
    pub(super) fn send_waiting(&mut self) -> bool {
        if let Carrier::Quic(pushes) = &mut self.carrier {
            pushes.send_waiting();
        }
        !self.is_blocked()
    }

    /// Time has passed: the window follows the path, and a connection that takes nothing is closed. Who is on
    /// another thread looks after its own.
    pub(super) fn follow(&mut self, boot_ms: u64, fair: usize) {
        let owes = self.held.bytes.load(Ordering::Relaxed) > 0 || self.is_blocked();
        let Carrier::Quic(pushes) = &mut self.carrier else {
            self.window_bytes = WINDOW_BYTES_MAX.min(fair);
            return;
        };
        let taken = self.held.taken.load(Ordering::Relaxed);
        if taken != self.taken_bytes || !owes {
            (self.taken_bytes, self.stalled_boot_ms) = (taken, None);
        } else if boot_ms.saturating_sub(*self.stalled_boot_ms.get_or_insert(boot_ms)) >= STALLED_MS_MAX {
            pushes.close(&format!("nothing of what was pushed was taken for {} s", STALLED_MS_MAX / 1_000));
        }
        if owes {
            let wanted = pushes.under_way_bytes().map_or(WINDOW_BYTES_MAX, |under_way| 2 * under_way);
            self.window_bytes = wanted.clamp(WINDOW_BYTES_LEAST, WINDOW_BYTES_MAX).min(fair);
        }
        // A peer that does not let streams be opened says nothing when it does.
        pushes.send_waiting();
    }
}

/// A push as it stands on its stream.
fn frames(id: SubscriptionId, fields: &Push, batches: Vec<Bytes>) -> Vec<Bytes> {
    let mut payload = BytesMut::with_capacity(32);
    fields.encode_fields(&mut payload);
    let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
    let len = (payload.len() + batches.iter().map(Bytes::len).sum::<usize>()) as u32;
    FrameHeader { len, kind: kind::PUSH, id: id.id }.encode(&mut head);
    head.put_slice(&payload);
    std::iter::once(head.freeze()).chain(batches).collect()
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
            self.held.inbox.push(Arrival::Writable { path: self.held.path });
        }
    }
}

/// Wakes the lane for one connection.
struct Writable(Arc<Held>);

impl Wake for Writable {
    fn wake(self: Arc<Self>) {
        self.0.inbox.push(Arrival::Writable { path: self.0.path });
    }
}
