//! What an operator asks of a broker: access keys, who is registered to have streams pushed, and its metrics.
//!
//! A change is sent once: when its answer is lost, the caller is told that the outcome is not known. A
//! key that was made then exists without anybody who has its secret, and is to be revoked by its name.

use rheos_protocol::message::{
    ConsumerDescription, ConsumerOf, ConsumerTerms, CreateKey, KeyDescription, KeyPolicy, NewKey, Reply, Request,
};
use rheos_protocol::name::{AccountId, ConsumerName, KeyName, StreamName};

use crate::client::{Client, unexpected};
use crate::error::Error;
use crate::listing::all_pages;

impl Client {
    /// Makes an access key. Its secret is told this once: the broker does not show it again.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Access, Client, ConnectOptions, KeyPolicy};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let options = ConnectOptions::from_url(&url)?;
    /// let client = Client::connect(options.clone()).await?;
    ///
    /// // It may put into and read one stream, and read all others.
    /// let policy = KeyPolicy { everywhere: Access::ReadOnly, streams: vec![("orders".to_owned(), Access::ReadWrite)] };
    /// let key = client.create_key("billing", policy).await?;
    /// let url = options.url_with(&key.id, &key.secret)?;
    /// assert!(url.starts_with("rheos://RK") && url.contains("?ca=sha256:"));
    ///
    /// assert_eq!(client.list_keys().await?[0].name, "billing");
    /// client.revoke_key("billing").await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `KeyExists`, or `Denied` to a key that is no
    /// administrator's), [`Error::Indeterminate`] when the connection broke before it answered.
    pub async fn create_key(&self, name: &str, policy: KeyPolicy) -> Result<NewKey, Error> {
        self.create_key_of(None, name, policy).await
    }

    /// Makes an access key of an account: what is made with it through the Kinesis face belongs to that, and streams
    /// of other accounts are not seen there. `None` is the broker's own account.
    ///
    /// # Errors
    ///
    /// As for [`create_key`](Self::create_key).
    pub async fn create_key_of(
        &self,
        account: Option<&AccountId>,
        name: &str,
        policy: KeyPolicy,
    ) -> Result<NewKey, Error> {
        let name = KeyName::new(name)?;
        let account = account.map(|account| account.as_str().to_owned());
        let request = Request::CreateKey(CreateKey { name: name.as_str().to_owned(), policy, account });
        match self.ask_once(&request, || format!("create key {name}")).await? {
            Reply::Key(key) => Ok(key),
            other => Err(unexpected("create key", &other)),
        }
    }

    /// All access keys in order of their ids, without their secrets. The administrator's own is not
    /// among them.
    ///
    /// # Errors
    ///
    /// When the broker refuses, or the connection cannot be made.
    pub async fn list_keys(&self) -> Result<Vec<KeyDescription>, Error> {
        let request = |after, limit| Request::ListKeys { after, limit };
        all_pages(&self.core, request, keys_of, |key| &key.id).await
    }

    /// Revokes the access key of this id or name: it proves nothing any more, and its connections end.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `KeyNotFound`), [`Error::Indeterminate`] when
    /// the connection broke before it answered.
    pub async fn revoke_key(&self, id_or_name: &str) -> Result<(), Error> {
        let request = Request::RevokeKey(id_or_name.to_owned());
        match self.ask_once(&request, || format!("revoke key {id_or_name:?}")).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected("revoke key", &other)),
        }
    }

    /// The broker's metrics as they are now: text in the Prometheus exposition format, version 0.0.4, the
    /// same as on its HTTP face.
    ///
    /// Needs a key that may do everything, because the metrics name every stream and consumer.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// # peer.set_metrics(&[("rheos_streams 3\n", false)]);
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    ///
    /// let metrics = client.metrics().await?;
    /// let streams = metrics.lines().find_map(|line| line.strip_prefix("rheos_streams "));
    /// assert_eq!(streams, Some("3"));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `Denied` to a key that is no administrator's,
    /// `Busy` when very many ask at once, `Unsupported` by one that is older), or that the connection
    /// cannot be made.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.core.ask_on(|session| async move { session.metrics().await }).await
    }

    /// Registers a consumer of a stream, which may then have every shard of it pushed.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, StreamSpec};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    /// client.create_stream(StreamSpec::new("orders", 4)).await?;
    ///
    /// client.register_consumer("orders", "billing").await?;
    /// assert_eq!(client.list_consumers("orders").await?[0].name, "billing");
    /// client.deregister_consumer("orders", "billing").await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `ConsumerExists`), [`Error::Indeterminate`]
    /// when the connection broke before it answered.
    pub async fn register_consumer(&self, stream: &str, name: &str) -> Result<ConsumerDescription, Error> {
        self.register_consumer_with(ConsumerTerms::of(stream, name)).await
    }

    /// Registers a consumer with a reservation: so many bytes a second of the stream, all its shards together, are
    /// promised to it, before whoever has no promise. They are divided evenly over the open shards.
    ///
    /// ```
    /// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
    /// use rheos_client::{Client, ConnectOptions, ConsumerTerms, StreamSpec};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let peer = peer::Peer::start();
    /// # let url = peer.url();
    /// let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
    /// client.create_stream(StreamSpec::new("orders", 4)).await?;
    ///
    /// client.register_consumer_with(ConsumerTerms::of("orders", "billing").reserving(8 << 20)).await?;
    /// // And half of it is enough after all.
    /// let consumer = client.update_consumer(ConsumerTerms::of("orders", "billing").reserving(4 << 20)).await?;
    /// assert_eq!(consumer.reserved_bytes, 4 << 20);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_consumer`](Self::register_consumer); and [`Error::Broker`] with `OverReserved` when a lane
    /// would promise more than it can keep, `Denied` to a key that is no administrator's.
    pub async fn register_consumer_with(&self, terms: ConsumerTerms) -> Result<ConsumerDescription, Error> {
        let ConsumerOf { stream, consumer } = consumer_of(&terms.stream, &terms.consumer)?;
        let what = format!("register consumer {consumer} of stream {stream}");
        consumer_from(self.ask_once(&Request::RegisterConsumer(terms), || what).await?)
    }

    /// Changes what is promised to a registered consumer; a reservation of 0 bytes a second takes it back. It holds
    /// for every shard when this returns, for subscriptions that there are, too.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (`ConsumerNotFound`, `OverReserved`, `Denied` to a key that is no
    /// administrator's), [`Error::Indeterminate`] when the connection broke before it answered.
    pub async fn update_consumer(&self, terms: ConsumerTerms) -> Result<ConsumerDescription, Error> {
        let ConsumerOf { stream, consumer } = consumer_of(&terms.stream, &terms.consumer)?;
        let what = format!("change consumer {consumer} of stream {stream}");
        consumer_from(self.ask_once(&Request::UpdateConsumer(terms), || what).await?)
    }

    /// Describes a consumer, and gives it a new epoch: whoever subscribes with that takes the shards
    /// over from everybody who was given one before.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `ConsumerNotFound`), or that the connection
    /// cannot be made.
    pub async fn describe_consumer(&self, stream: &str, name: &str) -> Result<ConsumerDescription, Error> {
        // An epoch that was given and never heard of is only skipped: it is as good to ask again.
        self.core.describe_consumer(stream, name).await
    }

    /// All consumers of a stream in order of their names.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] with `StreamNotFound`, or that the connection cannot be made.
    pub async fn list_consumers(&self, stream: &str) -> Result<Vec<ConsumerDescription>, Error> {
        let stream = StreamName::new(stream)?;
        let request = |after, limit| Request::ListConsumers { stream: stream.as_str().to_owned(), after, limit };
        all_pages(&self.core, request, consumers_of, |consumer| &consumer.name).await
    }

    /// Deregisters a consumer: its subscriptions end.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `ConsumerNotFound`), [`Error::Indeterminate`]
    /// when the connection broke before it answered.
    pub async fn deregister_consumer(&self, stream: &str, name: &str) -> Result<(), Error> {
        let of = consumer_of(stream, name)?;
        let what = format!("deregister consumer {name} of stream {stream}");
        match self.ask_once(&Request::DeregisterConsumer(of), || what).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected("deregister consumer", &other)),
        }
    }
}

fn consumer_of(stream: &str, consumer: &str) -> Result<ConsumerOf, Error> {
    let (stream, consumer) = (StreamName::new(stream)?, ConsumerName::new(consumer)?);
    Ok(ConsumerOf { stream: stream.as_str().to_owned(), consumer: consumer.as_str().to_owned() })
}

fn consumer_from(reply: Reply) -> Result<ConsumerDescription, Error> {
    match reply {
        Reply::Consumer(consumer) => Ok(consumer),
        other => Err(unexpected("a request about a consumer", &other)),
    }
}

fn consumers_of(reply: Reply) -> Result<(Vec<ConsumerDescription>, bool), Error> {
    match reply {
        Reply::Consumers(consumers, more) => Ok((consumers, more)),
        other => Err(unexpected("list consumers", &other)),
    }
}

fn keys_of(reply: Reply) -> Result<(Vec<KeyDescription>, bool), Error> {
    match reply {
        Reply::Keys(keys, more) => Ok((keys, more)),
        other => Err(unexpected("list keys", &other)),
    }
}
