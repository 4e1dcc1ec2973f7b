//! The order in which requests are looked at, and the exact answers to those that are refused.

use rheos_kinesis::answer::Answer;
use rheos_kinesis::codec::Encoding::{Cbor, Json};
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::limits::BODY_BYTES_MAX;
use rheos_kinesis::request::{Incoming, receive};
use rheos_kinesis::shapes::operations;

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const PLAIN: &str = "application/json";
const KNOWN: &str = "Kinesis_20131202.ListStreams";
const UNKNOWN: &str = "Kinesis_20131202.ListQueues";

const DENIED: &[u8] = b"<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n";
const NOT_FOUND: &[u8] = b"<UnknownOperationException/>\n";
const SERIALIZATION_JSON: &[u8] = br#"{"__type":"SerializationException"}"#;
const SERIALIZATION_CBOR: &[u8] = b"\xa1\x66__type\x76SerializationException";
const UNKNOWN_JSON: &[u8] = br#"{"__type":"UnknownOperationException"}"#;
const UNKNOWN_CBOR: &[u8] = b"\xa1\x66__type\x78\x19UnknownOperationException";
const WRAPPED_SERIALIZATION: &[u8] =
    br#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#;
const WRAPPED_UNKNOWN: &[u8] =
    br#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;

/// Method, content type, target and body; then status, content type and body of the answer.
type Case =
    (&'static str, Option<&'static str>, Option<&'static str>, &'static [u8], u16, Option<&'static str>, &'static [u8]);

const REFUSED: &[Case] = &[
    // The method, before everything else.
    ("GET", None, None, b"", 403, None, DENIED),
    ("PUT", Some(JSON), Some(KNOWN), b"{}", 403, None, DENIED),
    ("OPTIONS", Some(JSON), Some(KNOWN), b"{}", 403, None, DENIED),
    ("post", Some(JSON), Some(KNOWN), b"{}", 403, None, DENIED),
    // An empty body, before the content type.
    ("POST", None, None, b"", 400, Some(CBOR), UNKNOWN_CBOR),
    ("POST", Some("text/plain"), Some(KNOWN), b"", 400, Some(CBOR), SERIALIZATION_CBOR),
    ("POST", Some(PLAIN), Some(KNOWN), b"", 400, Some(CBOR), SERIALIZATION_CBOR),
    ("POST", Some(CBOR), Some(UNKNOWN), b"", 400, Some(CBOR), UNKNOWN_CBOR),
    ("POST", Some(JSON), Some(UNKNOWN), b"", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(JSON), Some(KNOWN), b"", 400, Some(JSON), SERIALIZATION_JSON),
    // The content type, before the body.
    ("POST", None, None, b"{}", 403, None, DENIED),
    ("POST", Some("text/plain"), Some("Kinesis_20131202"), b"{}", 403, None, DENIED),
    ("POST", Some("text/plain"), Some(".ListStreams"), b"{}", 403, None, DENIED),
    ("POST", Some("text/plain"), Some("Other.Thing"), b"x", 404, None, NOT_FOUND),
    ("POST", Some("application/x-amz-json-1.0"), Some(KNOWN), b"{}", 404, None, NOT_FOUND),
    ("POST", Some("application/cbor"), Some(KNOWN), b"\xa0", 404, None, NOT_FOUND),
    // The body, before the target.
    ("POST", Some(JSON), None, b"hello", 400, Some(JSON), SERIALIZATION_JSON),
    ("POST", Some(JSON), Some(UNKNOWN), b"[]", 400, Some(JSON), SERIALIZATION_JSON),
    ("POST", Some(JSON), Some(KNOWN), b"null", 400, Some(JSON), SERIALIZATION_JSON),
    ("POST", Some(CBOR), Some(KNOWN), b"{}", 400, Some(CBOR), SERIALIZATION_CBOR),
    ("POST", Some(PLAIN), Some(KNOWN), b"{", 400, Some(PLAIN), WRAPPED_SERIALIZATION),
    ("POST", Some(PLAIN), None, b"3", 400, Some(PLAIN), WRAPPED_SERIALIZATION),
    ("POST", Some(PLAIN), Some(KNOWN), b"{}", 404, Some(PLAIN), WRAPPED_UNKNOWN),
    ("POST", Some(PLAIN), None, b"{}", 404, Some(PLAIN), WRAPPED_UNKNOWN),
    // The target.
    ("POST", Some(JSON), None, b"{}", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(JSON), Some(""), b"{}", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(JSON), Some("ListStreams"), b"{}", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(JSON), Some("Kinesis_20131201.ListStreams"), b"{}", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(JSON), Some("Kinesis_20131202.liststreams"), b"{}", 400, Some(JSON), UNKNOWN_JSON),
    ("POST", Some(CBOR), Some(UNKNOWN), b"\xa0", 400, Some(CBOR), UNKNOWN_CBOR),
];

#[test]
fn refusals_come_in_awss_order() {
    for &(method, content_type, target, body, status, answered_type, answer) in REFUSED {
        let case = format!("{method} {content_type:?} {target:?} {:?}", String::from_utf8_lossy(body));
        let refused = receive(&Incoming { method, content_type, target, body }).expect_err(&case);
        let Answer { status: told, content_type: told_type, error_type, body: told_body } = refused;
        let (told_text, text) = (String::from_utf8_lossy(&told_body), String::from_utf8_lossy(answer));
        assert_eq!((told, told_type, told_text), (status, answered_type, text), "{case}");
        let name = error_type.expect("every refusal with a body has a name");
        assert!(String::from_utf8_lossy(answer).contains(name), "{case}: {name}");
    }
}

#[test]
fn a_byte_more_than_the_most_is_too_large() {
    let mut body = b"{}".to_vec();
    body.resize(BODY_BYTES_MAX, b' ');
    assert!(receive(&call(JSON, &body)).is_ok());
    body.push(b' ');
    let refused = receive(&call(JSON, &body)).unwrap_err();
    assert_eq!(refused, Answer { status: 413, content_type: None, error_type: None, body: Vec::new() });
}

#[test]
fn every_operation_is_received_in_both_encodings() {
    for operation in operations::all() {
        let target = format!("Kinesis_20131202.{}", operation.name);
        for (content_type, body, encoding) in [
            (JSON, &b"{}"[..], Json),
            ("application/x-amz-json-1.1; charset=utf-8", b" {} ", Json),
            (" Application/X-Amz-Cbor-1.1 ;a=b", b"\xa0", Cbor),
        ] {
            let incoming = Incoming { target: Some(&target), ..call(content_type, body) };
            let request = receive(&incoming).expect(operation.name);
            assert!(std::ptr::eq(request.operation, operation));
            assert_eq!(request.encoding, encoding);
            let missing = operation.input.iter().filter(|member| member.required).count();
            match request.input() {
                Ok(_) => assert_eq!(missing, 0, "{}", operation.name),
                Err(refused) => {
                    assert_eq!(refused.kind, ErrorKind::Validation);
                    let told = refused.message.unwrap_or_default().matches("Member must not be null").count();
                    assert_eq!(told, missing, "{}", operation.name);
                }
            }
        }
    }
}

/// Whether a stranger calls or not is looked at before the members: so `receive` says nothing of them.
#[test]
fn members_are_looked_at_after_the_signature() {
    for body in [&br#"{"Limit":"x"}"#[..], br#"{"Limit":0}"#] {
        let request = receive(&call(JSON, body)).expect("only the members are wrong");
        assert!(request.input().is_err());
    }
}

#[test]
fn errors_are_written_in_the_encoding_of_the_request() {
    let gone = Error::new(ErrorKind::ResourceNotFound, "Stream s under account 000000000000 not found.");
    let json = gone.answer(Json);
    assert_eq!((json.status, json.content_type, json.error_type), (400, Some(JSON), Some("ResourceNotFoundException")));
    let text = r#"{"__type":"ResourceNotFoundException","message":"Stream s under account 000000000000 not found."}"#;
    assert_eq!(json.body, text.as_bytes());

    let type_error = Error::new(ErrorKind::Serialization, "Expected null");
    assert_eq!(type_error.answer(Json).body, br#"{"__type":"SerializationException","Message":"Expected null"}"#);
    let cbor = type_error.answer(Cbor);
    assert_eq!(cbor.content_type, Some(CBOR));
    assert_eq!(cbor.body, b"\xa2\x66__type\x76SerializationException\x67Message\x6dExpected null");

    assert_eq!(Error::bare(ErrorKind::InternalFailure).answer(Json).status, 500);
}

#[test]
fn error_names_are_told_apart() {
    let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), ErrorKind::ALL.len());
}

#[test]
fn success_without_output_has_no_byte() {
    for (encoding, content_type) in [(Json, JSON), (Cbor, CBOR)] {
        let answer = Answer::success(encoding, None);
        assert_eq!((answer.status, answer.content_type, answer.body.len()), (200, Some(content_type), 0));
    }
    let output = operations::find("GetResourcePolicy").unwrap().answer().with("Policy", "{}");
    assert_eq!(Answer::success(Json, Some(&output)).body, br#"{"Policy":"{}"}"#);
}

fn call<'a>(content_type: &'a str, body: &'a [u8]) -> Incoming<'a> {
    Incoming { method: "POST", content_type: Some(content_type), target: Some(KNOWN), body }
}
