//! The bare target's lane: what has arrived on all streams goes to the disk in one write, then the
//! replies go out, then the pushes, then the next write begins. One write is in flight at a time.

use std::collections::HashMap;
use std::fs::File;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use quinn::SendStream;
use rheos_broker::disk::{AlignedBuffer, BLOCK_BYTES, BufferPool, CommitRing, POOLED_BYTES_MAX, RingWait, WriteDone};

use super::push::Subscribers;
use super::{FRAME_BYTES_MAX, LENGTH_BYTES, REPLY_BYTES};
use crate::Failure;

/// Where streams leave their whole frames for the lane. Bounded by the streams' QUIC windows: a
/// client waits for replies after a few frames, and the lane takes everything in each of its turns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Arrivals>>);

#[derive(Debug, Default)]
struct Arrivals {
    arrivals: Vec<Arrival>,
    lane: Option<Waker>,
}

/// What a stream tells the lane.
#[derive(Debug)]
pub(crate) enum Arrival {
    Opened {
        stream: u64,
        replies: SendStream,
    },
    Subscribed {
        pushes: SendStream,
    },
    /// Some bytes of whole frames, and how many frames end in them.
    Bytes {
        stream: u64,
        bytes: Bytes,
        frames_ended: u32,
    },
    Closed {
        stream: u64,
    },
}

impl Inbox {
    pub(crate) fn push(&self, arrival: Arrival) {
        let mut inbox = self.lock();
        inbox.arrivals.push(arrival);
        if let Some(lane) = inbox.lane.take() {
            lane.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().expect("nobody panics while holding the inbox")
    }
}

/// The lane: owns the ring, the file and the streams' reply halves.
pub(crate) struct Lane {
    inbox: Inbox,
    ring: CommitRing,
    wait: RingWait,
    pool: BufferPool,
    file: Arc<File>,
    file_bytes: u64,
    offset: u64,
    replies: HashMap<u64, SendStream>,
    /// Taken from the inbox and not written yet, oldest first.
    waiting: std::collections::VecDeque<(u64, Bytes, u32)>,
    /// The frames of the write in flight: stream and count.
    covered: Vec<(u64, u32)>,
    /// Bytes of those frames; the rest of the write is padding.
    covered_bytes: usize,
    subscribers: Subscribers,
    arrivals: Vec<Arrival>,
    ends: Vec<WriteDone>,
}

impl Lane {
    /// A lane that writes round and round in `file`, of which `file_bytes` are there. To be made in
    /// the runtime and on the thread it will run on.
    pub(crate) fn new(inbox: Inbox, file: Arc<File>, file_bytes: u64) -> Result<Self, Failure> {
        assert!(file_bytes >= POOLED_BYTES_MAX as u64, "the largest write fits");
        let ring = CommitRing::new(8)?;
        let wait = RingWait::new(&ring)?;
        Ok(Self {
            inbox,
            ring,
            wait,
            pool: BufferPool::new(4 * POOLED_BYTES_MAX),
            file,
            file_bytes,
            offset: 0,
            replies: HashMap::new(),
            waiting: Default::default(),
            covered: Vec::new(),
            covered_bytes: 0,
            subscribers: Subscribers::default(),
            arrivals: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Serves until a write fails. To be spawned with `tokio::spawn`, see [`RingWait`].
    pub(crate) async fn run(mut self) -> Failure {
        poll_fn(|cx| self.turn(cx)).await
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.subscribers.go_on(cx);
        loop {
            if self.wait.poll(&mut self.ring, cx).is_ready() {
                self.ring.reap(&mut self.ends);
                if let Err(failure) = self.acknowledge(cx) {
                    return Poll::Ready(failure);
                }
                continue;
            }
            self.take_arrivals(cx);
            if self.ring.in_flight() > 0 || self.waiting.is_empty() {
                return Poll::Pending;
            }
            let buffer = self.gather();
            let length = buffer.len() as u64;
            if self.offset + length > self.file_bytes {
                self.offset = 0;
            }
            self.ring.write(0, &self.file, self.offset, buffer);
            self.offset += length;
        }
    }

    fn take_arrivals(&mut self, cx: &mut Context<'_>) {
        {
            let mut inbox = self.inbox.lock();
            std::mem::swap(&mut inbox.arrivals, &mut self.arrivals);
            if !inbox.lane.as_ref().is_some_and(|lane| lane.will_wake(cx.waker())) {
                inbox.lane = Some(cx.waker().clone());
            }
        }
        for arrival in self.arrivals.drain(..) {
            match arrival {
                Arrival::Opened { stream, replies } => {
                    self.replies.insert(stream, replies);
                }
                Arrival::Subscribed { pushes } => self.subscribers.add(pushes, cx),
                Arrival::Bytes { stream, bytes, frames_ended } => self.waiting.push_back((stream, bytes, frames_ended)),
                Arrival::Closed { stream } => {
                    self.replies.remove(&stream);
                }
            }
        }
    }

    /// Moves what waits into one buffer, as much as one write takes.
    fn gather(&mut self) -> AlignedBuffer {
        let mut pieces = 0;
        let mut length = 0;
        for (_, bytes, _) in &self.waiting {
            if length + bytes.len() > POOLED_BYTES_MAX {
                break;
            }
            pieces += 1;
            length += bytes.len();
        }
        let mut buffer = self.pool.take(length.next_multiple_of(BLOCK_BYTES));
        for (stream, bytes, frames_ended) in self.waiting.drain(..pieces) {
            buffer.extend_from_slice(&bytes);
            match self.covered.last_mut() {
                Some((last, frames)) if *last == stream => *frames += frames_ended,
                _ => self.covered.push((stream, frames_ended)),
            }
        }
        self.covered_bytes = buffer.len();
        buffer.pad_to_block();
        buffer
    }

    fn acknowledge(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        for WriteDone { buffer, written, .. } in self.ends.drain(..) {
            let written = written.map_err(|error| format!("a write failed: {error}"))?;
            if written != buffer.len() {
                return Err(format!("{written} of {} bytes were written", buffer.len()).into());
            }
            for (stream, frames) in self.covered.drain(..) {
                let Some(replies) = self.replies.get_mut(&stream) else { continue };
                if !reply(replies, frames, cx) {
                    self.replies.remove(&stream);
                }
            }
            if self.subscribers.is_empty() {
                self.pool.put(buffer);
            } else {
                let frames = self.pool.share(buffer).slice(..self.covered_bytes);
                self.subscribers.push(&frames, cx);
            }
        }
        Ok(())
    }
}

/// Sends `frames` replies. False when the client has gone or reads none: it has at most a few KiB of
/// replies outstanding, so its windows are never full of them.
fn reply(replies: &mut SendStream, frames: u32, cx: &mut Context<'_>) -> bool {
    let mut left = frames as usize * REPLY_BYTES;
    while left > 0 {
        let piece = &REPLIES[..left.min(REPLIES.len())];
        match Pin::new(&mut *replies).poll_write(cx, piece) {
            Poll::Ready(Ok(count)) => left -= count,
            Poll::Ready(Err(_)) | Poll::Pending => return false,
        }
    }
    true
}

/// Cuts the bytes of a stream after its last whole frame.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// Bytes of frames that have not ended.
    open: Vec<Bytes>,
    header: [u8; LENGTH_BYTES],
    header_bytes: usize,
    /// Payload bytes of the open frame still to come, once its header is whole.
    payload_left: usize,
}

impl Framing {
    /// Takes the next bytes of the stream and passes whole frames on. An error says that a frame is
    /// longer than [`FRAME_BYTES_MAX`].
    pub(crate) fn push(&mut self, chunk: Bytes, mut whole: impl FnMut(Bytes, u32)) -> Result<(), Failure> {
        let mut scan = &chunk[..];
        let (mut frames_ended, mut last_end) = (0, 0);
        while !scan.is_empty() {
            if self.header_bytes < LENGTH_BYTES {
                self.header[self.header_bytes] = scan.get_u8();
                self.header_bytes += 1;
                if self.header_bytes < LENGTH_BYTES {
                    continue;
                }
                self.payload_left = u32::from_le_bytes(self.header) as usize;
                if self.payload_left > FRAME_BYTES_MAX {
                    return Err(format!("a frame of {} bytes", self.payload_left).into());
                }
            }
            let taken = scan.len().min(self.payload_left);
            scan.advance(taken);
            self.payload_left -= taken;
            if self.payload_left == 0 {
                frames_ended += 1;
                last_end = chunk.len() - scan.len();
                self.header_bytes = 0;
            }
        }
        if frames_ended > 0 {
            for piece in self.open.drain(..) {
                whole(piece, 0);
            }
            whole(chunk.slice(..last_end), frames_ended);
        }
        if last_end < chunk.len() {
            self.open.push(chunk.slice(last_end..));
        }
        Ok(())
    }
}

static REPLIES: [u8; 64 * REPLY_BYTES] = [0xac; 64 * REPLY_BYTES];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_finds_every_frame_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        let lengths = [0_u32, 1, 3, 1000, 4, 65_536];
        for length in lengths {
            stream.extend_from_slice(&length.to_le_bytes());
            stream.extend(std::iter::repeat_n(7, length as usize));
        }
        for cut in [1, 2, 3, 5, 7, 100, 1452, stream.len()] {
            let mut framing = Framing::default();
            let (mut back, mut frames) = (Vec::new(), 0);
            for chunk in stream.chunks(cut) {
                let passed = |bytes: Bytes, ended| {
                    back.extend_from_slice(&bytes);
                    frames += ended;
                };
                framing.push(Bytes::copy_from_slice(chunk), passed).expect("no frame is too long");
            }
            assert_eq!((back.len(), frames), (stream.len(), lengths.len() as u32), "cut at {cut}");
            assert_eq!(back, stream);
        }
    }

    #[test]
    fn framing_refuses_what_is_too_long() {
        let header = Bytes::from_owner((FRAME_BYTES_MAX as u32 + 1).to_le_bytes());
        assert!(Framing::default().push(header, |_, _| panic!("nothing is whole")).is_err());
    }
}
