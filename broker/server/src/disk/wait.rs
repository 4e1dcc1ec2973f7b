//! Waiting for a ring inside a lane's task: awake while the lane is busy, asleep while it is not.
//!
//! tokio looks at file descriptors only between rounds of 61 task polls, which on a busy lane are
//! milliseconds apart. So while a write is in flight and other tasks run, the lane's task asks to be
//! polled again in its next turn and looks at the ring itself. When nothing ran between two polls
//! the lane is idle, and the ring's descriptor wakes it.
//!
//! What must hold, for this to keep a commit near the disk's own time on a busy lane:
//! - The task that polls this is spawned with `tokio::spawn`. The root future, and with it every
//!   task of tokio-uring's `LocalSet` (`spawn_local`), gets one turn for each 61 of the others:
//!   1.2 ms where they take 20 us each.
//! - The thread offers its core to the kernel in every such turn. An `O_DSYNC` write ends in a
//!   kernel worker on the core that took the disk's interrupt; if that is the lane's, the worker
//!   otherwise waits until the scheduler's tick takes the core from the lane: 4 ms.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::thread::sched_yield;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ring::Ring;

/// What wakes the task that owns a [`Ring`]. To be made inside the lane's runtime.
#[derive(Debug)]
pub struct RingWait {
    readiness: AsyncFd<OwnedFd>,
    /// When the last poll ended that found nothing.
    looked: Option<Instant>,
}

impl RingWait {
    /// Watches `ring`, of which it keeps a duplicate descriptor.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left, or the runtime has no I/O driver.
    pub fn new(ring: &Ring) -> io::Result<Self> {
        let descriptor = ring.as_fd().try_clone_to_owned()?;
        Ok(Self { readiness: watch_readable(descriptor)?, looked: None })
    }

    /// Ready when it is time to reap `ring`, where it may find nothing after all; else the task is
    /// woken again in time.
    ///
    /// With nothing in flight it is pending and wakes nobody: the task that writes is the task that
    /// polls this, after writing.
    pub fn poll(&mut self, ring: &mut Ring, cx: &mut Context<'_>) -> Poll<()> {
        let looked = self.looked.take();
        if ring.has_completions() {
            return Poll::Ready(());
        }
        if ring.in_flight() == 0 {
            return Poll::Pending;
        }
        while let Poll::Ready(readiness) = self.readiness.poll_read_ready(cx) {
            // Cleared before looking: what completes after the look makes it ready again.
            readiness.expect("the runtime outlives its tasks").clear_ready();
            if ring.has_completions() {
                return Poll::Ready(());
            }
        }
        let alone = looked.is_some_and(|at| at.elapsed() < ALONE_AT_MOST);
        if !alone {
            sched_yield();
            if ring.has_completions() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
        }
        self.looked = Some(Instant::now());
        Poll::Pending
    }
}

/// Has the runtime that this is called in say when a descriptor can be read.
///
/// # Errors
///
/// When the runtime has no I/O driver, or the system watches no more.
pub(crate) fn watch_readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` answers with the same descriptor for as long as it lives, and `AsyncFd`
    // owns it from here on; nothing takes it out again.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(io::Error::from)
}

/// Between two polls of the same task with no other work in between less time than this passes.
const ALONE_AT_MOST: Duration = Duration::from_micros(2);

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::future::poll_fn;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::Arc;

    use rustix::fs::OFlags;

    use super::super::{AlignedBuffer, BLOCK_BYTES, CommitRing, WriteDone};
    use super::*;

    /// A file that has no name, on the disk that holds the test binary.
    #[allow(clippy::disallowed_methods, reason = "the file of a test need not survive a crash")]
    fn scratch(name: &str) -> Arc<File> {
        let mut path = std::env::current_exe().expect("a test has a binary");
        path.set_file_name(format!("commit-wait-{name}-{}", std::process::id()));
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
        let file = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(&path);
        std::fs::remove_file(&path).expect("it was just made");
        Arc::new(file.expect("the file system takes O_DIRECT"))
    }

    async fn write_blocks(file: Arc<File>, count: u64) -> Vec<WriteDone> {
        let mut ring = CommitRing::new(8).expect("io_uring works here");
        let mut wait = RingWait::new(&ring).expect("a descriptor is free");
        let mut ends = Vec::new();
        for token in 0..count {
            let mut buffer = AlignedBuffer::with_capacity(BLOCK_BYTES);
            buffer.extend_zeroed(BLOCK_BYTES);
            ring.write(token, &file, token * BLOCK_BYTES as u64, buffer);
            while ends.len() as u64 == token {
                poll_fn(|cx| wait.poll(&mut ring, cx)).await;
                ring.reap(&mut ends);
            }
        }
        ends
    }

    fn assert_all_written(ends: Vec<WriteDone>) {
        assert_eq!(ends.iter().map(|done| done.token).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
        assert!(ends.iter().all(|done| matches!(done.written, Ok(BLOCK_BYTES))));
    }

    #[test]
    fn an_idle_lane_is_woken() {
        let file = scratch("idle");
        let ends = tokio_uring::start(async { tokio::spawn(write_blocks(file, 50)).await });
        assert_all_written(ends.expect("no panic"));
    }

    #[test]
    fn a_lane_that_never_parks_still_sees_its_commits() {
        let file = scratch("busy");
        let ends = tokio_uring::start(async {
            for _ in 0..3 {
                tokio::spawn(poll_fn::<(), _>(|cx| {
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_micros(20) {
                        std::hint::spin_loop();
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }));
            }
            tokio::spawn(write_blocks(file, 50)).await
        });
        assert_all_written(ends.expect("no panic"));
    }
}
