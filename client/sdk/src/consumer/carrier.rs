//! Carries the subscriptions of one lane: over one connection after the other, a subscription stream on each.
//!
//! While nothing arrives, it asks whether the broker is there: one that has started again does not know
//! the connection and says so to whatever comes; one that says nothing for a while is connected to anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use quinn::{RecvStream, SendStream};
use rheos_protocol::frame::kind;
use rheos_protocol::limits::CONTROL_FRAME_BYTES_MAX;
use rheos_protocol::message::Request;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::feeds::Feeds;
use crate::core::Core;
use crate::error::Error;
use crate::frames::{FrameReader, connection_lost, write_failed};
use crate::pushes::Subscriptions;
use crate::random::jittered;
use crate::session::Session;

/// Wait after a stream that brought nothing; the link waits on its own after a failed connection.
const BACKOFF: Duration = Duration::from_millis(100);
/// How often the broker is asked while nothing arrives.
const PING_EVERY: Duration = Duration::from_millis(400);
/// How often it is asked without an answer before the connection is given up: 3 s and a little.
const PINGS_UNANSWERED_MAX: u32 = 8;
/// Most bytes of requests that are written at once.
const WRITE_BYTES_MAX: usize = 16 << 10;
/// The id of a Ping, which is no subscription's.
const PING_ID: u64 = 0;

/// Whether the broker is there, as seen from one subscription stream.
#[derive(Debug, Default)]
struct Liveness {
    /// Something was written: the first frame of a stream is a Subscribe, and until then nobody answers.
    is_open: AtomicBool,
    ping_due: AtomicBool,
    /// Frames that have come on the stream.
    answers: AtomicU64,
}

/// One carrier, as long as the consumer is not over.
pub(super) async fn carry(feeds: Arc<Feeds>, core: Arc<Core>, lane: u16) {
    let changed = feeds.lane_changed(lane);
    loop {
        wait_until_due(&feeds, lane, &changed).await;
        if feeds.is_over() {
            return;
        }
        match core.lanes.link(lane).session().await {
            Ok(session) => {
                carry_over(&session, &feeds, lane, &changed).await;
                feeds.lost(lane);
            }
            Err(error) if error.is_final() => return feeds.end(error),
            // The link waits before its next attempt.
            Err(_) => {}
        }
    }
}

async fn carry_over(session: &Session, feeds: &Arc<Feeds>, lane: u16, changed: &Notify) {
    let subscriptions = session.pushes.subscriptions(feeds);
    let alive = Liveness::default();
    let ended = match session.connection.open_bi().await {
        Ok((send, receive)) => tokio::select! {
            ended = write(send, feeds, lane, &subscriptions, &alive, changed) => ended,
            ended = read(receive, &subscriptions, &alive) => ended,
            ended = watch(session, &alive, changed) => ended,
        },
        Err(error) => Err(connection_lost(error)),
    };
    drop(subscriptions);
    match ended {
        Ok(()) => return,
        Err(error @ Error::Protocol { .. }) => {
            session.give_up(&error);
            feeds.end(error);
        }
        Err(_) => {}
    }
    if alive.answers.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(jittered(BACKOFF)).await;
    }
}

/// Sends what the shards of the lane want, until the consumer is over.
async fn write(
    mut send: SendStream,
    feeds: &Feeds,
    lane: u16,
    subscriptions: &Subscriptions<'_>,
    alive: &Liveness,
    changed: &Notify,
) -> Result<(), Error> {
    let mut bytes = BytesMut::new();
    loop {
        while bytes.len() < WRITE_BYTES_MAX
            && let Some((id, request)) = feeds.request(lane, |shard| subscriptions.add(shard))
        {
            request.write(id, &mut bytes);
            alive.is_open.store(true, Ordering::Relaxed);
        }
        if alive.ping_due.swap(false, Ordering::Relaxed) {
            Request::Ping.write(PING_ID, &mut bytes);
        }
        if bytes.is_empty() {
            wait(feeds, lane, changed).await;
        } else {
            send.write_all_chunks(&mut [bytes.split().freeze()]).await.map_err(write_failed)?;
        }
        if feeds.is_over() {
            let _ = send.finish();
            return Ok(());
        }
    }
}

async fn read(receive: RecvStream, subscriptions: &Subscriptions<'_>, alive: &Liveness) -> Result<(), Error> {
    let mut frames = FrameReader::new(receive, CONTROL_FRAME_BYTES_MAX);
    while let Some((header, payload)) = frames.frame().await? {
        alive.answers.fetch_add(1, Ordering::Relaxed);
        if header.kind != kind::PONG {
            subscriptions.answered(header, payload)?;
        }
    }
    Err(Error::lost("the broker ended a subscription stream"))
}

/// Asks while nothing arrives, and gives the connection up when nothing is answered.
async fn watch(session: &Session, alive: &Liveness, changed: &Notify) -> Result<(), Error> {
    let mut ticks = interval(PING_EVERY);
    // A program that held up its runtime has not given the broker time to answer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut pushed, mut answers, mut unanswered) = (0, 0, 0);
    loop {
        ticks.tick().await;
        let nothing_came = std::mem::replace(&mut pushed, session.pushes.count()) == pushed;
        let nothing_answered = std::mem::replace(&mut answers, alive.answers.load(Ordering::Relaxed)) == answers;
        if !nothing_came || !nothing_answered {
            unanswered = 0;
        }
        if unanswered == PINGS_UNANSWERED_MAX {
            let error = Error::lost("the broker has not answered for 3 s");
            session.give_up(&error);
            return Err(error);
        }
        if nothing_came && alive.is_open.load(Ordering::Relaxed) {
            unanswered += 1;
            alive.ping_due.store(true, Ordering::Relaxed);
            changed.notify_one();
        }
    }
}

/// Waits until a shard of the lane has something to send, or the consumer is over.
async fn wait_until_due(feeds: &Feeds, lane: u16, changed: &Notify) {
    while !feeds.is_over() && !feeds.due(lane).0 {
        wait(feeds, lane, changed).await;
    }
}

/// Waits until something has changed for the lane, or may have.
async fn wait(feeds: &Feeds, lane: u16, changed: &Notify) {
    let (is_due, later) = feeds.due(lane);
    if is_due {
        return;
    }
    let later_or_never = async {
        match later {
            Some(later) => sleep_until(later).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = changed.notified() => {}
        () = later_or_never => {}
    }
}
