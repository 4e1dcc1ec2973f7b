//! The way to one connection of subscribers: its push streams, and what QUIC holds of what was pushed.
//!
//! What must hold: frames stand on their stream whole and in order; bytes are charged from when QUIC takes
//! them until it lets go; whoever waits for room hears of it.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use quinn::{Connection, SendStream};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::PUSH_STREAMS_MAX;
use tracing::debug;

use crate::lane::inbox::{Arrival, Inbox};
use crate::net::close_code;

/// The least that a connection may have been given and not acknowledged; and what one starts with.
pub(super) const WINDOW_BYTES_LEAST: usize = 64 << 10;
const WINDOW_BYTES_FIRST: usize = 1 << 20;
/// The most.
const WINDOW_BYTES_MAX: usize = 8 << 20;
/// A connection that takes nothing for this long is closed.
const STALLED_MS_MAX: u64 = 10_000;
/// Pushes give way to everything else on a connection.
const PUSH_PRIORITY: i32 = -1;

/// A connection with subscriptions.
pub(super) struct Path {
    /// Its subscription streams.
    pub(super) peers: BTreeSet<u64>,
    connection: Connection,
    /// One where the connection belongs to another lane, so that the lanes together open few.
    streams: Vec<PushStream>,
    held: Arc<Held>,
    /// Woken when it takes bytes again.
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

/// What QUIC holds of pushes to one connection.
struct Held {
    bytes: AtomicUsize,
    /// Bytes that were let go so far; it may wrap.
    taken: AtomicUsize,
    /// The lane waits for room.
    is_awaited: AtomicBool,
    path: u64,
    inbox: Inbox,
}

/// Bytes of a push, charged to a connection until QUIC lets go of them.
struct Charged {
    bytes: Bytes,
    held: Arc<Held>,
}

impl Path {
    /// The way to a connection of this lane, or of another.
    pub(super) fn new(number: u64, connection: Connection, is_own: bool, inbox: Inbox) -> Path {
        let held = Arc::new(Held {
            bytes: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            path: number,
            inbox,
        });
        let waker = Waker::from(Arc::new(Writable(Arc::clone(&held))));
        let streams = (0..if is_own { PUSH_STREAMS_MAX } else { 1 }).map(|_| PushStream::default()).collect();
        let (peers, window_bytes) = (BTreeSet::new(), WINDOW_BYTES_FIRST);
        Path { peers, connection, streams, held, waker, window_bytes, taken_bytes: 0, stalled_boot_ms: None }
    }

    /// The same bytes, charged to this connection until QUIC lets go of them.
    pub(super) fn charge(&self, bytes: Bytes) -> Bytes {
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

    /// Bytes that it was given and QUIC has not let go of.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.streams.iter().any(|stream| !stream.waiting.is_empty())
    }

    /// Gives pieces to the stream of a shard.
    pub(super) fn send(&mut self, shard: u32, pieces: impl IntoIterator<Item = Bytes>) {
        let count = self.streams.len();
        let stream = &mut self.streams[shard as usize % count];
        stream.waiting.extend(pieces);
        stream.send(&self.connection, &self.waker);
    }

    /// Gives QUIC what waits. False when something still does.
    pub(super) fn send_waiting(&mut self) -> bool {
        for stream in &mut self.streams {
            stream.send(&self.connection, &self.waker);
        }
        !self.is_blocked()
    }

    pub(super) fn follow(&mut self, boot_ms: u64, fair: usize) {
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
