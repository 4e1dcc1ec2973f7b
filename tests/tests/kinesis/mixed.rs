//! What was put natively is read by boto3, and the other way round: in the broker's own region, where both call a stream
//! by the same name, and in another, where it is a qualified name for the native protocol.

use rheos_client::{Client as Native, Outcome, Position, Record, StreamSpec};

use crate::alone::alone;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, OWN_REGION, REGION, Way};
use crate::{numbered, rise};

const RECORDS: usize = 100;

#[test]
fn both_protocols_see_the_same_records() {
    alone("mixed::both_protocols_see_the_same_records", &[Client::Aws], async {
        let mut face = Face::start().await;
        let native = face.broker.client().await;
        for (region, stream) in [(OWN_REGION, "mixed"), (REGION, &*format!("000000000000/{REGION}/mixed"))] {
            put(&native, stream).await;
            let arguments = ["mixed", &RECORDS.to_string()];
            let steps = face.run_in(region, Client::Aws, "python/mixed.py", &arguments, Way::Plain).await;
            are_read_by_boto3(&steps);
            are_read_natively(&native, stream).await;
        }
        native.close().await;
        face.end();
    });
}

async fn put(native: &Native, stream: &str) {
    native.create_stream(StreamSpec::new(stream, 1)).await.expect("there is none");
    let producer = native.producer(stream).await.expect("it is there");
    for text in numbered(RECORDS) {
        let ticket = producer.put(Record::new(format!("native-{text}"), text)).await.expect("it is small");
        assert!(matches!(ticket.await, Outcome::Acked { .. }));
    }
}

fn are_read_by_boto3(steps: &Steps) {
    let (read, put) = (steps.one("read"), steps.one("put"));
    assert_eq!(texts(&read["texts"]), numbered(RECORDS));
    let keys: Vec<String> = numbered(RECORDS).iter().map(|text| format!("native-{text}")).collect();
    assert_eq!(texts(&read["keys"]), keys);
    let sequences = [texts(&read["sequences"]), texts(&put["sequences"])].concat();
    assert!(put["failed"] == 0 && sequences.len() == 2 * RECORDS && rise(&sequences), "{sequences:?}");
}

async fn are_read_natively(native: &Native, stream: &str) {
    let mut reader = native.reader(stream, 0, Position::TrimHorizon).await.expect("it is there");
    for sequence in 0..2 * RECORDS as u64 {
        let found = reader.next().await.expect("it can be read").expect("the shard goes on");
        let data = String::from_utf8_lossy(&found.record.data).into_owned();
        let (key, text) = match (sequence as usize).checked_sub(RECORDS) {
            None => (format!("native-record {sequence}"), format!("record {sequence}")),
            Some(number) => (format!("aws-{number}"), format!("by boto3 {number}")),
        };
        assert_eq!((found.sequence, found.record.partition_key.as_str(), data), (sequence, &*key, text));
    }
}
