//! The mesh: what lanes ask of each other.
//!
//! ```text
//!   asking lane                                        owning lane
//!     put ──► ask ─────────── asked (bounded) ──────────► Log::step
//!     reply ◄─ answers (bounded, a slot reserved) ◄────── outcome
//!     read ─► ask ─────────── asked (bounded) ──────────► begun; the answer has a channel of its own
//! ```
//!
//! What must hold: a lane never waits for another; what finds a queue full is refused with a wait; an
//! answer always finds room, because a lane never has more puts outstanding than its queue of answers
//! holds; what one lane asks of another arrives in the order in which it was asked.
//!
//! Nothing here looks at a request, and nothing is retried. A broker of one lane has no mesh.

mod doorbell;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use crossbeam::queue::ArrayQueue;
use rheos_core::limits::LANES_MAX;
use rheos_core::log::Acked;
use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Read;
use rustix::event::{EventfdFlags, eventfd};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::disk::watch_readable;
use crate::lane::{Reading, Subscribing};
use doorbell::Doorbell;

/// What the doorbell is made of; its test gives it others.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

use sync::Ordering;

/// Most requests that wait for a lane.
const ASKED_MAX: usize = 1 << 10;
/// Most bytes of puts that wait for a lane, of all others.
const ASKED_BYTES_MAX: usize = 64 << 20;
/// Most puts of a lane that others have not answered, or whose answers it has not taken.
const OUTSTANDING_MAX: usize = 4 << 10;
/// Wait that is told when the way to a lane is full, in ms.
const BUSY_RETRY_MS: u32 = 20;

/// Something that is asked of a lane.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Put a batch; answered with [`Answer`].
    Put { asker: Asker, batch: PutBatch },
    /// Begin to read a shard. The lane's blocks then perform it.
    Read { read: Read, reply: oneshot::Sender<Result<Reading, WireError>> },
    /// Something of a subscription stream; what is answered has its place there. What is pushed goes to the
    /// client's connection from the owning lane.
    Subscribing(Subscribing),
}

/// The answer to a put.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What the asking lane has called it.
    pub(crate) token: u64,
    pub(crate) outcome: Result<Acked, WireError>,
}

/// Who is to be answered: a lane, and what it calls its put. The owning lane keeps nothing of it but
/// the token that its log is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) lane: u16,
    pub(crate) token: u64,
}

impl Asker {
    /// As a log's token. A lane's own tokens count its unanswered puts and never come near.
    pub(crate) fn to_log_token(self) -> u64 {
        assert!(self.token < 1 << LANE_SHIFT, "a lane's own tokens are small");
        OF_ANOTHER | u64::from(self.lane) << LANE_SHIFT | self.token
    }

    /// Who asked; `None` for a put of the lane's own.
    pub(crate) fn of_log_token(token: u64) -> Option<Asker> {
        let lane = (token >> LANE_SHIFT) as u16 & (LANES_MAX - 1);
        (token & OF_ANOTHER != 0).then_some(Asker { lane, token: token & ((1 << LANE_SHIFT) - 1) })
    }
}

/// All lanes, as each of them sees the others; every clone is the same mesh.
#[derive(Debug, Clone)]
pub(crate) struct Mesh(Arc<Posts>);

#[derive(Debug)]
struct Posts {
    of_lanes: Vec<Post>,
    /// Lanes that have a log which has not stopped.
    unstopped: AtomicUsize,
}

/// What lies for one lane.
#[derive(Debug)]
struct Post {
    asked: ArrayQueue<Asked>,
    asked_bytes: AtomicUsize,
    answers: ArrayQueue<Answer>,
    bell: Doorbell,
    /// Wakes the lane when it sleeps.
    wake: OwnedFd,
}

impl Mesh {
    /// A mesh of so many lanes.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub(crate) fn new(lanes: u16) -> io::Result<Mesh> {
        let of_lanes = (0..lanes).map(|_| Post::new()).collect::<io::Result<_>>()?;
        Ok(Mesh(Arc::new(Posts { of_lanes, unstopped: AtomicUsize::new(lanes.into()) })))
    }

    /// Asks something of a lane, from any thread.
    ///
    /// # Errors
    ///
    /// `Busy` when the way to it is full; it was then not asked.
    pub(crate) fn ask(&self, lane: u16, asked: Asked) -> Result<(), WireError> {
        self.try_ask(lane, asked).map_err(|_| busy(lane))
    }

    /// As [`ask`](Self::ask), for what must not be lost: it comes back when the way is full.
    pub(crate) fn try_ask(&self, lane: u16, asked: Asked) -> Result<(), Asked> {
        let post = self.post(lane);
        let bytes = asked.bytes();
        let refused = match post.asked_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > ASKED_BYTES_MAX {
            true => Err(asked),
            false => post.asked.push(asked),
        };
        match refused {
            Ok(()) => post.ring(),
            Err(_) => drop(post.asked_bytes.fetch_sub(bytes, Ordering::Relaxed)),
        }
        refused
    }

    fn post(&self, lane: u16) -> &Post {
        &self.0.of_lanes[usize::from(lane)]
    }

    /// Every log of a lane has stopped, or it never came to have any. When it is the last lane, all are told.
    pub(crate) fn lane_has_stopped(&self) {
        // What the lane has answered is in the queues for whoever sees that none is left.
        if self.0.unstopped.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.of_lanes.iter().for_each(Post::ring);
        }
    }
}

impl Asked {
    fn bytes(&self) -> usize {
        match self {
            Asked::Put { batch, .. } => batch.total_len(),
            Asked::Read { .. } | Asked::Subscribing(_) => 0,
        }
    }
}

impl Post {
    fn new() -> io::Result<Post> {
        Ok(Post {
            asked: ArrayQueue::new(ASKED_MAX),
            asked_bytes: AtomicUsize::new(0),
            answers: ArrayQueue::new(OUTSTANDING_MAX),
            bell: Doorbell::new(),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    /// Wakes the lane if it sleeps.
    fn ring(&self) {
        if self.bell.ring() {
            // Its count would have to be at its end, and then the lane has been woken as well.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.answers.is_empty()
    }
}

/// A lane's own end of the mesh.
#[derive(Debug)]
pub(crate) struct MeshEnd {
    mesh: Mesh,
    lane: u16,
    /// Puts that were asked of others and whose answers have not been taken.
    outstanding: usize,
    woken: AsyncFd<OwnedFd>,
    /// Whether the others know that this lane has nothing more to stop.
    has_stopped: bool,
}

impl MeshEnd {
    /// The end of a lane. To be made inside its runtime.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub(crate) fn new(mesh: Mesh, lane: u16) -> io::Result<MeshEnd> {
        let descriptor = mesh.post(lane).wake.try_clone()?;
        let woken = watch_readable(descriptor)?;
        Ok(MeshEnd { mesh, lane, outstanding: 0, woken, has_stopped: false })
    }

    /// Asks another lane to put a batch. Its answer comes with this token.
    ///
    /// # Errors
    ///
    /// `Busy` when too much is under way already.
    pub(crate) fn put(&mut self, lane: u16, token: u64, batch: PutBatch) -> Result<(), WireError> {
        assert_ne!(lane, self.lane, "a lane asks itself nothing");
        if self.outstanding == OUTSTANDING_MAX {
            return Err(busy(lane));
        }
        let asker = Asker { lane: self.lane, token };
        self.mesh.ask(lane, Asked::Put { asker, batch })?;
        self.outstanding += 1;
        Ok(())
    }

    /// Answers a put of another lane.
    pub(crate) fn answer(&self, asker: Asker, outcome: Result<Acked, WireError>) {
        let post = self.mesh.post(asker.lane);
        let answered = post.answers.push(Answer { token: asker.token, outcome });
        assert!(answered.is_ok(), "lane {} has more puts outstanding than it has room for answers", asker.lane);
        post.ring();
    }

    /// The next thing that was asked of this lane.
    pub(crate) fn next_asked(&self) -> Option<Asked> {
        let asked = self.post().asked.pop()?;
        self.post().asked_bytes.fetch_sub(asked.bytes(), Ordering::Relaxed);
        Some(asked)
    }

    /// The next answer to a put of this lane.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        let answer = self.post().answers.pop()?;
        self.outstanding -= 1;
        Some(answer)
    }

    /// The lane is awake: others need not wake it.
    pub(crate) fn get_up(&self) {
        self.post().bell.get_up();
    }

    /// The lane has nothing to do. Pending when it may sleep: then the next that is left for it wakes it.
    pub(crate) fn lie_down(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever wrote before has been heard; written again after this it is ready again.
        while let Poll::Ready(ready) = self.woken.poll_read_ready(cx) {
            let mut ready = ready.expect("the runtime outlives its tasks");
            let _ = rustix::io::read(self.woken.get_ref(), &mut [0; 8]);
            ready.clear_ready();
        }
        self.post().bell.lie_down();
        if self.post().is_empty() && !self.all_stopped() {
            return Poll::Pending;
        }
        self.get_up();
        Poll::Ready(())
    }

    /// Every log of this lane has stopped.
    pub(crate) fn stopped(&mut self) {
        if !std::mem::replace(&mut self.has_stopped, true) {
            self.mesh.lane_has_stopped();
        }
    }

    /// Whether every log of every lane has stopped. What they have answered is then there.
    pub(crate) fn all_stopped(&self) -> bool {
        self.mesh.0.unstopped.load(Ordering::Acquire) == 0
    }

    fn post(&self) -> &Post {
        self.mesh.post(self.lane)
    }
}

fn busy(lane: u16) -> WireError {
    WireError::retry_after(
        ErrorCode::Busy,
        BUSY_RETRY_MS,
        format!("the way to lane {lane} is full; try again in a moment, or connect to that lane"),
    )
}

/// Marks a log's token as that of a put of another lane.
const OF_ANOTHER: u64 = 1 << 63;
/// Where the lane stands in such a token.
const LANE_SHIFT: u32 = 48;

const _: () = assert!(LANES_MAX.is_power_of_two() && (LANES_MAX as u64) << LANE_SHIFT < OF_ANOTHER);

#[cfg(test)]
mod tests;
