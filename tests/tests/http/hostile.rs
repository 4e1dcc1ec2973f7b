//! Peers that send anything, too much, too slowly or too often, beside a well-behaved client of the broker.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rheos_tests::ground::Ground;
use rheos_tests::http::{http_get, http_send};
use rheos_tests::random::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::{PATIENCE, place, until};

/// What a broker may grow by, whatever is done to its HTTP face.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// What it may grow by for bodies of requests: their own bound, and what the sockets' readers hold.
const BODIES_BYTES_MAX: u64 = (256 << 20) + GROWTH_BYTES_MAX;

async fn is_healthy(address: SocketAddr) {
    let began = Instant::now();
    assert_eq!(http_get(address, "/health").await.status, 200);
    assert_eq!(http_get(address, "/ready").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "a probe took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_what_is_too_large_is_refused() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    let head = |lines: String| format!("GET /ready HTTP/1.1\r\nhost: x\r\n{lines}\r\n").into_bytes();
    for (bytes, statuses) in [
        (head(format!("a: {}\r\n", "x".repeat(1 << 20))), &[431][..]),
        (head("a: b\r\n".repeat(10_000)), &[431]),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20)).into_bytes(), &[414, 431]),
        (b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n".to_vec(), &[413]),
        (b"GET /ready HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".to_vec(), &[400]),
        (b"GET /ready HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec(), &[400]),
        (b"GET /ready HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(), &[400]),
        (b"GET /ready HTTP/9.9\r\nhost: x\r\n\r\n".to_vec(), &[400, 505]),
        (b"\r\n\r\n\r\n\0\0\0\0".to_vec(), &[400]),
    ] {
        // What was not read when the connection was closed may take the answer with it.
        if let Some(answer) = http_send(address, &bytes).await {
            assert!(statuses.contains(&answer.status), "{statuses:?}: {} {}", answer.head, answer.body);
        }
        is_healthy(address).await;
    }
    let mut random = Random::new(0x6877_7470);
    for at in 0..300 {
        let mut bytes: Vec<u8> = (0..random.below(2_000)).map(|_| random.below(256) as u8).collect();
        // Half of them begin as TLS or as HTTP/2 does.
        match at % 4 {
            0 => bytes.splice(0..0, *b"\x16\x03\x01").for_each(drop),
            1 => bytes.splice(0..0, *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").for_each(drop),
            _ => {}
        }
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let _ = stream.write_all(&bytes).await;
    }
    is_healthy(address).await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_connections_keeps_no_probe_out() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    let mut crowd = Vec::new();
    for at in 0..1_200_usize {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // Some say nothing, some begin to ask, some begin TLS.
        let begun: &[u8] =
            [&b""[..], b"GET /rea", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][at % 4];
        let _ = stream.write_all(begun).await;
        crowd.push(stream);
        if at % 100 == 0 {
            is_healthy(address).await;
        }
    }
    is_healthy(address).await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    drop(crowd);
    is_healthy(address).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_drips_is_cut_off() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let drip = async {
        let began = Instant::now();
        let request = format!("GET /ready HTTP/1.1\r\nhost: x\r\nslow: {}", "x".repeat(4_000));
        for byte in request.bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                return began.elapsed();
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it was listened to for {:?}", began.elapsed());
    };
    let lasted = timeout(PATIENCE, drip).await.expect("it is cut off");
    assert!(lasted > Duration::from_secs(5) && lasted < Duration::from_secs(20), "{lasted:?}");
    is_healthy(address).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_who_ask_at_once_are_all_answered() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    let asked: Vec<_> = (0..100).map(|_| tokio::spawn(async move { http_get(address, "/metrics").await })).collect();
    for answer in asked {
        let answer = answer.await.expect("it does not panic");
        assert!(answer.status == 200 && answer.body.contains("rheos_ready 1"), "{}", answer.body);
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_idle_connections_is_kept_and_costs_little() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    let before = ground.broker.memory_bytes();
    let mut pool = Vec::new();
    for _ in 0..1_000 {
        pool.push(TcpStream::connect(address).await.expect("it listens"));
    }
    // Each has asked, and waits for whatever comes next for longer than a new one may.
    for stream in &mut pool {
        ask_again(stream).await;
    }
    let grown = ground.broker.memory_bytes().saturating_sub(before);
    assert!(grown < (48 << 10) * 1_000, "a connection costs {} bytes", grown / 1_000);
    sleep(Duration::from_secs(12)).await;
    for stream in &mut pool {
        ask_again(stream).await;
    }
    drop(pool);
    ground.end().await;
}

async fn ask_again(stream: &mut TcpStream) {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is kept");
    let mut said = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("it is answered").expect("it is kept");
    assert_eq!(&said, b"HTTP/1.1 200");
    let mut rest = [0; 1_000];
    timeout(PATIENCE, stream.read(&mut rest)).await.expect("it is whole").expect("it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_very_many_at_once_take_a_bounded_memory() {
    let ground = Ground::new(place()).await;
    let address = ground.broker.address();
    // Far more than the broker has room for, none of them ever whole.
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                let _ = stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 16777216\r\n\r\n").await;
                let _ = stream.write_all(&vec![b'x'; 15 << 20]).await;
                let mut said = Vec::new();
                let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
                String::from_utf8_lossy(&said).into_owned()
            })
        })
        .collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        assert_eq!(http_get(address, "/health").await.status, 200);
        ground.unharmed(BODIES_BYTES_MAX).await;
        sleep(Duration::from_millis(200)).await;
    }
    crowd.iter().for_each(|client| client.abort());
    // Room is there again as soon as they have gone.
    let body = "x".repeat(1 << 20);
    let request =
        format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let answered = || async { http_send(address, request.as_bytes()).await.map(|answer| answer.status) };
    until("a body that is read", answered, |status| *status == Some(403)).await;
    ground.end().await;
}
