//! Peers that break the protocol, or keep to it and mean no good, against a broker that serves a
//! well-behaved client all the while: every wrong thing has its numbered answer, the client's puts and
//! reads go on, and memory stays bounded.

mod before_hello;
mod frames;
mod hostile;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rheos_client::protocol::batch::{BatchHeader, HEADER_BYTES, ProducerStamp};
use rheos_client::protocol::frame::kind;
use rheos_client::protocol::limits::{
    BATCH_RECORDS_MAX, CONTROL_FRAME_BYTES_MAX, CONTROL_STREAMS_MAX, DATA_STREAMS_MAX, PUT_FRAME_BYTES_MAX,
    READ_BYTES_MAX, RECORD_BYTES_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX,
};
use rheos_client::protocol::message::{CreateStream, Read, Reply, Request, Subscribe};
use rheos_client::protocol::wire::FieldWriter;
use rheos_client::{ErrorCode, Position, StreamSpec};
use rheos_tests::broker_process::Place;
use rheos_tests::ground::{Ground, PATIENCE, good_batch};
use rheos_tests::raw_client::{Ended, Key, RawClient, frame, header, narrow, put_frame, read_reply, request_frame};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::xxh3_64;

/// How much more memory a broker may use after small mischief.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

async fn ground() -> Ground {
    Ground::new(Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))).await
}

/// What the broker is to do about something.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// An error on the stream; the connection stays.
    Error(ErrorCode),
    /// The end of the connection.
    Close(ErrorCode),
    Done,
}

/// Sends bytes on a stream of an admitted connection and looks for the answer.
async fn expect(ground: &Ground, what: &str, bytes: &[u8], answer: Answer) {
    let client = ground.client().await;
    let reply = timeout(PATIENCE, client.exchange(bytes)).await.unwrap_or_else(|_| panic!("{what} has no answer"));
    match (answer, reply) {
        (Answer::Error(code), Ok(Reply::Error(error))) => {
            assert_eq!(error.code, code, "{what}: {error}");
            assert!(error.message.len() > 10, "{what}: {error}");
            let pong = client.ask(&Request::Ping).await;
            assert_eq!(pong, Ok(Reply::Pong), "after {what} the connection stays");
        }
        (Answer::Close(code), Err(Ended::Closed(closed, why))) => {
            assert_eq!(closed, code, "{what}: {why}");
            assert!(why.len() > 10, "{what}: {why}");
        }
        (Answer::Close(code), Err(Ended::Stream(_))) => {
            // The stream's end may be seen before the connection's.
            assert_eq!(timeout(PATIENCE, client.closed()).await.expect(what).0, code, "{what}");
        }
        (Answer::Done, Ok(Reply::Ack { .. } | Reply::Pong | Reply::Batches(_))) => {}
        (_, reply) => panic!("{what} was answered {reply:?}, not {answer:?}"),
    }
}

/// A batch of any body under any header; `change` is made before the header's checksum.
fn batch(stream: u64, shard: u32, count: u32, body: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let header = BatchHeader {
        record_count: count,
        body_len: body.len() as u32,
        body_checksum: xxh3_64(body),
        producer: ProducerStamp::default(),
        incarnation: stream,
        shard,
        first_sequence: 0,
        arrival_ms: 0,
    };
    let mut bytes = header.encode().to_vec();
    change(&mut bytes);
    let checksum = xxh3_64(&bytes[..HEADER_BYTES - 8]);
    bytes[HEADER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a batch with one record of any key and data.
fn record(key: &str, explicit_hash_key: Option<u128>, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(data.len() as u32).to_le_bytes());
    body.extend_from_slice(&(key.len() as u16).to_le_bytes());
    body.extend_from_slice(&u16::from(explicit_hash_key.is_some()).to_le_bytes());
    body.extend_from_slice(&explicit_hash_key.map_or(Vec::new(), |hash| hash.to_le_bytes().to_vec()));
    body.extend_from_slice(key.as_bytes());
    body.extend_from_slice(data);
    body
}
