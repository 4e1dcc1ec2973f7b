//! One of the QUIC streams that carry puts, over all connections of a client.
//!
//! Shards stand in a line; the first one's next batch is written, as far as QUIC takes it, and each
//! answer goes to the shard whose frame it names. When the stream or its connection breaks, what is
//! unanswered is handed back, and the stream is opened again on the next connection.
//!
//! What must hold: frame ids are never reused, so that an answer cannot be taken for another's.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};
use rheos_protocol::frame::{FrameHeader, kind};
use rheos_protocol::limits::CONTROL_FRAME_BYTES_MAX;
use rheos_protocol::message::Reply;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::shard_puts::ShardPuts;
use super::ticket::PutRefused;
use crate::core::Core;
use crate::error::Error;
use crate::frames::{FrameReader, connection_lost, write_failed};
use crate::random::jittered;
use crate::session::Session;

/// Wait after a stream ended without an answer; the link waits on its own after a failed connection.
const BACKOFF: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct PutStream {
    lane: u16,
    line: Mutex<VecDeque<Arc<ShardPuts>>>,
    woken: Notify,
    frame_next: AtomicU64,
    runtime: Handle,
}

/// The frames that are sent and unanswered on one connection.
#[derive(Debug, Default)]
struct Unanswered {
    frames: Mutex<HashMap<u64, Arc<ShardPuts>>>,
    answers: AtomicU64,
    /// The same when it was last asked whether they are stuck.
    answers_before: AtomicU64,
}

impl PutStream {
    /// Starts the task that carries the stream, over connections to `lane`.
    pub(crate) fn start(core: &Arc<Core>, lane: u16) -> Arc<PutStream> {
        let stream = Arc::new(PutStream {
            lane,
            line: Mutex::default(),
            woken: Notify::new(),
            frame_next: AtomicU64::new(1),
            runtime: core.runtime.clone(),
        });
        core.runtime.spawn(Arc::clone(&stream).carry(Arc::clone(core)));
        stream
    }

    /// Puts a shard at the end of the line.
    pub(super) fn line_up(&self, puts: Arc<ShardPuts>) {
        self.line.lock().expect("nothing panics while it is locked").push_back(puts);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    async fn carry(self: Arc<Self>, core: Arc<Core>) {
        loop {
            while self.is_idle() {
                if core.is_released() {
                    return;
                }
                self.woken.notified().await;
            }
            match core.lanes.link(self.lane).session().await {
                Ok(session) => self.carry_over(&session, &core).await,
                Err(error) if error.is_final() => self.fail_line(&error),
                // The link waits before its next attempt.
                Err(_) => {}
            }
        }
    }

    /// Carries puts over one connection, until it breaks or there is nobody left to put.
    async fn carry_over(&self, session: &Session, core: &Core) {
        let unanswered = Unanswered::default();
        let ended = match session.connection.open_bi().await {
            Ok((send, receive)) => tokio::select! {
                ended = self.write(send, &unanswered, core) => ended,
                ended = self.read(receive, &unanswered) => ended,
                never = session.ask_after(|| unanswered.is_stuck()) => match never {},
            },
            Err(error) => Err(connection_lost(error)),
        };
        let answered = unanswered.answers.load(Ordering::Relaxed) > 0;
        unanswered.hand_back();
        if let Err(error @ Error::Protocol { .. }) = &ended {
            session.give_up(error);
        }
        if ended.is_err() && !answered && !core.lanes.is_closed() {
            tokio::time::sleep(jittered(BACKOFF)).await;
        }
    }

    async fn write(&self, mut send: SendStream, unanswered: &Unanswered, core: &Core) -> Result<(), Error> {
        loop {
            while let Some(puts) = self.first_in_line() {
                let frame = self.frame_next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = puts.take(frame) else { continue };
                unanswered.add(frame, puts);
                send.write_all_chunks(&mut [header(frame, &batch), batch]).await.map_err(write_failed)?;
            }
            if core.is_released() && unanswered.is_empty() {
                let _ = send.finish();
                return Ok(());
            }
            self.woken.notified().await;
        }
    }

    async fn read(&self, receive: RecvStream, unanswered: &Unanswered) -> Result<(), Error> {
        let mut frames = FrameReader::new(receive, CONTROL_FRAME_BYTES_MAX);
        while let Some((header, payload)) = frames.frame().await? {
            let reply = Reply::decode(header.kind, payload)?;
            // Nobody waits for it any more when its delivery time-out has passed.
            let Some(puts) = unanswered.remove(header.id) else { continue };
            match reply {
                Some(Reply::Ack { first_sequence, arrival_ms }) => puts.acked(header.id, first_sequence, arrival_ms),
                Some(Reply::Error(error)) => puts.refused(header.id, error),
                _ => {
                    unanswered.add(header.id, puts);
                    return Err(Error::protocol(format!("a put was answered with a frame of kind {}", header.kind)));
                }
            }
            if unanswered.is_empty() {
                self.wake();
            }
        }
        Err(Error::lost("the broker ended a put stream"))
    }

    fn is_idle(&self) -> bool {
        self.line.lock().expect("nothing panics while it is locked").is_empty()
    }

    fn first_in_line(&self) -> Option<Arc<ShardPuts>> {
        self.line.lock().expect("nothing panics while it is locked").pop_front()
    }

    fn fail_line(&self, error: &Error) {
        let refused = match error {
            Error::Closed => PutRefused::Closed,
            other => PutRefused::Unreachable { why: other.to_string() },
        };
        while let Some(puts) = self.first_in_line() {
            puts.fail(&refused);
        }
    }
}

impl Unanswered {
    fn add(&self, frame: u64, puts: Arc<ShardPuts>) {
        self.frames.lock().expect("nothing panics while it is locked").insert(frame, puts);
    }

    fn remove(&self, frame: u64) -> Option<Arc<ShardPuts>> {
        let puts = self.frames.lock().expect("nothing panics while it is locked").remove(&frame)?;
        self.answers.fetch_add(1, Ordering::Relaxed);
        Some(puts)
    }

    fn is_empty(&self) -> bool {
        self.frames.lock().expect("nothing panics while it is locked").is_empty()
    }

    /// Whether there are puts that wait, and none was answered since this was asked last.
    fn is_stuck(&self) -> bool {
        let answers = self.answers.load(Ordering::Relaxed);
        self.answers_before.swap(answers, Ordering::Relaxed) == answers && !self.is_empty()
    }

    fn hand_back(&self) {
        let frames = std::mem::take(&mut *self.frames.lock().expect("nothing panics while it is locked"));
        frames.into_values().for_each(|puts| puts.lost());
    }
}

fn header(frame: u64, batch: &Bytes) -> Bytes {
    let mut bytes = BytesMut::new();
    let len = u32::try_from(batch.len()).expect("a batch is bounded by limits.rs");
    FrameHeader { len, kind: kind::PUT, id: frame }.encode(&mut bytes);
    bytes.freeze()
}
