//! Replies to puts: gathered during a turn, sent once for each put stream at its end. Who put from another thread is
//! told at once.
//!
//! What must hold: a client that reads no replies costs a bounded number of bytes and never holds up
//! the lane; its stream is reset.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use quinn::{SendStream, VarInt};
use rheos_core::log::Acked;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Reply;
use tokio::sync::oneshot;

use crate::metrics::Histogram;

/// Most bytes of replies that wait for one client.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// The put streams of a lane and what they are to be told.
#[derive(Debug)]
pub(crate) struct Replies {
    streams: HashMap<u64, PutStream>,
    tokens: Tokens,
    /// Streams with something to send.
    ready: Vec<u64>,
    /// How long puts took that were acknowledged, from when they were expected.
    acks: Histogram,
    /// What the clock said when the lane last looked.
    time: Instant,
}

#[derive(Debug)]
struct PutStream {
    replies: SendStream,
    waiting: BytesMut,
    is_ready: bool,
    /// Puts that have no answer yet.
    unanswered: usize,
    ended: bool,
}

impl Replies {
    pub(crate) fn new(time: Instant) -> Replies {
        let (streams, tokens) = (HashMap::new(), Tokens::default());
        Replies { streams, tokens, ready: Vec::new(), acks: Histogram::default(), time }
    }

    /// The time of what is expected and answered from now on.
    pub(crate) fn set_time(&mut self, time: Instant) {
        self.time = time;
    }

    /// How long puts took that were acknowledged, from when the lane saw them to the reply.
    pub(crate) fn acks(&self) -> Histogram {
        self.acks
    }

    /// A put stream is there.
    pub(crate) fn open(&mut self, stream: u64, replies: SendStream) {
        let opened = PutStream { replies, waiting: BytesMut::new(), is_ready: false, unanswered: 0, ended: false };
        self.streams.insert(stream, opened);
    }

    /// A put has come that will be answered with the token.
    pub(crate) fn expect(&mut self, stream: u64, frame: u64) -> u64 {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.unanswered += 1;
        }
        self.tokens.take(Put { since: self.time, told: Told::OnStream { stream, frame } })
    }

    /// A put has come from another thread, which waits for the outcome.
    pub(crate) fn expect_apart(&mut self, told: PutTold) -> u64 {
        self.tokens.take(Put { since: self.time, told: Told::Apart(told) })
    }

    /// Answers the put with this token.
    pub(crate) fn answer(&mut self, token: u64, outcome: Result<Acked, WireError>) {
        let Put { since, told } = self.tokens.give_back(token);
        if outcome.is_ok() {
            self.acks.add(self.time.saturating_duration_since(since));
        }
        let (stream, frame) = match told {
            Told::OnStream { stream, frame } => (stream, frame),
            // Whoever put may have gone: then nobody is told.
            Told::Apart(told) => return drop(told.send(outcome)),
        };
        let Some(put_stream) = self.streams.get_mut(&stream) else { return };
        put_stream.unanswered -= 1;
        let reply = match outcome {
            Ok(Acked { first_sequence, arrival_ms }) => Reply::Ack { first_sequence, arrival_ms },
            Err(error) => Reply::Error(error),
        };
        reply.write(frame, &mut put_stream.waiting);
        if !put_stream.is_ready {
            put_stream.is_ready = true;
            self.ready.push(stream);
        }
    }

    /// The client sends no more puts on this stream; it is finished when the last is answered.
    pub(crate) fn end(&mut self, stream: u64) {
        let Some(put_stream) = self.streams.get_mut(&stream) else { return };
        put_stream.ended = true;
        if !put_stream.is_ready {
            put_stream.is_ready = true;
            self.ready.push(stream);
        }
    }

    /// Hands what is gathered to QUIC, as far as it takes it; what it does not take waits for it.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while at < self.ready.len() {
            let stream = self.ready[at];
            let keep = match self.streams.get_mut(&stream) {
                Some(put_stream) => match put_stream.send(cx) {
                    Sent::All => false,
                    Sent::Some => true,
                    Sent::Over => {
                        self.streams.remove(&stream);
                        false
                    }
                },
                None => false,
            };
            if keep {
                at += 1;
            } else {
                self.ready.swap_remove(at);
            }
        }
    }
}

enum Sent {
    All,
    Some,
    /// The stream is finished or lost.
    Over,
}

impl PutStream {
    fn send(&mut self, cx: &mut Context<'_>) -> Sent {
        while !self.waiting.is_empty() {
            match Pin::new(&mut self.replies).poll_write(cx, &self.waiting) {
                Poll::Ready(Ok(count)) => self.waiting.advance(count),
                // The connection is lost or the client takes no more: nobody is left to be told.
                Poll::Ready(Err(_)) => return Sent::Over,
                Poll::Pending if self.waiting.len() > WAITING_BYTES_MAX => {
                    let _ = self.replies.reset(VarInt::from_u32(ErrorCode::LimitExceeded.number().into()));
                    return Sent::Over;
                }
                Poll::Pending => return Sent::Some,
            }
        }
        self.is_ready = false;
        if self.ended && self.unanswered == 0 {
            let _ = self.replies.finish();
            return Sent::Over;
        }
        Sent::All
    }
}

/// Which put a token stands for.
#[derive(Debug, Default)]
struct Tokens {
    puts: Vec<Option<Put>>,
    free: Vec<u64>,
}

/// A put that has no answer yet.
#[derive(Debug)]
struct Put {
    since: Instant,
    told: Told,
}

/// Who is told of its outcome.
#[derive(Debug)]
enum Told {
    OnStream { stream: u64, frame: u64 },
    Apart(PutTold),
}

/// Where somebody on another thread waits for the outcome of a put.
pub(crate) type PutTold = oneshot::Sender<Result<Acked, WireError>>;

impl Tokens {
    fn take(&mut self, put: Put) -> u64 {
        match self.free.pop() {
            Some(token) => {
                self.puts[token as usize] = Some(put);
                token
            }
            None => {
                self.puts.push(Some(put));
                self.puts.len() as u64 - 1
            }
        }
    }

    fn give_back(&mut self, token: u64) -> Put {
        self.free.push(token);
        self.puts[token as usize].take().expect("a put is answered once")
    }
}
