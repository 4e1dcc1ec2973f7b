//! SubscribeToShard: takes what is pushed to a registered consumer over HTTP/1.1, in event streams and JSON.
//!
//! Records were put natively and are known by the numbers at the front of batches ([`crate::broker::puts`]): a
//! record that begins with a number begins a batch, and those after it that begin otherwise belong to it.
//! Messages are cut out of the stream by AWS's own crate, which proves both of their checksums.
//!
//! What must hold: nothing is put before the server has said that the subscription stands.

use std::sync::Arc;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinHandle;

use super::connections::{connect, whole};
use super::endpoint::Endpoint;
use crate::Failure;
use crate::broker::puts::{NUMBER_BYTES, UNNUMBERED};
use crate::deliveries::Consumer;

/// A subscription on a connection of its own; ends with this value.
pub(crate) struct ApiSubscription(JoinHandle<()>);

impl ApiSubscription {
    /// Subscribes at the tip of a shard, and gives what is pushed to `consumer`.
    pub(crate) async fn start(
        endpoint: &Endpoint,
        consumer_arn: &str,
        shard_id: &str,
        consumer: Arc<dyn Consumer>,
    ) -> Result<Self, Failure> {
        let input = json!({
            "ConsumerARN": consumer_arn,
            "ShardId": shard_id,
            "StartingPosition": {"Type": "LATEST"},
        });
        let request = endpoint.request("SubscribeToShard", &input.to_string().into())?;
        let mut connection = connect(endpoint.address).await?;
        let answer = connection.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("SubscribeToShard: {}", whole(answer).await.expect_err("it is no success")).into());
        }
        let mut messages = Messages::new(answer.into_body());
        match messages.next().await?.0.as_str() {
            "initial-response" => {}
            other => return Err(format!("an event stream began with {other}").into()),
        }
        Ok(Self(tokio::spawn(async move {
            // The connection lives as long as what sends on it.
            let _connection = connection;
            let Err(failure) = take_all(&mut messages, &consumer).await;
            consumer.fail(failure);
        })))
    }
}

impl Drop for ApiSubscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An event without what the rig does not look at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    /// In base64, which needs no escapes.
    data: &'a str,
}

async fn take_all(messages: &mut Messages, consumer: &Arc<dyn Consumer>) -> Result<std::convert::Infallible, Failure> {
    let mut next = None;
    loop {
        let (kind, payload) = messages.next().await?;
        if kind != "SubscribeToShardEvent" {
            return Err(format!("an event stream ended with {kind}: {}", String::from_utf8_lossy(&payload)).into());
        }
        let event: Event<'_> = serde_json::from_slice(&payload)?;
        for (first, records) in batches(&event.records, &mut next)? {
            consumer.take(first, records)?;
        }
    }
}

/// The batches that records were put in: the number of the first record, and how many they are. An event may begin
/// in the middle of one, at the number that comes `next`.
fn batches(records: &[Record<'_>], next: &mut Option<u64>) -> Result<Vec<(u64, u32)>, Failure> {
    let mut batches: Vec<(u64, u32)> = Vec::new();
    for record in records {
        let begins = number(record.data)?;
        let number = begins.or(*next).ok_or("the first event began in the middle of a batch")?;
        match batches.last_mut() {
            Some((_, records)) if begins.is_none() => *records += 1,
            _ => batches.push((number, 1)),
        }
        *next = Some(number + 1);
    }
    Ok(batches)
}

/// The number at the front of a record's data, where it begins a batch.
fn number(data: &str) -> Result<Option<u64>, Failure> {
    let front = data.get(..FRONT_CHARS).ok_or("a record is shorter than a number")?;
    let mut bytes = [0; FRONT_CHARS / 4 * 3];
    STANDARD.decode_slice(front, &mut bytes)?;
    let number = bytes.first_chunk::<NUMBER_BYTES>().expect("the front is longer than a number");
    Ok((*number != UNNUMBERED).then(|| u64::from_le_bytes(*number)))
}

/// Characters of base64 that hold a number.
const FRONT_CHARS: usize = NUMBER_BYTES.div_ceil(3) * 4;

/// The messages of an event stream.
struct Messages {
    body: Incoming,
    decoder: MessageFrameDecoder,
    bytes: BytesMut,
}

impl Messages {
    fn new(body: Incoming) -> Self {
        Self { body, decoder: MessageFrameDecoder::new(), bytes: BytesMut::new() }
    }

    /// The type and the payload of the next message.
    async fn next(&mut self) -> Result<(String, Bytes), Failure> {
        loop {
            if let DecodedFrame::Complete(message) = self.decoder.decode_frame(&mut self.bytes)? {
                let named = |name: &str| message.headers().iter().find(|header| header.name().as_str() == name);
                let kind = named(":event-type").or_else(|| named(":exception-type")).or_else(|| named(":error-code"));
                let kind = kind.and_then(|header| header.value().as_string().ok()).ok_or("a message has no type")?;
                return Ok((kind.as_str().to_owned(), message.payload().clone()));
            }
            let frame = self.body.frame().await.ok_or("an event stream ended without a word")??;
            if let Some(data) = frame.data_ref() {
                self.bytes.extend_from_slice(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_begin_where_numbers_stand() {
        let data = |number: Option<u64>| {
            let front = number.map_or(UNNUMBERED, u64::to_le_bytes);
            STANDARD.encode([&front[..], &[0x42; 100]].concat())
        };
        let datas = [Some(7), None, None, Some(10), Some(11)].map(data);
        let records: Vec<Record<'_>> = datas.iter().map(|data| Record { data }).collect();
        let mut next = None;
        assert!(batches(&records[1..], &mut next).is_err(), "nobody knows which it is");
        assert_eq!(batches(&records[..2], &mut next).expect("they are batches"), [(7, 2)]);
        assert_eq!(batches(&records[2..], &mut next).expect("they are batches"), [(9, 1), (10, 1), (11, 1)]);
        assert_eq!(batches(&records, &mut None).expect("they are batches"), [(7, 3), (10, 1), (11, 1)]);
        assert!(number("QUJD").is_err(), "three bytes are no number");
    }
}
