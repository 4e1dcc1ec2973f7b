//! What was put natively is read by boto3, and the other way round.

use rheos_client::{Outcome, Position, Record, StreamSpec};

use crate::alone::alone;
use crate::client::{Client, texts};
use crate::face::{Face, Way};
use crate::{numbered, rise};

const RECORDS: usize = 100;

#[test]
fn both_protocols_see_the_same_records() {
    alone("mixed::both_protocols_see_the_same_records", &[Client::Aws], async {
        let mut face = Face::start().await;
        let native = face.broker.client().await;
        native.create_stream(StreamSpec::new("mixed", 1)).await.expect("there is none");
        let producer = native.producer("mixed").await.expect("it is there");
        for text in numbered(RECORDS) {
            let ticket = producer.put(Record::new(format!("native-{text}"), text)).await.expect("it is small");
            assert!(matches!(ticket.await, Outcome::Acked { .. }));
        }

        let steps = face.run(Client::Aws, "python/mixed.py", &["mixed", &RECORDS.to_string()], Way::Plain).await;
        let (read, put) = (steps.one("read"), steps.one("put"));
        assert_eq!(texts(&read["texts"]), numbered(RECORDS));
        let keys: Vec<String> = numbered(RECORDS).iter().map(|text| format!("native-{text}")).collect();
        assert_eq!(texts(&read["keys"]), keys);
        let sequences = [texts(&read["sequences"]), texts(&put["sequences"])].concat();
        assert!(put["failed"] == 0 && sequences.len() == 2 * RECORDS && rise(&sequences), "{sequences:?}");

        let mut reader = native.reader("mixed", 0, Position::TrimHorizon).await.expect("it is there");
        for sequence in 0..2 * RECORDS as u64 {
            let found = reader.next().await.expect("it can be read").expect("the shard goes on");
            let data = String::from_utf8_lossy(&found.record.data).into_owned();
            let (key, text) = match (sequence as usize).checked_sub(RECORDS) {
                None => (format!("native-record {sequence}"), format!("record {sequence}")),
                Some(number) => (format!("aws-{number}"), format!("by boto3 {number}")),
            };
            assert_eq!((found.sequence, found.record.partition_key.as_str(), data), (sequence, &*key, text));
        }
        native.close().await;
        face.end();
    });
}
