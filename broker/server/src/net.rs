//! The native face: QUIC connections, their streams, and the frames on them.
//!
//! ```text
//!   endpoint ─► connection ─► Hello ─► admitted ─┬► put stream: frames ─► batches ─► the lane's inbox
//!                                                ├► subscription stream: frames ─► the lane's inbox
//!                                                └► request: frame ─► dispatch ─► reply
//! ```
//!
//! What must hold: nothing of a peer is believed before its Hello is proved, and until then it has one
//! stream, 16 KiB and 5 s; every declared length is compared with its limit before memory is taken for
//! it; what goes wrong on one connection is that connection's end and nobody else's.

mod connection;
mod dispatch;
mod frames;
mod put_stream;
mod reading;
mod share;
mod subscription_stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::HELLO_MS_MAX;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::blocks::Blocks;
use crate::catalog::Catalog;
use crate::identity::BrokerIdentity;
use crate::lane::Inbox;
use crate::streams::Streams;

/// What every connection works with.
pub(crate) struct Net {
    pub(crate) identity: BrokerIdentity,
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) inbox: Inbox,
    pub(crate) blocks: Blocks,
    pub(crate) directory_id: u64,
    pub(crate) lanes: u16,
    /// Any credential will do: for trying things out on loopback.
    pub(crate) dev: bool,
    pub(crate) put_streams: AtomicU64,
    /// Subscription streams so far.
    pub(crate) peers: AtomicU64,
    /// Held while a stream is created or deleted, so that the lane hears of both in the catalog's order.
    pub(crate) changes: Mutex<()>,
    /// Bytes of batches that reads may hold at once, in KiB.
    pub(crate) read_memory: Semaphore,
}

impl Net {
    /// A number for a subscription stream that no other has.
    fn new_peer(&self) -> u64 {
        self.peers.fetch_add(1, Ordering::Relaxed)
    }
}

/// KiB of batches that all reads of a lane may hold at once.
pub(crate) const READ_MEMORY_KIB: usize = 256 << 10;

/// Takes connections until the endpoint is closed.
pub(crate) async fn accept(endpoint: Endpoint, net: Arc<Net>) {
    while let Some(incoming) = endpoint.accept().await {
        // Under load a peer proves first that it is where it says, which costs the broker no memory.
        if endpoint.open_connections() >= RETRY_ABOVE_CONNECTIONS && !incoming.remote_address_validated() {
            drop(incoming.retry());
            continue;
        }
        if endpoint.open_connections() >= CONNECTIONS_MAX {
            incoming.refuse();
            continue;
        }
        let net = Arc::clone(&net);
        tokio::spawn(async move {
            // A handshake takes no longer than a Hello may.
            let handshake = timeout(Duration::from_millis(HELLO_MS_MAX), incoming);
            if let Ok(Ok(connection)) = handshake.await {
                connection::serve(connection, net).await;
            }
        });
    }
}

/// What a client is told whose request the lane did not live to answer.
fn stopping() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, 1_000, "the broker is stopping; connect again")
}

/// The QUIC close code of an error.
pub(crate) fn close_code(code: ErrorCode) -> VarInt {
    VarInt::from_u32(code.number().into())
}

/// Most connections of a lane.
const CONNECTIONS_MAX: usize = 4_096;
/// With more connections than this, a new peer's address is proved first.
const RETRY_ABOVE_CONNECTIONS: usize = 512;
