//! Calls that come too slowly, all at once, or are taken back: those of others go on, and nothing is stored twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::face::{Asker, JSON, text, wire};
use crate::{GROWTH_BYTES_MAX, PATIENCE, ground};

fn record(data: &str) -> Vec<u8> {
    let input = json!({"StreamName": "target", "PartitionKey": "a", "ExplicitHashKey": "0", "Data": data});
    input.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_body_drips_is_refused_in_time_and_nothing_is_stored() {
    let ground = ground().await;
    let address = ground.broker.address();
    let asker = Asker::http1(address, &ground.key).await;
    let sent = wire(&asker.signed("PutRecord", JSON, record(&"QUJD".repeat(1_000))), true);
    let (mut read, mut write) = TcpStream::connect(address).await.expect("it listens").into_split();
    let began = Instant::now();
    let dripping = tokio::spawn(async move {
        for byte in sent {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(if byte == b'}' { 0 } else { 8 })).await;
        }
    });
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut said)).await.expect("it is answered");
    let (said, took) = (String::from_utf8_lossy(&said).into_owned(), began.elapsed());
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("\"__type\":\"RequestTimeoutException\""), "{said}");
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(25), "{took:?}");
    dripping.abort();
    // A connection that asks for nothing is not kept for so long.
    let mut asker = Asker::http1(address, &ground.key).await;
    assert!(asker.read_all("target", 0).await.is_empty());
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_in_a_row_are_answered_in_order() {
    const CALLS: usize = 10_000;
    const PUT_EVERY: usize = 20;
    let ground = ground().await;
    let address = ground.broker.address();
    let asker = Asker::http1(address, &ground.key).await;
    let put = wire(&asker.signed("PutRecord", JSON, record("AAAA")), false);
    let list = wire(&asker.signed("DescribeStreamSummary", JSON, br#"{"StreamName":"target"}"#.to_vec()), false);
    let (mut read, mut write) = TcpStream::connect(address).await.expect("it listens").into_split();
    let writing = tokio::spawn(async move {
        for call in 0..CALLS {
            let bytes = if call % PUT_EVERY == 0 { &put } else { &list };
            write.write_all(bytes).await.expect("it is taken");
        }
        write
    });
    // Nothing is read until the broker takes no more, or has taken all.
    sleep(Duration::from_secs(1)).await;
    ground.unharmed(GROWTH_BYTES_MAX).await;
    let (mut come, mut numbers) = (Vec::new(), Vec::new());
    for call in 0..CALLS {
        let body = timeout(PATIENCE, answer(&mut read, &mut come)).await.expect("every call is answered");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        if call % PUT_EVERY == 0 {
            numbers.push(text(&body["SequenceNumber"]));
        } else {
            assert_eq!(body["StreamDescriptionSummary"]["StreamName"], "target", "call {call}");
        }
    }
    assert!(numbers.len() == CALLS / PUT_EVERY && numbers.is_sorted_by(|one, next| one < next));
    let mut asker = Asker::http1(address, &ground.key).await;
    let stored: Vec<_> = asker.read_all("target", 0).await.iter().map(|it| text(&it["SequenceNumber"])).collect();
    assert_eq!(stored, numbers);
    drop(writing.await.expect("everything was written"));
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

/// The body of the next answer of a connection.
async fn answer(read: &mut (impl AsyncReadExt + Unpin), come: &mut Vec<u8>) -> Vec<u8> {
    loop {
        let head = come.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8(come[..head].to_vec()).expect("a head is text");
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            let len = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let end = head + 4 + len.expect("its length is said");
            if come.len() >= end {
                let body = come[head + 4..end].to_vec();
                come.drain(..end);
                return body;
            }
        }
        let mut piece = [0; 16 << 10];
        let len = read.read(&mut piece).await.expect("it is open");
        assert!(len > 0, "the connection ended");
        come.extend_from_slice(&piece[..len]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_taken_back_cost_a_put_at_most_and_a_bounded_memory() {
    const CONNECTIONS: usize = 40;
    const CALLS: usize = 60;
    let ground = ground().await;
    let address = ground.broker.address();
    let data = "QUJD".repeat(16 << 10);
    let (mut sent, mut broken) = (0_usize, 0);
    for _ in 0..CONNECTIONS {
        let mut asker = Asker::http2(address, &ground.key).await;
        let request = asker.signed("PutRecord", JSON, record(&data));
        for call in 0..CALLS {
            // Long enough for the most of it to be sent, seldom for an answer.
            let wait = Duration::from_micros(if call % 3 == 0 { 0 } else { 1_000 });
            sent += 1;
            if let Ok(Err(_)) = timeout(wait, asker.begin(request.clone())).await {
                broken += 1;
                break;
            }
        }
    }
    ground.unharmed(GROWTH_BYTES_MAX).await;
    let mut asker = Asker::http2(address, &ground.key).await;
    let last = text(
        &asker.done("PutRecord", &serde_json::from_slice(&record("AAAA")).expect("it is JSON")).await["SequenceNumber"],
    );
    let stored = asker.read_all("target", 0).await;
    let numbers: BTreeSet<_> = stored.iter().map(|it| text(&it["SequenceNumber"])).collect();
    assert!(numbers.len() == stored.len() && stored.len() <= sent + 1, "{} of {sent}, {broken} broken", stored.len());
    assert!(stored.iter().all(|record| record["Data"] == data || record["Data"] == "AAAA"));
    assert_eq!(numbers.last(), Some(&last), "nothing comes late");
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}
