//! What decoding costs in memory: little for what is right, bounded for what is not.

mod shards;

use allocation_counter::{AllocationInfo, measure};
use rheos_kinesis::codec::Encoding::{self, Cbor, Json};
use rheos_kinesis::records::{Placement, PutTo, Puts};
use rheos_kinesis::shapes::{operations, structures};
use rheos_kinesis::value::{Structure, Value, items};

const RECORDS: usize = 500;

/// As long as a test can wait for; what it costs grows with it or not at all.
const HOSTILE_BYTES: usize = 1 << 20;

#[test]
fn a_put_of_500_records_allocates_its_values_and_nothing_else() {
    let data = bytes::Bytes::from(vec![0x5a; 1024]);
    let entry = |number: usize| {
        Structure::of(&structures::PUT_ENTRY).with("Data", data.clone()).with("PartitionKey", format!("key-{number}"))
    };
    let records: Value = (0..RECORDS).map(entry).collect();
    let put = operations::find("PutRecords").unwrap();
    let input = Structure::new(put.input).with("StreamName", "orders").with("Records", records);
    // A pattern is compiled when it is first asked.
    assert!(prove(Json, &Json.encode(&input)));
    for encoding in [Json, Cbor] {
        let body = encoding.encode(&input);
        let cost = cost(encoding, &body);
        // For each record: its members, its key, its data.
        assert!(cost.count_total <= 3 * RECORDS as u64 + 30, "{encoding:?}: {cost:?}");
        assert!(cost.bytes_max <= (RECORDS * 1400) as u64, "{encoding:?}: {cost:?}");
    }
}

#[test]
fn a_put_of_500_records_is_copied_once() {
    let data = bytes::Bytes::from(vec![0x5a; 1024]);
    let entry = |number: usize| {
        Structure::of(&structures::PUT_ENTRY).with("Data", data.clone()).with("PartitionKey", format!("key-{number}"))
    };
    let records: Value = (0..RECORDS).map(entry).collect();
    let input = Structure::new(operations::find("PutRecords").unwrap().input).with("Records", records);
    let (account, stream) = (shards::account(), shards::stream(16));
    let to = PutTo { stream: &stream, named: shards::named(&account), placement: Placement::Keys, now_s: 0 };
    let cost = measure(|| drop(Puts::many(&input, &to).unwrap().batches(&stream)));
    // The batches, and for each record where it is and what becomes of it; for each shard, its batch and its records.
    assert!(cost.bytes_max <= (RECORDS * (1024 + 400)) as u64, "{cost:?}");
    assert!(cost.count_total <= 16 * 4 + 20, "{cost:?}");
}

#[test]
fn hostile_bodies_cost_no_more_than_a_multiple_of_their_length() {
    let json = |head: &str, item: &str, tail: &str| {
        let count = (HOSTILE_BYTES - head.len() - tail.len()) / item.len();
        (Json, format!("{head}{}{tail}", item.repeat(count)).into_bytes())
    };
    let cbor =
        |head: &[u8], item: &[u8]| (Cbor, [head, &item.repeat(HOSTILE_BYTES / item.len() - 64), b"\xff"].concat());
    for (what, (encoding, body)) in [
        ("empty records", json(r#"{"Records":[{}"#, ",{}", "]}")),
        ("nulls", json(r#"{"Records":[null"#, ",null", "]}")),
        ("wrong types", json(r#"{"Records":[1"#, ",[]", "]}")),
        ("equal tags", json(r#"{"Tags":{"a":"""#, r#","b":"""#, "}}")),
        ("equal members", json(r#"{"DryRun":1"#, r#","DryRun":1"#, "}")),
        ("unknown members", json(r#"{"a":1"#, r#","b":1"#, "}")),
        ("a long text", json(r#"{"StreamName":""#, "a", r#""}"#)),
        ("a long escaped text", json(r#"{"StreamName":""#, r"\n", r#""}"#)),
        ("a text for a blob", json(r#"{"Data":""#, "*", r#""}"#)),
        ("deep lists", json(r#"{"Zzz":["#, "[", "")),
        ("empty records in CBOR", cbor(b"\xa1\x67Records\x9f", b"\xa0")),
        ("chunks of bytes", cbor(b"\xa1\x64Data\x5f", b"\x40")),
        ("chunks of text", cbor(b"\xa1\x6aStreamName\x7f", b"\x60")),
        ("deep CBOR", cbor(b"\xa1\x63Zzz", b"\x9f")),
        ("tags", cbor(b"\xa1\x63Zzz", b"\xc1")),
    ] {
        for operation in ["PutRecords", "PutRecord", "AddTagsToStream"] {
            let members = operations::find(operation).unwrap().input;
            let cost = measure(|| drop(encoding.decode(members, &body).map(|claim| claim.prove())));
            // Beside the body's own bytes: 501 structures, and a message with what is repeated of a value.
            assert!(cost.bytes_max <= 2 * HOSTILE_BYTES as u64 + (512 << 10), "{what} for {operation}: {cost:?}");
        }
    }
}

fn cost(encoding: Encoding, body: &[u8]) -> AllocationInfo {
    measure(|| assert!(prove(encoding, body)))
}

fn prove(encoding: Encoding, body: &[u8]) -> bool {
    let members = operations::find("PutRecords").unwrap().input;
    let input = encoding.decode(members, body).unwrap().prove().unwrap();
    items::<&Structure>(input.required("Records")).all(|record| record.optional::<&str>("PartitionKey").is_some())
}
