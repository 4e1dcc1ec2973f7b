//! Bodies of requests: read whole, within bounds of size, time and memory.
//!
//! | bound | what a peer hears that passes it |
//! |---|---|
//! | [`BODY_BYTES_MAX`], known from a declared length before anything is read | 413 |
//! | [`Pace`]: a while, and then so many bytes a second on average | 408, which SDKs try again |
//! | what its connection may hold ([`CONNECTION_KIB`]) | 503 at once |
//! | what all may hold ([`ALL_KIB`]) | 503 when there is no room for [`ROOM_WAIT_MAX`], which SDKs try again |
//!
//! What must hold: memory is taken for what has come, never for what is declared; room is taken before
//! memory is, and stays taken for as long as the body is held. A body that waits for its connection's other
//! bodies would hold them up, because what is sent of it fills the window of all: so it is refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use rheos_kinesis::limits::BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// KiB of bodies of one connection: eight of the largest, for the SDKs that send all requests over one.
const CONNECTION_KIB: usize = 128 << 10;
/// KiB of bodies of all connections.
const ALL_KIB: usize = 256 << 10;
/// A body waits for so long for others to leave room.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(CONNECTION_KIB >= 4 * (BODY_BYTES_MAX >> 10) && ALL_KIB >= 2 * CONNECTION_KIB);

/// How slowly a body may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// It may take so long whatever comes.
    pub(super) grace: Duration,
    /// And a second more for each so many bytes that have come.
    pub(super) bytes_per_second_min: u32,
}

/// Where bodies find room; every clone is the same.
#[derive(Debug, Clone)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    connection: Arc<Semaphore>,
}

impl Room {
    /// Room for the bodies of a broker.
    pub(super) fn new() -> Room {
        Room { all: Arc::new(Semaphore::new(ALL_KIB)), connection: Arc::new(Semaphore::new(CONNECTION_KIB)) }
    }

    /// The part of one more connection.
    pub(super) fn of_connection(&self) -> Room {
        Room { all: Arc::clone(&self.all), connection: Arc::new(Semaphore::new(CONNECTION_KIB)) }
    }
}

/// The room that a body takes, until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    connection: Option<OwnedSemaphorePermit>,
    all: Option<OwnedSemaphorePermit>,
}

/// Why a body is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    TooLarge,
    TooSlow,
    NoRoom,
    /// The peer went away, or broke off.
    Gone,
}

/// Reads a body to its end.
///
/// # Errors
/// When it passes a bound; nothing more is read of it then.
pub(super) async fn read_whole(mut body: Incoming, room: &Room, pace: Pace) -> Result<(Bytes, Held), Refused> {
    let declared = body.size_hint();
    if declared.lower() > BODY_BYTES_MAX as u64 {
        return Err(Refused::TooLarge);
    }
    let declared = declared.exact().map(|len| len as usize);
    let mut held = Held::default();
    // Whoever says how long it is hears at once whether there is room.
    hold(&mut held.connection, &room.connection, declared.unwrap_or(0), Duration::ZERO).await?;
    let (mut began, mut whole) = (Instant::now(), Vec::new());
    loop {
        let earned = Duration::from_secs_f64(whole.len() as f64 / f64::from(pace.bytes_per_second_min));
        let due = began + pace.grace + earned;
        let Some(frame) = timeout_at(due, body.frame()).await.map_err(|_| Refused::TooSlow)? else { break };
        let Ok(bytes) = frame.map_err(|_| Refused::Gone)?.into_data() else { continue };
        let len = whole.len() + bytes.len();
        if len > BODY_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        if len > whole.capacity() {
            let capacity = (2 * whole.capacity()).min(declared.unwrap_or(BODY_BYTES_MAX)).max(len);
            let waits = Instant::now();
            hold(&mut held.connection, &room.connection, capacity, Duration::ZERO).await?;
            hold(&mut held.all, &room.all, capacity, ROOM_WAIT_MAX).await?;
            // What it waits for is not its fault.
            began += waits.elapsed();
            if declared == Some(bytes.len()) {
                return Ok((bytes, held));
            }
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&bytes);
    }
    Ok((whole.into(), held))
}

/// Holds room for so many bytes in all.
async fn hold(
    held: &mut Option<OwnedSemaphorePermit>,
    room: &Arc<Semaphore>,
    bytes: usize,
    wait_max: Duration,
) -> Result<(), Refused> {
    let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let lacks = bytes.div_ceil(1 << 10).saturating_sub(has);
    if lacks == 0 {
        return Ok(());
    }
    let more = Arc::clone(room).acquire_many_owned(lacks as u32);
    let more = timeout(wait_max, more).await.map_err(|_| Refused::NoRoom)?.expect("nobody closes it");
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}
