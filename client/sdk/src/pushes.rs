//! What the broker pushes on one connection: taken from its streams at once, and handed to the shard that
//! the frame's subscription feeds.
//!
//! What must hold: QUIC is always drained, so that nobody holds up another one; where the bytes are kept
//! and bounded is the [feeds](crate::consumer)' business. A subscription id is given once, over all
//! connections: what a thread still does for a connection that is gone finds no subscription of the next.
//! A push for one that is over is dropped, for one that was never given the connection is given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use quinn::{Connection, RecvStream, VarInt};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::frame::FrameHeader;
use rheos_protocol::limits::{PUSH_BYTES_TARGET, PUT_FRAME_BYTES_MAX};
use rheos_protocol::message::Reply;
use tokio::task::{AbortHandle, JoinSet};

use crate::consumer::Feeds;
use crate::error::Error;
use crate::frames::FrameReader;

/// Largest payload of a push: what was gathered before the largest batch, that batch, and the fields.
const PUSH_FRAME_BYTES_MAX: u32 = PUT_FRAME_BYTES_MAX + PUSH_BYTES_TARGET + (1 << 10);

/// Ids of one connection: the first is its serial number times this, plus one.
const IDS_OF_A_CONNECTION: u64 = 1 << 32;

/// Connections of this process that there were.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// The pushes of one connection.
#[derive(Debug)]
pub(crate) struct Pushes {
    routes: Arc<Routes>,
    connection: Connection,
    /// Takes what is pushed, from the first subscription on.
    taker: OnceLock<AbortHandle>,
}

/// Who gets what is pushed.
#[derive(Debug)]
struct Routes {
    feeds: Mutex<HashMap<u64, Route>>,
    id_first: u64,
    id_next: AtomicU64,
    stream_next: AtomicU64,
    /// Frames that were pushed.
    count: AtomicU64,
}

#[derive(Debug, Clone)]
struct Route {
    feeds: Arc<Feeds>,
    shard: u32,
    /// The subscription stream that it stands on.
    stream: u64,
    /// What has come of the two frames that every subscription has one of, on streams that do not wait for each
    /// other: its answer and its end.
    is_answered: bool,
    is_ended: bool,
}

/// One of these frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Answer,
    End,
}

/// The subscriptions that stand on one subscription stream; their routes end with it.
#[derive(Debug)]
pub(crate) struct Subscriptions<'a> {
    routes: &'a Routes,
    feeds: &'a Arc<Feeds>,
    stream: u64,
}

impl Pushes {
    pub(crate) fn new(connection: &Connection) -> Pushes {
        let id_first = CONNECTIONS.fetch_add(1, Ordering::Relaxed) * IDS_OF_A_CONNECTION + 1;
        let routes = Arc::new(Routes {
            feeds: Mutex::default(),
            id_first,
            id_next: AtomicU64::new(id_first),
            stream_next: AtomicU64::new(0),
            count: AtomicU64::new(0),
        });
        Pushes { routes, connection: connection.clone(), taker: OnceLock::new() }
    }

    /// Routes for the subscriptions of `feeds`; what is pushed is taken from now on.
    pub(crate) fn subscriptions<'a>(&'a self, feeds: &'a Arc<Feeds>) -> Subscriptions<'a> {
        self.taker.get_or_init(|| tokio::spawn(take(self.connection.clone(), Arc::clone(&self.routes))).abort_handle());
        let stream = self.routes.stream_next.fetch_add(1, Ordering::Relaxed);
        Subscriptions { routes: &self.routes, feeds, stream }
    }

    /// How many frames were pushed so far.
    pub(crate) fn count(&self) -> u64 {
        self.routes.count.load(Ordering::Relaxed)
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        if let Some(taker) = self.taker.get() {
            taker.abort();
        }
    }
}

impl Subscriptions<'_> {
    /// A new subscription id, for a shard.
    pub(crate) fn add(&self, shard: u32) -> u64 {
        let id = self.routes.id_next.fetch_add(1, Ordering::Relaxed);
        let (feeds, stream) = (Arc::clone(self.feeds), self.stream);
        let route = Route { feeds, shard, stream, is_answered: false, is_ended: false };
        self.routes.lock().insert(id, route);
        id
    }

    /// Takes an answer from the subscription stream.
    pub(crate) fn answered(&self, header: FrameHeader, payload: Bytes) -> Result<(), Error> {
        match Reply::decode(header.kind, payload)? {
            Some(Reply::Subscribed(next)) => {
                if let Some(route) = self.routes.pass(header.id, Last::Answer)? {
                    route.feeds.subscribed(route.shard, header.id, next);
                }
            }
            Some(Reply::Error(error)) => {
                if let Some(route) = self.routes.end(header.id)? {
                    route.feeds.refused(route.shard, header.id, error);
                }
            }
            _ => return Err(Error::protocol(format!("a subscription was answered with kind {}", header.kind))),
        }
        Ok(())
    }
}

impl Drop for Subscriptions<'_> {
    fn drop(&mut self) {
        self.routes.lock().retain(|_, route| route.stream != self.stream);
    }
}

impl Routes {
    fn pushed(&self, header: FrameHeader, payload: Bytes) -> Result<(), Error> {
        self.count.fetch_add(1, Ordering::Relaxed);
        match Reply::decode(header.kind, payload)? {
            Some(Reply::Push(push)) => {
                if let Some(route) = self.find(header.id)? {
                    route.feeds.pushed(route.shard, header.id, push);
                }
            }
            Some(Reply::PushEnd(end)) => {
                if let Some(route) = self.pass(header.id, Last::End)? {
                    route.feeds.push_ended(route.shard, header.id, end);
                }
            }
            _ => return Err(Error::protocol(format!("a frame of kind {} was pushed", header.kind))),
        }
        Ok(())
    }

    /// Where a subscription leads; `None` when it is over.
    fn find(&self, id: u64) -> Result<Option<Route>, Error> {
        match self.lock().get(&id) {
            None if !(self.id_first..self.id_next.load(Ordering::Relaxed)).contains(&id) => {
                Err(Error::protocol(format!("a frame names subscription {id}, which nobody made")))
            }
            route => Ok(route.cloned()),
        }
    }

    /// The same for its answer or its end; once both have come the subscription is over.
    fn pass(&self, id: u64, last: Last) -> Result<Option<Route>, Error> {
        let route = self.find(id)?;
        let mut routes = self.lock();
        if let Some(route) = routes.get_mut(&id) {
            route.is_answered |= last == Last::Answer;
            route.is_ended |= last == Last::End;
            if route.is_answered && route.is_ended {
                routes.remove(&id);
            }
        }
        Ok(route)
    }

    /// The same for a subscription that was not made.
    fn end(&self, id: u64) -> Result<Option<Route>, Error> {
        let route = self.find(id)?;
        self.lock().remove(&id);
        Ok(route)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Route>> {
        self.feeds.lock().expect("nothing panics while it is locked")
    }

    /// Tells everybody that the broker broke the protocol.
    fn fail(&self, error: &Error) {
        let routes = std::mem::take(&mut *self.lock());
        routes.into_values().for_each(|route| route.feeds.end(error.clone()));
    }
}

/// Takes all push streams of a connection; QUIC bounds how many there are.
async fn take(connection: Connection, routes: Arc<Routes>) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    streams.spawn(take_stream(stream, Arc::clone(&routes)));
                }
                Err(_) => return,
            },
            Some(ended) = streams.join_next() => {
                // Part of what was pushed is lost with a stream; a new connection brings it again.
                if let Ok(Err(error)) = ended {
                    if matches!(error, Error::Protocol { .. }) {
                        routes.fail(&error);
                    }
                    give_up(&connection, &error);
                }
            }
        }
    }
}

async fn take_stream(stream: RecvStream, routes: Arc<Routes>) -> Result<(), Error> {
    let mut frames = FrameReader::new(stream, PUSH_FRAME_BYTES_MAX);
    while let Some((header, payload)) = frames.frame().await? {
        routes.pushed(header, payload)?;
    }
    Ok(())
}

/// Ends a connection that is of no use any more.
pub(crate) fn give_up(connection: &Connection, why: &Error) {
    let code = match why {
        Error::Protocol { .. } => ErrorCode::BadFrame,
        _ => ErrorCode::Internal,
    };
    connection.close(VarInt::from_u32(u32::from(code.number())), why.to_string().as_bytes());
}
