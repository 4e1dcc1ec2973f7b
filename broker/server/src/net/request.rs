//! A request on a stream of its own: allowed, performed, answered.

use std::sync::Arc;

use bytes::BytesMut;
use quinn::SendStream;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Reply, Request};

use super::frames::Frame;
use super::share::Share;
use super::{Net, metrics_reply, reading};
use crate::dispatch::{Authenticated, allow, perform, unsupported};
use crate::identity::Principal;

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
        allow(&net.broker.streams, principal, &request)?;
        Ok(request)
    });
    let outcome = match allowed {
        Ok(Request::Read(read)) => match reading::read(net, share, read).await {
            // Batches go out as they lie in memory.
            Ok(read) => return read.send(share, &mut send, id).await,
            Err(error) => Err(error),
        },
        Ok(Request::ReadMetrics) => match net.broker.metrics.page().await {
            Ok(page) => return share.answer(&mut send, &mut metrics_reply::frames(&page, id)).await,
            Err(error) => Err(error),
        },
        Ok(request) => perform(&net.broker, principal, request).await,
        Err(error) => Err(error),
    };
    let mut out = BytesMut::new();
    outcome.unwrap_or_else(Reply::Error).write(id, &mut out);
    share.answer(&mut send, &mut [out.freeze()]).await
}
