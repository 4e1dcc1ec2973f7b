//! A subscriber that does what it is told: it keeps no place, grants credit when asked to, and takes
//! pushes only as they are asked for.
//!
//! What must hold: it says what came, in the order in which it came on each push stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use rheos_protocol::batch::Batch;
use rheos_protocol::message::{Position, Push, PushEnd, Reply, Request, Subscribe};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::raw_client::{RawClient, read_reply};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Frames that were taken from QUIC and not yet by the test.
const FRAMES_MAX: usize = 64;

/// A subscription stream and everything that is pushed over its connection.
#[derive(Debug)]
pub struct Subscriber {
    /// Its connection.
    pub client: RawClient,
    requests: SendStream,
    answers: RecvStream,
    pushed: mpsc::Receiver<(u64, Pushed)>,
    _streams: JoinSet<()>,
}

/// Something that was pushed.
#[derive(Debug, Clone)]
pub enum Pushed {
    /// Batches, proved, and what was said of them.
    Batches(Vec<Batch>, Push),
    /// The end of a subscription.
    End(PushEnd),
}

impl Subscriber {
    /// Opens the subscription stream of a connection with its first subscription.
    ///
    /// # Panics
    /// When the connection is over.
    pub async fn open(client: RawClient, id: u64, first: Subscribe) -> Subscriber {
        let frame = frame(id, &Request::Subscribe(first));
        let (requests, answers) = client.send(&frame).await.expect("the connection stands");
        let (tell, pushed) = mpsc::channel(FRAMES_MAX);
        let mut streams = JoinSet::new();
        streams.spawn(take_streams(client.connection.clone(), tell));
        Subscriber { client, requests, answers, pushed, _streams: streams }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When the stream is over.
    pub async fn send(&mut self, id: u64, request: &Request) {
        self.requests.write_all(&frame(id, request)).await.expect("the stream stands");
    }

    /// The next answer, and the subscription that it is for.
    ///
    /// # Panics
    /// When there is none.
    pub async fn answer(&mut self) -> (u64, Reply) {
        let answer = timeout(PATIENCE, read_reply(&mut self.answers)).await.expect("it is answered in time");
        answer.expect("the stream stands")
    }

    /// The answer to a Subscribe that is accepted.
    ///
    /// # Panics
    /// When it is not.
    pub async fn subscribed(&mut self) -> u64 {
        match self.answer().await.1 {
            Reply::Subscribed(next) => next,
            other => panic!("a Subscribe was answered {other:?}"),
        }
    }

    /// What is pushed next.
    ///
    /// # Panics
    /// When nothing is.
    pub async fn pushed(&mut self) -> (u64, Pushed) {
        let pushed = timeout(PATIENCE, self.pushed.recv()).await.expect("something is pushed in time");
        pushed.unwrap_or_else(|| panic!("nothing more is pushed: {:?}", self.client.connection.close_reason()))
    }

    /// What is pushed within a time, if anything is.
    pub async fn pushed_within(&mut self, wait: Duration) -> Option<(u64, Pushed)> {
        timeout(wait, self.pushed.recv()).await.ok().flatten()
    }
}

/// A subscription that wants everything, from the beginning on.
pub fn subscribe(incarnation: u64, shard: u32, consumer: &str, position: Position, credit: u64) -> Subscribe {
    Subscribe { incarnation, shard, consumer: consumer.to_owned(), epoch: 1, position, credit }
}

fn frame(id: u64, request: &Request) -> BytesMut {
    let mut out = BytesMut::new();
    request.write(id, &mut out);
    out
}

async fn take_streams(connection: Connection, tell: mpsc::Sender<(u64, Pushed)>) {
    let mut streams = JoinSet::new();
    while let Ok(stream) = connection.accept_uni().await {
        streams.spawn(take_frames(stream, tell.clone()));
    }
}

async fn take_frames(mut stream: RecvStream, tell: mpsc::Sender<(u64, Pushed)>) {
    while let Ok((id, reply)) = read_reply(&mut stream).await {
        let pushed = match reply {
            Reply::Push(push) => Pushed::Batches(batches(push.batches.clone()), push),
            Reply::PushEnd(end) => Pushed::End(end),
            other => panic!("{other:?} was pushed"),
        };
        if tell.send((id, pushed)).await.is_err() {
            return;
        }
    }
}

fn batches(mut bytes: Bytes) -> Vec<Batch> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        batches.push(Batch::split_from(&mut bytes).expect("the broker pushes whole batches"));
    }
    batches
}
