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
mod route;
mod share;
mod subscription_stream;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use rheos_core::catalog::StreamRecord;
use rheos_core::lanes::lanes_of;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::HELLO_MS_MAX;
use rheos_protocol::message::StreamLimits;
use rheos_protocol::name::ConsumerName;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::blocks::Blocks;
use crate::catalog::Catalog;
use crate::consumers::Consumers;
use crate::files::FileThread;
use crate::identity::{BrokerIdentity, Principal};
use crate::lane::{Arrival, Inbox, Inboxes};
use crate::mesh::Mesh;
use crate::metrics::Metrics;
use crate::reshard::Resharder;
use crate::stopping::{Stopping, going_away};
use crate::streams::Streams;

pub(crate) use connections::Connections;
pub(crate) use door::Door;
pub(crate) use usage::NetUse;

/// What every connection of a lane works with.
pub(crate) struct Net {
    pub(crate) identity: Arc<BrokerIdentity>,
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
    /// Admitted connections, of all lanes.
    pub(crate) connections: Connections,
    /// Who is at the door of this lane.
    pub(crate) door: Door,
    /// The lane's own.
    pub(crate) inbox: Inbox,
    pub(crate) inboxes: Inboxes,
    pub(crate) stopping: Stopping,
    /// The way to other lanes, where there are any.
    pub(crate) mesh: Option<Mesh>,
    /// Of every lane: each reads what it serves.
    pub(crate) blocks: Arc<[Blocks]>,
    pub(crate) files: FileThread,
    pub(crate) directory_id: u64,
    /// What streams have where they set nothing else.
    pub(crate) limits: StreamLimits,
    pub(crate) lane: u16,
    pub(crate) lanes: u16,
    /// Any credential will do: for trying things out on loopback.
    pub(crate) dev: bool,
    pub(crate) put_streams: AtomicU64,
    /// Subscription streams of this lane's connections so far.
    pub(crate) peers: AtomicU64,
    /// Changes the shards of streams, and says whose turn it is to change the catalog, and what may be reserved. The
    /// same on all lanes.
    pub(crate) resharder: Resharder,
    /// Bytes of batches that reads may hold at once, in KiB.
    pub(crate) read_memory: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
}

impl Net {
    /// Tells every lane that serves a log of the stream, and waits until all have heard.
    async fn tell(
        &self,
        stream: &StreamRecord,
        arrival: impl Fn(oneshot::Sender<()>) -> Arrival,
    ) -> Result<(), WireError> {
        let serving = lanes_of(stream.incarnation, stream.log_count, self.lanes);
        let told: Vec<_> = serving
            .map(|lane| {
                let (done, told) = oneshot::channel();
                self.inboxes.of_lane(lane).push(arrival(done));
                told
            })
            .collect();
        for told in told {
            told.await.map_err(|_| going_away())?;
        }
        Ok(())
    }

    /// Whether the principal's key still opens the broker; to be asked anew after every wait.
    fn is_live(&self, principal: &Principal) -> bool {
        self.dev || self.identity.is_live(&principal.key_id)
    }

    /// A consumer is gone from the catalog: its subscriptions end.
    async fn consumer_deregistered(&self, incarnation: u64, name: &ConsumerName) -> Result<(), WireError> {
        // In this order: a subscription that comes meanwhile is refused, or ended by what follows.
        self.consumers.remove(incarnation, name);
        let Some(stream) = self.streams.by_incarnation(incarnation) else { return Ok(()) };
        let consumer = || name.as_str().to_owned();
        self.tell(&stream, |done| Arrival::ConsumerDeregistered { incarnation, consumer: consumer(), done }).await
    }

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
const PEER_LANE_SHIFT: u32 = 48;

/// The lane whose connection a subscription stream stands on.
pub(crate) fn lane_of_peer(peer: u64) -> u16 {
    (peer >> PEER_LANE_SHIFT) as u16
}

/// The QUIC close code of an error.
pub(crate) fn close_code(code: ErrorCode) -> VarInt {
    VarInt::from_u32(code.number().into())
}
