//! A connection to a broker that has said Hello: control requests and reads.

use std::sync::Arc;

use bytes::BytesMut;
use quinn::{
    ClientConfig, Connection, ConnectionId, Endpoint, RecvStream, SendStream, TokioRuntime, TransportConfig, VarInt,
};
use rheos_broker::transport;
use rheos_client::quic_config_for_ca;
use rheos_protocol::batch::{BatchHeader, HEADER_BYTES};
use rheos_protocol::frame::kind;
use rheos_protocol::message::{
    ConsumerDescription, ConsumerOf, CreateStream, EXPORTER_LABEL, Hello, PROTOCOL_VERSION, Position, Read, Reply,
    Request, StreamDescription,
};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::access::Access;
use super::incoming::Incoming;
use crate::Failure;

/// The name in every broker's certificate.
const SERVER_NAME: &str = "rheos";

/// Bytes of the id that a connection begins with, which nobody may guess.
const INITIAL_ID_BYTES: usize = 16;

/// A connection of its own, on a socket of its own; closed with this value.
pub(crate) struct Session {
    connection: Connection,
}

/// Opens connections to a broker, all from one socket.
pub(crate) struct Dialer {
    access: Access,
    config: ClientConfig,
    endpoint: Endpoint,
}

/// What one read brought; its bodies are counted and not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadPart {
    /// First sequence that was asked for, or came.
    pub(crate) start: u64,
    /// When the first batch arrived, if there is one.
    pub(crate) first_arrival_ms: Option<u64>,
    /// Where to read on.
    pub(crate) next: u64,
    /// Bytes of whole batches.
    pub(crate) bytes: u64,
}

impl Dialer {
    pub(crate) fn new(access: &Access, transport: TransportConfig, mtu_bound: u16) -> Result<Self, Failure> {
        let mut config = quic_config_for_ca(access.ca_sha256);
        config.transport_config(Arc::new(transport));
        let (socket, _) = transport::bind_udp(([127, 0, 0, 1], 0).into())?;
        let endpoint = Endpoint::new(transport::endpoint(mtu_bound), None, socket, Arc::new(TokioRuntime))?;
        Ok(Self { access: access.clone(), config, endpoint })
    }

    /// Chooses the lane that connections come to: the first byte of the id that they begin with.
    pub(crate) fn on_lane(mut self, lane: u8) -> Self {
        let ids = move || {
            let mut id = [0; INITIAL_ID_BYTES];
            SystemRandom::new().fill(&mut id).expect("the kernel gives random bytes");
            id[0] = lane;
            ConnectionId::new(&id)
        };
        self.config.initial_dst_cid_provider(Arc::new(ids));
        self
    }

    pub(crate) async fn connect(&self) -> Result<Session, Failure> {
        let connecting = self.endpoint.connect_with(self.config.clone(), self.access.address, SERVER_NAME)?;
        let session = Session { connection: connecting.await? };
        match session.request(&Request::Hello(session.hello(&self.access)?)).await? {
            Reply::Welcome(_) => Ok(session),
            other => Err(unexpected("Hello", &other)),
        }
    }
}

impl Session {
    /// A connection with the rig's usual settings.
    pub(crate) async fn open(access: &Access, mtu_bound: u16) -> Result<Self, Failure> {
        Dialer::new(access, transport::client(mtu_bound), mtu_bound)?.connect().await
    }

    fn hello(&self, access: &Access) -> Result<Hello, Failure> {
        let mut exporter = [0; 32];
        self.connection
            .export_keying_material(&mut exporter, EXPORTER_LABEL, b"")
            .map_err(|_| "the connection gives no keying material")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, access.secret.as_bytes());
        Ok(Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            features: 0,
            key_id: access.key_id.clone(),
            proof: hmac::sign(&key, &exporter).as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"),
            client: concat!("rheos-bench ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        self.request(&Request::Ping).await.map(drop)
    }

    /// Makes a stream with the default settings.
    pub(crate) async fn create_stream(&self, name: &str, shards: u32) -> Result<StreamDescription, Failure> {
        let create = CreateStream { name: name.to_owned(), shards, ..CreateStream::default() };
        match self.request(&Request::CreateStream(create)).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("CreateStream", &other)),
        }
    }

    pub(crate) async fn delete_stream(&self, name: &str) -> Result<(), Failure> {
        self.request(&Request::DeleteStream(name.to_owned())).await.map(drop)
    }

    /// Reads a part of a stream's first shard from `start` on.
    pub(crate) async fn read(
        &self,
        stream: &StreamDescription,
        start: u64,
        bytes_max: u32,
    ) -> Result<ReadPart, Failure> {
        let read = self.read_from(stream, Position::AtSequence(start), bytes_max).await?;
        Ok(ReadPart { start, ..read })
    }

    /// The same from any position.
    pub(crate) async fn read_from(
        &self,
        stream: &StreamDescription,
        position: Position,
        bytes_max: u32,
    ) -> Result<ReadPart, Failure> {
        let read = Read {
            incarnation: stream.incarnation,
            shard: stream.shards.first().ok_or("the stream has no shard")?.shard,
            position,
            bytes_max,
        };
        let mut incoming = self.send(&Request::Read(read)).await?;
        let (header, mut left) = incoming.header().await?;
        if header.kind != kind::BATCHES {
            return Err(unexpected("Read", &incoming.reply(header).await?));
        }
        let group = incoming.group(&mut left).await?;
        let Some(Reply::Batches(fields)) = Reply::decode(header.kind, group)? else {
            return Err("the broker's batches have no fields".into());
        };
        let bytes = left;
        let (mut sequence, mut first) = (None, None);
        while left > 0 {
            let batch = BatchHeader::decode(&incoming.bytes.array::<HEADER_BYTES>(&mut left).await?)?;
            if sequence.is_some_and(|expected| expected != batch.first_sequence) {
                return Err("the broker's batches leave a gap".into());
            }
            sequence = Some(batch.first_sequence + u64::from(batch.record_count));
            first.get_or_insert((batch.first_sequence, batch.arrival_ms));
            incoming.bytes.skip(u64::from(batch.body_len), &mut left).await?;
        }
        let start = first.map_or(fields.next_sequence, |(sequence, _)| sequence);
        Ok(ReadPart { start, first_arrival_ms: first.map(|(_, ms)| ms), next: fields.next_sequence, bytes })
    }

    /// The next stream that the broker opens, on which it pushes; an error when the connection ends.
    pub(crate) async fn accept_pushes(&self) -> Result<RecvStream, Failure> {
        Ok(self.connection.accept_uni().await?)
    }

    /// Ends the connection at once.
    pub(crate) fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"done");
    }

    /// Registers a consumer of a stream.
    pub(crate) async fn register_consumer(&self, stream: &str, consumer: &str) -> Result<ConsumerDescription, Failure> {
        self.consumer(|of| Request::RegisterConsumer(of.into()), stream, consumer).await
    }

    /// An epoch for a consumer that is newer than all before.
    pub(crate) async fn consumer_epoch(&self, stream: &str, consumer: &str) -> Result<u64, Failure> {
        Ok(self.consumer(Request::DescribeConsumer, stream, consumer).await?.epoch)
    }

    async fn consumer(
        &self,
        request: impl FnOnce(ConsumerOf) -> Request,
        stream: &str,
        consumer: &str,
    ) -> Result<ConsumerDescription, Failure> {
        let consumer = ConsumerOf { stream: stream.to_owned(), consumer: consumer.to_owned() };
        match self.request(&request(consumer)).await? {
            Reply::Consumer(described) => Ok(described),
            other => Err(unexpected("a consumer's request", &other)),
        }
    }

    /// Opens a put stream, or a subscription stream.
    pub(crate) async fn open_stream(&self) -> Result<(SendStream, RecvStream), Failure> {
        Ok(self.connection.open_bi().await?)
    }

    /// Sends a request on a stream of its own; an error that comes back is a failure.
    async fn request(&self, request: &Request) -> Result<Reply, Failure> {
        let mut incoming = self.send(request).await?;
        let (header, _) = incoming.header().await?;
        match incoming.reply(header).await? {
            Reply::Error(error) => Err(format!("the broker refused a request: {error}").into()),
            reply => Ok(reply),
        }
    }

    async fn send(&self, request: &Request) -> Result<Incoming, Failure> {
        let (mut send, recv) = self.connection.open_bi().await?;
        let mut frame = BytesMut::new();
        request.write(0, &mut frame);
        send.write_chunk(frame.freeze()).await?;
        send.finish()?;
        Ok(Incoming::new(recv))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) fn unexpected(request: &str, reply: &Reply) -> Failure {
    match reply {
        Reply::Error(error) => format!("the broker refused {request}: {error}").into(),
        other => format!("the broker answered {request} with a frame of kind {}", other.kind()).into(),
    }
}
