//! Pushes over a QUIC connection: frames on its push streams, as QUIC takes them.
//!
//! What must hold: frames stand on their stream whole and in order; a connection that is lost takes everything.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use quinn::{Connection, SendStream};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::PUSH_STREAMS_MAX;
use tracing::debug;

use crate::net::close_code;

/// Pushes give way to everything else on a connection.
const PUSH_PRIORITY: i32 = -1;

/// The push streams of a connection.
pub(super) struct QuicPushes {
    connection: Connection,
    /// One where the connection belongs to another lane, so that the lanes together open few.
    streams: Vec<PushStream>,
    /// Woken when it takes bytes again.
    waker: Waker,
}

#[derive(Default)]
struct PushStream {
    /// None until the peer lets it be opened.
    send: Option<SendStream>,
    /// What QUIC did not take yet: the rest of what was given in one turn, and ends.
    waiting: VecDeque<Bytes>,
}

impl QuicPushes {
    pub(super) fn new(connection: Connection, is_own: bool, waker: Waker) -> QuicPushes {
        let streams = (0..if is_own { PUSH_STREAMS_MAX } else { 1 }).map(|_| PushStream::default()).collect();
        QuicPushes { connection, streams, waker }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.streams.iter().any(|stream| !stream.waiting.is_empty())
    }

    /// Gives pieces to the stream of a shard.
    pub(super) fn send(&mut self, shard: u32, pieces: Vec<Bytes>) {
        let count = self.streams.len();
        let stream = &mut self.streams[shard as usize % count];
        stream.waiting.extend(pieces);
        stream.send(&self.connection, &self.waker);
    }

    /// Gives QUIC what waits.
    pub(super) fn send_waiting(&mut self) {
        for stream in &mut self.streams {
            stream.send(&self.connection, &self.waker);
        }
    }

    /// Bytes that the path has under way, if they can be counted.
    pub(super) fn under_way_bytes(&self) -> Option<usize> {
        usize::try_from(self.connection.stats().path.cwnd).ok()
    }

    /// Closes the connection because of its peer.
    pub(super) fn close(&self, message: &str) {
        debug!(peer = %self.connection.remote_address(), "connection closed: {message}");
        self.connection.close(close_code(ErrorCode::LimitExceeded), message.as_bytes());
    }
}

impl PushStream {
    /// Gives QUIC what waits, as far as it takes it. A connection that is lost takes everything.
    fn send(&mut self, connection: &Connection, waker: &Waker) {
        let mut cx = Context::from_waker(waker);
        if self.send.is_none() && !self.waiting.is_empty() {
            match pin!(connection.open_uni()).poll(&mut cx) {
                Poll::Ready(Ok(send)) => {
                    let _ = send.set_priority(PUSH_PRIORITY);
                    self.send = Some(send);
                }
                Poll::Ready(Err(_)) => return self.waiting.clear(),
                Poll::Pending => return,
            }
        }
        let Some(send) = &mut self.send else { return };
        while !self.waiting.is_empty() {
            let written = pin!(send.write_chunks(self.waiting.make_contiguous())).poll(&mut cx);
            match written {
                Poll::Ready(Ok(written)) => drop(self.waiting.drain(..written.chunks)),
                Poll::Ready(Err(_)) => self.waiting.clear(),
                Poll::Pending => return,
            }
        }
    }
}
