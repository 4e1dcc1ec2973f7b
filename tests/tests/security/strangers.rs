//! Strangers who want too much: they are refused with a code, and whoever is in goes on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use quinn::{ConnectionError, TransportConfig, TransportErrorCode};
use rheos_client::protocol::frame::kind;
use rheos_client::protocol::limits::UNAUTHENTICATED_FRAME_BYTES_MAX;
use rheos_client::protocol::message::ALPN;
use rheos_tests::raw_client::{client_endpoint, header};

use super::*;

/// What a lane may hold for all of its strangers together, with room for the kernel's and the allocator's ways.
const STRANGERS_BYTES_MAX: u64 = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_trickles_for_ever_ends_in_time() {
    let ground = ground().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let client = RawClient::connect(ground.broker.address()).await.expect("a handshake is everybody's");
        slow.push(tokio::spawn(async move {
            let hello = request_frame(&Request::Hello(client.hello(&Key("k".repeat(900), String::new()))));
            let (mut send, _receive) = client.send(&hello[..1]).await.expect("one is allowed");
            let mut rest = hello[1..].iter();
            loop {
                tokio::select! {
                    closed = client.closed() => return (closed, rest.len()),
                    () = sleep(Duration::from_millis(50)) => {
                        let next = rest.next().expect("it is longer than anybody's patience");
                        let _ = send.write_all(&[*next]).await;
                    }
                }
            }
        }));
    }
    for slow in slow {
        let ((code, why), left) = timeout(PATIENCE, slow).await.expect("it ends").expect("it asserts nothing else");
        assert_eq!(code, ErrorCode::Unauthenticated);
        assert!(why.contains("no Hello") && left > 0, "{why}");
    }
    ground.unharmed(STRANGERS_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_sends_for_ever_is_stopped() {
    let ground = ground().await;
    let endless = vec![0xa5; 1 << 20];
    let largest = header(kind::HELLO, UNAUTHENTICATED_FRAME_BYTES_MAX).to_vec();
    for (what, begin, code) in [
        ("a frame too large", &endless[..16], ErrorCode::FrameTooLarge),
        ("the largest frame, of nonsense", &largest, ErrorCode::Unauthenticated),
        // A header of no kind and no length is a whole frame.
        ("zeros", &[0; 16][..], ErrorCode::Unauthenticated),
    ] {
        let client = RawClient::connect(ground.broker.address()).await.expect("a handshake is everybody's");
        let (mut send, _receive) = client.send(begin).await.expect("one is allowed");
        let for_ever = async {
            // No second stream, and none of another sort, while the first is open.
            tokio::select! {
                Ok(_) = client.connection.open_bi() => panic!("a second stream was opened"),
                Ok(_) = client.connection.open_uni() => panic!("a one-way stream was opened"),
                () = async { while send.write_all(&endless).await.is_ok() {} } => {}
            }
            client.closed().await
        };
        let (closed, why) = timeout(PATIENCE, for_ever).await.expect("it is stopped");
        assert_eq!(closed, code, "{what}: {why}");
        assert!(why.len() > 10, "{why}");
    }
    ground.unharmed(STRANGERS_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_handshakes_takes_neither_places_nor_time_of_who_is_in() {
    // At once more than may wait, and each comes again when it was refused or is in.
    const FLOODERS: usize = 800;
    const ATTEMPTS_EACH: usize = 4;
    let ground = ground().await;
    let admitted = ground.client().await;
    let address = ground.broker.address();
    let endpoints = [0; 8].map(|_| client_endpoint());
    let flood: Vec<_> = (0..FLOODERS)
        .map(|number| {
            let endpoint = endpoints[number % endpoints.len()].clone();
            tokio::spawn(async move {
                let (mut open, mut refused) = (Vec::new(), 0);
                for _ in 0..ATTEMPTS_EACH {
                    match RawClient::connect_from(&endpoint, address, ALPN, TransportConfig::default()).await {
                        // It stays and says nothing.
                        Ok(client) => open.push(client),
                        Err(ConnectionError::ConnectionClosed(close))
                            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
                        {
                            refused += 1;
                        }
                        // On a slow machine a handshake may take longer than either side has patience.
                        Err(ConnectionError::TimedOut | ConnectionError::ApplicationClosed(_)) => {}
                        Err(other) => panic!("a stranger was told {other}"),
                    }
                }
                (open, refused)
            })
        })
        .collect();
    // All the while.
    let mut rounds = 0;
    while !flood.iter().all(|flooder| flooder.is_finished()) || rounds < 3 {
        ground.unharmed(STRANGERS_BYTES_MAX).await;
        assert_eq!(ask(&admitted, Request::Ping).await, Ok(Reply::Pong));
        rounds += 1;
    }
    let (mut let_in, mut sent_away) = (0, 0);
    for flooder in flood {
        let (open, refused) = timeout(PATIENCE, flooder).await.expect("it ends").expect("it asserts nothing else");
        let_in += open.len();
        sent_away += refused;
        for client in open {
            let (code, why) = timeout(PATIENCE, client.closed()).await.expect("it is closed");
            assert_eq!(code, ErrorCode::Unauthenticated, "{why}");
        }
    }
    assert!(let_in > 0 && sent_away > 0, "{let_in} were let in and {sent_away} sent away");
    // And there is room again.
    let client = timeout(PATIENCE, ground.broker.client()).await.expect("it comes in");
    client.close().await;
    ground.unharmed(STRANGERS_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_packets_of_nobody_cost_little_and_are_asked_for_their_address() {
    const NOBODIES: usize = 2_000;
    let ground = ground().await;
    // First packets as clients make them, of as many connections, caught before they reach a broker.
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    sink.set_nonblocking(true).expect("it is a socket");
    let (endpoint, address) = (client_endpoint(), sink.local_addr().expect("it is bound"));
    let (mut packets, mut buffer, mut never) = (BTreeMap::new(), [0; 2_048], Vec::new());
    while packets.len() < NOBODIES {
        while never.len() < packets.len() + 20 {
            let endpoint = endpoint.clone();
            never.push(tokio::spawn(async move {
                let _ = RawClient::connect_from(&endpoint, address, ALPN, TransportConfig::default()).await;
            }));
        }
        sleep(Duration::from_millis(1)).await;
        while let Ok(len) = sink.recv(&mut buffer) {
            // Its destination connection id tells one connection from another (RFC 9000, section 17.2).
            let id_len = usize::from(buffer[5]);
            packets.insert(buffer[6..6 + id_len].to_vec(), buffer[..len].to_vec());
        }
    }
    never.iter().for_each(|never| never.abort());
    let packets: Vec<Vec<u8>> = packets.into_values().collect();

    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    nobody.set_nonblocking(true).expect("it is a socket");
    let mut retries = 0;
    for packets in packets.chunks(50) {
        for packet in packets {
            nobody.send_to(packet, ground.broker.address()).expect("loopback takes it");
        }
        while let Ok(len) = nobody.recv(&mut buffer) {
            // A long header of type 3 is a Retry (RFC 9000, section 17.2.5).
            retries += usize::from(len > 0 && buffer[0] & 0xf0 == 0xf0);
        }
        ground.unharmed(STRANGERS_BYTES_MAX).await;
    }
    assert!(retries > 0, "nobody was asked for its address");
    let client = timeout(PATIENCE, ground.broker.client()).await.expect("who proves its address comes in");
    client.close().await;
    ground.end().await;
}
