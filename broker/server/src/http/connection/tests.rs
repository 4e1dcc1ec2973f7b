//! Connections of clients that take their time, send anything, or come in crowds; with bounds small enough to
//! be waited for.

mod bodies;
mod frames;
mod http2;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use rcgen::generate_simple_self_signed;
use rheos_kinesis::answer::Answer as KinesisAnswer;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::super::answer_body::Frames;
use super::super::bounds::HEAD_BYTES_MAX;
use super::super::crowd::Silence;
use super::super::face::{Asked, Face, FacePlace, Reply, ask as ask_face};
use super::super::intake::Pace;
use super::*;
use crate::standing::Standing;

const SMALL: Bounds = Bounds {
    connections: 4,
    silence: Silence { before_max: Duration::from_millis(600), between_max: Duration::from_millis(900) },
    handshake: Duration::from_millis(200),
    pace: Pace { grace: Duration::from_millis(500), bytes_per_second_min: 64 << 10 },
    stalled: Duration::from_millis(1_500),
};
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service, for as long as the value lives.
struct Served {
    address: SocketAddr,
    standing: watch::Sender<Standing>,
    /// Frames that were made.
    made: Arc<AtomicUsize>,
    /// Lives as long as somebody makes frames.
    making: Arc<()>,
}

/// Answers with the path and the length of the body; panics, waits and makes frames when it is told to.
async fn answer(asked: Asked, made: Arc<AtomicUsize>, making: Arc<()>) -> Reply {
    let path = asked.head.uri.path().to_owned();
    match &*path {
        "/panic" => panic!("it was told to"),
        "/slow" => sleep(2 * SMALL.silence.between_max).await,
        "/flood" => return Reply::Events(frames_of(Bytes::from(vec![7; 1 << 20]), Duration::ZERO, made, making)),
        "/ticks" => return Reply::Events(frames_of(Bytes::from_static(b"tick"), 2 * SMALL.stalled, made, making)),
        _ => {}
    }
    let said = if asked.body.is_empty() { path } else { format!("{path} of {}", asked.body.len()) };
    KinesisAnswer { status: 200, content_type: None, error_type: None, body: said.into_bytes() }.into()
}

/// Three ticks, or a flood that does not end.
fn frames_of(frame: Bytes, pause: Duration, made: Arc<AtomicUsize>, making: Arc<()>) -> Frames {
    Frames::new((0, making), move |(at, making)| {
        let (frame, made) = (frame.clone(), Arc::clone(&made));
        async move {
            sleep(pause).await;
            made.fetch_add(1, Ordering::Relaxed);
            (pause == Duration::ZERO || at < 3).then_some((frame, (at + 1, making)))
        }
    })
}

async fn serve(bounds: Bounds) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let (standing, watch) = watch::channel(Standing::Starting);
    let (made, making, place) = (Arc::new(AtomicUsize::new(0)), Arc::new(()), FacePlace::default());
    let (makes, making_of_face) = (Arc::clone(&made), Arc::downgrade(&making));
    place.set(Some(Face::new(move |asked| {
        answer(asked, Arc::clone(&makes), making_of_face.upgrade().expect("the service lives"))
    })));
    let of_answers = watch.clone();
    let answer = move |request, peer| {
        let (place, standing) = (place.clone(), of_answers.clone());
        async move { ask_face(request, &peer, &place, &standing).await }
    };
    let (alive, _) = mpsc::channel();
    let serving = Serving { tls: TlsAcceptor::from(tls()), bounds, answer, standing: watch, _alive: alive };
    tokio::spawn(serving.listen(listener));
    Served { address, standing, made, making }
}

impl Served {
    /// Waits until nobody makes frames any more, and says how long that took.
    async fn frames_end(&self) -> Duration {
        let began = Instant::now();
        while Arc::strong_count(&self.making) > 1 {
            assert!(began.elapsed() < PATIENCE, "frames are made for ever");
            sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }
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
    let served = serve(SMALL).await;
    let address = served.address;
    for (what, bytes, most) in [
        ("nothing at all", &b""[..], SMALL.handshake),
        ("half a TLS handshake", &[TLS_HANDSHAKE, 3, 1], SMALL.handshake),
        ("half a request", b"GET /fine HTTP/1.1\r\nhost:", SMALL.silence.before_max),
        ("half a preface of HTTP/2", b"PRI * HTTP/2.0\r\n", SMALL.silence.before_max),
        ("a preface of HTTP/2 and nothing else", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SMALL.silence.before_max),
        ("half a frame of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00", SMALL.silence.before_max),
    ] {
        let (_, took) = ask(&mut connect(address).await, bytes).await;
        assert!(took < most + Duration::from_secs(2), "{what} was waited for during {took:?}");
        is_answered(address).await;
    }
}

#[tokio::test]
async fn a_connection_may_ask_again_and_is_closed_when_it_does_not() {
    let served = serve(SMALL).await;
    let address = served.address;
    let mut stream = connect(address).await;
    for _ in 0..3 {
        stream.write_all(b"GET /again HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is open");
        let mut said = vec![0; 1_000];
        let len = timeout(PATIENCE, stream.read(&mut said)).await.expect("it is answered").expect("it is open");
        assert!(String::from_utf8_lossy(&said[..len]).ends_with("/again"));
        sleep(SMALL.silence.between_max / 4).await;
    }
    let (said, _) = ask(&mut stream, b"").await;
    assert_eq!(said, "", "it was closed without another word");
    // Whoever waits for an answer is not silent, however long it takes.
    let (said, took) =
        ask(&mut connect(address).await, b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(said.ends_with("/slow") && took >= 2 * SMALL.silence.between_max, "{said} after {took:?}");
}

#[tokio::test]
async fn a_panic_is_its_connections_end_alone() {
    let served = serve(SMALL).await;
    let address = served.address;
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
    let served = serve(SMALL).await;
    let address = served.address;
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
    let served = serve(SMALL).await;
    let address = served.address;
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
