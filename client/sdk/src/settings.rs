//! What may be changed of a stream while it is used: retention, largest record, limits, tags.
//!
//! A change is sent once: when its answer is lost, the caller is told that the outcome is not known. To make the
//! same change again is always in order.

use rheos_protocol::limits::CONTROL_FRAME_BYTES_MAX;
use rheos_protocol::message::{
    ChangeTags, Reply, Request, StreamDescription, StreamFilter, StreamSummary, Tag, Tagged, UpdateStream,
};
use rheos_protocol::name::{ConsumerName, StreamName};

use crate::client::{Client, streams_of, unexpected};
use crate::error::Error;
use crate::listing::all_pages;

impl Client {
    /// Changes a stream, all at once; what is `None` stays as it is. It holds for every shard when this returns.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, Limit, LimitsUpdate, StreamSpec, UpdateStream};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    /// client.create_stream(StreamSpec::new("orders", 4)).await?;
    ///
    /// // Records are kept for a week, and each shard takes 5 MiB a second.
    /// let week_ms = 7 * 86_400_000;
    /// let limits = LimitsUpdate { in_bytes: Some(Limit::of(5 << 20)), ..LimitsUpdate::default() };
    /// let update = UpdateStream { retention_ms: Some(week_ms), limits, ..UpdateStream::of("orders") };
    /// let stream = client.update_stream(update).await?;
    /// assert_eq!(stream.retention_ms, week_ms);
    /// assert_eq!(stream.settings.limits_in_force.in_bytes, Limit::of(5 << 20));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// Retention is 24 to 8,760 hours. Records that have expired do not come back when it is raised; when it is lowered
    /// they are gone at once, and their files within a minute. `retention_bytes` bounds what the segments of a stream
    /// take on the disk, evenly divided over its logs; the oldest go first, whatever their age, and a log always keeps
    /// its newest. A new `record_bytes_max` holds for what is put from then on, and a [`Producer`](crate::Producer) made
    /// later knows of it.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (`StreamNotFound`, `BadRequest` for what is out of range, `Denied` to a
    /// key that is no administrator's), [`Error::Indeterminate`] when the connection broke before it answered.
    pub async fn update_stream(&self, update: UpdateStream) -> Result<StreamDescription, Error> {
        let name = StreamName::new(&update.stream)?;
        match self.ask_once(&Request::UpdateStream(update), || format!("change stream {name}")).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("change stream", &other)),
        }
    }

    /// Sets tags of a stream: those with the same keys are replaced, others stay.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, StreamFilter, StreamSpec};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    /// client.create_stream(StreamSpec::new("orders", 4)).await?;
    ///
    /// client.tag_stream("orders", [("team", "payments"), ("env", "prod")]).await?;
    /// client.untag_stream("orders", ["env"]).await?;
    /// assert_eq!(client.stream_tags("orders").await?[0].value, "payments");
    ///
    /// let tags = vec![("team".to_owned(), Some("payments".to_owned()))];
    /// let theirs = client.list_streams_with(StreamFilter { tags, ..StreamFilter::default() }).await?;
    /// assert_eq!(theirs[0].name, "orders");
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// A stream has up to 50 tags, with keys of 1 to 128 and values of up to 256 characters: letters, digits, white space
    /// and `_ . : / = + - @`. Keys that begin with `aws:` are reserved.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (`StreamNotFound`, `BadRequest` for what is no tag, `LimitExceeded`),
    /// [`Error::Indeterminate`] when the connection broke before it answered.
    pub async fn tag_stream<K: Into<String>, V: Into<String>>(
        &self,
        stream: &str,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        self.change_tags(tagged(stream, None)?, set(tags), Vec::new()).await
    }

    /// Removes the tags of a stream with these keys; a key that is not there is no error.
    ///
    /// # Errors
    ///
    /// As for [`tag_stream`](Self::tag_stream).
    pub async fn untag_stream<K: Into<String>>(
        &self,
        stream: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), Error> {
        self.change_tags(tagged(stream, None)?, Vec::new(), keys.into_iter().map(Into::into).collect()).await
    }

    /// The tags of a stream, sorted by their keys.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] with `StreamNotFound`, or that the connection cannot be made.
    pub async fn stream_tags(&self, stream: &str) -> Result<Vec<Tag>, Error> {
        self.tags(tagged(stream, None)?).await
    }

    /// Sets tags of a registered consumer, as [`tag_stream`](Self::tag_stream) does of a stream.
    ///
    /// # Errors
    ///
    /// As there, and `ConsumerNotFound`.
    pub async fn tag_consumer<K: Into<String>, V: Into<String>>(
        &self,
        stream: &str,
        consumer: &str,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        self.change_tags(tagged(stream, Some(consumer))?, set(tags), Vec::new()).await
    }

    /// Removes the tags of a registered consumer with these keys; a key that is not there is no error.
    ///
    /// # Errors
    ///
    /// As for [`tag_consumer`](Self::tag_consumer).
    pub async fn untag_consumer<K: Into<String>>(
        &self,
        stream: &str,
        consumer: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), Error> {
        let keys = keys.into_iter().map(Into::into).collect();
        self.change_tags(tagged(stream, Some(consumer))?, Vec::new(), keys).await
    }

    /// The tags of a registered consumer, sorted by their keys.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] with `StreamNotFound` or `ConsumerNotFound`, or that the connection cannot be made.
    pub async fn consumer_tags(&self, stream: &str, consumer: &str) -> Result<Vec<Tag>, Error> {
        self.tags(tagged(stream, Some(consumer))?).await
    }

    /// The streams that pass the filter, in order of their names. The broker looks for them.
    ///
    /// # Errors
    ///
    /// As for [`list_streams_page`](Self::list_streams_page).
    pub async fn list_streams_with(&self, filter: StreamFilter) -> Result<Vec<StreamSummary>, Error> {
        filter.check().map_err(Error::Broker)?;
        let request = |after, limit| Request::ListStreams { after, limit, filter: filter.clone() };
        all_pages(&self.core, request, streams_of, |stream| &stream.name).await
    }

    async fn change_tags(&self, of: Tagged, set: Vec<Tag>, remove: Vec<String>) -> Result<(), Error> {
        let what = match &of.consumer {
            None => format!("change tags of stream {}", of.stream),
            Some(consumer) => format!("change tags of consumer {consumer} of stream {}", of.stream),
        };
        let change = ChangeTags { of, set, remove };
        change.check(CONTROL_FRAME_BYTES_MAX as usize).map_err(Error::Broker)?;
        match self.ask_once(&Request::ChangeTags(change), || what).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected("change tags", &other)),
        }
    }

    async fn tags(&self, of: Tagged) -> Result<Vec<Tag>, Error> {
        match self.core.ask(&Request::ListTags(of)).await? {
            Reply::Tags(tags) => Ok(tags),
            other => Err(unexpected("list tags", &other)),
        }
    }
}

fn tagged(stream: &str, consumer: Option<&str>) -> Result<Tagged, Error> {
    let stream = StreamName::new(stream)?.as_str().to_owned();
    let consumer = consumer.map(ConsumerName::new).transpose()?.map(|name| name.as_str().to_owned());
    Ok(Tagged { stream, consumer })
}

fn set<K: Into<String>, V: Into<String>>(tags: impl IntoIterator<Item = (K, V)>) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: key.into(), value: value.into() }).collect()
}
