//! Signatures against those who make them, and refusals against AWS's texts.

mod mutations;
mod presence;
mod vectors;

use http::request::{Builder, Parts};

use super::*;

/// 2026-11-25T07:11:10Z.
const NOW_S: u64 = 1_795_590_670;
const KEY: &str = "RKABCDEFGHIJKLMNOPQR";
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJKL";
const BODY: &[u8] = br#"{"StreamName": "orders", "Data": "aGVsbG8=", "PartitionKey": "k"}"#;
const SCOPE: &str = "20261125/eu-west-1/kinesis/aws4_request";
/// What botocore 1.43 signs a PutRecord with for this key, time and scope.
const SIGNATURE: &str = "d9edc26ccbc2186958c0f01742f0c888aa20e1adfd930cd0de42866384005fc8";

/// A request as botocore 1.43 sends it.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    uri: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    now_s: u64,
}

fn put_record() -> Sent {
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-target";
    let authorization = format!("AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE}, {signed}, Signature={SIGNATURE}");
    let headers = [
        ("Host", "127.0.0.1:4567"),
        ("X-Amz-Target", "Kinesis_20131202.PutRecord"),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("User-Agent", "Botocore/1.43.11"),
        ("X-Amz-Date", "20261125T071110Z"),
        ("Authorization", &authorization),
        ("amz-sdk-invocation-id", "bc405d5d-33d7-460d-bd3f-4cd6619d2cc1"),
        ("amz-sdk-request", "attempt=1"),
        ("Content-Length", "65"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Sent { method: "POST", uri: "/".to_owned(), headers, body: BODY.to_vec(), now_s: NOW_S }
}

impl Sent {
    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let (_, value) = self.headers.iter_mut().find(|(found, _)| found == name).expect("it has that header");
        assert!(value.contains(from), "{value} has no {from}");
        *value = value.replace(from, to);
    }

    fn parts(&self) -> Parts {
        let headers = |builder: Builder, (name, value): &(String, String)| builder.header(name, value);
        let builder = Builder::new().method(self.method).uri(&self.uri);
        self.headers.iter().fold(builder, headers).body(()).expect("it is a request").into_parts().0
    }

    fn verify(&self) -> Result<Signed, Error> {
        let parts = self.parts();
        let known = |key_id: &str| (key_id == KEY).then(|| SigningSecret::new(SECRET));
        Claim::read(&parts)?.verify(&BodyDigest::of([&self.body[..]]), self.now_s, known)
    }
}

fn signed_in(region: &str) -> Result<Signed, Error> {
    Ok(Signed { key_id: KEY.to_owned(), region: Region::new(region).expect("it is one") })
}

#[test]
fn what_botocore_signs_is_proved() {
    assert_eq!(put_record().verify(), signed_in("eu-west-1"));

    let mut with_token = put_record();
    let signature = "1cf5031ed79395749965490e1331d7fffc1bd6956dc196a859c8cadbf69cf495";
    with_token.set("X-Amz-Security-Token", "the/token+=");
    with_token.replace("Authorization", "x-amz-date;", "x-amz-date;x-amz-security-token;");
    with_token.replace("Authorization", SIGNATURE, signature);
    assert_eq!(with_token.verify(), signed_in("eu-west-1"));
}

#[test]
fn a_date_header_and_the_query_form_of_botocore_are_proved() {
    let mut dated = put_record();
    let signed = "SignedHeaders=content-type;date;host;x-amz-target";
    let signature = "33746aaf348ea104381541a8fe35f77becbffa2704e5d5911a4cd1faa3fdac3c";
    let credential = format!("Credential={KEY}/20261125/us-gov-west-1/kinesis/aws4_request");
    dated.headers.retain(|(name, _)| name != "X-Amz-Date");
    dated.set("Date", "Wed, 25 Nov 2026 07:11:10 -0000");
    dated.set("X-Amz-Target", "Kinesis_20131202.DescribeStreamSummary");
    dated.set("Authorization", &format!("AWS4-HMAC-SHA256 {credential}, {signed}, Signature={signature}"));
    dated.body = br#"{"StreamName":"orders"}"#.to_vec();
    assert_eq!(dated.verify(), signed_in("us-gov-west-1"));

    let mut presigned = dated;
    presigned.headers.retain(|(name, _)| name != "Authorization" && name != "Date");
    presigned.uri = format!(
        "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20261125%2Fus-gov-west-1%2Fkinesis%2Faws4_request\
         &X-Amz-Date=20261125T071110Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-target\
         &X-Amz-Signature=b2077ee559a12763e7567a643145a37a777443501c8776dbf2abb968984cda4d"
    );
    presigned.body = Vec::new();
    assert_eq!(presigned.verify(), signed_in("us-gov-west-1"));
    presigned.now_s += 900;
    assert_eq!(presigned.verify(), signed_in("us-gov-west-1"));
    presigned.now_s += 1;
    let refusal = presigned.verify().expect_err("it asked for 900 seconds");
    let expired =
        "Signature expired: 20261125T071110Z is now earlier than 20261125T071111Z (20261125T072611Z - 15 min.)";
    assert_eq!((refusal.kind.name(), refusal.text()), ("InvalidSignatureException", expired));
}

#[test]
fn the_host_of_http_2_is_in_its_target() {
    let mut sent = put_record();
    sent.headers.retain(|(name, _)| name != "Host");
    sent.uri = "http://127.0.0.1:4567/".to_owned();
    assert_eq!(sent.verify(), signed_in("eu-west-1"));
    sent.uri = "http://127.0.0.1:4568/".to_owned();
    assert_eq!(sent.verify(), Err(mismatch()));
}

#[test]
fn the_host_may_be_signed_by_its_name_in_http_2() {
    let mut sent = put_record();
    sent.headers.retain(|(name, _)| name != "Host");
    sent.uri = "http://127.0.0.1:4567/".to_owned();
    sent.replace("Authorization", "content-type;host;", ":authority;content-type;");
    sent.replace("Authorization", SIGNATURE, "8f5eb7e07f52693fb072f60ebfe2ab36fd825bfa5c0f3ac20c07a8801f8ce6ce");
    assert_eq!(sent.verify(), signed_in("eu-west-1"));
    sent.uri = "http://127.0.0.1:4568/".to_owned();
    assert_eq!(sent.verify(), Err(mismatch()));
}

#[test]
fn what_is_not_signed_may_change_and_parts_stand_apart_in_any_way() {
    let mut sent = put_record();
    sent.set("User-Agent", "another");
    sent.set("amz-sdk-request", "attempt=2");
    assert_eq!(sent.verify(), signed_in("eu-west-1"));
    for between in [",", " ", "  ", ", ,", " , "] {
        let mut sent = put_record();
        sent.replace("Authorization", ", ", between);
        assert_eq!(sent.verify(), signed_in("eu-west-1"), "{between}");
    }
}

#[test]
fn the_clock_may_differ_by_five_minutes() {
    let at = |now_s| Sent { now_s, ..put_record() }.verify().map_err(|refusal| refusal.text().to_owned());
    assert!(at(NOW_S - 300).is_ok() && at(NOW_S + 300).is_ok());
    let expired =
        "Signature expired: 20261125T071110Z is now earlier than 20261125T071111Z (20261125T071611Z - 5 min.)";
    assert_eq!(at(NOW_S + 301), Err(expired.to_owned()));
    let early =
        "Signature not yet current: 20261125T071110Z is still later than 20261125T071109Z (20261125T070609Z + 5 min.)";
    assert_eq!(at(NOW_S - 301), Err(early.to_owned()));
    assert!(at(0).is_err() && at(u64::MAX).is_err());
}

#[test]
fn a_header_that_is_named_again_and_again_costs_its_value_once() {
    let mut sent = put_record();
    let names: Vec<_> = (0..8_192).map(|at| if at % 2 == 0 { "user-agent" } else { "User-agent" }).collect();
    let names = format!("host;x-amz-target;{}", names.join(";"));
    sent.set("User-Agent", &"a".repeat(32 << 10));
    let form = canonical::request(&sent.parts(), &names, &BodyDigest::of([]));
    assert!(form.len() < 4 * (names.len() + (32 << 10)), "{}", form.len());
    sent.replace("Authorization", "content-type;host;x-amz-date;x-amz-target", &names);
    assert_eq!(sent.verify(), Err(mismatch()));
}

#[test]
fn a_secret_is_never_shown() {
    let shown = format!("{:?} {:?}", SigningSecret::new(SECRET), Claim::read(&put_record().parts()));
    assert!(!shown.contains(SECRET), "{shown}");
}
