//! Connections of clients that take their time, send anything, or come in crowds; with bounds small enough to
//! be waited for.

use std::time::Instant;

use rcgen::generate_simple_self_signed;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SMALL: Bounds = Bounds {
    connections: 4,
    silent: Duration::from_millis(600),
    handshake: Duration::from_millis(200),
    head: Duration::from_millis(200),
};
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with the path; panics when it is told to; waits when it is told to.
async fn echo(request: Request<Incoming>, _peer: SocketAddr) -> Answer {
    match request.uri().path() {
        "/panic" => panic!("it was told to"),
        "/slow" => sleep(2 * SMALL.silent).await,
        _ => {}
    }
    Response::new(Full::new(request.uri().path().to_owned().into()))
}

async fn serve_small() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(listen(listener, tls(), SMALL, echo));
    address
}

fn tls() -> Arc<rustls::ServerConfig> {
    let made = generate_simple_self_signed(["localhost".to_owned()]).expect("it is a name");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    Arc::new(config.expect("the key fits"))
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

/// Sends this and gives what comes until the connection ends, and how long that took.
async fn ask(stream: &mut TcpStream, bytes: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    // A connection that is closed already takes nothing, and says so when it is read.
    let _ = stream.write_all(bytes).await;
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the connection ends");
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

async fn is_answered(address: SocketAddr) {
    let (said, _) =
        ask(&mut connect(address).await, b"GET /fine HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("/fine"), "{said}");
}

#[tokio::test]
async fn who_takes_too_long_is_not_waited_for() {
    let address = serve_small().await;
    for (what, bytes, most) in [
        ("nothing at all", &b""[..], SMALL.handshake),
        ("half a TLS handshake", &[TLS_HANDSHAKE, 3, 1], SMALL.handshake),
        ("half a request", b"GET /fine HTTP/1.1\r\nhost:", SMALL.head),
        ("half a preface of HTTP/2", b"PRI * HTTP/2.0\r\n", SMALL.silent),
        ("a preface of HTTP/2 and nothing else", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SMALL.silent),
        ("half a frame of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00", SMALL.silent),
    ] {
        let (_, took) = ask(&mut connect(address).await, bytes).await;
        assert!(took < most + Duration::from_secs(2), "{what} was waited for during {took:?}");
        is_answered(address).await;
    }
}

#[tokio::test]
async fn a_connection_may_ask_again_and_is_closed_when_it_does_not() {
    let address = serve_small().await;
    let mut stream = connect(address).await;
    for _ in 0..3 {
        stream.write_all(b"GET /again HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is open");
        let mut said = vec![0; 1_000];
        let len = timeout(PATIENCE, stream.read(&mut said)).await.expect("it is answered").expect("it is open");
        assert!(String::from_utf8_lossy(&said[..len]).ends_with("/again"));
        sleep(SMALL.head / 4).await;
    }
    let (said, _) = ask(&mut stream, b"").await;
    assert_eq!(said, "", "it was closed without another word");
    // Whoever waits for an answer is not silent, however long it takes.
    let (said, took) =
        ask(&mut connect(address).await, b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(said.ends_with("/slow") && took >= 2 * SMALL.silent, "{said} after {took:?}");
}

#[tokio::test]
async fn a_panic_is_its_connections_end_alone() {
    let address = serve_small().await;
    let mut other = connect(address).await;
    other.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("it is open");
    let (said, _) = ask(&mut connect(address).await, b"GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(said, "");
    let (said, _) = ask(&mut other, b"").await;
    assert!(said.ends_with("/slow"), "{said}");
    is_answered(address).await;
}

#[tokio::test]
async fn a_crowd_of_the_silent_keeps_nobody_out() {
    let address = serve_small().await;
    let mut silent = Vec::new();
    for _ in 0..5 * SMALL.connections {
        silent.push(connect(address).await);
        is_answered(address).await;
    }
    // And those that wait for an answer keep their places.
    let mut asking = connect(address).await;
    asking.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("it is open");
    for _ in 0..5 * SMALL.connections {
        is_answered(address).await;
    }
    let (said, _) = ask(&mut asking, b"").await;
    assert!(said.ends_with("/slow"), "{said}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let address = serve_small().await;
    let long = format!("GET /fine HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let many = format!("GET /fine HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(500));
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
    for head in [long, many, path] {
        let (said, _) = ask(&mut connect(address).await, head.as_bytes()).await;
        // What was not read when the connection was closed may take the answer with it.
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
        is_answered(address).await;
    }
    let (said, _) = ask(&mut connect(address).await, b"\x00\x01\x02 what is this\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}
