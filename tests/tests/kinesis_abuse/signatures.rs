//! A signed request as it comes over the network, changed in every way that matters: each change is refused with AWS's
//! error, and what is the same request in other words is not.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use rheos_tests::http::http_send;
use rheos_tests::raw_client::Key;
use rheos_tests::signed_request::{Form, QUERY_EXPIRES_S, SignedRequest};
use serde_json::{Value, json};

use crate::face::{Asker, JSON, call, new_admin, new_key, signer, wire};
use crate::{GROWTH_BYTES_MAX, ground};
use rheos_client::protocol::message::{Access, KeyPolicy};

type Change = fn(&mut SignedRequest);

const MISMATCH: (&str, &str) = ("InvalidSignatureException", "does not match the signature you provided");
const INCOMPLETE: &str = "IncompleteSignatureException";
const INVALID: &str = "InvalidSignatureException";
const UNKNOWN: (&str, &str) = ("UnrecognizedClientException", "The security token included in the request is invalid.");
const UNKNOWN_OPERATION: (&str, &str) = ("UnknownOperationException", "");

/// The header of that name, which there is.
fn header<'a>(sent: &'a mut SignedRequest, name: &str) -> &'a mut String {
    let found = sent.headers.iter_mut().find(|(found, _)| found == name);
    &mut found.unwrap_or_else(|| panic!("{name} is not there")).1
}

fn without(sent: &mut SignedRequest, name: &str) {
    sent.headers.retain(|(found, _)| found != name);
}

fn again(sent: &mut SignedRequest, name: &str, value: &str) {
    sent.headers.push((name.to_owned(), value.to_owned()));
}

/// Changes the authorization.
fn authorization(sent: &mut SignedRequest, from: &str, to: &str) {
    let value = header(sent, "authorization");
    assert!(value.contains(from), "{from} is not in {value}");
    *value = value.replacen(from, to, 1);
}

/// Changes the query.
fn query(sent: &mut SignedRequest, from: &str, to: &str) {
    assert!(sent.target.contains(from), "{from} is not in {}", sent.target);
    sent.target = sent.target.replacen(from, to, 1);
}

/// The value of a part of the authorization, up to the next comma.
fn part(sent: &SignedRequest, name: &str) -> String {
    let (_, value) = sent.headers.iter().find(|(name, _)| name == "authorization").expect("it is signed");
    let from = value.find(name).expect("it has the part") + name.len();
    value[from..].split(',').next().expect("it has a value").to_owned()
}

fn set_part(sent: &mut SignedRequest, name: &str, to: &str) {
    let from = part(sent, name);
    authorization(sent, &format!("{name}{from}"), &format!("{name}{to}"));
}

/// Changes of a request whose signature is in its header.
const CHANGES: &[(Change, (&str, &str))] = &[
    (|sent| sent.body.push(b' '), MISMATCH),
    (|sent| sent.body[5] ^= 0x20, MISMATCH),
    (|sent| sent.body.splice(0..0, *b" ").for_each(drop), MISMATCH),
    (|sent| sent.target = "/x".to_owned(), MISMATCH),
    (|sent| sent.target = "/?a=b".to_owned(), MISMATCH),
    (|sent| sent.target = "/?StreamName=other".to_owned(), MISMATCH),
    (|sent| header(sent, "host").push('0'), MISMATCH),
    (|sent| *header(sent, "x-amz-target") = "Kinesis_20131202.DeleteStream".to_owned(), MISMATCH),
    (|sent| *header(sent, "x-amz-target") = "Kinesis_20131202.describeStreamSummary".to_owned(), UNKNOWN_OPERATION),
    (|sent| again(sent, "x-amz-target", "Kinesis_20131202.DeleteStream"), MISMATCH),
    (|sent| without(sent, "x-amz-target"), UNKNOWN_OPERATION),
    (|sent| *header(sent, "content-type") = "application/x-amz-json-1.1; charset=utf-8".to_owned(), MISMATCH),
    (|sent| again(sent, "content-type", "application/x-amz-json-1.1"), MISMATCH),
    (|sent| *header(sent, "x-amz-date") = "20261125T000000Z".to_owned(), (INVALID, "")),
    (
        |sent| *header(sent, "x-amz-date") = "yesterday".to_owned(),
        (INCOMPLETE, "Date must be in ISO-8601 'basic format'. Got 'yesterday'."),
    ),
    (|sent| again(sent, "x-amz-date", "20261125T000000Z"), MISMATCH),
    (
        |sent| without(sent, "x-amz-date"),
        (INCOMPLETE, "requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization="),
    ),
    (|sent| without(sent, "authorization"), ("MissingAuthenticationTokenException", "Missing Authentication Token")),
    (
        |sent| header(sent, "authorization").clear(),
        ("MissingAuthenticationTokenException", "Missing Authentication Token"),
    ),
    (
        |sent| authorization(sent, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        (INCOMPLETE, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'."),
    ),
    (|sent| authorization(sent, "AWS4-HMAC-SHA256 ", ""), (INCOMPLETE, "")),
    (
        |sent| authorization(sent, "Credential=", "credential="),
        (INCOMPLETE, "requires 'Credential' parameter. Authorization="),
    ),
    (
        |sent| authorization(sent, "SignedHeaders=", "Signed="),
        (INCOMPLETE, "requires 'SignedHeaders' parameter. Authorization="),
    ),
    (|sent| authorization(sent, "Signature=", "Sig="), (INCOMPLETE, "requires 'Signature' parameter. Authorization=")),
    (
        |sent| authorization(sent, "Signature=", "x, Signature="),
        (INCOMPLETE, "'x' not a valid key=value pair (missing equal-sign) in Authorization header"),
    ),
    (|sent| set_part(sent, "Signature=", &"0".repeat(64)), MISMATCH),
    (
        |sent| {
            let upper = part(sent, "Signature=").to_uppercase();
            set_part(sent, "Signature=", &upper);
        },
        MISMATCH,
    ),
    (
        |sent| {
            let cut = part(sent, "Signature=")[1..].to_owned();
            set_part(sent, "Signature=", &cut);
        },
        MISMATCH,
    ),
    (
        |sent| {
            let more = part(sent, "Signature=") + "0";
            set_part(sent, "Signature=", &more);
        },
        MISMATCH,
    ),
    (|sent| header(sent, "authorization").push_str(", Signature=00"), MISMATCH),
    (
        |sent| header(sent, "authorization").push_str(", SignedHeaders=host"),
        (INVALID, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."),
    ),
    (
        |sent| header(sent, "authorization").push_str(", Credential=a/b/c/d/e"),
        (INVALID, "Credential should be scoped to"),
    ),
    (|sent| authorization(sent, "content-type;", ""), MISMATCH),
    (|sent| authorization(sent, "content-type;host", "host;content-type"), MISMATCH),
    (
        |sent| authorization(sent, "host;", ""),
        (INVALID, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."),
    ),
    (
        |sent| authorization(sent, ";x-amz-target", ""),
        (INVALID, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."),
    ),
    (|sent| authorization(sent, "x-amz-target", "x-amz-target;x-unsent"), MISMATCH),
    (|sent| authorization(sent, "Credential=RK", "Credential=RX"), UNKNOWN),
    (|sent| authorization(sent, "/us-east-1/", "/us-east-2/"), MISMATCH),
    (
        |sent| authorization(sent, "/us-east-1/", "/nowhere!/"),
        (INVALID, "Credential should be scoped to a valid region, not 'nowhere!'."),
    ),
    (
        |sent| authorization(sent, "/kinesis/", "/dynamodb/"),
        (INVALID, "Credential should be scoped to correct service: 'kinesis'."),
    ),
    (
        |sent| authorization(sent, "aws4_request", "aws3_request"),
        (INVALID, "valid terminator: 'aws4_request', not 'aws3_request'."),
    ),
    (|sent| authorization(sent, "/aws4_request", ""), (INCOMPLETE, "exactly 5 slash-delimited elements")),
    (|sent| authorization(sent, "/20", "/19"), (INVALID, "Date in Credential scope does not match YYYYMMDD")),
    (
        |sent| sent.target = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
        (INVALID, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."),
    ),
];

/// Changes of one whose signature is in its query.
const CHANGES_OF_QUERY: &[(Change, (&str, &str))] = &[
    (|sent| sent.body.push(b' '), MISMATCH),
    (
        |sent| query(sent, "X-Amz-Signature=", "X-Amz-Sig="),
        (INCOMPLETE, "must include 'X-Amz-Signature'. Re-examine the query-string parameters."),
    ),
    (|sent| query(sent, "X-Amz-Credential=", "X-Amz-Cred="), (INCOMPLETE, "must include 'X-Amz-Credential'.")),
    (|sent| query(sent, "X-Amz-SignedHeaders=", "X-Amz-Signed="), (INCOMPLETE, "must include 'X-Amz-SignedHeaders'.")),
    (|sent| query(sent, "X-Amz-Date=", "X-Amz-Day="), (INCOMPLETE, "must include 'X-Amz-Date'.")),
    (
        |sent| query(sent, "X-Amz-Algorithm=", "X-Amz-Algo="),
        ("MissingAuthenticationTokenException", "Missing Authentication Token"),
    ),
    (|sent| query(sent, "X-Amz-Expires=", "X-Amz-Expires=99999"), (INCOMPLETE, "X-Amz-Expires")),
    (|sent| query(sent, "X-Amz-Expires=%36", "X-Amz-Expires=%37"), MISMATCH),
    (|sent| sent.target.push_str("&X-Amz-Signature=00"), MISMATCH),
    (|sent| sent.target.push_str("&X-Amz-Date=20261125T000000Z"), (INVALID, "")),
    (|sent| sent.target.push_str("&a=b"), MISMATCH),
    (|sent| without(sent, "x-amz-target"), UNKNOWN_OPERATION),
    (|sent| *header(sent, "x-amz-target") = "Kinesis_20131202.DeleteStream".to_owned(), MISMATCH),
    (|sent| again(sent, "authorization", "AWS4-HMAC-SHA256 Credential=a"), (INVALID, "Found both")),
];

/// Other words for the same.
const SAME: &[Change] = &[
    |_| {},
    |sent| sent.headers.reverse(),
    |sent| header(sent, "x-amz-target").insert_str(0, "   "),
    |sent| header(sent, "content-type").push_str("  \t "),
    |sent| again(sent, "x-not-signed", "whatever"),
    |sent| sent.target = "//./x/..".to_owned(),
];

fn same_in_header(sent: &mut SignedRequest) {
    *header(sent, "authorization") = header(sent, "authorization").replace(", ", ",");
}

fn summary(address: SocketAddr) -> SignedRequest {
    call(address, "DescribeStreamSummary", JSON, json!({"StreamName": "target"}).to_string().into_bytes())
}

/// How a request is answered: its status, the kind of a refusal, and what is said.
async fn answered(address: SocketAddr, request: &SignedRequest) -> (u16, String, String) {
    let answer = http_send(address, &wire(request, true)).await.expect("it is answered");
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?} is no JSON"));
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let kind = text("__type");
    assert!(kind.is_empty() || answer.head.contains(&format!("x-amzn-errortype: {kind}")), "{answer:?}");
    (answer.status, kind, text("message"))
}

async fn assert_refused(address: SocketAddr, request: &SignedRequest, expected: (&str, &str), what: &str) {
    let (status, kind, message) = answered(address, request).await;
    assert_eq!((status, kind.as_str()), (400, expected.0), "{what}: {message}, {request:?}");
    assert!(message.contains(expected.1), "{what}: {message}");
}

async fn assert_taken(address: SocketAddr, request: &SignedRequest, what: &str) {
    let (status, kind, message) = answered(address, request).await;
    assert_eq!((status, kind.as_str()), (200, ""), "{what}: {message}, {request:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_signed_request_is_refused_and_nothing_else_is() {
    let ground = ground().await;
    let address = ground.broker.address();
    for (form, changes) in [(Form::Header, CHANGES), (Form::Query, CHANGES_OF_QUERY)] {
        let signed = || signer(&ground.key).sign(summary(address), form, SystemTime::now());
        for (at, (change, expected)) in changes.iter().enumerate() {
            let mut sent = signed();
            change(&mut sent);
            assert_refused(address, &sent, *expected, &format!("{form:?}, change {at}")).await;
        }
        for (at, change) in SAME.iter().enumerate().filter(|(at, _)| form == Form::Header || *at < 5) {
            let mut sent = signed();
            change(&mut sent);
            assert_taken(address, &sent, &format!("{form:?}, other words {at}")).await;
        }
    }
    let mut sent = signer(&ground.key).sign(summary(address), Form::Header, SystemTime::now());
    same_in_header(&mut sent);
    assert_taken(address, &sent, "commas without blanks").await;
    assert!(CHANGES.len() + CHANGES_OF_QUERY.len() >= 40);
    ground.unharmed(GROWTH_BYTES_MAX).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_good_for_five_minutes_either_way_and_for_its_scope() {
    let ground = ground().await;
    let address = ground.broker.address();
    let (now, second) = (SystemTime::now(), Duration::from_secs(1));
    let right = signer(&ground.key);
    let (old, early) = ((INVALID, "Signature expired: "), (INVALID, "Signature not yet current: "));
    let (slack, query_s) = (20, QUERY_EXPIRES_S as u32);
    for (form, at, expected) in [
        (Form::Header, now - (300 + slack) * second, Some(old)),
        (Form::Header, now - (300 - slack) * second, None),
        (Form::Header, now + (300 + slack) * second, Some(early)),
        (Form::Header, now + (300 - slack) * second, None),
        (Form::Query, now - (query_s + slack) * second, Some(old)),
        (Form::Query, now - (query_s - slack) * second, None),
        (Form::Query, now + (300 + slack) * second, Some(early)),
    ] {
        let sent = right.sign(summary(address), form, at);
        match expected {
            Some(expected) => assert_refused(address, &sent, expected, &format!("{form:?} at {at:?}")).await,
            None => assert_taken(address, &sent, &format!("{form:?} at {at:?}")).await,
        }
    }
    // Signed for another service, rightly; with another secret; with another key's secret.
    let other = rheos_tests::signed_request::Signer { service: "firehose", ..right };
    let service = (INVALID, "Credential should be scoped to correct service: 'kinesis'.");
    assert_refused(address, &other.sign(summary(address), Form::Header, now), service, "service").await;
    let wrong = Key(ground.key.0.clone(), format!("{}x", ground.key.1));
    assert_refused(address, &signer(&wrong).sign(summary(address), Form::Header, now), MISMATCH, "secret").await;
    // A region that is signed for is another region: its streams are others.
    let elsewhere = rheos_tests::signed_request::Signer { region: "eu-central-1", ..right };
    let (status, kind, message) = answered(address, &elsewhere.sign(summary(address), Form::Header, now)).await;
    let here = answered(address, &right.sign(summary(address), Form::Header, now)).await;
    assert_eq!(here.0, 200);
    assert!(status == 400 && kind == "ResourceNotFoundException", "{message}");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_on_connections_that_it_has_used() {
    let ground = ground().await;
    let address = ground.broker.address();
    let admin = ground.broker.client().await;
    let key = new_key(&admin, "short", KeyPolicy::everywhere(Access::ReadWrite)).await;
    let mut askers = [Asker::http1(address, &key).await, Asker::http2(address, &key).await];
    for asker in &mut askers {
        asker.arn("target").await;
    }
    let other = new_admin(&admin, "other").await;
    admin.revoke_key("short").await.expect("it is there");
    for asker in &mut askers {
        let said = asker.refused("DescribeStreamSummary", &json!({"StreamName": "target"}), UNKNOWN.0).await;
        assert_eq!(said, UNKNOWN.1);
        let record = json!({"StreamName": "target", "PartitionKey": "a", "Data": "AAAA"});
        assert_eq!(asker.refused("PutRecord", &record, UNKNOWN.0).await, UNKNOWN.1);
    }
    let records = Asker::http1(address, &other).await.read_all("target", 0).await;
    assert_eq!(records, Vec::<Value>::new());
    admin.close().await;
    ground.end().await;
}
