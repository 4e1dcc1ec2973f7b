//! Where the broker stands in its life, for those who are asked about it from outside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::consumers::Consumers;
use crate::streams::Streams;

/// Where the broker stands. It only goes forward.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It opens its catalog, recovers its logs and starts its lanes.
    Starting,
    /// Every lane serves.
    Serving(Arc<Served>),
    /// It was told to stop.
    Stopping,
}

/// What can be asked of a broker that serves.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
}

/// Hears where the broker stands.
pub(crate) type StandingWatch = watch::Receiver<Standing>;
