//! Bodies at their bounds and beyond them, malformed, and of other kinds than they say: AWS's error for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rheos_kinesis::limits::BODY_BYTES_MAX;
use rheos_tests::http::http_send;
use rheos_tests::signed_request::SignedRequest;
use serde_json::json;
use tokio::time::sleep;

use crate::face::{Answer, Asker, CBOR, JSON, call, new_admin, wire};
use crate::{GROWTH_BYTES_MAX, ground};

/// What a broker may grow by for bodies of the largest size, one at a time: the body, and what is made of it.
const LARGE_BODIES_BYTES_MAX: u64 = 160 << 20;

/// A PutRecords of exactly so many bytes: ten records and a member that the table does not have.
fn put_records_of(bytes: usize) -> Vec<u8> {
    let record = |number: usize| format!(r#"{{"PartitionKey":"key {number}","Data":"{}"}}"#, "QUJD".repeat(1 << 18));
    let records = (0..10).map(record).collect::<Vec<_>>().join(",");
    let (head, tail) = (format!(r#"{{"StreamName":"target","Records":[{records}],"Filler":""#), r#""}"#);
    let filler = bytes.checked_sub(head.len() + tail.len()).expect("there is room for the records");
    [head, "f".repeat(filler), tail.to_owned()].concat().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_are_taken_and_a_byte_more_is_not() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http1(address, &ground.key).await;
    let mut over_http2 = Asker::http2(address, &ground.key).await;
    for round in 0..3 {
        let by = if round % 2 == 0 { &mut asker } else { &mut over_http2 };
        let request = by.signed("PutRecords", JSON, put_records_of(BODY_BYTES_MAX));
        let answer = by.send(request).await;
        assert_eq!((answer.status, &answer.json()["FailedRecordCount"]), (200, &json!(0)));
        // One who says how long it is hears at once, another when it has come: nothing of either is looked at.
        let request = by.signed("PutRecords", JSON, put_records_of(BODY_BYTES_MAX + 1));
        let refused = if round % 2 == 0 {
            let answer = http_send(address, &wire(&request, true)).await;
            answer.map(|answer| (answer.status, answer.body.len()))
        } else {
            let answer = by.begin(request).await;
            answer.ok().map(|answer| (answer.status().as_u16(), 0))
        };
        // What was not read when the connection was closed may take the answer with it.
        assert!(refused.is_none_or(|refused| refused == (413, 0)), "{refused:?}");
    }
    assert_eq!(chunked(address, &asker, BODY_BYTES_MAX + 1).await, 413);
    assert_eq!(chunked(address, &asker, BODY_BYTES_MAX).await, 200);
    let records = asker.read_all("target", 0).await.len() + asker.read_all("target", 1).await.len();
    assert_eq!(records, 40, "what was taken is there once, and nothing of what was refused");
    ground.unharmed(LARGE_BODIES_BYTES_MAX).await;
    ground.end().await;
}

/// What a broker may grow by for the largest bodies of everybody: room for them all, what is decoded of each, and the
/// batches that are made of it.
const CROWDED_BYTES_MAX: u64 = 3 * (256 << 20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_calls_of_everybody_at_once_take_a_bounded_memory() {
    const CROWD: usize = 24;
    let ground = ground().await;
    let address = ground.broker.address();
    let asker = Asker::http1(address, &ground.key).await;
    let sent: Arc<[u8]> = wire(&asker.signed("PutRecords", JSON, put_records_of(BODY_BYTES_MAX)), true).into();
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let sent = Arc::clone(&sent);
            tokio::spawn(async move { http_send(address, &sent).await })
        })
        .collect();
    let mut most = 0;
    while crowd.iter().any(|call| !call.is_finished()) {
        most = most.max(ground.broker.memory_bytes());
        sleep(Duration::from_millis(10)).await;
    }
    let mut taken = 0;
    for call in crowd {
        // There is room, or one is told to come again.
        match call.await.expect("it does not panic").map(|answer| (answer.status, answer.body)) {
            Some((200, body)) => {
                assert!(body.contains("\"FailedRecordCount\":0"), "{}", &body[..body.len().min(500)]);
                taken += 1;
            }
            Some((status, body)) => assert!(status == 503 && body.contains("ServiceUnavailable"), "{status}: {body}"),
            None => {}
        }
    }
    assert!(most < CROWDED_BYTES_MAX, "{} MiB at most, {taken} calls were taken", most >> 20);
    let mut asker = Asker::http1(address, &ground.key).await;
    let stored = asker.read_all("target", 0).await.len() + asker.read_all("target", 1).await.len();
    assert!(taken > 0 && stored == 10 * taken, "{stored} records of {taken} calls");
    ground.unharmed(CROWDED_BYTES_MAX).await;
    ground.end().await;
}

/// The status of a PutRecords of so many bytes whose length is not said before.
async fn chunked(address: SocketAddr, asker: &Asker, bytes: usize) -> u16 {
    let request = asker.signed("PutRecords", JSON, put_records_of(bytes));
    let head = wire(&SignedRequest { body: Vec::new(), ..request.clone() }, true);
    let head = String::from_utf8(head).expect("it is text").replace("content-length: 0", "transfer-encoding: chunked");
    let mut sent = head.into_bytes();
    for piece in request.body.chunks(1 << 20) {
        sent.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        sent.extend_from_slice(piece);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    // The very last byte is what is too much, so that everything is read and the answer arrives.
    http_send(address, &sent).await.expect("it is answered").status
}

/// A head of CBOR: a kind, and a number in eight bytes.
fn cbor_head(kind: u8, number: u64) -> Vec<u8> {
    [&[kind << 5 | 27][..], &number.to_be_bytes()].concat()
}

/// A CBOR map of one member of this name, whose value is what follows.
fn cbor_member(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0xa1, 0x78, name.len() as u8][..], name.as_bytes(), value].concat()
}

const LARGE: usize = 8 << 20;
const DEEP: usize = 100_000;

fn deep(open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(DEEP), close.repeat(DEEP))
}

fn malformed_json() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("deep lists", deep("[", "]").into()),
        ("deep objects", deep(r#"{"a":"#, "}").into()),
        ("deep and never closed", "[".repeat(LARGE).into()),
        ("half a text", format!(r#"{{"StreamName":"{}"#, "a".repeat(LARGE)).into()),
        ("a number without an end", format!(r#"{{"Limit":{}"#, "9".repeat(LARGE)).into()),
        ("blanks", " ".repeat(LARGE).into()),
        ("two objects", b"{}{}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a text", b"\"StreamName\"".to_vec()),
        ("null", b"null".to_vec()),
        ("no UTF-8", b"{\"StreamName\":\"\xff\"}".to_vec()),
        ("half a surrogate", br#"{"StreamName":"\ud800"}"#.to_vec()),
        ("a mark of byte order", b"\xef\xbb\xbf{}".to_vec()),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("CBOR", vec![0xa0]),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0C\xbf\xa6\xa3\x02\0\0\0".to_vec()),
        ("zeros", vec![0; LARGE]),
    ]
}

fn malformed_cbor() -> Vec<(&'static str, Vec<u8>)> {
    let huge = 1 << 60;
    vec![
        ("deep lists", [vec![0x81; DEEP], vec![0]].concat()),
        ("deep lists without lengths", [vec![0x9f; DEEP], vec![0xff; DEEP]].concat()),
        ("deep tags", [vec![0xc1; DEEP], vec![0]].concat()),
        ("deep in a member that there is", cbor_member("Records", &vec![0x81; DEEP])),
        ("deep in one that there is not", cbor_member("Unknown", &vec![0x9f; LARGE])),
        ("a map of 2^60", cbor_head(5, huge)),
        ("a list of 2^60", cbor_member("Records", &cbor_head(4, huge))),
        ("bytes of 2^60", cbor_member("Data", &cbor_head(2, huge))),
        ("a text of 2^60", cbor_member("StreamName", &cbor_head(3, huge))),
        ("a text of 2^64 - 1", cbor_member("StreamName", &cbor_head(3, u64::MAX))),
        ("a name of 2^60", [vec![0xa1], cbor_head(3, huge)].concat()),
        ("a list of 2^60 in one that there is not", cbor_member("Unknown", &cbor_head(4, huge))),
        ("a map that never ends", [vec![0xbf], b"\x61a\x00".repeat(LARGE / 3)].concat()),
        ("pieces that never end", cbor_member("Data", &[vec![0x5f], vec![0x40; LARGE]].concat())),
        ("a break alone", vec![0xff]),
        ("reserved", vec![0x1c; 100]),
        ("a list", vec![0x80]),
        ("two maps", vec![0xa0, 0xa0]),
        ("JSON", b"{}".to_vec()),
        ("zeros", vec![0; LARGE]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_bodies_are_refused_before_anybody_asks_who_sent_them() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http1(address, &ground.key).await;
    for (content_type, body) in [(JSON, b"{}".to_vec()), (CBOR, vec![0xa0])] {
        let request = asker.signed("ListStreams", content_type, body);
        let answer = asker.send(request).await;
        assert!(answer.status == 200 && answer.headers["content-type"] == content_type, "{answer:?}");
    }
    for (content_type, bodies) in [(JSON, malformed_json()), (CBOR, malformed_cbor())] {
        for (what, body) in bodies {
            for operation in ["PutRecords", "DescribeStream"] {
                // Unsigned, and so refused for nothing but its body.
                let answer = asker.send(call(address, operation, content_type, body.clone())).await;
                assert_eq!((answer.status, kind(&answer)), (400, Some("SerializationException")), "{what}: {answer:?}");
                assert_eq!(answer.headers["content-type"], content_type, "{what}");
            }
        }
        ground.unharmed(GROWTH_BYTES_MAX).await;
    }
    ground.end().await;
}

fn kind(answer: &Answer) -> Option<&str> {
    answer.headers.get("x-amzn-errortype")?.to_str().ok()
}

/// A body of the right form that the table refuses, and how.
struct Judged {
    what: &'static str,
    operation: &'static str,
    body: String,
    kind: &'static str,
    said: &'static str,
}

const VALIDATION: &str = "ValidationException";
const SERIALIZATION: &str = "SerializationException";

fn members(count: usize, value: &str) -> String {
    (0..count).map(|at| format!(r#""m{at}":{value}"#)).collect::<Vec<_>>().join(",")
}

fn judged() -> impl Iterator<Item = Judged> {
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let entry = r#"{"PartitionKey":"a","Data":""}"#;
    let rows = [
        (
            "records without number",
            "PutRecords",
            format!(r#"{{"StreamName":"target","Records":[{}]}}"#, list(entry, 300_000)),
            VALIDATION,
            "Member must have length less than or equal to 500",
        ),
        (
            "nulls without number",
            "PutRecords",
            format!(r#"{{"StreamName":"target","Records":[{}]}}"#, list("null", 3_000_000)),
            VALIDATION,
            "Member must have length less than or equal to 500",
        ),
        (
            "a name without end",
            "DescribeStream",
            format!(r#"{{"StreamName":"{}"}}"#, "a".repeat(LARGE)),
            VALIDATION,
            "Member must have length less than or equal to 128",
        ),
        (
            "a key without end",
            "PutRecord",
            format!(r#"{{"StreamName":"target","Data":"","PartitionKey":"{}"}}"#, "\u{e4}".repeat(LARGE / 2)),
            VALIDATION,
            "Member must have length less than or equal to 256",
        ),
        (
            "tags without number",
            "AddTagsToStream",
            format!(r#"{{"StreamName":"target","Tags":{{{}}}}}"#, members(300_000, r#""""#)),
            VALIDATION,
            "Member must have length less than or equal to",
        ),
        (
            "a number that is none",
            "PutRecord",
            r#"{"StreamName":1,"Data":"","PartitionKey":"a"}"#.to_owned(),
            SERIALIZATION,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
        ),
        (
            "data that is no Base64",
            "PutRecord",
            format!(r#"{{"StreamName":"target","Data":"{}","PartitionKey":"a"}}"#, "?".repeat(LARGE)),
            SERIALIZATION,
            "",
        ),
        (
            "too deep for its place",
            "PutRecord",
            r#"{"StreamName":{"a":1},"Data":"","PartitionKey":"a"}"#.to_owned(),
            SERIALIZATION,
            "",
        ),
    ];
    rows.into_iter().map(|(what, operation, body, kind, said)| Judged { what, operation, body, kind, said })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_bodies_of_the_right_form_are_judged_by_the_table() {
    let ground = ground().await;
    let admin = ground.broker.client().await;
    let key = new_admin(&admin, "aws").await;
    let mut asker = Asker::http1(ground.broker.address(), &key).await;
    for Judged { what, operation, body, kind, said } in judged() {
        let request = asker.signed(operation, JSON, body.into_bytes());
        let message = asker.send(request).await.refusal(400, kind);
        assert!(message.contains(said), "{what}: {}", &message[..message.len().min(500)]);
        assert!(message.len() < 1 << 20, "{what} is repeated in {} bytes", message.len());
    }
    // What lies deep where the table has nothing is passed over, and where it has something else that is said.
    let request = asker.signed("ListStreams", JSON, format!(r#"{{"Unknown":{}}}"#, deep("[", "]")).into_bytes());
    assert_eq!(asker.send(request).await.status, 200);
    for nested in [deep("[", "]"), deep(r#"{"a":"#, "}").replace(":}", ":0}")] {
        let request = asker.signed("PutRecords", JSON, format!(r#"{{"Records":{nested}}}"#).into_bytes());
        assert!(!asker.send(request).await.refusal(400, SERIALIZATION).is_empty());
    }
    // Members that the table does not have are nobody's affair, however many.
    let request = asker.signed("ListStreams", JSON, format!("{{{}}}", members(600_000, "0")).into_bytes());
    let answer = asker.send(request).await;
    assert_eq!((answer.status, &answer.json()["HasMoreStreams"]), (200, &json!(false)));
    admin.close().await;
    ground.unharmed(LARGE_BODIES_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_content_types_methods_and_targets_are_refused_as_aws_refuses_them() {
    let ground = ground().await;
    let address = ground.broker.address();
    let mut asker = Asker::http1(address, &ground.key).await;
    type Change = fn(&mut SignedRequest);
    let set = |sent: &mut SignedRequest, at: usize, to: &str| sent.headers[at].1 = to.to_owned();
    let (denied, unknown, malformed) = ("AccessDeniedException", "UnknownOperationException", "SerializationException");
    let changes: [(&str, Change, u16, &str); 10] = [
        ("a form", |sent| sent.headers[1].1 = "application/x-www-form-urlencoded".to_owned(), 404, unknown),
        ("a text", |sent| sent.headers[1].1 = "text/plain".to_owned(), 404, unknown),
        ("JSON 1.0", |sent| sent.headers[1].1 = "application/x-amz-json-1.0".to_owned(), 404, unknown),
        ("no content type", |sent| drop(sent.headers.remove(1)), 404, unknown),
        ("JSON alone", |sent| sent.headers[1].1 = "application/json".to_owned(), 404, unknown),
        ("no target and no type", |sent| sent.headers.truncate(1), 403, denied),
        ("GET", |sent| sent.method = "GET".to_owned(), 403, denied),
        ("PUT", |sent| sent.method = "PUT".to_owned(), 403, denied),
        ("no body", |sent| sent.body.clear(), 400, malformed),
        ("another service", |sent| sent.headers[2].1 = "DynamoDB_20120810.ListTables".to_owned(), 400, unknown),
    ];
    for (what, change, status, named) in changes {
        let mut sent = call(address, "ListStreams", JSON, b"{}".to_vec());
        change(&mut sent);
        let answer = asker.send(sent).await;
        assert_eq!((answer.status, kind(&answer)), (status, Some(named)), "{what}: {answer:?}");
    }
    // Of the queues and channels of 2026, and of nothing at all.
    for operation in ["CreateQueue", "ReceiveRecords", "NoSuchThing", "", "ListStreams.ListStreams"] {
        let mut sent = call(address, "ListStreams", JSON, b"{}".to_vec());
        set(&mut sent, 2, &format!("Kinesis_20131202.{operation}"));
        let answer = asker.send(sent).await;
        let expected =
            if operation.starts_with("ListStreams") { "MissingAuthenticationTokenException" } else { unknown };
        assert_eq!((answer.status, kind(&answer)), (400, Some(expected)), "{operation}: {answer:?}");
    }
    // A body that is encoded is what it is: bytes that are no JSON.
    let mut sent = call(address, "ListStreams", JSON, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0".to_vec());
    sent.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(kind(&asker.send(sent).await), Some(malformed));
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}
