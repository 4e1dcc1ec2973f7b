//! The native face: QUIC connections, their streams, and the frames on them.
//!
//! ```text
//!   endpoint ─► connection ─► Hello ─► admitted ─┬► put stream: frames ─► batches ─► the lane's inbox
//!                                                ├► subscription stream: frames ─► the lane's inbox
//!                                                └► request: frame ─► dispatch.rs ─► reply
//! ```
//!
//! What must hold: nothing of a peer is believed before its Hello is proved, and until then it has one
//! stream, 16 KiB and 5 s; every declared length is compared with its limit before memory is taken for
//! it; what goes wrong on one connection is that connection's end and nobody else's.

mod connection;
mod connections;
mod door;
mod frames;
mod metrics_reply;
mod put_stream;
mod reading;
mod request;
mod share;
mod subscription_stream;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::HELLO_MS_MAX;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::broker::Broker;
use crate::lane::Inbox;

pub(crate) use connections::{Connections, revoked};
pub(crate) use door::Door;
pub(crate) use usage::NetUse;

/// What every connection of a lane works with.
pub(crate) struct Net {
    pub(crate) broker: Arc<Broker>,
    /// Who is at the door of this lane.
    pub(crate) door: Door,
    /// The lane's own.
    pub(crate) inbox: Inbox,
    pub(crate) lane: u16,
    pub(crate) put_streams: AtomicU64,
    /// Subscription streams of this lane's connections so far.
    pub(crate) peers: AtomicU64,
    /// Bytes of batches that reads may hold at once, in KiB.
    pub(crate) read_memory: Arc<Semaphore>,
}

impl Net {
    /// A number for a subscription stream that no other has, on whichever lane.
    fn new_peer(&self) -> u64 {
        u64::from(self.lane) << PEER_LANE_SHIFT | self.peers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Takes connections until the endpoint is closed.
pub(crate) async fn accept(endpoint: Endpoint, net: Arc<Net>) {
    while let Some(incoming) = endpoint.accept().await {
        if net.door.wants_proof_of_address() && !incoming.remote_address_validated() {
            drop(incoming.retry());
            continue;
        }
        let Some((stranger, wait)) = net.door.let_in(Instant::now()) else {
            incoming.refuse();
            continue;
        };
        let (net, handshake) = (Arc::clone(&net), net.door.begin_handshake());
        tokio::spawn(async move {
            sleep(wait).await;
            // A handshake takes no longer than a Hello may.
            let connected = timeout(Duration::from_millis(HELLO_MS_MAX), incoming).await;
            drop(handshake);
            if let Ok(Ok(connection)) = connected {
                connection::serve(connection, net, stranger).await;
            }
        });
    }
}

/// KiB of batches that all reads of a lane may hold at once.
pub(crate) const READ_MEMORY_KIB: usize = 256 << 10;
/// Where a lane stands in the numbers of its peers.
pub(crate) const PEER_LANE_SHIFT: u32 = 48;

/// The QUIC close code of an error.
pub(crate) fn close_code(code: ErrorCode) -> VarInt {
    VarInt::from_u32(code.number().into())
}
