//! A connection: Hello first, then streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::kind;
use rheos_protocol::limits::{HELLO_MS_MAX, SUBSCRIPTION_STREAMS_MAX};
use rheos_protocol::message::{EXPORTER_LABEL, Hello, PROTOCOL_VERSION, Reply, Request, Welcome};
use tracing::debug;

use super::connections::revoked;
use super::door::Counted;
use super::frames::{Frame, Frames};
use super::put_stream::take_puts;
use super::request::request;
use super::share::Share;
use super::subscription_stream::take_subscriptions;
use super::{Net, close_code};
use crate::dispatch::Authenticated;
use crate::identity::Principal;
use crate::stopping::going_away;
use crate::transport;

/// Serves a connection until either side closes it; until it is admitted it counts as a stranger.
pub(super) async fn serve(connection: Connection, net: Arc<Net>, stranger: Counted) {
    let hello = tokio::time::timeout(Duration::from_millis(HELLO_MS_MAX), greet(&connection, &net)).await;
    let (principal, _admitted) = match hello {
        Ok(Ok((principal, admitted))) => (Arc::new(principal), admitted),
        Ok(Err(error)) => return close(&connection, &error),
        Err(_) => {
            let message = format!("no Hello came within {HELLO_MS_MAX} ms");
            return close(&connection, &WireError::new(ErrorCode::Unauthenticated, message));
        }
    };
    drop(stranger);
    // Listed first and asked then, so that no key is revoked between the two.
    let key_id = &principal.principal().key_id;
    let _place = net.broker.connections.add(key_id, &connection);
    if !net.broker.is_live(principal.principal()) {
        return close(&connection, &revoked(key_id));
    }
    transport::admit(&connection);
    let share = Arc::new(Share::default());
    while let Ok((send, recv)) = connection.accept_bi().await {
        let (connection, net, principal) = (connection.clone(), Arc::clone(&net), Arc::clone(&principal));
        let share = Arc::clone(&share);
        tokio::spawn(async move {
            if let Err(error) = take_stream(&connection, (send, recv), &net, &principal, &share).await {
                close(&connection, &error);
            }
        });
    }
}

/// Closes a connection whose peer breaks the protocol.
fn close(connection: &Connection, error: &WireError) {
    debug!(peer = %connection.remote_address(), "connection closed: {error}");
    connection.close(close_code(error.code), error.message.as_bytes());
}

/// Takes the Hello and answers it. The answer is waited for, so that a refusal arrives before the close.
async fn greet(connection: &Connection, net: &Net) -> Result<(Authenticated<Principal>, Counted), WireError> {
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|error| lost(&error.to_string()))?;
    let frame = first_frame(&mut Frames::before_hello(), &mut recv).await?;
    let answer = match net.broker.stopping.has_begun() {
        true => Err(going_away()),
        false => prove(connection, net, &frame).and_then(|proved| Ok((proved, net.door.admit()?))),
    };
    let mut out = BytesMut::new();
    match &answer {
        Ok(((_, welcome), _)) => Reply::Welcome(welcome.clone()).write(frame.header.id, &mut out),
        Err(error) => Reply::Error(error.clone()).write(frame.header.id, &mut out),
    }
    send.write_all(&out).await.map_err(|error| lost(&error.to_string()))?;
    drop(send.finish());
    if answer.is_err() {
        drop(send.stopped().await);
    }
    answer.map(|((principal, _), admitted)| (principal, admitted))
}

fn prove(connection: &Connection, net: &Net, frame: &Frame) -> Result<(Authenticated<Principal>, Welcome), WireError> {
    let decoded = Request::decode(frame.header.kind, &frame.payload);
    let Ok(Some(Request::Hello(hello))) = decoded else {
        return Err(WireError::new(ErrorCode::Unauthenticated, "the first frame of a connection is a Hello"));
    };
    if !(hello.version_min..=hello.version_max).contains(&PROTOCOL_VERSION) {
        let message = format!(
            "this broker speaks protocol version {PROTOCOL_VERSION}, the client {} to {}; use a release that has one in common",
            hello.version_min, hello.version_max
        );
        return Err(WireError::new(ErrorCode::UnsupportedVersion, message));
    }
    let principal = authenticate(connection, net, &hello).ok_or_else(|| {
        let message = format!("access key {:?} is not known here, or its secret is another", hello.key_id);
        WireError::new(ErrorCode::Unauthenticated, message)
    })?;
    let welcome = Welcome {
        version: PROTOCOL_VERSION,
        features: 0,
        lanes: net.broker.lanes,
        directory_id: net.broker.directory_id,
        broker: concat!("rheos ", env!("CARGO_PKG_VERSION")).to_owned(),
        lane: net.lane,
    };
    Ok((principal, welcome))
}

fn authenticate(connection: &Connection, net: &Net, hello: &Hello) -> Option<Authenticated<Principal>> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").ok()?;
    Authenticated::hello(&net.broker.identity, hello, &exporter, net.broker.dev)
}

/// A stream is a request, carries puts, or is for subscriptions: its first frame says which.
async fn take_stream(
    connection: &Connection,
    (send, mut recv): (SendStream, RecvStream),
    net: &Arc<Net>,
    principal: &Arc<Authenticated<Principal>>,
    share: &Share,
) -> Result<(), WireError> {
    let mut frames = Frames::new(&share.half_puts);
    let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await else { return Ok(()) };
    let mut chunk = chunk.bytes;
    let first = loop {
        match frames.next(&mut chunk)? {
            Some(frame) => break frame,
            None => match recv.read_chunk(usize::MAX, true).await {
                Ok(Some(more)) => chunk = more.bytes,
                Ok(None) => return Err(ended_early()),
                // The peer has thought better of it.
                Err(_) => return Ok(()),
            },
        }
    };
    match first.header.kind {
        kind::PUT => take_puts(send, recv, net, principal, frames, first, chunk).await,
        kind::SUBSCRIBE => {
            let Some(_place) = share.subscriber() else { return Err(too_many_subscribers()) };
            take_subscriptions(connection, (send, recv), net, principal, frames, (first, chunk)).await
        }
        _ => request(send, net, principal, share, first).await,
    }
}

fn too_many_subscribers() -> WireError {
    let message = format!("a connection has at most {SUBSCRIPTION_STREAMS_MAX} subscription streams");
    WireError::new(ErrorCode::LimitExceeded, message)
}

/// A stream that ended where a frame was still to come.
pub(super) fn ended_early() -> WireError {
    WireError::new(ErrorCode::BadFrame, "the stream ended in the middle of a frame")
}

async fn first_frame(frames: &mut Frames, recv: &mut RecvStream) -> Result<Frame, WireError> {
    loop {
        let chunk = recv.read_chunk(usize::MAX, true).await.map_err(|error| lost(&error.to_string()))?;
        let mut chunk = chunk.map_or(Bytes::new(), |chunk| chunk.bytes);
        if chunk.is_empty() {
            return Err(ended_early());
        }
        if let Some(frame) = frames.next(&mut chunk)? {
            return Ok(frame);
        }
    }
}

fn lost(why: &str) -> WireError {
    WireError::new(ErrorCode::BadFrame, format!("the connection was lost: {why}"))
}
