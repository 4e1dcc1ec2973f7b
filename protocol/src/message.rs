//! What frames carry: requests and replies.
//!
//! Every message is fields in order, then, where drawn, whole batches. A message grows only at its
//! end; a reader leaves alone what it does not know. Where batches or items follow the fields, the
//! fields stand in a group with its length, so that they can grow too.
//!
//! A request is decoded in one place ([`Request::decode`]) and answered with one [`Reply`].

mod consumer;
mod key;
mod metrics;
mod mode;
mod push;
mod reshard;
mod settings;
mod tag;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::WireError;
use crate::frame::{kind, write_frame};
use crate::hash::HashRange;
pub use consumer::{ConsumerDescription, ConsumerOf, ConsumerTerms};
pub use key::{Access, CreateKey, KeyDescription, KeyPolicy, NewKey};
pub use metrics::MetricsPiece;
pub use mode::{ScalingOutcome, ScalingReason, ScalingStep, ShardBounds, StreamMode};
pub use push::{Push, PushEnd, Subscribe};
pub use reshard::{MergeShards, SplitShard, UpdateShardCount};
pub use settings::{Limit, LimitsUpdate, StreamLimits, StreamSettings, UpdateStream};
pub use tag::{ChangeTags, StreamFilter, Tag, Tagged};

use crate::limits::{CHILDREN_MAX, LIST_PAGE_MAX, SHARDS_MAX, STREAM_NAME_CHARS_MAX, TEXT_BYTES_MAX};
use crate::wire::{FieldReader, FieldWriter, Malformed, write_group};

/// The protocol version of this crate.
pub const PROTOCOL_VERSION: u16 = 1;
/// The ALPN of every version.
pub const ALPN: &[u8] = b"rheos";
/// Label of the TLS exporter that the credential signs (RFC 8446, section 7.5); its context is empty.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-rheos-1";

/// The first frame of a connection: who the client is and what it speaks.
///
/// ```text
///   u16 lowest version | u16 highest version | u64 features | text key id | 32 HMAC-SHA256(secret, TLS exporter) | text client
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Lowest version the client speaks.
    pub version_min: u16,
    /// Highest version the client speaks.
    pub version_max: u16,
    /// Bits of optional features; none yet.
    pub features: u64,
    /// Access key id.
    pub key_id: String,
    /// HMAC-SHA256 of the connection's TLS exporter under the key's secret.
    pub proof: [u8; 32],
    /// Name and version of the client, for logs.
    pub client: String,
}

/// Reply to [`Hello`].
///
/// ```text
///   u16 version | u64 features | u16 lanes | u64 directory id | text broker | u16 lane
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u16,
    /// Features in common.
    pub features: u64,
    /// Lanes of the broker.
    pub lanes: u16,
    /// Identity of the data directory.
    pub directory_id: u64,
    /// Name and version of the broker, for logs.
    pub broker: String,
    /// The lane that this connection is on.
    pub lane: u16,
}

/// Where to begin to read a shard.
///
/// ```text
///   u8 kind (0 trim horizon, 1 latest, 2 at sequence, 3 after sequence, 4 at timestamp) | u64 value
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first record that is kept.
    TrimHorizon,
    /// After the last record that is durable now.
    Latest,
    /// At this sequence.
    AtSequence(u64),
    /// After this sequence.
    AfterSequence(u64),
    /// At the first record that arrived at or after this time, ms since 1970.
    AtTimestamp(u64),
}

/// A request for batches of a shard.
///
/// ```text
///   u64 incarnation | u32 shard | position | u32 bytes at most
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Shard number.
    pub shard: u32,
    /// Where to begin.
    pub position: Position,
    /// Bytes of batches at most; one batch always fits. At most 8 MiB.
    pub bytes_max: u32,
}

/// Reply to [`Read`]: whole batches as stored; the first may begin before the position.
///
/// ```text
///   group { u64 start | u64 next | u64 tip | u64 behind ms | u8 0: goes on, 1: ended | u32 children | children x u32 } | batches
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// The sequence that the position meant; records before it are not asked for.
    pub start_sequence: u64,
    /// Where to read on.
    pub next_sequence: u64,
    /// Next sequence of the shard: everything before it is on the disk.
    pub tip_sequence: u64,
    /// How far `next_sequence` is behind the tip: age of the first durable record at or after it, in ms; 0 at the tip.
    pub behind_ms: u64,
    /// At the end of a closed shard, the shards that take what it took.
    pub children: Option<Vec<u32>>,
    /// The batches, one after the other.
    pub batches: Bytes,
}

/// A request to make a stream.
///
/// ```text
///   text name | u32 shards | u64 retention ms | u32 largest record bytes | mode
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateStream {
    /// Name, not yet proved.
    pub name: String,
    /// 1 to 10,000.
    pub shards: u32,
    /// 24 hours to 8,760 hours; 0 means 24 hours.
    pub retention_ms: u64,
    /// 1 MiB to 10 MiB; 0 means 1 MiB.
    pub record_bytes_max: u32,
    /// Who decides how many shards it has later.
    pub mode: StreamMode,
}

/// A stream with its shards.
///
/// ```text
///   group { text name | u64 incarnation | u64 created ms | u64 retention ms | u32 largest record bytes } | u32 count |
///   count x group { u32 shard | u128 first hash | u128 last hash | u8 state | u32 parent + 1 | u32 adjacent parent + 1 | u32 log | u16 lane } |
///   group { settings }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Name.
    pub name: String,
    /// Identity of this life of the name.
    pub incarnation: u64,
    /// Creation, ms since 1970.
    pub created_ms: u64,
    /// How long records are kept.
    pub retention_ms: u64,
    /// Largest data of one record in bytes.
    pub record_bytes_max: u32,
    /// Shards in order of their number.
    pub shards: Vec<ShardDescription>,
    /// What else may be changed of it.
    pub settings: StreamSettings,
}

/// A shard of a [`StreamDescription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardDescription {
    /// Number within the stream.
    pub shard: u32,
    /// Its stretch of the hash space.
    pub range: HashRange,
    /// Whether it takes puts.
    pub open: bool,
    /// The shard it was split or merged from.
    pub parent: Option<u32>,
    /// The second shard it was merged from.
    pub adjacent_parent: Option<u32>,
    /// The log that holds it.
    pub log: u32,
    /// The lane that serves it in this run.
    pub lane: u16,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// Name.
    pub name: String,
    /// Identity of this life of the name.
    pub incarnation: u64,
    /// Creation, ms since 1970.
    pub created_ms: u64,
    /// Open shards.
    pub open_shards: u32,
    /// How long records are kept.
    pub retention_ms: u64,
    /// Who decides how many shards it has.
    pub mode: StreamMode,
}

/// Everything a client asks, except a put, whose payload is a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Who the client is.
    Hello(Hello),
    /// Answer at once.
    Ping,
    /// Batches of a shard.
    Read(Read),
    /// Make a stream.
    CreateStream(CreateStream),
    /// Describe the stream of this name.
    DescribeStream(String),
    /// Up to `limit` streams that pass the filter and whose names sort after `after`.
    ListStreams {
        /// Where to go on; empty for the first page.
        after: String,
        /// 1 to 1,000.
        limit: u32,
        /// Which of them.
        filter: StreamFilter,
    },
    /// Delete the stream of this name.
    DeleteStream(String),
    /// Register a consumer.
    RegisterConsumer(ConsumerTerms),
    /// Describe a consumer, and give it a new epoch.
    DescribeConsumer(ConsumerOf),
    /// Up to `limit` consumers of a stream whose names sort after `after`.
    ListConsumers {
        /// Name of the stream.
        stream: String,
        /// Where to go on; empty for the first page.
        after: String,
        /// 1 to 1,000.
        limit: u32,
    },
    /// Deregister a consumer.
    DeregisterConsumer(ConsumerOf),
    /// Push a shard to the subscription that the frame names.
    Subscribe(Subscribe),
    /// Allow this many more bytes to be pushed to the subscription that the frame names.
    Credit(u64),
    /// End the subscription that the frame names.
    Unsubscribe,
    /// Make an access key.
    CreateKey(CreateKey),
    /// Up to `limit` access keys whose ids sort after `after`.
    ListKeys {
        /// Where to go on; empty for the first page.
        after: String,
        /// 1 to 1,000.
        limit: u32,
    },
    /// Revoke the access key of this id or name.
    RevokeKey(String),
    /// Split a shard.
    SplitShard(SplitShard),
    /// Merge two shards.
    MergeShards(MergeShards),
    /// Have another number of open shards.
    UpdateShardCount(UpdateShardCount),
    /// The broker's metrics.
    ReadMetrics,
    /// Change a stream.
    UpdateStream(UpdateStream),
    /// Change tags.
    ChangeTags(ChangeTags),
    /// List tags.
    ListTags(Tagged),
    /// The steps of the on-demand stream of this name.
    ListScalingSteps(String),
    /// Change what is promised to a registered consumer.
    UpdateConsumer(ConsumerTerms),
}

/// Everything a broker answers or pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To Hello.
    Welcome(Welcome),
    /// To a request that failed.
    Error(WireError),
    /// To Ping.
    Pong,
    /// To a put: on the disk from this sequence on, with this arrival.
    Ack {
        /// Sequence of the batch's first record.
        first_sequence: u64,
        /// Arrival, ms since 1970.
        arrival_ms: u64,
    },
    /// To Read.
    Batches(Batches),
    /// To CreateStream and DescribeStream.
    Stream(StreamDescription),
    /// To ListStreams: a page and whether more follow.
    Streams(Vec<StreamSummary>, bool),
    /// It was done.
    Done,
    /// To RegisterConsumer, DescribeConsumer and UpdateConsumer.
    Consumer(ConsumerDescription),
    /// To ListConsumers: a page and whether more follow.
    Consumers(Vec<ConsumerDescription>, bool),
    /// To Subscribe: the next sequence that will be pushed.
    Subscribed(u64),
    /// Pushed batches.
    Push(Push),
    /// The end of a subscription.
    PushEnd(PushEnd),
    /// To CreateKey.
    Key(NewKey),
    /// To ListKeys: a page and whether more follow.
    Keys(Vec<KeyDescription>, bool),
    /// To ReadMetrics: as many of these as it takes, on the same stream.
    Metrics(MetricsPiece),
    /// To ListTags: all of them, sorted by their keys.
    Tags(Vec<Tag>),
    /// To ListScalingSteps: those that are remembered, the newest first.
    ScalingSteps(Vec<ScalingStep>),
}

impl Request {
    /// The kind of frame that carries the request.
    pub fn kind(&self) -> u16 {
        match self {
            Request::Hello(_) => kind::HELLO,
            Request::Ping => kind::PING,
            Request::Read(_) => kind::READ,
            Request::CreateStream(_) => kind::CREATE_STREAM,
            Request::DescribeStream(_) => kind::DESCRIBE_STREAM,
            Request::ListStreams { .. } => kind::LIST_STREAMS,
            Request::DeleteStream(_) => kind::DELETE_STREAM,
            Request::RegisterConsumer(_) => kind::REGISTER_CONSUMER,
            Request::DescribeConsumer(_) => kind::DESCRIBE_CONSUMER,
            Request::ListConsumers { .. } => kind::LIST_CONSUMERS,
            Request::DeregisterConsumer(_) => kind::DEREGISTER_CONSUMER,
            Request::Subscribe(_) => kind::SUBSCRIBE,
            Request::Credit(_) => kind::CREDIT,
            Request::Unsubscribe => kind::UNSUBSCRIBE,
            Request::CreateKey(_) => kind::CREATE_KEY,
            Request::ListKeys { .. } => kind::LIST_KEYS,
            Request::RevokeKey(_) => kind::REVOKE_KEY,
            Request::SplitShard(_) => kind::SPLIT_SHARD,
            Request::MergeShards(_) => kind::MERGE_SHARDS,
            Request::UpdateShardCount(_) => kind::UPDATE_SHARD_COUNT,
            Request::ReadMetrics => kind::READ_METRICS,
            Request::UpdateStream(_) => kind::UPDATE_STREAM,
            Request::ChangeTags(_) => kind::CHANGE_TAGS,
            Request::ListTags(_) => kind::LIST_TAGS,
            Request::ListScalingSteps(_) => kind::LIST_SCALING_STEPS,
            Request::UpdateConsumer(_) => kind::UPDATE_CONSUMER,
        }
    }

    /// Appends the request as a frame.
    pub fn write(&self, id: u64, out: &mut BytesMut) {
        write_frame(out, self.kind(), id, |out| match self {
            Request::Hello(hello) => hello.encode(out),
            Request::Ping | Request::Unsubscribe | Request::ReadMetrics => {}
            Request::Read(read) => {
                out.put_u64_le(read.incarnation);
                out.put_u32_le(read.shard);
                read.position.encode(out);
                out.put_u32_le(read.bytes_max);
            }
            Request::CreateStream(create) => {
                FieldWriter::text(out, &create.name);
                out.put_u32_le(create.shards);
                out.put_u64_le(create.retention_ms);
                out.put_u32_le(create.record_bytes_max);
                create.mode.encode(out);
            }
            Request::DescribeStream(name)
            | Request::DeleteStream(name)
            | Request::RevokeKey(name)
            | Request::ListScalingSteps(name) => {
                FieldWriter::text(out, name);
            }
            Request::ListStreams { after, limit, filter } => {
                FieldWriter::text(out, after);
                out.put_u32_le(*limit);
                filter.encode(out);
            }
            Request::ListKeys { after, limit } => {
                FieldWriter::text(out, after);
                out.put_u32_le(*limit);
            }
            Request::RegisterConsumer(terms) | Request::UpdateConsumer(terms) => terms.encode(out),
            Request::DescribeConsumer(consumer) | Request::DeregisterConsumer(consumer) => consumer.encode(out),
            Request::ListConsumers { stream, after, limit } => {
                FieldWriter::text(out, stream);
                FieldWriter::text(out, after);
                out.put_u32_le(*limit);
            }
            Request::Subscribe(subscribe) => subscribe.encode(out),
            Request::CreateKey(create) => create.encode(out),
            Request::Credit(bytes) => out.put_u64_le(*bytes),
            Request::SplitShard(split) => split.encode(out),
            Request::MergeShards(merge) => merge.encode(out),
            Request::UpdateShardCount(update) => update.encode(out),
            Request::UpdateStream(update) => update.encode(out),
            Request::ChangeTags(change) => change.encode(out),
            Request::ListTags(of) => of.encode(out),
        });
    }

    /// Reads the payload of a frame of `kind`; `None` when this version does not know the kind.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Option<Request>, Malformed> {
        let mut fields = FieldReader::new("request", payload);
        let name = |fields: &mut FieldReader<'_>| Ok::<_, Malformed>(fields.text(TEXT_BYTES_MAX)?.to_owned());
        Ok(Some(match kind {
            kind::HELLO => Request::Hello(Hello::decode(&mut fields)?),
            kind::PING => Request::Ping,
            kind::READ => Request::Read(Read {
                incarnation: fields.u64()?,
                shard: fields.u32()?,
                position: Position::decode(&mut fields)?,
                bytes_max: fields.u32()?,
            }),
            kind::CREATE_STREAM => Request::CreateStream(CreateStream {
                name: name(&mut fields)?,
                shards: fields.u32()?,
                retention_ms: fields.u64()?,
                record_bytes_max: fields.u32()?,
                mode: StreamMode::decode(&mut fields)?,
            }),
            kind::DESCRIBE_STREAM => Request::DescribeStream(name(&mut fields)?),
            kind::LIST_STREAMS => Request::ListStreams {
                after: name(&mut fields)?,
                limit: fields.u32()?,
                filter: StreamFilter::decode(&mut fields)?,
            },
            kind::DELETE_STREAM => Request::DeleteStream(name(&mut fields)?),
            kind::REGISTER_CONSUMER => Request::RegisterConsumer(ConsumerTerms::decode(&mut fields)?),
            kind::DESCRIBE_CONSUMER => Request::DescribeConsumer(ConsumerOf::decode(&mut fields)?),
            kind::LIST_CONSUMERS => {
                Request::ListConsumers { stream: name(&mut fields)?, after: name(&mut fields)?, limit: fields.u32()? }
            }
            kind::DEREGISTER_CONSUMER => Request::DeregisterConsumer(ConsumerOf::decode(&mut fields)?),
            kind::SUBSCRIBE => Request::Subscribe(Subscribe::decode(&mut fields)?),
            kind::CREDIT => Request::Credit(fields.u64()?),
            kind::UNSUBSCRIBE => Request::Unsubscribe,
            kind::CREATE_KEY => Request::CreateKey(CreateKey::decode(&mut fields)?),
            kind::LIST_KEYS => Request::ListKeys { after: name(&mut fields)?, limit: fields.u32()? },
            kind::REVOKE_KEY => Request::RevokeKey(name(&mut fields)?),
            kind::SPLIT_SHARD => Request::SplitShard(SplitShard::decode(&mut fields)?),
            kind::MERGE_SHARDS => Request::MergeShards(MergeShards::decode(&mut fields)?),
            kind::UPDATE_SHARD_COUNT => Request::UpdateShardCount(UpdateShardCount::decode(&mut fields)?),
            kind::READ_METRICS => Request::ReadMetrics,
            kind::UPDATE_STREAM => Request::UpdateStream(UpdateStream::decode(&mut fields)?),
            kind::CHANGE_TAGS => Request::ChangeTags(ChangeTags::decode(&mut fields)?),
            kind::LIST_TAGS => Request::ListTags(Tagged::decode(&mut fields)?),
            kind::LIST_SCALING_STEPS => Request::ListScalingSteps(name(&mut fields)?),
            kind::UPDATE_CONSUMER => Request::UpdateConsumer(ConsumerTerms::decode(&mut fields)?),
            _ => return Ok(None),
        }))
    }
}

impl Reply {
    /// The kind of frame that carries the reply.
    pub fn kind(&self) -> u16 {
        match self {
            Reply::Welcome(_) => kind::WELCOME,
            Reply::Error(_) => kind::ERROR,
            Reply::Pong => kind::PONG,
            Reply::Ack { .. } => kind::ACK,
            Reply::Batches(_) => kind::BATCHES,
            Reply::Stream(_) => kind::STREAM,
            Reply::Streams(..) => kind::STREAMS,
            Reply::Done => kind::DONE,
            Reply::Consumer(_) => kind::CONSUMER,
            Reply::Consumers(..) => kind::CONSUMERS,
            Reply::Subscribed(_) => kind::SUBSCRIBED,
            Reply::Push(_) => kind::PUSH,
            Reply::PushEnd(_) => kind::PUSH_END,
            Reply::Key(_) => kind::KEY,
            Reply::Keys(..) => kind::KEYS,
            Reply::Metrics(_) => kind::METRICS,
            Reply::Tags(_) => kind::TAGS,
            Reply::ScalingSteps(_) => kind::SCALING_STEPS,
        }
    }

    /// Appends the reply as a frame.
    pub fn write(&self, id: u64, out: &mut BytesMut) {
        write_frame(out, self.kind(), id, |out| match self {
            Reply::Welcome(welcome) => {
                out.put_u16_le(welcome.version);
                out.put_u64_le(welcome.features);
                out.put_u16_le(welcome.lanes);
                out.put_u64_le(welcome.directory_id);
                FieldWriter::text(out, &welcome.broker);
                out.put_u16_le(welcome.lane);
            }
            Reply::Error(error) => error.encode(out),
            Reply::Pong | Reply::Done => {}
            Reply::Ack { first_sequence, arrival_ms } => {
                out.put_u64_le(*first_sequence);
                out.put_u64_le(*arrival_ms);
            }
            Reply::Batches(reply) => {
                reply.encode_fields(out);
                out.put_slice(&reply.batches);
            }
            Reply::Stream(stream) => stream.encode(out),
            Reply::Streams(streams, more) => write_page(out, streams, *more, StreamSummary::encode),
            Reply::Consumer(consumer) => write_group(out, |out| consumer.encode(out)),
            Reply::Consumers(consumers, more) => write_page(out, consumers, *more, ConsumerDescription::encode),
            Reply::Subscribed(next) => out.put_u64_le(*next),
            Reply::Push(push) => {
                push.encode_fields(out);
                out.put_slice(&push.batches);
            }
            Reply::PushEnd(end) => end.encode(out),
            Reply::Key(key) => key.encode(out),
            Reply::Keys(keys, more) => write_page(out, keys, *more, KeyDescription::encode),
            Reply::Metrics(piece) => {
                piece.encode_fields(out);
                out.put_slice(&piece.text);
            }
            Reply::Tags(tags) => tag::encode_tags(tags, out),
            Reply::ScalingSteps(steps) => mode::encode_steps(steps, out),
        });
    }

    /// Reads the payload of a frame of `kind`; `None` when this version does not know the kind.
    pub fn decode(kind: u16, payload: Bytes) -> Result<Option<Reply>, Malformed> {
        let mut fields = FieldReader::new("reply", &payload);
        Ok(Some(match kind {
            kind::WELCOME => Reply::Welcome(Welcome {
                version: fields.u16()?,
                features: fields.u64()?,
                lanes: fields.u16()?,
                directory_id: fields.u64()?,
                broker: fields.text(TEXT_BYTES_MAX)?.to_owned(),
                lane: fields.u16()?,
            }),
            kind::ERROR => Reply::Error(WireError::decode(&mut fields)?),
            kind::PONG => Reply::Pong,
            kind::DONE => Reply::Done,
            kind::ACK => Reply::Ack { first_sequence: fields.u64()?, arrival_ms: fields.u64()? },
            kind::BATCHES => {
                let mut group = fields.group()?;
                Reply::Batches(Batches {
                    start_sequence: group.u64()?,
                    next_sequence: group.u64()?,
                    tip_sequence: group.u64()?,
                    behind_ms: group.u64()?,
                    children: Batches::decode_children(&mut group)?,
                    batches: payload.slice_ref(fields.rest()),
                })
            }
            kind::STREAM => Reply::Stream(StreamDescription::decode(&mut fields)?),
            kind::STREAMS => {
                let (streams, more) = read_page(&mut fields, StreamSummary::decode)?;
                Reply::Streams(streams, more)
            }
            kind::CONSUMER => Reply::Consumer(ConsumerDescription::decode(&mut fields.group()?)?),
            kind::CONSUMERS => {
                let (consumers, more) = read_page(&mut fields, ConsumerDescription::decode)?;
                Reply::Consumers(consumers, more)
            }
            kind::SUBSCRIBED => Reply::Subscribed(fields.u64()?),
            kind::PUSH => {
                let mut group = fields.group()?;
                let (behind_ms, tip_sequence) = (group.u64()?, group.u64()?);
                Reply::Push(Push { behind_ms, tip_sequence, batches: payload.slice_ref(fields.rest()) })
            }
            kind::PUSH_END => Reply::PushEnd(PushEnd::decode(&mut fields)?),
            kind::KEY => Reply::Key(NewKey::decode(&mut fields)?),
            kind::KEYS => {
                let (keys, more) = read_page(&mut fields, KeyDescription::decode)?;
                Reply::Keys(keys, more)
            }
            kind::METRICS => Reply::Metrics(MetricsPiece::decode(&mut fields, &payload)?),
            kind::TAGS => Reply::Tags(tag::decode_tags(&mut fields)?),
            kind::SCALING_STEPS => Reply::ScalingSteps(mode::decode_steps(&mut fields)?),
            _ => return Ok(None),
        }))
    }
}

impl Hello {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.version_min);
        out.put_u16_le(self.version_max);
        out.put_u64_le(self.features);
        FieldWriter::text(out, &self.key_id);
        out.put_slice(&self.proof);
        FieldWriter::text(out, &self.client);
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<Hello, Malformed> {
        Ok(Hello {
            version_min: fields.u16()?,
            version_max: fields.u16()?,
            features: fields.u64()?,
            key_id: fields.text(TEXT_BYTES_MAX)?.to_owned(),
            proof: fields.array()?,
            client: fields.text(TEXT_BYTES_MAX)?.to_owned(),
        })
    }
}

impl Position {
    fn encode(&self, out: &mut BytesMut) {
        let (kind, value) = match *self {
            Position::TrimHorizon => (0, 0),
            Position::Latest => (1, 0),
            Position::AtSequence(sequence) => (2, sequence),
            Position::AfterSequence(sequence) => (3, sequence),
            Position::AtTimestamp(ms) => (4, ms),
        };
        out.put_u8(kind);
        out.put_u64_le(value);
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<Position, Malformed> {
        match (fields.u8()?, fields.u64()?) {
            (0, _) => Ok(Position::TrimHorizon),
            (1, _) => Ok(Position::Latest),
            (2, sequence) => Ok(Position::AtSequence(sequence)),
            (3, sequence) => Ok(Position::AfterSequence(sequence)),
            (4, ms) => Ok(Position::AtTimestamp(ms)),
            _ => Err(fields.wrong("its kind of position is unknown")),
        }
    }
}

impl Batches {
    /// Writes the fields that stand before the batches, for a sender that has the batches in pieces.
    pub fn encode_fields(&self, out: &mut BytesMut) {
        write_group(out, |out| {
            out.put_u64_le(self.start_sequence);
            out.put_u64_le(self.next_sequence);
            out.put_u64_le(self.tip_sequence);
            out.put_u64_le(self.behind_ms);
            let children = self.children.as_deref();
            out.put_u8(u8::from(children.is_some()));
            out.put_u32_le(children.map_or(0, |children| children.len() as u32));
            children.unwrap_or_default().iter().for_each(|child| out.put_u32_le(*child));
        });
    }

    fn decode_children(group: &mut FieldReader<'_>) -> Result<Option<Vec<u32>>, Malformed> {
        let is_ended = group.u8()? != 0;
        let count = group.count(CHILDREN_MAX, 4)?;
        let children = (0..count).map(|_| group.u32()).collect::<Result<_, _>>()?;
        Ok(is_ended.then_some(children))
    }
}

impl StreamDescription {
    fn encode(&self, out: &mut BytesMut) {
        write_group(out, |out| {
            FieldWriter::text(out, &self.name);
            out.put_u64_le(self.incarnation);
            out.put_u64_le(self.created_ms);
            out.put_u64_le(self.retention_ms);
            out.put_u32_le(self.record_bytes_max);
        });
        out.put_u32_le(self.shards.len() as u32);
        for shard in &self.shards {
            write_group(out, |out| {
                out.put_u32_le(shard.shard);
                out.put_u128_le(shard.range.first);
                out.put_u128_le(shard.range.last);
                out.put_u8(u8::from(shard.open));
                out.put_u32_le(shard.parent.map_or(0, |parent| parent + 1));
                out.put_u32_le(shard.adjacent_parent.map_or(0, |parent| parent + 1));
                out.put_u32_le(shard.log);
                out.put_u16_le(shard.lane);
            });
        }
        write_group(out, |out| self.settings.encode(out));
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<StreamDescription, Malformed> {
        let mut head = fields.group()?;
        let mut stream = StreamDescription {
            name: head.text(STREAM_NAME_CHARS_MAX)?.to_owned(),
            incarnation: head.u64()?,
            created_ms: head.u64()?,
            retention_ms: head.u64()?,
            record_bytes_max: head.u32()?,
            shards: Vec::new(),
            settings: StreamSettings::default(),
        };
        // A stream that was resharded lists closed shards beside the open ones.
        let count = fields.count(SHARDS_MAX * 4, 2)?;
        for _ in 0..count {
            let mut shard = fields.group()?;
            let (number, first, last) = (shard.u32()?, shard.u128()?, shard.u128()?);
            if first > last {
                return Err(shard.wrong("a range of hash keys ends before it begins"));
            }
            stream.shards.push(ShardDescription {
                shard: number,
                range: HashRange { first, last },
                open: shard.u8()? != 0,
                parent: shard.u32()?.checked_sub(1),
                adjacent_parent: shard.u32()?.checked_sub(1),
                log: shard.u32()?,
                lane: shard.u16()?,
            });
        }
        stream.settings = StreamSettings::decode(&mut fields.group()?)?;
        Ok(stream)
    }

    /// The open shard that takes a record with this hash key.
    pub fn shard_of(&self, hash_key: u128) -> Option<&ShardDescription> {
        self.shards.iter().find(|shard| shard.open && shard.range.contains(hash_key))
    }
}

impl StreamSummary {
    fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.name);
        out.put_u64_le(self.incarnation);
        out.put_u64_le(self.created_ms);
        out.put_u32_le(self.open_shards);
        out.put_u64_le(self.retention_ms);
        self.mode.encode(out);
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<StreamSummary, Malformed> {
        Ok(StreamSummary {
            name: fields.text(STREAM_NAME_CHARS_MAX)?.to_owned(),
            incarnation: fields.u64()?,
            created_ms: fields.u64()?,
            open_shards: fields.u32()?,
            retention_ms: fields.u64()?,
            mode: StreamMode::decode(fields)?,
        })
    }
}

/// A page of a listing: whether more follow, then each item in a group.
fn write_page<T>(out: &mut BytesMut, items: &[T], more: bool, encode: impl Fn(&T, &mut BytesMut)) {
    write_group(out, |out| out.put_u8(u8::from(more)));
    out.put_u32_le(items.len() as u32);
    for item in items {
        write_group(out, |out| encode(item, out));
    }
}

fn read_page<T>(
    fields: &mut FieldReader<'_>,
    decode: impl Fn(&mut FieldReader<'_>) -> Result<T, Malformed>,
) -> Result<(Vec<T>, bool), Malformed> {
    let more = fields.group()?.u8()? != 0;
    let count = fields.count(LIST_PAGE_MAX, 2)?;
    let items = (0..count).map(|_| decode(&mut fields.group()?)).collect::<Result<_, _>>()?;
    Ok((items, more))
}
