//! Every bound of the HTTP service in one place; those of a request's body are in `intake.rs`, with what
//! happens at each.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::crowd::Silence;
use super::intake::Pace;

/// What a peer may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most connections at once.
    pub(super) connections: usize,
    /// How long a connection may ask for nothing.
    pub(super) silence: Silence,
    /// The first byte, and the rest of a TLS handshake, may each take so long.
    pub(super) handshake: Duration,
    /// How slowly the body of a request may come.
    pub(super) pace: Pace,
    /// A peer that takes nothing of what waits for it for so long is given up.
    pub(super) stalled: Duration,
}

impl Bounds {
    /// Those of a broker.
    pub(super) fn of_broker() -> Bounds {
        let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Bounds { connections: CONNECTIONS_MAX.min((open_files / 4) as usize).max(1), ..BOUNDS }
    }
}

const BOUNDS: Bounds = Bounds {
    connections: CONNECTIONS_MAX,
    // The head of a request counts as silence. Pools of SDKs keep a connection for a minute after its last request.
    silence: Silence { before_max: Duration::from_secs(10), between_max: Duration::from_secs(90) },
    handshake: Duration::from_secs(5),
    pace: Pace { grace: Duration::from_secs(10), bytes_per_second_min: 64 << 10 },
    stalled: Duration::from_secs(30),
};

/// Most connections, where a quarter of the files that this process may open is as many.
const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of the head of a request over HTTP/1.1; so much of a body is also read or written at once.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of the head of a request over HTTP/2, unpacked.
pub(super) const HEAD_LIST_BYTES_MAX: u32 = 16 << 10;
/// Most requests of one HTTP/2 connection at once: a consumer subscribes to each shard with one.
pub(super) const STREAMS_MAX: u32 = 128;
/// Bytes of one body that a peer may send ahead on HTTP/2. A body that comes from 20 ms away is not held up below
/// 25 MiB/s by it.
pub(super) const STREAM_WINDOW_BYTES: u32 = 512 << 10;
/// Bytes of all bodies that a peer may send ahead on one HTTP/2 connection.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes of an answer that wait in a stream of HTTP/2 before its body is asked for more.
pub(super) const STREAM_SEND_BYTES_MAX: usize = 64 << 10;
/// Requests of one HTTP/2 connection that were taken back before they were looked at, and errors that this side
/// ended streams for; one more ends the connection.
pub(super) const RESETS_MAX: usize = 64;
/// A connection that is told to end may finish what it does for so long.
pub(super) const GOODBYE_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(CONNECTION_WINDOW_BYTES >= 2 * STREAM_WINDOW_BYTES);
