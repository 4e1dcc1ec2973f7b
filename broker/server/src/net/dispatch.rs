//! The one dispatch table: every operation, what it needs to be allowed, and who performs it.
//!
//! What must hold: nothing is done for anybody who is not [`Authenticated`], and nothing before
//! [`authorise`] has said yes to the principal, the action and the resource as it was resolved.

use std::sync::Arc;

use bytes::BytesMut;
use quinn::SendStream;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::LIST_PAGE_MAX;
use rheos_protocol::message::{Hello, Reply, Request};
use rheos_protocol::name::StreamName;
use tokio::sync::oneshot;

use super::frames::Frame;
use super::share::Share;
use super::{Net, reading, stopping};
use crate::clock;
use crate::identity::{BrokerIdentity, Principal};
use crate::lane::Arrival;

/// Proof that a peer is who it says. Made here alone, by a Hello that holds.
#[derive(Debug)]
pub(super) struct Authenticated<T>(T);

impl Authenticated<Principal> {
    /// The principal whose Hello this is, when its proof holds for this connection.
    pub(super) fn hello(identity: &BrokerIdentity, hello: &Hello, exporter: &[u8; 32], dev: bool) -> Option<Self> {
        let proved = identity.verify_hello(&hello.key_id, &hello.proof, exporter);
        let anybody = || Principal { key_id: hello.key_id.clone(), name: "dev".to_owned(), admin: true };
        proved.or_else(|| dev.then(anybody)).map(Authenticated)
    }
}

/// What a principal may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ping,
    CreateStream,
    DescribeStream,
    ListStreams,
    DeleteStream,
    PutRecords,
    GetRecords,
    Subscribe,
}

/// On what.
#[derive(Debug)]
pub(super) enum Resource {
    /// The broker itself.
    Broker,
    /// A stream by its name, which need not exist.
    Stream(StreamName),
    /// A life of a stream.
    Incarnation(u64),
}

/// Whether the principal may. For now an administrator may do everything and nobody else anything.
pub(super) fn authorise(
    principal: &Authenticated<Principal>,
    action: Action,
    resource: &Resource,
) -> Result<(), WireError> {
    if principal.0.admin {
        return Ok(());
    }
    let message = match resource {
        Resource::Broker => format!("{} may not {action:?}", principal.0.name),
        Resource::Stream(name) => format!("{} may not {action:?} on stream {name}", principal.0.name),
        Resource::Incarnation(id) => format!("{} may not {action:?} on stream incarnation {id:x}", principal.0.name),
    };
    Err(WireError::new(ErrorCode::Denied, message))
}

/// The action and the resource of a request; `None` for what is no request of an admitted connection.
fn needs(request: &Request) -> Result<Option<(Action, Resource)>, WireError> {
    let stream = |name: &str| Ok::<_, WireError>(Resource::Stream(stream_name(name)?));
    Ok(Some(match request {
        Request::Ping => (Action::Ping, Resource::Broker),
        Request::Read(read) => (Action::GetRecords, Resource::Incarnation(read.incarnation)),
        Request::CreateStream(create) => (Action::CreateStream, stream(&create.name)?),
        Request::DescribeStream(name) => (Action::DescribeStream, stream(name)?),
        Request::DeleteStream(name) => (Action::DeleteStream, stream(name)?),
        Request::ListStreams { .. } => (Action::ListStreams, Resource::Broker),
        Request::Subscribe(subscribe) => (Action::Subscribe, Resource::Incarnation(subscribe.incarnation)),
        // A connection says Hello once; the rest is not performed yet.
        _ => return Ok(None),
    }))
}

/// Answers one request on its own stream. An error is the connection's end.
pub(super) async fn request(
    mut send: SendStream,
    net: &Arc<Net>,
    principal: &Authenticated<Principal>,
    share: &Share,
    frame: Frame,
) -> Result<(), WireError> {
    let id = frame.header.id;
    let request = Request::decode(frame.header.kind, &frame.payload)
        .map_err(|malformed| WireError::new(ErrorCode::BadFrame, malformed.to_string()))?;
    let allowed = request.ok_or_else(|| unsupported(frame.header.kind)).and_then(|request| {
        allow(principal, &request)?;
        Ok(request)
    });
    let outcome = match allowed {
        Ok(Request::Read(read)) => match reading::read(net, share, read).await {
            // Batches go out as they lie in memory.
            Ok(read) => return read.send(share, &mut send, id).await,
            Err(error) => Err(error),
        },
        Ok(request) => perform(net, request).await,
        Err(error) => Err(error),
    };
    let mut out = BytesMut::new();
    outcome.unwrap_or_else(Reply::Error).write(id, &mut out);
    share.answer(&mut send, &mut [out.freeze()]).await
}

pub(super) fn allow(principal: &Authenticated<Principal>, request: &Request) -> Result<(), WireError> {
    let (action, resource) = needs(request)?.ok_or_else(|| unsupported(request.kind()))?;
    authorise(principal, action, &resource)
}

async fn perform(net: &Net, request: Request) -> Result<Reply, WireError> {
    match request {
        Request::Ping => Ok(Reply::Pong),
        Request::CreateStream(create) => {
            let _order = net.changes.lock().await;
            let record = net.catalog.create_stream(create, clock::now().wall_ms, net.lanes).await?;
            let (done, told) = oneshot::channel();
            net.inbox.push(Arrival::StreamCreated { record: Arc::clone(&record), done });
            told.await.map_err(|_| stopping())?;
            net.streams.add(Arc::clone(&record));
            Ok(Reply::Stream(record.describe(|_| 0)))
        }
        Request::DescribeStream(name) => Ok(Reply::Stream(net.streams.named(&stream_name(&name)?)?.describe(|_| 0))),
        Request::ListStreams { after, limit } => {
            let limit = limit.clamp(1, LIST_PAGE_MAX) as usize;
            let (page, more) = net.streams.page(&after, limit);
            Ok(Reply::Streams(page, more))
        }
        Request::DeleteStream(name) => {
            let _order = net.changes.lock().await;
            let record = net.catalog.delete_stream(&stream_name(&name)?).await?;
            net.streams.remove(&record);
            let (done, told) = oneshot::channel();
            net.inbox.push(Arrival::StreamDeleted { record, done });
            told.await.map_err(|_| stopping())?;
            Ok(Reply::Done)
        }
        request => Err(unsupported(request.kind())),
    }
}

fn stream_name(text: &str) -> Result<StreamName, WireError> {
    StreamName::new(text).map_err(|bad| WireError::new(ErrorCode::BadRequest, bad.to_string()))
}

fn unsupported(kind: u16) -> WireError {
    WireError::new(ErrorCode::Unsupported, format!("this broker does not perform requests of kind {kind}"))
}

#[cfg(test)]
mod tests {
    use rheos_protocol::message::{CreateStream, Position, Read, Subscribe};

    use super::*;

    fn every_request() -> Vec<Request> {
        let create = CreateStream { name: "s".to_owned(), shards: 1, retention_ms: 0, record_bytes_max: 0 };
        let subscribe = Subscribe {
            incarnation: 1,
            shard: 0,
            consumer: "c".to_owned(),
            epoch: 1,
            position: Position::Latest,
            credit: 1,
        };
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            features: 0,
            key_id: "k".to_owned(),
            proof: [0; 32],
            client: "t".to_owned(),
        };
        vec![
            Request::Hello(hello),
            Request::Ping,
            Request::Read(Read { incarnation: 1, shard: 0, position: Position::Latest, bytes_max: 1 }),
            Request::CreateStream(create),
            Request::DescribeStream("s".to_owned()),
            Request::ListStreams { after: String::new(), limit: 1 },
            Request::DeleteStream("s".to_owned()),
            Request::Subscribe(subscribe),
            Request::Credit(1),
            Request::Unsubscribe,
        ]
    }

    #[test]
    fn every_operation_has_an_action_and_is_denied_to_nobody() {
        let nobody = Authenticated(Principal { key_id: "n".to_owned(), name: "nobody".to_owned(), admin: false });
        for request in every_request() {
            // Exhaustive: a new request does not compile until it stands here and above.
            let performed = match request {
                Request::Ping
                | Request::Read(_)
                | Request::CreateStream(_)
                | Request::DescribeStream(_)
                | Request::ListStreams { .. }
                | Request::DeleteStream(_)
                | Request::Subscribe(_) => true,
                _ => false,
            };
            let error = allow(&nobody, &request).expect_err("nobody may do anything");
            let expected = if performed { ErrorCode::Denied } else { ErrorCode::Unsupported };
            assert_eq!(error.code, expected, "{request:?}");
        }
    }
}
