//! Every path over every way to ask for it: plain and TLS, HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{PATIENCE, place};

/// How something is asked.
#[derive(Debug, Clone)]
struct Way {
    /// Over TLS when there is one.
    tls: Option<Arc<rustls::ClientConfig>>,
    is_http2: bool,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A client that trusts the broker's own CA and says what it is told that it speaks.
fn tls(data: &Path, alpn: Option<&str>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(data.join("ca.pem")).expect("the broker has written it"))
        .expect("it is one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.map(|name| name.as_bytes().to_vec()).into_iter().collect();
    Arc::new(config)
}

fn ways(data: &Path) -> [Way; 6] {
    [
        Way { tls: None, is_http2: false },
        Way { tls: None, is_http2: true },
        Way { tls: Some(tls(data, Some("http/1.1"))), is_http2: false },
        Way { tls: Some(tls(data, Some("h2"))), is_http2: true },
        Way { tls: Some(tls(data, None)), is_http2: false },
        Way { tls: Some(tls(data, None)), is_http2: true },
    ]
}

async fn ask(address: SocketAddr, way: &Way, method: Method, path: &str) -> Answered {
    let stream = TcpStream::connect(address).await.expect("the broker listens for HTTP");
    let exchange = async {
        match &way.tls {
            None => exchange(stream, way.is_http2, address, method, path).await,
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("it is a name");
                let stream =
                    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.expect("the CA has signed it");
                exchange(stream, way.is_http2, address, method, path).await
            }
        }
    };
    timeout(PATIENCE, exchange).await.expect("it is answered")
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    is_http2: bool,
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Answered {
    let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    let request = request.header("host", address.to_string()).body(Empty::<Bytes>::new()).expect("it is a request");
    let io = TokioIo::new(stream);
    let response = if is_http2 {
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("it does");
        tokio::spawn(connection);
        send.send_request(request).await
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.expect("it does");
        tokio::spawn(connection);
        send.send_request(request).await
    };
    let (head, body) = response.expect("it is answered").into_parts();
    let body = body.collect().await.expect("it is whole").to_bytes();
    Answered { status: head.status, headers: head.headers, body }
}

fn json(answered: &Answered) -> Value {
    assert_eq!(answered.headers[CONTENT_TYPE], "application/json");
    serde_json::from_slice(&answered.body).expect("it is JSON")
}

#[tokio::test]
async fn every_path_is_answered_over_every_way() {
    let mut place = place();
    let broker = place.start();
    let address = broker.address();
    for way in ways(place.data()) {
        let health = ask(address, &way, Method::GET, "/health").await;
        assert_eq!((health.status, &json(&health)["alive"]), (StatusCode::OK, &Value::Bool(true)), "{way:?}");
        let ready = ask(address, &way, Method::GET, "/ready?from=a-probe").await;
        assert_eq!((ready.status, &json(&ready)["ready"]), (StatusCode::OK, &Value::Bool(true)), "{way:?}");
        let metrics = ask(address, &way, Method::GET, "/metrics").await;
        assert_eq!(metrics.status, StatusCode::OK);
        assert_eq!(metrics.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
        let text = std::str::from_utf8(&metrics.body).expect("it is text");
        assert!(text.contains("\nrheos_ready 1\n"), "{text}");

        // Everything else is the Kinesis face's, on any path: it takes POST, and answers all else as AWS does.
        for path in ["/", "/healthz", "/health/", "/metrics/", "/Ready", "/%2e%2e/metrics"] {
            let other = ask(address, &way, Method::GET, path).await;
            let said = String::from_utf8_lossy(&other.body);
            assert_eq!((other.status, other.headers.get(CONTENT_TYPE)), (StatusCode::FORBIDDEN, None), "{path}");
            assert!(said.starts_with("<AccessDeniedException>"), "{said}");
            assert!(other.headers.contains_key("x-amzn-requestid") && other.headers.contains_key("x-amz-id-2"));
        }
    }
    broker.stop();
}

#[tokio::test]
async fn only_get_and_head_are_the_brokers_own() {
    let mut place = place();
    let broker = place.start();
    let address = broker.address();
    for way in ways(place.data()) {
        for path in ["/health", "/ready", "/metrics"] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
                let refused = ask(address, &way, method.clone(), path).await;
                let status = if method == Method::POST { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
                assert_eq!(refused.status, status, "{method} {path}");
                assert!(refused.headers.contains_key("x-amzn-requestid"));
            }
            let (whole, head) =
                (ask(address, &way, Method::GET, path).await, ask(address, &way, Method::HEAD, path).await);
            assert_eq!((head.status, head.body.len()), (whole.status, 0), "{way:?} {path}");
            assert_eq!(head.headers[CONTENT_TYPE], whole.headers[CONTENT_TYPE]);
            let len: usize =
                head.headers[CONTENT_LENGTH].to_str().expect("it is text").parse().expect("it is a number");
            // Counts may have become longer meanwhile.
            assert!(len.abs_diff(whole.body.len()) < 100, "{way:?} {path}: {len} and {}", whole.body.len());
        }
    }
    broker.stop();
}
