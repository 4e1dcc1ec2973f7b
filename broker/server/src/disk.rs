//! The disk side of a lane: block-aligned buffers and the rings that carry commits and reads.
//!
//! [`AlignedBuffer`] is memory that `O_DIRECT` accepts; [`CommitRing`] hands such a buffer to the
//! kernel in the turn that filled it and tells when it is on the disk; [`ReadRing`] reads in the same
//! way; [`RingWait`] wakes the lane's task for either. Everything here belongs to
//! one lane thread. Nothing here decides what is written where, opens a file, or retries a write:
//! the outcome is reported as it is and the caller, who knows the log, draws the conclusion.

mod buffer;
mod ring;
mod wait;

pub use buffer::{AlignedBuffer, BLOCK_BYTES, BufferPool, POOLED_BYTES_MAX};
pub use ring::{CommitRing, ENTRIES_MAX, ReadDone, ReadRing, Ring, WriteDone};
pub use wait::RingWait;
pub(crate) use wait::watch_readable;
