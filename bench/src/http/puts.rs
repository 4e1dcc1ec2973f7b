//! Puts through the API: PutRecord and PutRecords, with bodies that are made and signed ahead.
//!
//! Every record of a body has a partition key of its own, and there are more bodies than fit a processor's nearest
//! caches, so that a server finds its shard for each key and meets each body as it meets a stranger's.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::connections::Connections;
use super::endpoint::{Endpoint, Repeated};
use crate::Failure;
use crate::drive::Puts;
use crate::load::RECORD_BYTES;

/// Records of each PutRecords: as many as it may have.
pub(crate) const RECORDS_MAX: u32 = 500;

/// Puts with one operation to one stream.
pub(crate) struct ApiPuts {
    endpoint: Endpoint,
    connections: Arc<Connections>,
    bodies: Vec<Repeated>,
    records_each: u32,
    next: AtomicUsize,
}

impl ApiPuts {
    /// PutRecord, with a record each.
    pub(crate) async fn one_by_one(endpoint: Endpoint, stream: &str, connections: usize) -> Result<Self, Failure> {
        let body = |number| {
            let mut input = entry(number);
            input["StreamName"] = stream.into();
            input
        };
        ApiPuts::open(endpoint, "PutRecord", (0..ONES).map(body), 1, connections).await
    }

    /// PutRecords, with [`RECORDS_MAX`] records each.
    pub(crate) async fn many_at_once(endpoint: Endpoint, stream: &str, connections: usize) -> Result<Self, Failure> {
        let body = |number: u32| {
            let records: Vec<Value> = (0..RECORDS_MAX).map(|at| entry(number * RECORDS_MAX + at)).collect();
            json!({"StreamName": stream, "Records": records})
        };
        ApiPuts::open(endpoint, "PutRecords", (0..MANIES).map(body), RECORDS_MAX, connections).await
    }

    async fn open(
        endpoint: Endpoint,
        operation: &'static str,
        inputs: impl Iterator<Item = Value>,
        records_each: u32,
        connections: usize,
    ) -> Result<Self, Failure> {
        let body = |input: Value| Repeated::new(&endpoint, operation, input.to_string().into());
        let bodies = inputs.map(body).collect::<Result<_, _>>()?;
        let connections = Connections::open(endpoint.address, connections).await?;
        Ok(Self { endpoint, connections, bodies, records_each, next: AtomicUsize::new(0) })
    }

    fn send(&self) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
        let body = &self.bodies[self.next.fetch_add(1, Ordering::Relaxed) % self.bodies.len()];
        let (request, connections) = (body.request(&self.endpoint)?, Arc::clone(&self.connections));
        Ok(tokio::spawn(async move { all_taken(&connections.send(request).await?) }))
    }
}

impl Puts for ApiPuts {
    /// As many requests at once as the records take.
    fn put(&self, _first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        assert!(records.is_multiple_of(self.records_each), "a request has {} records", self.records_each);
        let sent: Vec<_> = (0..records / self.records_each).map(|_| self.send()).collect();
        async move {
            for sent in sent {
                sent?.await??;
            }
            Ok(())
        }
    }
}

/// What of an answer says that a record was not taken; PutRecord's says so by its status.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Taken {
    #[serde(default)]
    failed_record_count: u32,
}

fn all_taken(answer: &Bytes) -> Result<(), Failure> {
    match serde_json::from_slice::<Taken>(answer)?.failed_record_count {
        0 => Ok(()),
        failed => Err(format!("{failed} records of a PutRecords were not taken").into()),
    }
}

/// A record whose key and data no other number has.
fn entry(number: u32) -> Value {
    let data: Vec<u8> = (0..RECORD_BYTES as u32).map(|at| (number.wrapping_mul(31) + at * at) as u8).collect();
    json!({"PartitionKey": format!("key-{number:012x}"), "Data": STANDARD.encode(data)})
}

/// Bodies of PutRecord, and of PutRecords.
const ONES: u32 = 256;
const MANIES: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_not_taken_is_a_failure() {
        assert!(all_taken(&Bytes::from_static(br#"{"SequenceNumber":"1","ShardId":"s"}"#)).is_ok());
        assert!(all_taken(&Bytes::from_static(br#"{"FailedRecordCount": 0, "Records": [{}]}"#)).is_ok());
        let failed = all_taken(&Bytes::from_static(br#"{"FailedRecordCount":3,"Records":[]}"#));
        assert!(failed.expect_err("three were not").to_string().contains('3'));
        assert!(all_taken(&Bytes::from_static(b"<html>")).is_err());
    }

    #[test]
    fn entries_differ_and_have_the_size_of_the_rigs_records() {
        let (one, other) = (entry(1), entry(2));
        assert_ne!(one["PartitionKey"], other["PartitionKey"]);
        assert_ne!(one["Data"], other["Data"]);
        let data = STANDARD.decode(one["Data"].as_str().expect("it is a text")).expect("it is base64");
        assert_eq!(data.len(), RECORD_BYTES);
    }
}
