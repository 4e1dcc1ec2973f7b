//! Bodies of requests: large, too large, slow, and never begun.

use rheos_kinesis::limits::BODY_BYTES_MAX;

use super::*;

fn head(path: &str, lines: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.1\r\n{lines}\r\n").into_bytes()
}

#[tokio::test]
async fn a_body_of_the_most_bytes_is_read_and_one_of_one_more_is_not() {
    let served = serve(Bounds { connections: 16, ..SMALL }).await;
    let mut whole = head("/len", &format!("content-length: {BODY_BYTES_MAX}\r\nconnection: close\r\n"));
    whole.resize(whole.len() + BODY_BYTES_MAX, b'x');
    let (said, _) = ask(&mut connect(served.address).await, &whole).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("/len of 16777216"), "{said}");

    // What is declared is refused before it comes.
    let declared = head("/len", &format!("content-length: {}\r\n", BODY_BYTES_MAX + 1));
    let (said, took) = ask(&mut connect(served.address).await, &declared).await;
    assert!(said.starts_with("HTTP/1.1 413") && took < PATIENCE / 2, "{said} after {took:?}");

    // What is not declared is read up to there.
    for (extra, status) in [(0, "HTTP/1.1 200"), (1, "HTTP/1.1 413")] {
        let mut chunked = head("/len", "transfer-encoding: chunked\r\nconnection: close\r\n");
        chunked.extend(format!("{:x}\r\n", BODY_BYTES_MAX + extra).bytes());
        chunked.resize(chunked.len() + BODY_BYTES_MAX + extra, b'x');
        chunked.extend(b"\r\n0\r\n\r\n");
        let (said, _) = ask(&mut connect(served.address).await, &chunked).await;
        assert!(said.starts_with(status), "{extra}: {said}");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let served = serve(SMALL).await;
    for begun in [&b""[..], b"{\"Stream"] {
        let mut bytes = head("/len", "content-length: 1000\r\n");
        bytes.extend(begun);
        let (said, took) = ask(&mut connect(served.address).await, &bytes).await;
        assert!(said.starts_with("HTTP/1.1 408") && said.contains("RequestTimeoutException"), "{said}");
        assert!(took >= SMALL.pace.grace && took < SMALL.pace.grace + Duration::from_secs(2), "{took:?}");
    }
    // One that is fast enough has all the time that it takes, though it is longer than the grace.
    let mut stream = connect(served.address).await;
    stream.write_all(&head("/len", "content-length: 163840\r\nconnection: close\r\n")).await.expect("it is open");
    for _ in 0..10 {
        sleep(SMALL.pace.grace / 6).await;
        stream.write_all(&[b'x'; 16_384]).await.expect("it is read");
    }
    let (said, _) = ask(&mut stream, b"").await;
    assert!(said.ends_with("/len of 163840"), "{said}");
}

#[tokio::test]
async fn whoever_asks_whether_to_send_a_body_is_told() {
    let served = serve(SMALL).await;
    let mut stream = connect(served.address).await;
    let expects = head("/len", "content-length: 5\r\nexpect: 100-continue\r\nconnection: close\r\n");
    stream.write_all(&expects).await.expect("it is open");
    let mut told = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut told)).await.expect("it is told").expect("it is open");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    let (said, _) = ask(&mut stream, b"hello").await;
    assert!(said.ends_with("/len of 5"), "{said}");
    // And is not told to, when the answer is known already.
    let too_long = head("/len", &format!("content-length: {}\r\nexpect: 100-continue\r\n", BODY_BYTES_MAX + 1));
    let (said, _) = ask(&mut connect(served.address).await, &too_long).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
}

#[tokio::test]
async fn a_client_that_goes_away_within_a_body_leaves_nothing() {
    let served = serve(SMALL).await;
    for _ in 0..20 {
        let mut stream = connect(served.address).await;
        let mut bytes = head("/len", &format!("content-length: {BODY_BYTES_MAX}\r\n"));
        bytes.resize(bytes.len() + (1 << 20), b'x');
        stream.write_all(&bytes).await.expect("it is read");
    }
    is_answered(served.address).await;
}

#[tokio::test]
async fn every_answer_has_ids_and_browsers_are_told_what_they_may() {
    let served = serve(SMALL).await;
    let (said, _) = ask(&mut connect(served.address).await, &head("/x", "origin: a\r\nconnection: close\r\n")).await;
    let said = said.to_lowercase();
    for line in
        ["x-amzn-requestid: ", "x-amz-id-2: ", "date: ", "content-length: 2\r\n", "access-control-allow-origin: *"]
    {
        assert!(said.contains(&format!("\r\n{line}")), "{line} {said}");
    }
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: a\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n";
    let (said, _) = ask(&mut connect(served.address).await, preflight.as_bytes()).await;
    let said = said.to_lowercase();
    assert!(said.starts_with("http/1.1 200") && said.contains("access-control-allow-methods: post"), "{said}");
    assert!(said.contains("x-amzn-requestid: ") && !said.contains("x-amz-id-2"), "{said}");
}
