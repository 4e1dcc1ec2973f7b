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
mod connections;
mod dispatch;
mod door;
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
use rheos_protocol::name::ConsumerName;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::blocks::Blocks;
use crate::catalog::Catalog;
use crate::consumers::Consumers;
use crate::identity::{BrokerIdentity, Principal};
use crate::lane::{Arrival, Inbox};
use crate::streams::Streams;

pub(crate) use connections::Connections;
pub(crate) use door::Door;

/// What every connection works with.
pub(crate) struct Net {
    pub(crate) identity: BrokerIdentity,
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
    /// Admitted connections, of all lanes.
    pub(crate) connections: Connections,
    /// Who is at the door of this lane.
    pub(crate) door: Door,
    pub(crate) inbox: Inbox,
    pub(crate) blocks: Blocks,
    pub(crate) directory_id: u64,
    pub(crate) lanes: u16,
    /// Any credential will do: for trying things out on loopback.
    pub(crate) dev: bool,
    pub(crate) put_streams: AtomicU64,
    /// Subscription streams so far.
    pub(crate) peers: AtomicU64,
    /// Held while the catalog is changed, so that the lane and whoever looks things up in memory hear of
    /// changes in the catalog's order.
    pub(crate) changes: Mutex<()>,
    /// Bytes of batches that reads may hold at once, in KiB.
    pub(crate) read_memory: Semaphore,
}

/// KiB of batches that all reads of a lane may hold at once.
pub(crate) const READ_MEMORY_KIB: usize = 256 << 10;

impl Net {
    /// Whether the principal's key still opens the broker; to be asked anew after every wait.
    fn is_live(&self, principal: &Principal) -> bool {
        self.dev || self.identity.is_live(&principal.key_id)
    }

    /// A consumer is gone from the catalog: its subscriptions end.
    async fn consumer_deregistered(&self, incarnation: u64, name: &ConsumerName) -> Result<(), WireError> {
        // In this order: a subscription that comes meanwhile is refused, or ended by what follows.
        self.consumers.remove(incarnation, name);
        let (done, told) = oneshot::channel();
        self.inbox.push(Arrival::ConsumerDeregistered { incarnation, consumer: name.as_str().to_owned(), done });
        told.await.map_err(|_| stopping())
    }

    /// A number for a subscription stream that no other has.
    fn new_peer(&self) -> u64 {
        self.peers.fetch_add(1, Ordering::Relaxed)
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

/// What a client is told whose request the lane did not live to answer.
fn stopping() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, 1_000, "the broker is stopping; connect again")
}

/// The QUIC close code of an error.
pub(crate) fn close_code(code: ErrorCode) -> VarInt {
    VarInt::from_u32(code.number().into())
}
