//! A connection to a broker that has said Hello: control requests and reads.

use std::sync::Arc;

use bytes::BytesMut;
use quinn::{Connection, Endpoint, RecvStream, SendStream, TokioRuntime, VarInt};
use rheos_broker::transport;
use rheos_client::quic_config_for_ca;
use rheos_protocol::batch::{BatchHeader, HEADER_BYTES};
use rheos_protocol::frame::kind;
use rheos_protocol::message::{
    CreateStream, EXPORTER_LABEL, Hello, PROTOCOL_VERSION, Position, Read, Reply, Request, StreamDescription,
};
use ring::hmac;

use super::access::Access;
use super::incoming::Incoming;
use crate::Failure;

/// The name in every broker's certificate.
const SERVER_NAME: &str = "rheos";

/// A connection of its own, on a socket of its own; closed with this value.
pub(crate) struct Session {
    connection: Connection,
}

/// What one read brought; its bodies are counted and not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadPart {
    /// First sequence that was asked for.
    pub(crate) start: u64,
    /// Where to read on.
    pub(crate) next: u64,
    /// Bytes of whole batches.
    pub(crate) bytes: u64,
}

impl Session {
    pub(crate) async fn open(access: &Access, mtu_bound: u16) -> Result<Self, Failure> {
        let mut config = quic_config_for_ca(access.ca_sha256);
        config.transport_config(Arc::new(transport::client(mtu_bound)));
        let (socket, _) = transport::bind_udp(([127, 0, 0, 1], 0).into())?;
        let endpoint = Endpoint::new(transport::endpoint(mtu_bound), None, socket, Arc::new(TokioRuntime))?;
        let connection = endpoint.connect_with(config, access.address, SERVER_NAME)?.await?;
        let session = Self { connection };
        match session.request(&Request::Hello(session.hello(access)?)).await? {
            Reply::Welcome(_) => Ok(session),
            other => Err(unexpected("Hello", &other)),
        }
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
        let create = CreateStream { name: name.to_owned(), shards, retention_ms: 0, record_bytes_max: 0 };
        match self.request(&Request::CreateStream(create)).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("CreateStream", &other)),
        }
    }

    pub(crate) async fn delete_stream(&self, name: &str) -> Result<(), Failure> {
        self.request(&Request::DeleteStream(name.to_owned())).await.map(drop)
    }

    /// Reads a part of a shard from `start` on.
    pub(crate) async fn read(
        &self,
        stream: &StreamDescription,
        start: u64,
        bytes_max: u32,
    ) -> Result<ReadPart, Failure> {
        let read = Read {
            incarnation: stream.incarnation,
            shard: stream.shards.first().ok_or("the stream has no shard")?.shard,
            position: Position::AtSequence(start),
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
        let mut sequence = None;
        while left > 0 {
            let batch = BatchHeader::decode(&incoming.array::<HEADER_BYTES>(&mut left).await?)?;
            if sequence.is_some_and(|expected| expected != batch.first_sequence) {
                return Err("the broker's batches leave a gap".into());
            }
            sequence = Some(batch.first_sequence + u64::from(batch.record_count));
            incoming.skip(u64::from(batch.body_len), &mut left).await?;
        }
        Ok(ReadPart { start, next: fields.next_sequence, bytes })
    }

    /// Ends the connection at once.
    pub(crate) fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"done");
    }

    /// Opens a put stream.
    pub(crate) async fn open_puts(&self) -> Result<(SendStream, RecvStream), Failure> {
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

fn unexpected(request: &str, reply: &Reply) -> Failure {
    match reply {
        Reply::Error(error) => format!("the broker refused {request}: {error}").into(),
        other => format!("the broker answered {request} with a frame of kind {}", other.kind()).into(),
    }
}
