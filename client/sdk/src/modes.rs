//! Who decides how many shards a stream has, and what has come of it.

use rheos_protocol::message::{Reply, Request, ScalingStep, StreamDescription, StreamMode, UpdateStream};
use rheos_protocol::name::StreamName;

use crate::client::{Client, unexpected};
use crate::error::Error;

impl Client {
    /// Has a stream scaled by the broker, by what is put, or by nobody but who asks for it. How many shards it has
    /// stays: an on-demand stream comes into its bounds by itself.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, ShardBounds, StreamMode, StreamSpec};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    /// client.create_stream(StreamSpec::new("orders", 4)).await?;
    ///
    /// let mode = StreamMode::OnDemand(ShardBounds { min: 2, max: 16 });
    /// let stream = client.set_stream_mode("orders", mode).await?;
    /// assert_eq!(stream.settings.mode, mode);
    /// for step in client.scaling_history("orders").await? {
    ///     println!("{} to {} shards: {}", step.from, step.to, step.reason);
    /// }
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// While it is on demand, [`split_shard`](Self::split_shard), [`merge_shards`](Self::merge_shards) and
    /// [`scale_stream`](Self::scale_stream) are refused with `BadRequest`, as Kinesis does.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (`StreamNotFound`, `BadRequest` for bounds that are out of range,
    /// `Denied` to a key that is no administrator's), [`Error::Indeterminate`] when the connection broke before it
    /// answered.
    pub async fn set_stream_mode(&self, stream: &str, mode: StreamMode) -> Result<StreamDescription, Error> {
        self.update_stream(UpdateStream { mode: Some(mode), ..UpdateStream::of(stream) }).await
    }

    /// The steps of a stream that is or was on demand, the newest first: at most 100. A step that was called for and
    /// could not be is among them, with what stands against it, such as one key that alone is hot.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] with `StreamNotFound`, or that the connection cannot be made.
    pub async fn scaling_history(&self, stream: &str) -> Result<Vec<ScalingStep>, Error> {
        let stream = StreamName::new(stream)?.as_str().to_owned();
        match self.core.ask(&Request::ListScalingSteps(stream)).await? {
            Reply::ScalingSteps(steps) => Ok(steps),
            other => Err(unexpected("list scaling steps", &other)),
        }
    }
}
