//! The rings: one lane's own way to the disk, submitted at once and reaped in every turn.
//!
//! tokio-uring gives its submissions to the kernel only when its runtime parks, and a busy runtime
//! never parks. A commit must not wait for that, so it goes through a [`CommitRing`], whose `write`
//! enters the kernel before it returns; [`Ring::has_completions`] costs two loads. Reads that feed a
//! busy connection have a [`ReadRing`] of their own for the same reason: through tokio-uring they
//! would never overlap with the sending.
//!
//! What must hold:
//! - a buffer and its file belong to the ring from `write` or `read` until the completion has been
//!   reaped;
//!   dropping the ring waits for what is in flight, and if that cannot be done it leaks the memory
//!   rather than free what the kernel may still read;
//! - at most `entries` operations are in flight, so neither queue of the ring can overflow;
//! - one thread: every call comes from the thread that made the ring, which is what SINGLE_ISSUER
//!   promises the kernel. The ring is `Send` all the same, so that a lane's task can stand in the
//!   same queue as quinn's, which tokio keeps for `Send` tasks; each operation asserts the thread.
//!
//! It never retries, completes or judges a short operation, and never sets DEFER_TASKRUN: completions
//! must arrive also when the thread enters the kernel for other reasons.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::thread::{self, ThreadId, sleep};
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::{EnterFlags, IoUring, opcode, types};
use rustix::io::Errno;

use super::buffer::{AlignedBuffer, BLOCK_BYTES};

/// Most operations that one ring may be made for.
pub const ENTRIES_MAX: u32 = 256;

/// The ring of a lane's commits. What it shares with other rings is in [`Ring`], to which it derefs.
pub struct CommitRing(Ring);

/// How a write ended.
#[derive(Debug)]
pub struct WriteDone {
    /// What the caller gave to [`CommitRing::write`].
    pub token: u64,
    /// The buffer, given back.
    pub buffer: AlignedBuffer,
    /// How many bytes were written. Fewer than the buffer holds is a short write: what is on the
    /// disk then is indeterminate, as after an error.
    pub written: io::Result<usize>,
}

impl CommitRing {
    /// A ring for at most `entries` writes in flight: a power of two, up to [`ENTRIES_MAX`].
    ///
    /// # Errors
    ///
    /// What the kernel says, and where io_uring is denied, by whom it usually is and what to do.
    pub fn new(entries: u32) -> io::Result<Self> {
        Ring::new(entries).map(Self)
    }

    /// Writes the filled part of `buffer` at `offset` of `file` and hands it to the kernel now.
    ///
    /// The outcome comes from [`reap`](Self::reap), also when the kernel refuses the submission. On
    /// a file opened with `O_DIRECT | O_DSYNC`, a completion of the full length is durability.
    ///
    /// Asserts that offset and length are whole blocks, and that fewer than `entries` writes are in
    /// flight.
    pub fn write(&mut self, token: u64, file: &Arc<File>, offset: u64, buffer: AlignedBuffer) {
        assert!(!buffer.is_empty() && buffer.len().is_multiple_of(BLOCK_BYTES), "a write of {} bytes", buffer.len());
        let length = u32::try_from(buffer.len()).expect("a commit is smaller than 4 GiB");
        let entry = opcode::Write::new(types::Fd(file.as_raw_fd()), buffer.as_ptr(), length);
        self.0.start(entry.offset(offset).build(), offset, InFlight { token, buffer, _file: Arc::clone(file) });
    }

    /// Appends what has ended since the last call to `out`, in no particular order. Never blocks.
    pub fn reap(&mut self, out: &mut Vec<WriteDone>) {
        self.0.reap_each(|InFlight { token, buffer, .. }, written| out.push(WriteDone { token, buffer, written }));
    }

    /// Waits until nothing is in flight and appends every end to `out`. Blocks the thread for as
    /// long as the disk takes: for a shutdown, never in a turn.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to wait; what is in flight then stays the ring's.
    pub fn drain(&mut self, out: &mut Vec<WriteDone>) -> io::Result<()> {
        self.0.drain_each(|InFlight { token, buffer, .. }, written| out.push(WriteDone { token, buffer, written }))
    }
}

/// A ring for reads behind the tail. What it shares with other rings is in [`Ring`], to which it derefs.
pub struct ReadRing(Ring);

/// How a read ended.
#[derive(Debug)]
pub struct ReadDone {
    /// What the caller gave to [`ReadRing::read`].
    pub token: u64,
    /// The buffer, with the bytes that were read behind what it held; after an error, without.
    pub buffer: AlignedBuffer,
    /// Nothing, or why nothing was read. Fewer bytes than asked for are no error: at the end of a
    /// file that is all there is.
    pub outcome: io::Result<()>,
}

impl ReadRing {
    /// A ring for at most `entries` reads in flight; as [`CommitRing::new`].
    ///
    /// # Errors
    ///
    /// As [`CommitRing::new`].
    pub fn new(entries: u32) -> io::Result<Self> {
        Ring::new(entries).map(Self)
    }

    /// Reads `length` bytes from `offset` of `file` into `buffer`, from its beginning, and hands this
    /// to the kernel now. What the buffer held is forgotten.
    ///
    /// Asserts that offset and length are whole blocks, that the buffer has room for them, and that
    /// fewer than `entries` reads are in flight.
    pub fn read(&mut self, token: u64, file: &Arc<File>, offset: u64, mut buffer: AlignedBuffer, length: usize) {
        buffer.clear();
        self.read_on(token, file, offset, buffer, length);
    }

    /// The same behind what the buffer holds, which is whole blocks.
    pub fn read_on(&mut self, token: u64, file: &Arc<File>, offset: u64, mut buffer: AlignedBuffer, length: usize) {
        assert!(length > 0 && length.is_multiple_of(BLOCK_BYTES), "a read of {length} bytes");
        assert!(length <= buffer.remaining(), "a read of {length} bytes into {}", buffer.remaining());
        assert!(buffer.len().is_multiple_of(BLOCK_BYTES), "a read behind {} bytes", buffer.len());
        let length = u32::try_from(length).expect("a read is smaller than 4 GiB");
        let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.spare_mut_ptr(), length);
        self.0.start(entry.offset(offset).build(), offset, InFlight { token, buffer, _file: Arc::clone(file) });
    }

    /// Appends what has ended since the last call to `out`, in no particular order. Never blocks.
    pub fn reap(&mut self, out: &mut Vec<ReadDone>) {
        self.0.reap_each(|InFlight { token, mut buffer, .. }, read| {
            let outcome = read.map(|count| buffer.mark_filled(buffer.len() + count));
            out.push(ReadDone { token, buffer, outcome });
        });
    }
}

/// What every ring of a lane can do: say whether something has ended, and wake an idle thread.
pub struct Ring {
    ring: IoUring,
    /// One slot for each operation the kernel may hold; its index is the entry's user data.
    slots: Vec<Option<InFlight>>,
    free: Vec<usize>,
    /// Operations that the kernel did not accept, to be reported by the next reaping.
    refused: Vec<(InFlight, Errno)>,
    /// Why the kernel accepts nothing more. From then on nothing is offered to it.
    broken: Option<Errno>,
    thread: ThreadId,
}

struct InFlight {
    token: u64,
    buffer: AlignedBuffer,
    /// Held so that the descriptor stays open, and stays this file, until the completion.
    _file: Arc<File>,
}

impl Ring {
    /// Whether it is time to reap. No system call.
    ///
    /// Reaping may then find nothing: the kernel also asks to be entered for housekeeping, after a
    /// write that it had to hand to a thread of its own.
    pub fn has_completions(&mut self) -> bool {
        !self.refused.is_empty() || self.ring.submission().taskrun() || !self.ring.completion().is_empty()
    }

    /// Operations handed over whose end has not been reaped yet.
    pub fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len() + self.refused.len()
    }

    fn new(entries: u32) -> io::Result<Self> {
        assert!(entries.is_power_of_two() && entries <= ENTRIES_MAX, "{entries} entries");
        let ring = build(entries).map_err(explain)?;
        Ok(Self {
            ring,
            slots: (0..entries).map(|_| None).collect(),
            free: (0..entries as usize).rev().collect(),
            refused: Vec::new(),
            broken: None,
            thread: thread::current().id(),
        })
    }

    /// Hands `entry`, which refers to the buffer and the file of `operation`, to the kernel.
    fn start(&mut self, entry: Entry, offset: u64, operation: InFlight) {
        assert!(offset.is_multiple_of(BLOCK_BYTES as u64), "an operation at {offset}");
        assert!(self.thread == thread::current().id(), "an operation from a thread that does not own the ring");
        assert!(self.in_flight() < self.slots.len(), "more than {} operations in flight", self.slots.len());
        if let Some(errno) = self.broken {
            self.refused.push((operation, errno));
            return;
        }

        let slot = self.free.pop().expect("fewer are in flight than there are slots");
        self.slots[slot] = Some(operation);
        // SAFETY: the slot keeps the buffer, whose heap address does not change and which nobody
        // else can reach, and the open file until the completion of this entry is reaped, or until
        // the kernel has refused the entry.
        let pushed = unsafe { self.ring.submission().push(&entry.user_data(slot as u64)) };
        pushed.expect("every earlier entry was taken by the kernel when it was pushed");
        if let Err(errno) = self.submit() {
            // The kernel takes entries only when told to in `submit`, which is not called again.
            self.broken = Some(errno);
            self.refused.push((release(&mut self.slots, &mut self.free, slot), errno));
        }
    }

    fn reap_each(&mut self, mut ended: impl FnMut(InFlight, io::Result<usize>)) {
        for (operation, errno) in self.refused.drain(..) {
            ended(operation, Err(errno.into()));
        }
        if self.ring.submission().taskrun() {
            // The kernel has completions to post and waits for this thread to enter it. Should this
            // fail, the flag stays and the next turn tries again.
            let _ = self.enter(0);
        }
        for entry in self.ring.completion() {
            let slot = usize::try_from(entry.user_data()).expect("user data is a slot");
            let operation = release(&mut self.slots, &mut self.free, slot);
            match entry.result() {
                error if error < 0 => ended(operation, Err(io::Error::from_raw_os_error(-error))),
                count => ended(operation, Ok(count as usize)),
            }
        }
    }

    fn drain_each(&mut self, mut ended: impl FnMut(InFlight, io::Result<usize>)) -> io::Result<()> {
        self.reap_each(&mut ended);
        while self.in_flight() > 0 {
            match self.enter(1) {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::BUSY) => sleep(SUBMIT_PAUSE),
                Err(errno) => return Err(errno.into()),
            }
            self.reap_each(&mut ended);
        }
        Ok(())
    }

    /// Makes the kernel take the one entry that has been pushed.
    fn submit(&mut self) -> Result<(), Errno> {
        let mut last = Errno::AGAIN;
        for _ in 0..SUBMIT_ATTEMPTS {
            match self.ring.submit() {
                Ok(0) => sleep(SUBMIT_PAUSE),
                Ok(_) => return Ok(()),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    // The kernel is short of memory for the moment.
                    Some(errno @ (Errno::AGAIN | Errno::BUSY | Errno::NOMEM)) => {
                        last = errno;
                        sleep(SUBMIT_PAUSE);
                    }
                    Some(errno) => return Err(errno),
                    None => return Err(Errno::IO),
                },
            }
        }
        Err(last)
    }

    /// Lets the kernel post completions, and waits until `least` are there. Submits nothing.
    fn enter(&self, least: u32) -> Result<(), Errno> {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: nothing is submitted and no argument is passed, so the kernel is given no memory
        // beyond the ring's own.
        let entered = unsafe { self.ring.submitter().enter::<()>(0, least, flags, None) };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}

impl AsFd for Ring {
    /// The ring's descriptor: readable when completions wait, so that it can wake an idle thread.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.drain_each(|_, _| {}).is_err() {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

impl Deref for CommitRing {
    type Target = Ring;

    fn deref(&self) -> &Ring {
        &self.0
    }
}

impl DerefMut for CommitRing {
    fn deref_mut(&mut self) -> &mut Ring {
        &mut self.0
    }
}

impl Deref for ReadRing {
    type Target = Ring;

    fn deref(&self) -> &Ring {
        &self.0
    }
}

impl DerefMut for ReadRing {
    fn deref_mut(&mut self) -> &mut Ring {
        &mut self.0
    }
}

/// Empties a slot. Apart from `self`, because the completion queue is borrowed while slots are emptied.
fn release(slots: &mut [Option<InFlight>], free: &mut Vec<usize>, slot: usize) -> InFlight {
    free.push(slot);
    slots[slot].take().expect("a completion belongs to a write in flight")
}

/// Makes the ring with the best flags that this kernel knows.
///
/// SINGLE_ISSUER (Linux 6.0) and COOP_TASKRUN (5.19) save interrupts of a thread that enters the
/// kernel all the time anyway; TASKRUN_FLAG shows without a system call that it should.
fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_coop_taskrun().setup_taskrun_flag();
    let cooperative = builder.clone();
    builder.setup_single_issuer();
    for attempt in [builder, cooperative] {
        match attempt.build(entries) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {}
            outcome => return outcome,
        }
    }
    IoUring::new(entries)
}

fn explain(error: io::Error) -> io::Error {
    let why = match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "io_uring is denied to this process: the seccomp profile of a container denies it by default (allow \
             io_uring_setup, io_uring_enter and io_uring_register, for docker: --security-opt seccomp=PROFILE), or \
             the sysctl kernel.io_uring_disabled is not 0 (set it with: sysctl kernel.io_uring_disabled=0)"
        }
        Some(Errno::NOSYS) => {
            "this kernel has no io_uring, or a container's seccomp profile hides it: Linux 5.19 or newer is needed, \
             and a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
        }
        Some(Errno::MFILE | Errno::NFILE) => "no file descriptor is left for the ring: raise ulimit -n",
        Some(Errno::NOMEM) => "the kernel has no memory for the ring: free some, or raise ulimit -l",
        _ => "the ring could not be set up",
    };
    io::Error::new(error.kind(), format!("{why} ({error})"))
}

/// How often a submission is offered to a kernel that is short of memory, before the ring gives up.
const SUBMIT_ATTEMPTS: u32 = 200;
const SUBMIT_PAUSE: Duration = Duration::from_micros(100);

const _: () = assert!(ENTRIES_MAX.is_power_of_two());

#[cfg(test)]
mod tests;
