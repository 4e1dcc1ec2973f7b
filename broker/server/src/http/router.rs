//! What can be asked over HTTP, and who may: one line for each path; everything else is the Kinesis face's,
//! which looks at no path.
//!
//! What must hold: who reads the metrics from elsewhere than this host was let in by the operator, because
//! metrics name streams and consumers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rheos_core::readiness::{LaneReadiness, NotReady};
use rheos_protocol::error::ErrorCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::answer_body::AnswerBody;
use super::connection::{Answer, Peer};
use super::face::{self, FacePlace};
use crate::directory::DataDirectory;
use crate::metrics::Metrics;
use crate::standing::{Standing, StandingWatch};

/// What answers are made from.
pub(super) struct Router {
    pub(super) standing: StandingWatch,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) metrics: Metrics,
    /// Whether the metrics are for everybody who reaches the port.
    pub(super) metrics_open: bool,
    /// Who answers all else.
    pub(super) face: FacePlace,
    /// What the lanes have said last, so that they are not asked for each who wants to know.
    pub(super) readiness: Mutex<Option<(Instant, Readiness)>>,
}

pub(super) type Readiness = Result<LaneReadiness, NotReady>;

/// How long an answer to whether the broker is ready is good.
const READINESS_GOOD: Duration = Duration::from_millis(100);

/// The type of the metrics' text, whose format has this number.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Router {
    /// The answer to a request of a peer.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let path = request.uri().path();
        let is_ours = matches!(path, "/health" | "/ready" | "/metrics") && (is_head || request.method() == Method::GET);
        let answer = match path {
            _ if !is_ours => return face::ask(request, &peer, &self.face, &self.standing).await,
            _ if !request.body().is_end_stream() => unwanted_body(),
            "/health" => health(),
            "/ready" => self.ready().await,
            _ => self.metrics(peer.address).await,
        };
        if is_head { without_body(answer) } else { answer }
    }

    async fn ready(&self) -> Answer {
        match self.readiness().await {
            Ok(LaneReadiness { logs, read_only_logs, .. }) => {
                say(StatusCode::OK, &json!({ "ready": true, "logs": logs, "read_only_logs": read_only_logs }))
            }
            Err(why) => say(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "reason": why.to_string() })),
        }
    }

    /// Whether the broker is ready. Its lanes are asked anew when the last answer is old, by one at a time.
    async fn readiness(&self) -> Readiness {
        let standing = self.standing.borrow().clone();
        if !matches!(standing, Standing::Serving(_)) {
            return standing.readiness(&self.directory).await;
        }
        let mut last = self.readiness.lock().await;
        if let Some((at, readiness)) = *last
            && at.elapsed() < READINESS_GOOD
        {
            return readiness;
        }
        let readiness = standing.readiness(&self.directory).await;
        *last = Some((Instant::now(), readiness));
        readiness
    }

    async fn metrics(&self, peer: SocketAddr) -> Answer {
        if !may_read_metrics(self.metrics_open, peer.ip()) {
            let why = "the metrics name streams and consumers, so they are for this host alone; start the broker with \
                       --metrics-open to let everybody who reaches this port read them";
            return say(StatusCode::FORBIDDEN, &json!({ "error": why }));
        }
        match self.metrics.page().await {
            Ok(page) => answer(StatusCode::OK, METRICS_TYPE, page),
            Err(error) if error.code == ErrorCode::Busy => {
                say(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": error.message }))
            }
            Err(error) => say(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error.message })),
        }
    }
}

/// This host may always.
fn may_read_metrics(metrics_open: bool, peer: IpAddr) -> bool {
    // An IPv6 socket shows peers that come over IPv4 as mapped ones.
    metrics_open || peer.to_canonical().is_loopback()
}

fn health() -> Answer {
    say(StatusCode::OK, &json!({ "alive": true, "version": env!("CARGO_PKG_VERSION") }))
}

fn unwanted_body() -> Answer {
    say(StatusCode::BAD_REQUEST, &json!({ "error": "this request takes no body; send it without one" }))
}

/// A small answer, for people and machines.
fn say(status: StatusCode, what: &Value) -> Answer {
    answer(status, "application/json", format!("{what}\n").into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::whole(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What is true now is not true in a moment.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The same answer to a HEAD: it says how long the body would be.
fn without_body(answer: Answer) -> Answer {
    let (mut head, body) = answer.into_parts();
    head.headers.extend(body.len().map(|len| (CONTENT_LENGTH, HeaderValue::from(len))));
    Response::from_parts(head, AnswerBody::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_are_for_this_host_unless_the_operator_says_otherwise() {
        for (peer, is_here) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            let peer = peer.parse().expect("it is an address");
            assert_eq!(may_read_metrics(false, peer), is_here, "{peer}");
            assert!(may_read_metrics(true, peer), "{peer}");
        }
    }
}
