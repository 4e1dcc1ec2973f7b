//! The broker as requests see it, on whatever face they come: what every connection works with.
//!
//! What must hold: nothing here belongs to one lane or one connection; who asks a lane for something says how, and
//! waits without holding up anybody else.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_core::lanes::lanes_of;
use rheos_protocol::error::WireError;
use rheos_protocol::message::StreamLimits;
use rheos_protocol::name::ConsumerName;
use tokio::sync::oneshot;

use crate::blocks::Blocks;
use crate::catalog::Catalog;
use crate::consumers::Consumers;
use crate::files::FileThread;
use crate::identity::{BrokerIdentity, Principal};
use crate::kinesis_settings::KinesisSettings;
use crate::lane::{Arrival, Inboxes};
use crate::mesh::Mesh;
use crate::metrics::Metrics;
use crate::net::Connections;
use crate::reshard::Resharder;
use crate::stopping::{Stopping, going_away};
use crate::streams::Streams;

/// What there is to ask, and who may ask it.
pub(crate) struct Broker {
    pub(crate) identity: Arc<BrokerIdentity>,
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
    /// Admitted QUIC connections, of all lanes.
    pub(crate) connections: Connections,
    pub(crate) inboxes: Inboxes,
    pub(crate) stopping: Stopping,
    /// The way between lanes, where there are several.
    pub(crate) mesh: Option<Mesh>,
    /// Of every lane: each reads what it serves.
    pub(crate) blocks: Arc<[Blocks]>,
    pub(crate) files: FileThread,
    pub(crate) directory_id: u64,
    /// What streams have where they set nothing else.
    pub(crate) limits: StreamLimits,
    pub(crate) lanes: u16,
    /// Any credential will do: for trying things out on loopback.
    pub(crate) dev: bool,
    /// Changes the shards of streams, and says whose turn it is to change the catalog, and what may be reserved.
    pub(crate) resharder: Resharder,
    pub(crate) metrics: Metrics,
    /// Whose the streams with plain names are, and how the Kinesis face shows them.
    pub(crate) kinesis: KinesisSettings,
}

impl Broker {
    /// Tells every lane that serves a log of the stream, and waits until all have heard.
    pub(crate) async fn tell(
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
    pub(crate) fn is_live(&self, principal: &Principal) -> bool {
        self.dev || self.identity.is_live(&principal.key_id)
    }

    /// A consumer is gone from the catalog: its subscriptions end.
    pub(crate) async fn consumer_deregistered(&self, incarnation: u64, name: &ConsumerName) -> Result<(), WireError> {
        // In this order: a subscription that comes meanwhile is refused, or ended by what follows.
        self.consumers.remove(incarnation, name);
        let Some(stream) = self.streams.by_incarnation(incarnation) else { return Ok(()) };
        let consumer = || name.as_str().to_owned();
        self.tell(&stream, |done| Arrival::ConsumerDeregistered { incarnation, consumer: consumer(), done }).await
    }
}
