//! The process of the bare target.

use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use clap::Args;
use quinn::rustls::pki_types::PrivatePkcs8KeyDer;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig, TokioRuntime};
use rheos_broker::disk::{BufferPool, ReadDone, ReadRing, RingWait};
use rheos_broker::transport;
use serde::{Deserialize, Serialize};

use super::commit::{Arrival, Framing, Inbox, Lane};
use super::{DOWN, ECHO, ECHO_BYTES, PUT, READ, SERVER_NAME, SUBSCRIBE, UP};
use crate::Failure;
use crate::machine::pin_to_core;
use crate::scratch::prewritten_file;

/// How to run a bare target.
#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// Directory for its file, which has no name once it is open
    #[arg(long)]
    dir: PathBuf,
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// Core to run on
    #[arg(long)]
    core: usize,
    /// Largest path MTU to look for
    #[arg(long, default_value_t = transport::MTU_BOUND_DEFAULT)]
    mtu: u16,
    /// Size of its file
    #[arg(long, default_value_t = 1024)]
    file_mib: u64,
}

/// What a target prints, in one line, when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
    /// The certificate to trust, DER in hexadecimal.
    pub(crate) certificate: String,
    /// What the kernel gave for datagrams that wait to be read.
    pub(crate) receive_buffer_bytes: usize,
}

/// Serves until stdin closes, which it does also when the parent dies.
pub(crate) fn run(arguments: &TargetArguments) -> Result<(), Failure> {
    pin_to_core(arguments.core)?;
    let file_bytes = arguments.file_mib << 20;
    let file = Arc::new(prewritten_file(&arguments.dir, file_bytes)?);
    std::thread::spawn(|| {
        // Whatever comes is ignored; the end of it is the end of this process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio_uring::start(serve(arguments, file, file_bytes))
}

async fn serve(arguments: &TargetArguments, file: Arc<File>, file_bytes: u64) -> Result<(), Failure> {
    let (socket, buffers) = transport::bind_udp(arguments.listen)?;
    let (server, certificate) = server_config(arguments.mtu)?;
    let endpoint = Endpoint::new(transport::endpoint(arguments.mtu), Some(server), socket, Arc::new(TokioRuntime))?;

    let inbox = Inbox::default();
    let lane = Lane::new(inbox.clone(), Arc::clone(&file), file_bytes)?;
    let lane = tokio::spawn(lane.run());

    let ready = Ready { address: endpoint.local_addr()?, certificate, receive_buffer_bytes: buffers.receive_bytes };
    println!("{}", serde_json::to_string(&ready)?);
    std::io::stdout().flush()?;

    tokio_uring::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let (inbox, file) = (inbox.clone(), Arc::clone(&file));
            tokio_uring::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                transport::admit(&connection);
                accept_streams(connection, inbox, file).await;
            });
        }
    });
    Err(lane.await?)
}

async fn accept_streams(connection: Connection, inbox: Inbox, file: Arc<File>) {
    while let Ok((send, mut recv)) = connection.accept_bi().await {
        let (inbox, file) = (inbox.clone(), Arc::clone(&file));
        let mut purpose = [0];
        if recv.read_exact(&mut purpose).await.is_err() {
            continue;
        }
        // Tasks like quinn's own, in the same queue.
        match purpose[0] {
            ECHO => report(tokio::spawn(echo(send, recv))),
            UP => report(tokio::spawn(take_up(send, recv))),
            DOWN => report(tokio::spawn(send_down(send, recv))),
            PUT => report(tokio::spawn(take_puts(send, recv, inbox))),
            SUBSCRIBE => inbox.push(Arrival::Subscribed { pushes: send }),
            READ => report(tokio::spawn(send_file(send, recv, file))),
            other => eprintln!("bare-target: no stream is for {other:#04x}"),
        }
    }
}

/// Says on stderr why a stream ended, unless it just ended.
fn report(stream: tokio::task::JoinHandle<Result<(), Failure>>) {
    tokio::spawn(async move {
        if let Ok(Err(failure)) = stream.await {
            eprintln!("bare-target: {failure}");
        }
    });
}

async fn echo(mut send: SendStream, mut recv: RecvStream) -> Result<(), Failure> {
    let mut message = [0; ECHO_BYTES];
    while recv.read_exact(&mut message).await.is_ok() {
        send.write_all(&message).await?;
    }
    Ok(())
}

async fn take_up(mut send: SendStream, mut recv: RecvStream) -> Result<(), Failure> {
    let mut chunks = vec![Bytes::new(); CHUNKS_AT_ONCE];
    let mut count = 0_u64;
    while let Some(filled) = recv.read_chunks(&mut chunks).await? {
        count += chunks[..filled].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    }
    send.write_all(&count.to_le_bytes()).await?;
    send.finish()?;
    Ok(())
}

async fn send_down(mut send: SendStream, mut recv: RecvStream) -> Result<(), Failure> {
    let mut count = [0; 8];
    recv.read_exact(&mut count).await?;
    let piece = Bytes::from(vec![0x5a; 64 << 10]);
    let mut left = u64::from_le_bytes(count);
    while left > 0 {
        let length = left.min(piece.len() as u64);
        send.write_chunk(piece.slice(..length as usize)).await?;
        left -= length;
    }
    send.finish()?;
    Ok(())
}

async fn take_puts(send: SendStream, mut recv: RecvStream, inbox: Inbox) -> Result<(), Failure> {
    let stream = NEXT_STREAM.fetch_add(1, Ordering::Relaxed);
    inbox.push(Arrival::Opened { stream, replies: send });
    let mut framing = Framing::default();
    let mut chunks = vec![Bytes::new(); CHUNKS_AT_ONCE];
    while let Ok(Some(filled)) = recv.read_chunks(&mut chunks).await {
        for chunk in &mut chunks[..filled] {
            framing.push(std::mem::take(chunk), |bytes, frames_ended| {
                inbox.push(Arrival::Bytes { stream, bytes, frames_ended });
            })?;
        }
    }
    inbox.push(Arrival::Closed { stream });
    Ok(())
}

async fn send_file(mut send: SendStream, mut recv: RecvStream, file: Arc<File>) -> Result<(), Failure> {
    let mut place = [0; 16];
    recv.read_exact(&mut place).await?;
    let [offset, count] = [0, 8].map(|at| u64::from_le_bytes(place[at..at + 8].try_into().expect("eight bytes")));

    let mut ring = ReadRing::new(READS_AHEAD as u32)?;
    let mut wait = RingWait::new(&ring)?;
    let pool = BufferPool::new(POOL_BYTES);
    let mut ends = Vec::new();
    let (mut asked, mut sent) = (0, 0);
    while sent < count {
        while asked < count && asked < sent + (READS_AHEAD * READ_BYTES) as u64 {
            ring.read(asked, &file, offset + asked, pool.take(READ_BYTES), READ_BYTES);
            asked += READ_BYTES as u64;
        }
        let mut piece = loop {
            if let Some(index) = ends.iter().position(|done: &ReadDone| done.token == sent) {
                break ends.swap_remove(index);
            }
            poll_fn(|cx| wait.poll(&mut ring, cx)).await;
            ring.reap(&mut ends);
        };
        piece.outcome?;
        let wanted = (count - sent).min(READ_BYTES as u64) as usize;
        if piece.buffer.len() < wanted {
            return Err("a read goes beyond the file".into());
        }
        piece.buffer.truncate(wanted);
        send.write_chunk(pool.share(piece.buffer)).await?;
        sent += wanted as u64;
    }
    send.finish()?;
    Ok(())
}

fn server_config(mtu_bound: u16) -> Result<(ServerConfig, String), Failure> {
    let certified = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let text = hex::encode(&certificate);
    let mut server = ServerConfig::with_single_cert(vec![certificate], key.into())?;
    transport::configure_server(&mut server, mtu_bound);
    Ok((server, text))
}

static NEXT_STREAM: AtomicU64 = AtomicU64::new(0);

/// Pieces of a stream that are taken in one call.
const CHUNKS_AT_ONCE: usize = 64;
/// The unit of a direct read.
const READ_BYTES: usize = 1 << 20;
/// Reads in flight or waiting to be sent.
const READS_AHEAD: usize = 2;
/// What a read keeps for its next pieces: as much as quinn may hold until it is acknowledged, and more.
const POOL_BYTES: usize = 16 << 20;
