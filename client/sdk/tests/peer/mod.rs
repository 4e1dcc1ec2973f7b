// A tiny broker in this process, for tests alone: it speaks the protocol, keeps everything in memory,
// numbers puts as a broker does, and misbehaves when it is told to.

mod admin;
mod push;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig,
};
use rheos_client::protocol::batch::{Batch, ProducerStamp, PutBatch};
use rheos_client::protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_client::protocol::hash::HashRange;
use rheos_client::protocol::message::{
    ALPN, Batches, EXPORTER_LABEL, Hello, MetricsPiece, PROTOCOL_VERSION, Read, Reply, Request, UpdateShardCount,
};
use rheos_client::{
    ErrorCode, Position, ShardDescription, StreamDescription, StreamLimits, StreamSettings, StreamSummary, Welcome,
    WireError,
};
use ring::rand::SecureRandom;
use ring::{digest, hmac, rand};
use tokio::sync::{Semaphore, watch};

#[allow(unused_imports, reason = "no test needs all of it")]
pub(crate) use push::Twist;

pub(crate) const KEY_ID: &str = "RKTEST";
pub(crate) const SECRET: &str = "a-secret_of_the-test";
/// Arrival of the first batch of a shard; each next one comes a millisecond later.
pub(crate) const ARRIVAL_MS: u64 = 1_700_000_000_000;

/// What the peer does with a put, instead of storing and answering it.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "no test needs all of it")]
pub(crate) enum Act {
    /// Stores and answers it after all.
    Store,
    /// Answers with this error and consumes no number.
    Refuse(WireError),
    /// Stores it, then ends the connection without an answer.
    StoreAndBreak,
    /// Ends the connection without storing it.
    Break,
    /// Forgets every producer, then goes on as usual.
    Forget,
    /// Neither stores nor answers it.
    Ignore,
    /// Does not store it, and answers with what answers no put.
    Garble,
}

/// A put as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PutSeen {
    pub(crate) producer: ProducerStamp,
    pub(crate) shard: u32,
    pub(crate) record_count: u32,
}

#[derive(Default)]
struct Shard {
    batches: Vec<Batch>,
    first_kept: u64,
    /// Once it is closed.
    children: Option<Vec<u32>>,
    damaged: Option<(u64, u64)>,
}

impl Shard {
    fn next_sequence(&self) -> u64 {
        self.batches.last().map_or(0, Batch::next_sequence)
    }

    /// The sequence that a position means.
    fn start(&self, position: Position) -> Result<u64, WireError> {
        let (kept, tip) = (self.first_kept, self.next_sequence());
        let start = match position {
            Position::TrimHorizon => kept,
            Position::Latest => tip,
            Position::AtSequence(sequence) => sequence,
            Position::AfterSequence(sequence) => sequence + 1,
            Position::AtTimestamp(ms) => {
                let later = self.batches.iter().find(|batch| batch.header().arrival_ms >= ms);
                later.map_or(tip, |batch| batch.header().first_sequence)
            }
        };
        if start < kept {
            return Err(WireError::new(ErrorCode::Trimmed, "no longer kept").with_detail(kept, 0));
        }
        if start > tip {
            return Err(WireError::new(ErrorCode::BeyondTip, "beyond the tip").with_detail(tip, 0));
        }
        Ok(start)
    }
}

struct Stream {
    description: StreamDescription,
    shards: Vec<Shard>,
    /// What was answered to each number of a producer; absent means not known.
    producers: BTreeMap<(u64, u32), Vec<Reply>>,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Stream>,
    incarnation_next: u64,
    admin: admin::Admin,
    acts: VecDeque<Act>,
    puts: Vec<PutSeen>,
    reads: Vec<Position>,
    requests: Vec<u16>,
    break_on: Option<u16>,
    metrics: Vec<Reply>,
    leave_out_a_batch: bool,
    connections: Vec<Connection>,
    hellos: u32,
    /// What it says it has; 0 stands for 1.
    lanes: u16,
    /// Lane and shard of every put and read.
    served: Vec<(u16, u32)>,
    consumers: push::Consumers,
}

impl State {
    /// The lane that a byte of a connection id means.
    fn lane(&self, byte: u8) -> u16 {
        u16::from(byte) % self.lanes.max(1)
    }
}

struct Shared {
    state: Mutex<State>,
    /// Puts wait here before they are looked at.
    puts: Semaphore,
    puts_held: Mutex<usize>,
    /// Something happened that may be pushed.
    changed: watch::Sender<usize>,
    /// Reads that have arrived; bodies of replies wait for `hold_bodies_until` of them.
    reads_seen: watch::Sender<usize>,
    hold_bodies_until: Mutex<Vec<usize>>,
    accept_anybody: bool,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) ca_sha256: String,
    shared: Arc<Shared>,
    config: ServerConfig,
    endpoint: Mutex<Endpoint>,
}

#[allow(dead_code, reason = "no test needs all of it")]
impl Peer {
    pub(crate) fn start() -> Peer {
        Peer::start_with(false)
    }

    pub(crate) fn start_with(accept_anybody: bool) -> Peer {
        let (config, ca_sha256) = server_config();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let endpoint = endpoint(&config, socket);
        let shared = Arc::new(Shared {
            state: Mutex::new(State { incarnation_next: 100, ..State::default() }),
            puts: Semaphore::new(Semaphore::MAX_PERMITS),
            puts_held: Mutex::default(),
            changed: watch::Sender::new(0),
            reads_seen: watch::Sender::new(0),
            hold_bodies_until: Mutex::default(),
            accept_anybody,
        });
        let address = endpoint.local_addr().unwrap();
        tokio::spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        Peer { address, ca_sha256, shared, config, endpoint: Mutex::new(endpoint) }
    }

    pub(crate) fn url(&self) -> String {
        format!("rheos://{KEY_ID}:{SECRET}@{}?ca=sha256:{}", self.address, self.ca_sha256)
    }

    pub(crate) fn create(&self, name: &str, shards: u32) {
        self.state(|state| state.create(name, shards, 1 << 20));
    }

    pub(crate) fn create_large(&self, name: &str, record_bytes_max: u32) {
        self.state(|state| state.create(name, 1, record_bytes_max));
    }

    pub(crate) fn delete(&self, name: &str) {
        self.state(|state| state.streams.remove(name));
    }

    /// From now on it has so many lanes, as far as it says; streams that are made from now on use them all.
    pub(crate) fn set_lanes(&self, lanes: u16) {
        self.state(|state| state.lanes = lanes);
    }

    /// The lane that answered and the shard, of every put and read.
    pub(crate) fn served(&self) -> Vec<(u16, u32)> {
        self.state(|state| state.served.clone())
    }

    /// What to do with the next puts.
    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state(|state| state.acts.extend(acts));
    }

    /// Ends the connection when a request of this kind comes, once.
    pub(crate) fn break_on(&self, kind: u16) {
        self.state(|state| state.break_on = Some(kind));
    }

    /// The pieces in which it answers who asks for metrics, each with whether it says that more follow.
    pub(crate) fn set_metrics(&self, pieces: &[(&str, bool)]) {
        let piece = |(text, more): &(&str, bool)| {
            Reply::Metrics(MetricsPiece { more: *more, text: Bytes::copy_from_slice(text.as_bytes()) })
        };
        self.state(|state| state.metrics = pieces.iter().map(piece).collect());
    }

    pub(crate) fn break_connections(&self) {
        self.state(|state| state.connections.drain(..).for_each(|connection| connection.close(50u32.into(), b"")));
    }

    /// Dies without a word, and starts again at the same address.
    pub(crate) async fn restart(&self) {
        // quinn listens on the socket before the last, too. From another address nobody hears the dead one.
        for _ in 0..2 {
            let elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            self.endpoint.lock().unwrap().rebind(elsewhere).unwrap();
        }
        let socket = loop {
            match std::net::UdpSocket::bind(self.address) {
                Ok(socket) => break socket,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let endpoint = endpoint(&self.config, socket);
        tokio::spawn(accept(endpoint.clone(), Arc::clone(&self.shared)));
        *self.endpoint.lock().unwrap() = endpoint;
    }

    /// From now on no put is looked at, until [`Peer::release_puts`].
    pub(crate) fn hold_puts(&self) {
        self.shared.puts.forget_permits(usize::MAX);
    }

    pub(crate) fn release_puts(&self, count: usize) {
        self.shared.puts.add_permits(count);
    }

    /// The body of the reply to the n-th read waits until so many reads were asked for.
    pub(crate) fn hold_bodies_until(&self, reads_seen: &[usize]) {
        *self.shared.hold_bodies_until.lock().unwrap() = reads_seen.to_vec();
    }

    /// Puts that have arrived and are held.
    pub(crate) fn requests_waiting(&self) -> usize {
        *self.shared.puts_held.lock().unwrap()
    }

    pub(crate) fn forget_producers(&self) {
        self.state(|state| state.streams.values_mut().for_each(|stream| stream.producers.clear()));
    }

    /// Waits until the client has closed all its connections.
    pub(crate) async fn all_connections_closed(&self) {
        let connections = self.state(|state| state.connections.clone());
        for connection in connections {
            connection.closed().await;
        }
    }

    pub(crate) fn trim(&self, name: &str, shard: usize, first_kept: u64) {
        self.state(|state| state.streams.get_mut(name).unwrap().shards[shard].first_kept = first_kept);
    }

    pub(crate) fn damage(&self, name: &str, shard: usize, first: u64, last: u64) {
        self.state(|state| state.streams.get_mut(name).unwrap().shards[shard].damaged = Some((first, last)));
    }

    pub(crate) fn leave_out_a_batch(&self) {
        self.state(|state| state.leave_out_a_batch = true);
    }

    /// The data of a shard, in order.
    pub(crate) fn stored(&self, name: &str, shard: usize) -> Vec<Bytes> {
        self.state(|state| {
            let batches = &state.streams[name].shards[shard].batches;
            batches.iter().flat_map(|batch| batch.records().map(|record| Bytes::copy_from_slice(record.data))).collect()
        })
    }

    pub(crate) fn puts(&self) -> Vec<PutSeen> {
        self.state(|state| state.puts.clone())
    }

    pub(crate) fn reads(&self) -> Vec<Position> {
        self.state(|state| state.reads.clone())
    }

    pub(crate) fn hellos(&self) -> u32 {
        self.state(|state| state.hellos)
    }

    pub(crate) fn requests_of(&self, kind: u16) -> usize {
        self.state(|state| state.requests.iter().filter(|seen| **seen == kind).count())
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let looked = look(&mut self.shared.state.lock().unwrap());
        self.shared.changed.send_modify(|changes| *changes += 1);
        looked
    }
}

/// An endpoint that knows how to end the connections of the one before.
fn endpoint(config: &ServerConfig, socket: std::net::UdpSocket) -> Endpoint {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    endpoint.cid_generator(|| Box::new(AnyConnectionId));
    Endpoint::new(endpoint, Some(config.clone()), socket, Arc::new(TokioRuntime)).unwrap()
}

/// Connection ids that the endpoint after this one takes for its own, so that it resets their connections.
struct AnyConnectionId;

impl ConnectionIdGenerator for AnyConnectionId {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; 8];
        rand::SystemRandom::new().fill(&mut bytes).unwrap();
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

fn server_config() -> (ServerConfig, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    ca.distinguished_name.push(rcgen::DnType::CommonName, "test CA");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&ca, &ca_key);
    let certificate = rcgen::CertificateParams::new(["rheos".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone(), ca_certificate.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.receive_window((64u32 << 20).into()).stream_receive_window((16u32 << 20).into());
    config.transport_config(Arc::new(transport));
    let hash = digest::digest(&digest::SHA256, ca_certificate.der());
    (config, hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    while let Some(incoming) = endpoint.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let lane = shared.state.lock().unwrap().lane(incoming.orig_dst_cid()[0]);
            if let Ok(connection) = incoming.await {
                serve(connection, shared, lane).await;
            }
        });
    }
}

async fn serve(connection: Connection, shared: Arc<Shared>, lane: u16) {
    let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
    let Some((header, payload)) = frame(&mut receive).await else { return };
    let Ok(Some(Request::Hello(hello))) = Request::decode(header.kind, &payload) else {
        panic!("the first frame is no Hello");
    };
    if !shared.accept_anybody && !proves(&connection, &hello) {
        let error = WireError::new(ErrorCode::Unauthenticated, "the access key or its secret is wrong");
        answer(&mut send, header.id, &Reply::Error(error)).await;
        let _ = send.finish();
        let _ = send.stopped().await;
        return connection.close(4u32.into(), b"unauthenticated");
    }
    let (broker, lanes) = ("peer".to_owned(), shared.state.lock().unwrap().lanes.max(1));
    let welcome = Welcome { version: PROTOCOL_VERSION, features: 0, lanes, directory_id: 7, broker, lane };
    answer(&mut send, header.id, &Reply::Welcome(welcome)).await;
    let _ = send.finish();
    {
        let mut state = shared.state.lock().unwrap();
        state.hellos += 1;
        state.connections.push(connection.clone());
    }
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(stream(connection.clone(), lane, Arc::clone(&shared), send, receive));
    }
}

fn proves(connection: &Connection, hello: &Hello) -> bool {
    let mut exporter = [0u8; 32];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hello.key_id == KEY_ID && hmac::verify(&key, &exporter, &hello.proof).is_ok()
}

async fn stream(connection: Connection, lane: u16, shared: Arc<Shared>, mut send: SendStream, mut receive: RecvStream) {
    while let Some((header, payload)) = frame(&mut receive).await {
        if header.kind == kind::PUT {
            *shared.puts_held.lock().unwrap() += 1;
            shared.puts.acquire().await.unwrap().forget();
            *shared.puts_held.lock().unwrap() -= 1;
            let put = shared.state.lock().unwrap().put(payload, lane);
            shared.changed.send_modify(|changes| *changes += 1);
            match put {
                Put::Reply(reply) => answer(&mut send, header.id, &reply).await,
                Put::Silence => {}
                Put::Break => return connection.close(51u32.into(), b"told to"),
            }
            continue;
        }
        let request = Request::decode(header.kind, &payload).unwrap().expect("the client sends what it knows");
        {
            let mut state = shared.state.lock().unwrap();
            state.requests.push(header.kind);
            if state.break_on == Some(header.kind) {
                state.break_on = None;
                return connection.close(51u32.into(), b"told to");
            }
        }
        match request {
            Request::Subscribe(first) => {
                return push::serve(connection, shared, (send, receive), (header.id, first)).await;
            }
            Request::Read(read) => {
                shared.state.lock().unwrap().served.push((lane, read.shard));
                answer_read(&shared, &mut send, header.id, read).await;
            }
            Request::ReadMetrics => {
                let pieces = shared.state.lock().unwrap().metrics.clone();
                for piece in pieces {
                    answer(&mut send, header.id, &piece).await;
                }
            }
            request => {
                let reply = shared.state.lock().unwrap().control(request).unwrap_or_else(Reply::Error);
                answer(&mut send, header.id, &reply).await;
            }
        }
        let _ = send.finish();
    }
}

async fn answer_read(shared: &Shared, send: &mut SendStream, id: u64, read: Read) {
    let nth = {
        let mut state = shared.state.lock().unwrap();
        state.reads.push(read.position);
        state.reads.len()
    };
    shared.reads_seen.send_modify(|seen| *seen += 1);
    let reply = shared.state.lock().unwrap().read(&read);
    let mut bytes = BytesMut::new();
    let fields_len = match &reply {
        Ok(batches) => {
            let mut fields = BytesMut::new();
            batches.encode_fields(&mut fields);
            FRAME_HEADER_BYTES + fields.len()
        }
        Err(_) => 0,
    };
    reply.map_or_else(Reply::Error, Reply::Batches).write(id, &mut bytes);
    let _ = send.write_all(&bytes[..fields_len]).await;
    let until = shared.hold_bodies_until.lock().unwrap().get(nth - 1).copied().unwrap_or(0);
    let _ = shared.reads_seen.subscribe().wait_for(|seen| *seen >= until).await;
    let _ = send.write_all(&bytes[fields_len..]).await;
}

async fn frame(receive: &mut RecvStream) -> Option<(FrameHeader, BytesMut)> {
    let mut bytes = [0u8; FRAME_HEADER_BYTES];
    receive.read_exact(&mut bytes).await.ok()?;
    let header = FrameHeader::decode(&bytes);
    let mut payload = BytesMut::zeroed(header.len as usize);
    receive.read_exact(&mut payload).await.ok()?;
    Some((header, payload))
}

async fn answer(send: &mut SendStream, id: u64, reply: &Reply) {
    let mut bytes = BytesMut::new();
    reply.write(id, &mut bytes);
    let _ = send.write_all(&bytes).await;
}

enum Put {
    Reply(Box<Reply>),
    Silence,
    Break,
}

impl State {
    fn create(&mut self, name: &str, shards: u32, record_bytes_max: u32) -> StreamDescription {
        self.incarnation_next += 1;
        let lanes = self.lanes.max(1);
        let shard = |(shard, range)| ShardDescription {
            shard,
            range,
            open: true,
            parent: None,
            adjacent_parent: None,
            log: 0,
            lane: shard as u16 % lanes,
        };
        let description = StreamDescription {
            name: name.to_owned(),
            incarnation: self.incarnation_next,
            created_ms: ARRIVAL_MS,
            retention_ms: 86_400_000,
            record_bytes_max,
            shards: (0..).zip(HashRange::even(shards)).map(shard).collect(),
            settings: StreamSettings::default(),
        };
        let stream = Stream {
            description: description.clone(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            producers: BTreeMap::new(),
        };
        self.streams.insert(name.to_owned(), stream);
        description
    }

    fn put(&mut self, payload: BytesMut, lane: u16) -> Put {
        let batch = PutBatch::parse(payload).expect("the client makes good batches");
        let header = *batch.header();
        let (producer, shard) = (header.producer, header.shard);
        self.served.push((lane, shard));
        self.puts.push(PutSeen { producer, shard, record_count: header.record_count });
        let Some(stream) = self.streams.values_mut().find(|s| s.description.incarnation == header.incarnation) else {
            return Put::Reply(Box::new(Reply::Error(WireError::new(ErrorCode::StreamNotFound, "the stream is gone"))));
        };
        let refuse = |error| Put::Reply(Box::new(Reply::Error(error)));
        let place = (producer.id, shard);
        let forgets = producer.number == stream.producers.get(&place).map_or(0, |acks| acks.len() as u64)
            && self.acts.pop_front_if(|act| matches!(act, Act::Forget)).is_some();
        if forgets {
            stream.producers.clear();
        }
        if producer.number > 0 && !stream.producers.contains_key(&place) {
            return refuse(WireError::new(ErrorCode::UnknownProducer, "this producer is not known here"));
        }
        let acks = stream.producers.entry(place).or_default();
        if let Some(ack) = acks.get(producer.number as usize) {
            return Put::Reply(Box::new(ack.clone()));
        }
        if producer.number > acks.len() as u64 {
            return refuse(WireError::behind(acks.len() as u64));
        }
        if stream.shards[shard as usize].children.is_some() {
            return refuse(WireError::new(ErrorCode::ShardClosed, "the shard is closed"));
        }
        // The script is about puts that a broker looks at: not about resent ones, nor those behind a refused one.
        let act = self.acts.pop_front().unwrap_or(Act::Store);
        match act {
            Act::Refuse(error) => return refuse(error),
            Act::Break => return Put::Break,
            Act::Ignore => return Put::Silence,
            Act::Garble => return Put::Reply(Box::new(Reply::Pong)),
            Act::Store | Act::StoreAndBreak | Act::Forget => {}
        }
        for record in batch.records() {
            let belongs = stream.description.shard_of(record.hash_key()).map(|shard| shard.shard);
            assert_eq!(belongs, Some(shard), "the client routes every record");
        }
        let into = &mut stream.shards[shard as usize];
        let (first_sequence, arrival_ms) = (into.next_sequence(), ARRIVAL_MS + into.batches.len() as u64);
        into.batches.push(batch.stamp(first_sequence, arrival_ms));
        let ack = Reply::Ack { first_sequence, arrival_ms };
        acks.push(ack.clone());
        match act {
            Act::StoreAndBreak => Put::Break,
            _ => Put::Reply(Box::new(ack)),
        }
    }

    fn shard(&self, incarnation: u64, shard: u32) -> Result<&Shard, WireError> {
        let stream = self.streams.values().find(|stream| stream.description.incarnation == incarnation);
        let stream = stream.ok_or_else(|| WireError::new(ErrorCode::StreamNotFound, "the stream is gone"))?;
        Ok(&stream.shards[shard as usize])
    }

    fn read(&mut self, read: &Read) -> Result<Batches, WireError> {
        let leave_out = std::mem::take(&mut self.leave_out_a_batch);
        let shard = self.shard(read.incarnation, read.shard)?;
        let (start, tip) = (shard.start(read.position)?, shard.next_sequence());
        if let Some((first, last)) = shard.damaged.filter(|(first, last)| (*first..=*last).contains(&start)) {
            return Err(WireError::new(ErrorCode::Damaged, "damaged").with_detail(first, last));
        }
        let end = shard.damaged.map(|(first, _)| first).filter(|first| start < *first).unwrap_or(u64::MAX);
        let (mut bytes, mut next) = (BytesMut::new(), start);
        for batch in &shard.batches {
            let full = !bytes.is_empty() && bytes.len() + batch.bytes().len() > read.bytes_max as usize;
            if full || batch.header().first_sequence >= end {
                break;
            }
            if batch.next_sequence() > start {
                if !leave_out || !bytes.is_empty() || batch.next_sequence() == tip {
                    bytes.extend_from_slice(batch.bytes());
                }
                next = batch.next_sequence();
            }
        }
        Ok(Batches {
            start_sequence: start,
            next_sequence: next,
            tip_sequence: tip,
            behind_ms: tip - next,
            children: shard.children.clone().filter(|_| next == tip),
            batches: bytes.freeze(),
        })
    }

    fn control(&mut self, request: Request) -> Result<Reply, WireError> {
        let not_found = |name: &str| WireError::new(ErrorCode::StreamNotFound, format!("there is no stream {name}"));
        Ok(match request {
            Request::Ping => Reply::Pong,
            Request::CreateStream(create) if self.streams.contains_key(&create.name) => {
                return Err(WireError::new(ErrorCode::StreamExists, format!("stream {} exists", create.name)));
            }
            Request::CreateStream(create) => Reply::Stream(self.create(&create.name, create.shards, 1 << 20)),
            Request::ListScalingSteps(name) if self.streams.contains_key(&name) => Reply::ScalingSteps(Vec::new()),
            Request::DescribeStream(name) => {
                Reply::Stream(self.streams.get(&name).ok_or_else(|| not_found(&name))?.description.clone())
            }
            Request::DeleteStream(name) => {
                self.streams.remove(&name).ok_or_else(|| not_found(&name))?;
                Reply::Done
            }
            Request::UpdateShardCount(UpdateShardCount { stream: name, target }) => {
                let stream = self.streams.get(&name).ok_or_else(|| not_found(&name))?;
                let open = stream.description.shards.iter().filter(|shard| shard.open);
                let open: Vec<u32> = open.map(|shard| shard.shard).collect();
                self.reshard(&name, &open, target);
                Reply::Stream(self.streams[&name].description.clone())
            }
            Request::ListStreams { after, limit, filter } => {
                let passes = |name: &String| *name > after && self.passes(name, &filter);
                let mut later = self.streams.values().filter(|stream| passes(&stream.description.name));
                let summary = |stream: &Stream| StreamSummary {
                    name: stream.description.name.clone(),
                    incarnation: stream.description.incarnation,
                    created_ms: stream.description.created_ms,
                    open_shards: stream.shards.len() as u32,
                    retention_ms: stream.description.retention_ms,
                    mode: stream.description.settings.mode,
                };
                let page: Vec<_> = later.by_ref().take(limit as usize).map(summary).collect();
                Reply::Streams(page, later.next().is_some())
            }
            Request::UpdateStream(update) => {
                let stream = self.streams.get_mut(&update.stream).ok_or_else(|| not_found(&update.stream))?;
                let described = &mut stream.description;
                described.retention_ms = update.retention_ms.unwrap_or(described.retention_ms);
                described.record_bytes_max = update.record_bytes_max.unwrap_or(described.record_bytes_max);
                let settings = &mut described.settings;
                settings.retention_bytes = update.retention_bytes.unwrap_or(settings.retention_bytes);
                settings.limits = settings.limits.with(update.limits);
                settings.limits_in_force = settings.limits.or(StreamLimits::NONE);
                settings.mode = update.mode.unwrap_or(settings.mode);
                Reply::Stream(described.clone())
            }
            other => return self.administer(other),
        })
    }
}
