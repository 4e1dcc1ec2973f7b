//! The bare target of the Kinesis face: hyper, and the same durable write behind it.
//!
//! A process of its own: threads for HTTP as a broker has them, off the core of the one that writes. A request's
//! body is read whole and handed to that thread, which writes all that waits for it in one `O_DIRECT | O_DSYNC`
//! write, from whole blocks, and the answer is as long as PutRecord's. Nothing is parsed, proved or kept.

use std::convert::Infallible;
use std::fs::File;
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rheos_broker::disk::{AlignedBuffer, BLOCK_BYTES, CommitRing, POOLED_BYTES_MAX, RingWait};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::Failure;
use crate::machine::pin_to_cores;
use crate::scratch::prewritten_file;

/// How to run a bare target for HTTP.
#[derive(Debug, Args)]
pub(crate) struct HttpTargetArguments {
    /// Directory for its file, which has no name once it is open
    #[arg(long)]
    dir: PathBuf,
    /// Core of the thread that writes
    #[arg(long)]
    core: usize,
    /// Cores of the threads for HTTP, one each
    #[arg(long, value_delimiter = ',', required = true)]
    http_cores: Vec<usize>,
}

/// What a target prints, in one line, when it is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    address: SocketAddr,
}

/// A running target; ends with this value.
#[derive(Debug)]
pub(crate) struct HttpTarget {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl HttpTarget {
    /// Starts a process of this program and waits until it serves.
    pub(crate) fn start(directory: &Path, core: usize, http_cores: &[usize]) -> Result<Self, Failure> {
        let http_cores: Vec<String> = http_cores.iter().map(usize::to_string).collect();
        let child = Command::new(std::env::current_exe()?)
            .arg("bare-http-target")
            .arg("--dir")
            .arg(directory)
            .args(["--core", &core.to_string(), "--http-cores", &http_cores.join(",")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut target = Self { child, address: ([0, 0, 0, 0], 0).into() };
        let mut line = String::new();
        BufReader::new(target.child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line)
            .map_err(|_| "the bare target for HTTP ended before it served; it says why above")?;
        target.address = ready.address;
        Ok(target)
    }
}

impl Drop for HttpTarget {
    fn drop(&mut self) {
        // By its own id. It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until stdin closes, which it does also when the parent dies.
pub(crate) fn run(arguments: &HttpTargetArguments) -> Result<(), Failure> {
    let file = Arc::new(prewritten_file(&arguments.dir, FILE_BYTES)?);
    std::thread::spawn(|| {
        // Whatever comes is ignored; the end of it is the end of this process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (puts, waiting) = channel(WAITING_MAX);
    let core = arguments.core;
    std::thread::spawn(move || {
        let writing = || tokio_uring::start(async { tokio::spawn(write_all(file, waiting)).await? });
        let Err(failure) = pin_to_cores(&[core]).and_then(|()| writing());
        eprintln!("bare-http-target: {failure}");
        std::process::exit(1);
    });
    pin_to_cores(&arguments.http_cores)?;
    let threads = arguments.http_cores.len();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    // On a thread of the runtime's, as the broker does it.
    runtime.block_on(async move { tokio::spawn(serve(puts)).await? })
}

async fn serve(puts: Sender<Put>) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", serde_json::to_string(&Ready { address: listener.local_addr()? })?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(requests(stream, puts.clone()));
    }
}

async fn requests(stream: TcpStream, puts: Sender<Put>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let puts = puts.clone();
        async move { Ok::<_, Infallible>(answer(request, puts).await) }
    });
    let _ = stream.set_nodelay(true);
    if let Err(error) = Builder::new().serve_connection(TokioIo::new(stream), service).await {
        eprintln!("bare-http-target: a connection ended: {error}");
    }
}

async fn answer(request: Request<Incoming>, puts: Sender<Put>) -> Response<Full<Bytes>> {
    let written = async {
        let body = request.into_body().collect().await?.to_bytes();
        if body.len() > BODY_BYTES_MAX {
            return Err("a body is longer than a PutRecord of the rig's".into());
        }
        let (durable, written) = oneshot::channel();
        puts.try_send(Put { body, durable }).map_err(|_| "too much waits to be written")?;
        Ok::<_, Failure>(written.await?)
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Err(failure) = written.await {
        eprintln!("bare-http-target: {failure}");
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    answer
}

/// A body that is to be written, and who waits for that.
struct Put {
    body: Bytes,
    durable: oneshot::Sender<()>,
}

/// Writes what waits, round and round in the file, as much at once as there is; through a lane's ring, on a lane's
/// runtime, so that the write is the same in every way.
async fn write_all(file: Arc<File>, mut waiting: Receiver<Put>) -> Result<Infallible, Failure> {
    let mut ring = CommitRing::new(1)?;
    let mut wait = RingWait::new(&ring)?;
    let (mut offset, mut covered, mut ends) = (0, Vec::new(), Vec::new());
    let mut buffer = AlignedBuffer::with_capacity(POOLED_BYTES_MAX);
    loop {
        let mut put = Some(waiting.recv().await.ok_or("nobody puts any more")?);
        buffer.clear();
        while let Some(Put { body, durable }) = put.take() {
            buffer.extend_from_slice(&body);
            covered.push(durable);
            if buffer.remaining() >= BODY_BYTES_MAX {
                put = waiting.try_recv().ok();
            }
        }
        buffer.pad_to_block();
        let length = buffer.len();
        if offset + length as u64 > FILE_BYTES {
            offset = 0;
        }
        ring.write(0, &file, offset, buffer);
        while ends.is_empty() {
            poll_fn(|cx| wait.poll(&mut ring, cx)).await;
            ring.reap(&mut ends);
        }
        let done = ends.pop().expect("it is not empty");
        if done.written? != length {
            return Err("a part of a write was not written".into());
        }
        buffer = done.buffer;
        offset += length as u64;
        for durable in covered.drain(..) {
            // Who has gone waits no more.
            let _ = durable.send(());
        }
    }
}

/// Puts that wait to be written: more than connections, each of which has one.
const WAITING_MAX: usize = 1_024;
const BODY_BYTES_MAX: usize = 64 << 10;
const FILE_BYTES: u64 = 256 << 20;
const _: () = assert!(POOLED_BYTES_MAX >= BODY_BYTES_MAX + BLOCK_BYTES);
/// As long as the broker's.
const ANSWER: &[u8] = br#"{"SequenceNumber":"49590338271490256608559692538361571095921575989136588898","ShardId":"shardId-000000000000"}"#;
