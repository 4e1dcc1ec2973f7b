//! What is written is read again as what it was, in both encodings, for every structure of the table;
//! and whatever bytes are read, nothing panics.

mod random;

use random::Random;
use rheos_kinesis::codec::Encoding::{self, Cbor, Json};
use rheos_kinesis::fuzz_bodies;
use rheos_kinesis::shapes::operations::{self, Output};
use rheos_kinesis::shapes::{Members, Shape, structures};
use rheos_kinesis::value::{Structure, TimestampMs, Value};

/// What means something in JSON or CBOR.
const INSERTED: &[u8] = b"[]{}\",:\x9f\xff\xbf\x5f\x7f\xc1\x1b0e-";

#[test]
fn every_structure_comes_back() {
    for seed in 0..200 {
        let mut random = Random(seed);
        for members in every_structure() {
            let structure = random.structure(members);
            for encoding in [Json, Cbor] {
                let body = encoding.encode(&structure);
                assert_eq!(
                    read(encoding, members, &body),
                    structure,
                    "seed {seed}, {}",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }
}

#[test]
fn mutated_bodies_never_panic() {
    let bodies: [fn(&[u8]); 2] = [fuzz_bodies::json, fuzz_bodies::cbor];
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let choice = random.below(40);
        let operation = operations::all().nth(choice).unwrap();
        let structure = random.structure(operation.input);
        for (encoding, body) in [Json, Cbor].into_iter().zip(bodies) {
            let mut data = [vec![choice as u8], encoding.encode(&structure)].concat();
            body(&data);
            for _ in 0..=random.below(4) {
                let at = random.below(data.len());
                match random.below(3) {
                    0 => data[at] = random.next() as u8,
                    1 => data.truncate(at + 1),
                    _ => data.insert(at, INSERTED[random.below(INSERTED.len())]),
                }
                body(&data);
            }
        }
        let noise = random.bytes(300);
        bodies.iter().for_each(|body| body(&noise));
        fuzz_bodies::http(&[&b"POST\napplication/x-amz-json-1.1\nKinesis_20131202.PutRecord\n"[..], &noise].concat());
        fuzz_bodies::http(&noise);
    }
}

#[test]
fn json_is_written_to_the_byte() {
    let record = Structure::of(&structures::RECORD)
        .with("PartitionKey", "k\"\u{1}é")
        .with("Data", bytes::Bytes::from_static(b"\0\0"))
        .with("SequenceNumber", "7")
        .with("ApproximateArrivalTimestamp", TimestampMs(1_700_000_000_042));
    let text = r#"{"SequenceNumber":"7","ApproximateArrivalTimestamp":1700000000.042,"Data":"AAA=","PartitionKey":"k\"\u0001é"}"#;
    assert_eq!(String::from_utf8(Json.encode(&record)).unwrap(), text);

    for (ms, text) in [
        (0, "0.000"),
        (-1, "-0.001"),
        (-1_500, "-1.500"),
        (i64::MAX, "9223372036854775.807"),
        (i64::MIN, "-9223372036854775.808"),
    ] {
        let record = Structure::of(&structures::RECORD).with("ApproximateArrivalTimestamp", TimestampMs(ms));
        let body = String::from_utf8(Json.encode(&record)).unwrap();
        assert_eq!(body, format!(r#"{{"ApproximateArrivalTimestamp":{text}}}"#));
    }
}

#[test]
fn cbor_is_written_to_the_byte() {
    let record = Structure::of(&structures::RECORD)
        .with("Data", bytes::Bytes::from_static(b"\0\x01"))
        .with("ApproximateArrivalTimestamp", TimestampMs(1_700_000_000_042));
    let body = b"\xa2\x78\x1bApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x2a\x64Data\x42\x00\x01";
    assert_eq!(Cbor.encode(&record), body);

    let get_records = operations::find("GetRecords").unwrap();
    let output = get_records.answer().with("MillisBehindLatest", 0).with("Records", Value::List(Vec::new()));
    assert_eq!(Cbor.encode(&output), b"\xa2\x67Records\x80\x72MillisBehindLatest\x00");
    assert_eq!(Json.encode(&output), br#"{"Records":[],"MillisBehindLatest":0}"#);
}

fn every_structure() -> Vec<Members> {
    let mut all = Vec::new();
    for operation in operations::all() {
        all.push(operation.input);
        match operation.output {
            Output::Body(members) => all.push(members),
            Output::Events(Shape::Structure { members, .. }) => all.push(members),
            _ => {}
        }
    }
    all
}

/// What a body says before its constraints are looked at: they are not what is tried here.
fn read(encoding: Encoding, members: Members, body: &[u8]) -> Structure {
    encoding.decode(members, body).expect("what was written is well formed").unproved().expect("its types are right")
}
