//! The rig's client against the protocol itself: a listener that has a broker's identity and keeps
//! what is put to it in memory, and checks each put as a broker does.

mod push;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use quinn::{Connection, Endpoint, RecvStream, SendStream, TokioRuntime};
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::identity::BrokerIdentity;
use rheos_broker::transport;
use rheos_protocol::batch::{Batch, PutBatch};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind, payload_limit};
use rheos_protocol::hash::HashRange;
use rheos_protocol::message::{
    Batches, EXPORTER_LABEL, Position, Read, Reply, Request, ShardDescription, StreamDescription, Welcome,
};
use tempfile::TempDir;

use super::access::Access;
use super::puts::BrokerPuts;
use super::session::Session;
use crate::Failure;
use crate::drive::{Puts, drive};
use crate::load::{Load, Window};

const MTU: u16 = 1452;

/// What was put, by stream and shard; refuses puts once it holds `puts_max`.
struct Memory {
    identity: BrokerIdentity,
    shards: Mutex<BTreeMap<(u64, u32), Vec<Batch>>>,
    streams: Mutex<Vec<StreamDescription>>,
    puts_max: usize,
    pushes: push::Pushes,
}

/// A listener in memory with the directory that its keys lie in.
struct Listener {
    _scratch: TempDir,
    memory: Arc<Memory>,
    access: Access,
}

impl Listener {
    fn start(puts_max: usize) -> Listener {
        Listener::with(puts_max, push::Pushes::default())
    }

    fn pushing(pushes: push::Pushes) -> Listener {
        Listener::with(usize::MAX, pushes)
    }

    fn with(puts_max: usize, pushes: push::Pushes) -> Listener {
        let scratch = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("the checkout can be written");
        let options = DirectoryOptions::default();
        let directory = DataDirectory::open(&scratch.path().join("data"), options).expect("it is made");
        let identity = BrokerIdentity::load_or_create(&directory).expect("it is made");
        let (socket, _) = transport::bind_udp(([127, 0, 0, 1], 0).into()).expect("loopback has free ports");
        let address: SocketAddr = socket.local_addr().expect("it is bound");
        let mut server = identity.quic_server();
        transport::configure_server(&mut server, MTU);
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(transport::endpoint(MTU), Some(server), socket, runtime).expect("it is bound");
        let access = Access::parse(&identity.admin_url(address)).expect("the broker's own string can be read");
        let memory =
            Arc::new(Memory { identity, shards: Mutex::default(), streams: Mutex::default(), puts_max, pushes });
        let serving = Arc::clone(&memory);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let memory = Arc::clone(&serving);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        serve(connection, memory).await;
                    }
                });
            }
        });
        Listener { _scratch: scratch, memory, access }
    }

    async fn session(&self) -> Session {
        Session::open(&self.access, MTU).await.expect("the credential is right")
    }

    /// The batches of a shard, in order.
    fn batches(&self, stream: &StreamDescription, shard: u32) -> Vec<Batch> {
        let shards = self.memory.shards.lock().expect("no panic while held");
        shards.get(&(stream.incarnation, shard)).cloned().unwrap_or_default()
    }
}

async fn serve(connection: Connection, memory: Arc<Memory>) {
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(answer(connection.clone(), send, recv, Arc::clone(&memory)));
    }
}

async fn answer(connection: Connection, mut send: SendStream, mut recv: RecvStream, memory: Arc<Memory>) {
    let mut head = [0; FRAME_HEADER_BYTES];
    while recv.read_exact(&mut head).await.is_ok() {
        let header = FrameHeader::decode(&head);
        assert!(header.len <= payload_limit(header.kind, header.kind != kind::HELLO));
        let mut payload = vec![0; header.len as usize];
        recv.read_exact(&mut payload).await.expect("a frame is whole");
        let reply = if header.kind == kind::PUT {
            memory.put(&payload)
        } else {
            let request = Request::decode(header.kind, &payload).expect("the rig sends what is right");
            let request = request.expect("its kind is known");
            match memory.subscription(&connection, header.id, &request) {
                Some(Some(reply)) => reply,
                Some(None) => continue,
                None => memory.answer(&connection, request),
            }
        };
        let mut out = BytesMut::new();
        reply.write(header.id, &mut out);
        // The rig may have what it wanted and be gone.
        let _ = send.write_chunk(out.freeze()).await;
        if header.kind == kind::PUT {
            memory.push();
        }
    }
}

impl Memory {
    fn put(&self, payload: &[u8]) -> Reply {
        let put = PutBatch::parse(payload.into()).expect("the rig's batches are right");
        let (header, mut shards) = (*put.header(), self.shards.lock().expect("no panic while held"));
        let range = self.range(header.incarnation, header.shard);
        assert!(put.records().all(|record| range.contains(record.hash_key())), "a record is on the wrong shard");
        if shards.values().map(Vec::len).sum::<usize>() >= self.puts_max {
            return Reply::Error(WireError::retry_after(ErrorCode::Busy, 10, "the budget is used up"));
        }
        let stored = shards.entry((header.incarnation, header.shard)).or_default();
        let first_sequence = stored.last().map_or(0, Batch::next_sequence);
        stored.push(put.stamp(first_sequence, 1_700_000_000_000));
        Reply::Ack { first_sequence, arrival_ms: 1_700_000_000_000 }
    }

    fn answer(&self, connection: &Connection, request: Request) -> Reply {
        match request {
            Request::Hello(hello) => {
                let mut exporter = [0; 32];
                connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").expect("32 bytes are few");
                if self.identity.verify_hello(&hello.key_id, &hello.proof, &exporter).is_none() {
                    return Reply::Error(WireError::new(ErrorCode::Unauthenticated, "the credential is wrong"));
                }
                transport::admit(connection);
                Reply::Welcome(Welcome {
                    version: 1,
                    features: 0,
                    lanes: 1,
                    directory_id: 7,
                    broker: String::new(),
                    lane: 0,
                })
            }
            Request::Ping => Reply::Pong,
            Request::CreateStream(create) => {
                let mut streams = self.streams.lock().expect("no panic while held");
                let shards = HashRange::even(create.shards).zip(0..).map(|(range, shard)| shard_of(shard, range));
                let incarnation = streams.len() as u64 + 1;
                streams.push(StreamDescription {
                    name: create.name,
                    incarnation,
                    created_ms: 0,
                    retention_ms: 0,
                    record_bytes_max: 1 << 20,
                    shards: shards.collect(),
                    settings: Default::default(),
                });
                Reply::Stream(streams.last().expect("it was just added").clone())
            }
            Request::DeleteStream(_) => Reply::Done,
            Request::Read(read) => self.read(&read),
            other => panic!("the rig does not ask for {other:?}"),
        }
    }

    /// As many whole batches as fit, at least one.
    fn read(&self, read: &Read) -> Reply {
        let Position::AtSequence(start) = read.position else { panic!("the rig reads at sequences") };
        let shards = self.shards.lock().expect("no panic while held");
        let stored = &shards[&(read.incarnation, read.shard)];
        let mut batches = BytesMut::new();
        let mut next = start;
        for batch in stored.iter().filter(|batch| batch.next_sequence() > start) {
            if !batches.is_empty() && batches.len() + batch.bytes().len() > read.bytes_max as usize {
                break;
            }
            batches.extend_from_slice(batch.bytes());
            next = batch.next_sequence();
        }
        Reply::Batches(Batches {
            children: None,
            start_sequence: start,
            next_sequence: next,
            tip_sequence: stored.last().map_or(0, Batch::next_sequence),
            behind_ms: 0,
            batches: batches.freeze(),
        })
    }

    fn range(&self, incarnation: u64, shard: u32) -> HashRange {
        let streams = self.streams.lock().expect("no panic while held");
        streams[incarnation as usize - 1].shards[shard as usize].range
    }
}

fn shard_of(shard: u32, range: HashRange) -> ShardDescription {
    ShardDescription { shard, range, open: true, parent: None, adjacent_parent: None, log: 0, lane: 0 }
}

#[tokio::test]
async fn a_session_proves_itself_and_the_broker() {
    let listener = Listener::start(0);
    listener.session().await.ping().await.expect("it answers");

    let other_secret = Access { secret: "x".repeat(40), ..listener.access.clone() };
    let failure = Session::open(&other_secret, MTU).await.err().expect("the secret is wrong").to_string();
    assert!(failure.contains("the credential is wrong"), "{failure}");
    let other_ca = Access { ca_sha256: [7; 32], ..listener.access.clone() };
    let failure = Session::open(&other_ca, MTU).await.err().expect("it is another's CA").to_string();
    assert!(failure.contains("certificate"), "{failure}");
}

#[tokio::test]
async fn puts_go_to_the_shards_in_turn_and_are_numbered() {
    let listener = Listener::start(usize::MAX);
    let stream = listener.session().await.create_stream("s", 3).await.expect("it is made");
    let puts = BrokerPuts::open(listener.session().await, std::slice::from_ref(&stream)).await.expect("it opens");
    let acked: Vec<_> = (1..=30).map(|records| puts.put(0, records)).collect();
    for acked in acked {
        acked.await.expect("it is stored");
    }
    let mut producers = Vec::new();
    for shard in 0..3 {
        let batches = listener.batches(&stream, shard);
        let counts: Vec<u32> = batches.iter().map(|batch| batch.header().record_count).collect();
        assert_eq!(counts, (0..10).map(|at| at * 3 + shard + 1).collect::<Vec<_>>());
        let numbers: Vec<u64> = batches.iter().map(|batch| batch.header().producer.number).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        producers.extend(batches.iter().map(|batch| batch.header().producer.id));
    }
    producers.dedup();
    assert!(producers.len() == 1 && producers[0] != 0, "one producer, and a numbered one");
}

#[tokio::test]
async fn more_shards_than_put_streams_share_them() {
    let listener = Listener::start(usize::MAX);
    let session = listener.session().await;
    let mut streams = Vec::new();
    for number in 0..100 {
        streams.push(session.create_stream(&format!("s{number}"), 1).await.expect("it is made"));
    }
    let puts = BrokerPuts::open(listener.session().await, &streams).await.expect("it opens");
    let acked: Vec<_> = (0..200).map(|_| puts.put(0, 1)).collect();
    for acked in acked {
        acked.await.expect("it is stored");
    }
    assert!(streams.iter().all(|stream| listener.batches(stream, 0).len() == 2));
}

#[tokio::test]
async fn the_driver_drives_it_and_a_refusal_ends_the_run() {
    let listener = Listener::start(40);
    let stream = listener.session().await.create_stream("s", 2).await.expect("it is made");
    let puts = BrokerPuts::open(listener.session().await, &[stream]).await.expect("it opens");
    let window = Window { warm_up: Duration::ZERO, measured: Duration::from_secs(60) };
    let outcome = drive(&Arc::new(puts), Load::Closed { batches: 4, records: 8 }, window).await;
    let failure = outcome.expect_err("the budget is small").to_string();
    assert!(failure.contains("the budget is used up"), "{failure}");
}

#[tokio::test]
async fn what_was_put_is_read_in_parts() -> Result<(), Failure> {
    let listener = Listener::start(usize::MAX);
    let stream = listener.session().await.create_stream("s", 1).await?;
    let puts = BrokerPuts::open(listener.session().await, std::slice::from_ref(&stream)).await?;
    let acked: Vec<_> = (0..50).map(|_| puts.put(0, 64)).collect();
    for acked in acked {
        acked.await?;
    }
    let session = listener.session().await;
    let stored: u64 = listener.batches(&stream, 0).iter().map(|batch| batch.bytes().len() as u64).sum();
    let (mut next, mut bytes) = (0, 0);
    while bytes < stored {
        let part = session.read(&stream, next, 256 << 10).await?;
        assert_eq!(part.start, next);
        assert!(part.next > next && part.bytes <= 256 << 10);
        (next, bytes) = (part.next, bytes + part.bytes);
    }
    assert_eq!((next, bytes), (50 * 64, stored));
    assert_eq!(session.read(&stream, next, 256 << 10).await?.bytes, 0, "nothing is left");
    let one = session.read(&stream, 0, 1).await?;
    assert_eq!(one.next, 64, "one batch always fits");
    Ok(())
}
