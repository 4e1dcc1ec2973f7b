//! Splitting and merging shards while a stream is used.
//!
//! Each request is answered once the stream is as it was asked to be; producers and consumers go on by themselves
//! meanwhile. A request is sent once: when its answer is lost, the caller is told that the outcome is not known, and a
//! description of the stream tells it.

use rheos_protocol::message::{MergeShards, Reply, Request, SplitShard, StreamDescription, UpdateShardCount};
use rheos_protocol::name::StreamName;

use crate::client::{Client, unexpected};
use crate::error::Error;

impl Client {
    /// Splits an open shard into two: the first ends before the hash key `at`, the second begins there. Without one
    /// the shard is split in the middle.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses: `ShardNotFound`, `ShardClosed` for one that was split or merged
    /// before, `BadRequest` for a hash key that is not strictly inside it, `Resharding` while the stream is resharded,
    /// `LimitExceeded`. [`Error::Indeterminate`] when the connection broke before it answered.
    pub async fn split_shard(&self, stream: &str, shard: u32, at: Option<u128>) -> Result<StreamDescription, Error> {
        let stream = StreamName::new(stream)?.as_str().to_owned();
        let what = format!("split shard {shard} of stream {stream}");
        self.reshard(Request::SplitShard(SplitShard { stream, shard, at }), what).await
    }

    /// Merges two open shards whose stretches of the hash space lie side by side.
    ///
    /// # Errors
    ///
    /// As for [`split_shard`](Self::split_shard); `BadRequest` for shards that do not lie side by side.
    pub async fn merge_shards(&self, stream: &str, shard: u32, adjacent: u32) -> Result<StreamDescription, Error> {
        let stream = StreamName::new(stream)?.as_str().to_owned();
        let what = format!("merge shards {shard} and {adjacent} of stream {stream}");
        self.reshard(Request::MergeShards(MergeShards { stream, shard, adjacent }), what).await
    }

    /// Has a stream split and merge its shards until `target` (1 to 10,000) are open.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, StreamSpec};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// let client = Client::connect(ConnectOptions::from_url(&peer.url())?).await?;
    /// client.create_stream(StreamSpec::new("orders", 2)).await?;
    ///
    /// let stream = client.scale_stream("orders", 4).await?;
    /// assert_eq!(stream.shards.iter().filter(|shard| shard.open).count(), 4);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`split_shard`](Self::split_shard); `BadRequest` for a target that is out of range, or is what there is.
    pub async fn scale_stream(&self, stream: &str, target: u32) -> Result<StreamDescription, Error> {
        let stream = StreamName::new(stream)?.as_str().to_owned();
        let what = format!("scale stream {stream} to {target} shards");
        self.reshard(Request::UpdateShardCount(UpdateShardCount { stream, target }), what).await
    }

    async fn reshard(&self, request: Request, what: String) -> Result<StreamDescription, Error> {
        match self.ask_once(&request, || what).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("a reshard", &other)),
        }
    }
}
