//! The bare target: the parts of rheos with no rheos between them.
//!
//! A process of its own on one core: rheos's QUIC settings, a tokio-uring runtime, a commit ring, a
//! pre-written file. It checks nothing and keeps no log. What a client opens is a bidirectional
//! stream, whose first byte says what it is for:
//!
//! ```text
//! e  echo   every 128 bytes come back
//! u  up     bytes are counted until the stream ends; then the count comes back, u64
//! d  down   u64 count; so many bytes come back
//! p  put    frames: u32 payload length, payload; for each frame REPLY_BYTES come back once it is on disk
//! s  push   an empty frame comes back, then each frame that is put from then on, once it is on the disk
//! r  read   u64 offset, u64 count; so many bytes of the file come back, read with O_DIRECT
//! ```
//!
//! Numbers are little-endian. A put's first 8 bytes may be the number of its first record ([`crate::load`]),
//! which the target does not look at.

pub(crate) mod client;
pub(crate) mod commit;
pub(crate) mod http;
pub(crate) mod push;
pub(crate) mod target;

/// What a stream is for: its first byte.
pub(crate) const ECHO: u8 = b'e';
pub(crate) const UP: u8 = b'u';
pub(crate) const DOWN: u8 = b'd';
pub(crate) const PUT: u8 = b'p';
pub(crate) const SUBSCRIBE: u8 = b's';
pub(crate) const READ: u8 = b'r';

/// Size of a message of the echo.
pub(crate) const ECHO_BYTES: usize = 128;
/// Size of the reply to a put frame, about that of a broker's acknowledgement.
pub(crate) const REPLY_BYTES: usize = 32;
/// Largest payload of a put frame.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of the length that begins a put frame.
pub(crate) const LENGTH_BYTES: usize = 4;
/// Bytes of the number at the front of a numbered put.
pub(crate) const NUMBER_BYTES: usize = 8;
/// The name in the target's certificate.
pub(crate) const SERVER_NAME: &str = "rheos";
