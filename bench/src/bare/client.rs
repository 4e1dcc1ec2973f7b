//! The client of the bare target: starts its process, and measures what can be asked of it.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TokioRuntime, VarInt};
use rheos_broker::transport;

use super::target::Ready;
use super::{DOWN, ECHO, ECHO_BYTES, LENGTH_BYTES, PUT, READ, REPLY_BYTES, SERVER_NAME, UP};
use crate::Failure;
use crate::drive::Puts;
use crate::latency::Latencies;
use crate::load::{BATCH_RECORDS_MAX, RECORD_BYTES};
use crate::machine::process_time;
use crate::put_stream::{Answers, PutStream, Waiting};

/// A running bare target; ends with this value.
#[derive(Debug)]
pub(crate) struct Target {
    child: Child,
    ready: Ready,
    mtu_bound: u16,
}

impl Target {
    /// Starts a process of this program on `core` and waits until it serves.
    pub(crate) fn start(directory: &Path, core: usize, mtu_bound: u16, file_mib: u64) -> Result<Self, Failure> {
        let child = Command::new(std::env::current_exe()?)
            .arg("bare-target")
            .arg("--dir")
            .arg(directory)
            .args(["--listen", "127.0.0.1:0", "--core", &core.to_string()])
            .args(["--mtu", &mtu_bound.to_string(), "--file-mib", &file_mib.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let placeholder =
            Ready { address: ([0, 0, 0, 0], 0).into(), certificate: String::new(), receive_buffer_bytes: 0 };
        let mut target = Self { child, ready: placeholder, mtu_bound };
        let mut line = String::new();
        BufReader::new(target.child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        target.ready =
            serde_json::from_str(&line).map_err(|_| "the bare target ended before it served; it says why above")?;
        Ok(target)
    }

    /// The time that its process has run.
    pub(crate) fn ran(&self) -> Result<Duration, Failure> {
        process_time(self.child.id())
    }

    /// What the kernel gave the target's socket for datagrams that wait to be read.
    pub(crate) fn receive_buffer_bytes(&self) -> usize {
        self.ready.receive_buffer_bytes
    }

    /// A new connection, on a socket of its own.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(hex::decode(&self.ready.certificate)?))?;
        let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
        config.transport_config(Arc::new(transport::client(self.mtu_bound)));
        let (socket, _) = transport::bind_udp(([127, 0, 0, 1], 0).into())?;
        let endpoint = Endpoint::new(transport::endpoint(self.mtu_bound), None, socket, Arc::new(TokioRuntime))?;
        Ok(endpoint.connect_with(config, self.ready.address, SERVER_NAME)?.await?)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // By its own id. It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Round trips of 128 bytes, one after the other, for as long as asked.
pub(crate) async fn echo(connection: Connection, warm_up: Duration, measured: Duration) -> Result<Latencies, Failure> {
    let task = async move {
        let (mut send, mut recv) = open(&connection, ECHO).await?;
        let mut latencies = Latencies::new();
        let mut message = [0; ECHO_BYTES];
        let begun = Instant::now();
        while begun.elapsed() < warm_up + measured {
            let sent = Instant::now();
            send.write_all(&message).await?;
            recv.read_exact(&mut message).await?;
            if begun.elapsed() >= warm_up {
                latencies.record(sent.elapsed());
            }
        }
        Ok(latencies)
    };
    tokio::spawn(task).await?
}

/// Sends `bytes` and waits until all have arrived; the rate in MB/s.
pub(crate) async fn bulk_up(connection: Connection, bytes: u64) -> Result<f64, Failure> {
    let task = async move {
        let (mut send, mut recv) = open(&connection, UP).await?;
        let piece = Bytes::from(vec![0xa5; 64 << 10]);
        let begun = Instant::now();
        let mut left = bytes;
        while left > 0 {
            let length = left.min(piece.len() as u64);
            send.write_chunk(piece.slice(..length as usize)).await?;
            left -= length;
        }
        send.finish()?;
        let mut count = [0; 8];
        recv.read_exact(&mut count).await?;
        if u64::from_le_bytes(count) != bytes {
            return Err("the target counted other bytes than were sent".into());
        }
        Ok(megabytes_per_s(bytes, begun.elapsed()))
    };
    tokio::spawn(task).await?
}

/// Asks for `bytes` and takes them; the rate in MB/s.
pub(crate) async fn bulk_down(connection: Connection, bytes: u64) -> Result<f64, Failure> {
    take_down(connection, DOWN, bytes.to_le_bytes().to_vec(), bytes).await
}

/// Asks for the first `bytes` of the target's file, read with O_DIRECT, and takes them; in MB/s.
pub(crate) async fn read_file(connection: Connection, bytes: u64) -> Result<f64, Failure> {
    let place = [0, bytes].map(u64::to_le_bytes).concat();
    take_down(connection, READ, place, bytes).await
}

async fn take_down(connection: Connection, purpose: u8, request: Vec<u8>, bytes: u64) -> Result<f64, Failure> {
    let task = async move {
        let (mut send, mut recv) = open(&connection, purpose).await?;
        let begun = Instant::now();
        send.write_all(&request).await?;
        let mut chunks = vec![Bytes::new(); 64];
        let mut count = 0;
        while let Some(filled) = recv.read_chunks(&mut chunks).await? {
            count += chunks[..filled].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        }
        if count != bytes {
            return Err(format!("{count} of {bytes} bytes came back").into());
        }
        Ok(megabytes_per_s(bytes, begun.elapsed()))
    };
    tokio::spawn(task).await?
}

/// Puts on a bare target: each batch is a frame, on the streams in turn.
pub(crate) struct BarePuts {
    streams: Vec<PutStream>,
    next: AtomicUsize,
    /// The frame of each number of records.
    frames: Vec<Bytes>,
    numbered: bool,
    connection: Connection,
}

impl Drop for BarePuts {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"done");
    }
}

impl BarePuts {
    pub(crate) async fn open(connection: Connection, streams: usize) -> Result<Self, Failure> {
        assert!(streams > 0, "puts need a stream");
        let mut opened = Vec::new();
        for _ in 0..streams {
            let (send, recv) = open(&connection, PUT).await?;
            opened.push(PutStream::start(send, recv, BareAnswers::default()));
        }
        let frames = (0..=BATCH_RECORDS_MAX as usize).map(|records| frame(records * RECORD_BYTES)).collect();
        Ok(Self { streams: opened, next: AtomicUsize::new(0), frames, numbered: false, connection })
    }

    /// The same, with the number of its first record at the front of each put.
    pub(crate) fn numbered(mut self) -> Self {
        self.numbered = true;
        self
    }
}

impl Puts for BarePuts {
    fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let stream = &self.streams[self.next.fetch_add(1, Ordering::Relaxed) % self.streams.len()];
        let frame = &self.frames[records as usize];
        let acked =
            if self.numbered { stream.push(|_| number(frame, first)) } else { stream.push(|_| [frame.clone()]) };
        async move { acked.await.map_err(|_| "the bare target closed a put stream")? }
    }
}

/// Answers of equal length, in the order of the puts.
#[derive(Default)]
struct BareAnswers {
    bytes: usize,
}

impl Answers for BareAnswers {
    fn take(&mut self, piece: Bytes, waiting: &mut Waiting) -> Result<(), Failure> {
        self.bytes += piece.len();
        while self.bytes >= REPLY_BYTES {
            self.bytes -= REPLY_BYTES;
            waiting.answer_first(Ok(()));
        }
        Ok(())
    }
}

pub(super) async fn open(connection: &Connection, purpose: u8) -> Result<(SendStream, RecvStream), Failure> {
    let (mut send, recv) = connection.open_bi().await?;
    send.write_all(&[purpose]).await?;
    Ok((send, recv))
}

fn frame(payload_bytes: usize) -> Bytes {
    let mut frame = Vec::with_capacity(LENGTH_BYTES + payload_bytes);
    frame.extend_from_slice(&(payload_bytes as u32).to_le_bytes());
    frame.resize(LENGTH_BYTES + payload_bytes, 0x42);
    frame.into()
}

/// A frame whose payload begins with a number.
fn number(frame: &Bytes, number: u64) -> [Bytes; 2] {
    let mut head = frame[..LENGTH_BYTES].to_vec();
    head.extend_from_slice(&number.to_le_bytes());
    let rest = frame.slice(head.len()..);
    [head.into(), rest]
}

/// Bytes and time as MB/s, a megabyte being a million bytes.
pub(crate) fn megabytes_per_s(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_at_the_front_of_the_payload_and_nothing_moves() {
        let plain = frame(3 * RECORD_BYTES);
        let numbered = number(&plain, 0x0102_0304_0506_0708).concat();
        assert_eq!(numbered.len(), plain.len());
        assert_eq!(numbered[..LENGTH_BYTES], plain[..LENGTH_BYTES]);
        assert_eq!(numbered[LENGTH_BYTES..][..8], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(numbered[LENGTH_BYTES + 8..], plain[LENGTH_BYTES + 8..]);
    }
}
