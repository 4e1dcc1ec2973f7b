//! The client: the connections to a broker, and everything that is asked over them.
//!
//! A request that changes nothing is tried once more on a new connection when the connection broke.
//! One that makes or deletes a stream is not: its caller is told that the outcome is not known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rheos_protocol::limits::ON_DEMAND_SHARDS_MIN;
use rheos_protocol::message::{
    CreateStream, Position, Reply, Request, ShardDescription, StreamDescription, StreamFilter, StreamMode,
    StreamSummary, Welcome,
};
use rheos_protocol::name::StreamName;

use crate::consumer::ConsumerBuilder;
use crate::core::{Alive, Core};
use crate::error::Error;
use crate::options::ConnectOptions;
use crate::producer::Producer;
use crate::reader::Reader;

/// The connections to a broker: one for each of its lanes, made when it is first needed. Cheap to clone;
/// all clones share them.
///
/// It connects again by itself, with waits that grow, when a connection breaks.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) core: Arc<Core>,
    alive: Arc<Alive>,
}

/// What a new stream is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// 1 to 128 of `a-z A-Z 0-9 _ . -`; of another account or region than the broker's own `ACCOUNT/REGION/NAME`.
    pub name: String,
    /// 1 to 10,000.
    pub shards: u32,
    /// 24 hours to 8,760 hours in milliseconds; 0 means 24 hours.
    pub retention_ms: u64,
    /// Largest data of one record, 1 MiB to 10 MiB in bytes; 0 means 1 MiB.
    pub record_bytes_max: u32,
    /// Who decides how many shards it has later.
    pub mode: StreamMode,
}

impl StreamSpec {
    /// A stream with the broker's defaults for everything else: records of up to 1 MiB, kept for 24 hours.
    pub fn new(name: impl Into<String>, shards: u32) -> StreamSpec {
        StreamSpec { name: name.into(), shards, retention_ms: 0, record_bytes_max: 0, mode: StreamMode::Provisioned }
    }

    /// An on-demand stream that begins with 4 shards, as in Kinesis, and is scaled between 4 and 200.
    pub fn on_demand(name: impl Into<String>) -> StreamSpec {
        let mode = StreamMode::on_demand();
        StreamSpec { mode, ..StreamSpec::new(name, ON_DEMAND_SHARDS_MIN) }
    }
}

impl Client {
    /// Connects and proves who we are. Must be called within a tokio runtime, which carries the
    /// client's tasks from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Unanswered`] when nothing answers for 3 s, [`Error::CaMismatch`], [`Error::Credential`],
    /// or [`Error::Connect`] for what else may be in the way.
    pub async fn connect(options: ConnectOptions) -> Result<Client, Error> {
        let core = Core::connect(options).await?;
        let alive = Arc::new(Alive::new(&core));
        Ok(Client { core, alive })
    }

    /// What the broker said of itself when it was last connected to.
    pub fn welcome(&self) -> Welcome {
        self.core.lanes.welcome()
    }

    /// When the broker's certificate expires, in ms since 1970; `None` when that cannot be told.
    ///
    /// # Errors
    ///
    /// That the connection cannot be made.
    pub async fn certificate_expires_ms(&self) -> Result<Option<u64>, Error> {
        self.core.ask_on(|session| async move { Ok(session.certificate_expires_ms()) }).await
    }

    /// Makes a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] when the broker refuses (such as `StreamExists`), [`Error::Indeterminate`]
    /// when the connection broke before it answered.
    pub async fn create_stream(&self, spec: StreamSpec) -> Result<StreamDescription, Error> {
        let name = StreamName::new(&spec.name)?;
        let request = Request::CreateStream(CreateStream {
            name: spec.name,
            shards: spec.shards,
            retention_ms: spec.retention_ms,
            record_bytes_max: spec.record_bytes_max,
            mode: spec.mode,
        });
        match self.ask_once(&request, || format!("create stream {name}")).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("create stream", &other)),
        }
    }

    /// Describes a stream and its shards.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`] with `StreamNotFound`, or that the connection cannot be made.
    pub async fn describe_stream(&self, name: &str) -> Result<StreamDescription, Error> {
        self.core.describe_stream(name).await
    }

    /// All streams in order of their names.
    ///
    /// # Errors
    ///
    /// As for [`list_streams_page`](Self::list_streams_page).
    pub async fn list_streams(&self) -> Result<Vec<StreamSummary>, Error> {
        self.list_streams_with(StreamFilter::default()).await
    }

    /// Up to `limit` (1 to 1,000) streams that pass the filter and whose names sort after `after`, and whether more
    /// follow.
    ///
    /// # Errors
    ///
    /// When the broker refuses, or the connection cannot be made.
    pub async fn list_streams_page(
        &self,
        filter: StreamFilter,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<StreamSummary>, bool), Error> {
        filter.check().map_err(Error::Broker)?;
        let request = Request::ListStreams { after: after.to_owned(), limit, filter };
        streams_of(self.core.ask(&request).await?)
    }

    /// Deletes a stream and everything in it.
    ///
    /// # Errors
    ///
    /// As for [`create_stream`](Self::create_stream).
    pub async fn delete_stream(&self, name: &str) -> Result<(), Error> {
        let name = StreamName::new(name)?;
        let request = Request::DeleteStream(name.as_str().to_owned());
        match self.ask_once(&request, || format!("delete stream {name}")).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected("delete stream", &other)),
        }
    }

    /// How long the broker takes to answer.
    ///
    /// # Errors
    ///
    /// When the connection cannot be made.
    pub async fn ping(&self) -> Result<Duration, Error> {
        // The time is that of the answer; connecting does not count.
        self.core.lanes.any_session().await?;
        let begun = Instant::now();
        match self.core.ask(&Request::Ping).await? {
            Reply::Pong => Ok(begun.elapsed()),
            other => Err(unexpected("ping", &other)),
        }
    }

    /// Why the last attempt to connect failed; `None` where none did, or one has succeeded since. Producers and
    /// consumers go on trying meanwhile.
    pub fn trouble(&self) -> Option<String> {
        self.core.lanes.trouble()
    }

    /// A producer that puts records into a stream.
    ///
    /// # Errors
    ///
    /// When the stream does not exist, or the connection cannot be made.
    pub async fn producer(&self, stream: &str) -> Result<Producer, Error> {
        let description = self.core.describe_stream(stream).await?;
        Producer::new(&self.core, &self.alive, &description)
    }

    /// A registered consumer, to which the shards of a stream are pushed once it is
    /// [started](ConsumerBuilder::start).
    pub fn consumer(&self, stream: &str, consumer: &str) -> ConsumerBuilder {
        ConsumerBuilder::new(&self.core, &self.alive, stream, consumer)
    }

    /// A reader of one shard, from `position` on.
    ///
    /// # Errors
    ///
    /// When the stream or the shard does not exist, or the connection cannot be made.
    pub async fn reader(&self, stream: &str, shard: u32, position: Position) -> Result<Reader, Error> {
        let description = self.core.describe_stream(stream).await?;
        self.reader_of(&description, shard, position)
    }

    /// The same for a stream that has been described already: many readers need one description.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchShard`].
    pub fn reader_of(&self, stream: &StreamDescription, shard: u32, position: Position) -> Result<Reader, Error> {
        let described = described(stream, shard)?;
        Ok(Reader::new(&self.core, &self.alive, stream.incarnation, described, position))
    }

    /// Closes all connections, for this client, its clones, producers, readers and consumers. What is unanswered
    /// is not waited for: [`Producer::flush`] does that.
    pub async fn close(&self) {
        self.core.lanes.close().await;
        self.core.wake_put_streams();
    }

    /// Asks for a change: once sent, a lost connection leaves the outcome open.
    pub(crate) async fn ask_once(&self, request: &Request, what: impl FnOnce() -> String) -> Result<Reply, Error> {
        let session = self.core.lanes.any_session().await?;
        match session.request(request).await {
            Err(Error::Lost { why }) => Err(Error::Indeterminate { what: what(), why }),
            outcome => outcome,
        }
    }
}

pub(crate) fn streams_of(reply: Reply) -> Result<(Vec<StreamSummary>, bool), Error> {
    match reply {
        Reply::Streams(streams, more) => Ok((streams, more)),
        other => Err(unexpected("list streams", &other)),
    }
}

/// The shard of this number.
pub(crate) fn described(stream: &StreamDescription, shard: u32) -> Result<&ShardDescription, Error> {
    stream.shards.iter().find(|described| described.shard == shard).ok_or_else(|| {
        let last = stream.shards.iter().map(|described| described.shard).max().unwrap_or(0);
        Error::NoSuchShard { stream: stream.name.clone(), shard, last }
    })
}

pub(crate) fn unexpected(request: &str, reply: &Reply) -> Error {
    Error::protocol(format!("{request} was answered with a frame of kind {}", reply.kind()))
}
