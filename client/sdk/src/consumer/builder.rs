//! How a consumer begins: where, with which shards, and how much it may hold.

use std::future::poll_fn;
use std::sync::Arc;

use rheos_protocol::limits::CREDIT_BYTES_MAX;
use rheos_protocol::message::Position;

use super::feeds::{Bounds, Feeds};
use super::positions::Positions;
use super::{Consumer, lineage};
use crate::core::{Alive, Core};
use crate::error::Error;

/// Bytes that may be on the way or wait for the program, for each shard, where nothing is set.
const CREDIT_BYTES_DEFAULT: u64 = 1 << 20;
/// The same for all shards together.
const BYTES_DEFAULT: u64 = 256 << 20;

/// Sets up a [`Consumer`].
///
/// ```no_run
/// # async fn example(client: rheos_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use rheos_client::{Positions, Position};
///
/// let positions: Positions = std::fs::read_to_string("billing.positions").unwrap_or_default().parse()?;
/// let consumer = client
///     .consumer("flights", "billing")
///     .from(Position::TrimHorizon)
///     .resume(&positions)
///     .credit_bytes(4 << 20)
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is pushed before it is started"]
pub struct ConsumerBuilder {
    core: Arc<Core>,
    alive: Arc<Alive>,
    stream: String,
    consumer: String,
    from: Position,
    shards: Option<Vec<u32>>,
    resumed: Positions,
    bounds: Bounds,
}

impl ConsumerBuilder {
    pub(crate) fn new(core: &Arc<Core>, alive: &Arc<Alive>, stream: &str, consumer: &str) -> ConsumerBuilder {
        ConsumerBuilder {
            core: Arc::clone(core),
            alive: Arc::clone(alive),
            stream: stream.to_owned(),
            consumer: consumer.to_owned(),
            from: Position::TrimHorizon,
            shards: None,
            resumed: Positions::default(),
            bounds: Bounds { of_shard: CREDIT_BYTES_DEFAULT, in_all: BYTES_DEFAULT },
        }
    }

    /// Where shards begin that no positions are resumed for; the trim horizon where nothing is set, so that
    /// nothing is left out. With [`Position::Latest`], every record counts that is put after
    /// [`start`](Self::start) has returned.
    pub fn from(mut self, position: Position) -> ConsumerBuilder {
        self.from = position;
        self
    }

    /// Takes these shards and their descendants alone; where nothing is set, all shards.
    pub fn shards(mut self, shards: impl IntoIterator<Item = u32>) -> ConsumerBuilder {
        self.shards = Some(shards.into_iter().collect());
        self
    }

    /// Goes on where an earlier consumer was. Shards that came to be since then are read whole.
    pub fn resume(mut self, positions: &Positions) -> ConsumerBuilder {
        self.resumed = positions.clone();
        self
    }

    /// How many bytes of each shard may be on the way or wait for the program; 1 MiB where nothing is set.
    /// A batch that is larger still comes, alone.
    ///
    /// # Panics
    ///
    /// When it is not 1 byte to 64 MiB.
    pub fn credit_bytes(mut self, bytes: u64) -> ConsumerBuilder {
        assert!((1..=CREDIT_BYTES_MAX).contains(&bytes), "a credit of {bytes} bytes");
        self.bounds.of_shard = bytes;
        self
    }

    /// The same for all shards together, divided evenly; 256 MiB where nothing is set.
    ///
    /// # Panics
    ///
    /// When it is 0.
    pub fn bytes_max(mut self, bytes: u64) -> ConsumerBuilder {
        assert!(bytes > 0, "a consumer holds at least one byte");
        self.bounds.in_all = bytes;
        self
    }

    /// Subscribes every shard, and waits until the broker has said where each begins. From now on, whoever
    /// consumed under the same name before is superseded.
    ///
    /// # Errors
    ///
    /// [`Error::ConsumerNotFound`] when it is not registered; [`Error::NoSuchShard`];
    /// [`Error::OtherIncarnation`] when the positions are of a stream that was deleted since; and that the
    /// stream does not exist, or the connection cannot be made. What befalls a single shard comes with
    /// [`Consumer::next`].
    pub async fn start(self) -> Result<Consumer, Error> {
        let core = &self.core;
        let consumer = core.describe_consumer(&self.stream, &self.consumer).await?;
        let stream = core.describe_stream(&self.stream).await?;
        let expected = self.resumed.incarnation.unwrap_or(consumer.incarnation);
        for found in [consumer.incarnation, stream.incarnation] {
            if expected != found {
                return Err(Error::OtherIncarnation { stream: stream.name, expected, found });
            }
        }
        let feeds = lineage::beginning(&stream, self.shards.as_deref(), self.from, &self.resumed)?;
        let feeds = Feeds::new(&stream, consumer, self.bounds, self.resumed, feeds, core.lanes.count());
        let consumer = Consumer::start(core, &self.alive, feeds);
        poll_fn(|context| consumer.feeds.poll_started(context)).await?;
        Ok(consumer)
    }
}
