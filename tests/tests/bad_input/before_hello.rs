//! Peers that have proved nothing: they get little, and not for long.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_not_said_hello_gets_little_and_not_for_long() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut closed = Vec::new();
    // Those who say nothing, and those who say half a Hello, are closed after five seconds.
    for half in [false, true] {
        for _ in 0..100 {
            let client = RawClient::connect(address).await.expect("a handshake is everybody's");
            let hello = request_frame(&Request::Hello(client.hello(&ground.key)));
            closed.push(tokio::spawn(async move {
                let sent = if half {
                    Some(client.send(&hello[..hello.len() / 2]).await.expect("one is allowed"))
                } else {
                    None
                };
                // No second stream before Hello, and no stream of another sort at all.
                tokio::select! {
                    biased;
                    closed = client.closed() => { drop(sent); closed }
                    _ = client.connection.open_bi(), if half => panic!("a second stream was opened before Hello"),
                    _ = client.connection.open_uni() => panic!("a one-way stream was opened"),
                }
            }));
        }
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    for closed in closed {
        let (code, why) = timeout(PATIENCE, closed).await.expect("it is closed").expect("nothing was opened");
        assert_eq!(code, ErrorCode::Unauthenticated);
        assert!(why.contains("no Hello"), "{why}");
    }

    // What is no Hello, or too large for one.
    let good = good_batch(&ground.stream, b"data");
    let mut version = RawClient::connect(address).await.expect("a handshake is everybody's").hello(&ground.key);
    (version.version_min, version.version_max) = (2, 9);
    for (what, bytes, code) in [
        ("a ping", request_frame(&Request::Ping), ErrorCode::Unauthenticated),
        ("a put", put_frame(1, &good), ErrorCode::Unauthenticated),
        ("an unknown kind", frame(9_998, 1, b""), ErrorCode::Unauthenticated),
        ("half a Hello's fields", frame(kind::HELLO, 1, &[1, 0]), ErrorCode::Unauthenticated),
        ("a later version", request_frame(&Request::Hello(version)), ErrorCode::UnsupportedVersion),
        ("too large a Hello", header(kind::HELLO, UNAUTHENTICATED_FRAME_BYTES_MAX + 1), ErrorCode::FrameTooLarge),
        ("4 GiB", header(kind::HELLO, u32::MAX), ErrorCode::FrameTooLarge),
    ] {
        let client = RawClient::connect(address).await.expect("a handshake is everybody's");
        let reply = client.exchange(&bytes).await;
        if let Ok(reply) = &reply {
            let Reply::Error(error) = reply else { panic!("{what} was answered {reply:?}") };
            assert_eq!(error.code, code, "{what}");
        }
        assert_eq!(timeout(PATIENCE, client.closed()).await.expect(what).0, code, "{what}");
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_is_not_right_opens_nothing() {
    let ground = ground().await;
    let address = ground.broker.address();
    let Key(id, secret) = ground.key.clone();
    let other = RawClient::connect(address).await.expect("a handshake is everybody's");
    for (what, key) in [
        ("a wrong secret", Key(id.clone(), format!("{secret}x"))),
        ("an unknown key", Key("RKNOBODY".to_owned(), secret.clone())),
        ("no key", Key(String::new(), String::new())),
        ("a very long key", Key("k".repeat(1_024), secret.clone())),
    ] {
        let client = RawClient::connect(address).await.expect("a handshake is everybody's");
        let hello = client.hello(&key);
        refused(&client, Request::Hello(hello), what).await;
    }
    // A proof is worth nothing on another connection.
    let client = RawClient::connect(address).await.expect("a handshake is everybody's");
    refused(&client, Request::Hello(other.hello(&ground.key)), "another connection's proof").await;

    for alpn in [&b"h3"[..], b"rheos2", b""] {
        let failed = RawClient::connect_with(address, alpn, narrow(1 << 20)).await;
        let why = failed.expect_err("it speaks something else").to_string();
        assert!(why.to_lowercase().contains("protocol"), "{why}");
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

async fn refused(client: &RawClient, hello: Request, what: &str) {
    match client.ask(&hello).await {
        Ok(Reply::Error(error)) => assert_eq!(error.code, ErrorCode::Unauthenticated, "{what}: {error}"),
        Err(Ended::Closed(code, _)) => assert_eq!(code, ErrorCode::Unauthenticated, "{what}"),
        other => panic!("{what} was answered {other:?}"),
    }
    assert_eq!(client.closed().await.0, ErrorCode::Unauthenticated, "{what}");
}
