//! One signed request, changed in every way that matters: each change is refused with AWS's error.

use super::*;

type Change = fn(&mut Sent);

const MISMATCH: &str = "InvalidSignatureException: The request signature we calculated does not match";
const UNKNOWN: &str = "UnrecognizedClientException: The security token included in the request is invalid.";
const SERVICE: &str = "InvalidSignatureException: Credential should be scoped to correct service: 'kinesis'.";
const DAY: &str = "InvalidSignatureException: Date in Credential scope does not match YYYYMMDD";
const DATE: &str = "IncompleteSignatureException: Date must be in ISO-8601 'basic format'.";
const ELEMENTS: &str = "IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements";
const ALGORITHM: &str = "IncompleteSignatureException: Unsupported AWS 'algorithm'";
const HOST: &str = "InvalidSignatureException: 'Host' or ':authority' must be a 'SignedHeader'";
const BOTH: &str = "InvalidSignatureException: Found both 'X-Amz-Algorithm'";
const REGION: &str = "InvalidSignatureException: Credential should be scoped to a valid region";

fn auth(sent: &mut Sent, from: &str, to: &str) {
    sent.replace("Authorization", from, to);
}

const CHANGES: &[(Change, &str)] = &[
    // What is signed.
    (|sent| sent.body.push(b' '), MISMATCH),
    (|sent| sent.body.truncate(0), MISMATCH),
    (|sent| sent.body[20] ^= 1, MISMATCH),
    (|sent| sent.method = "PUT", MISMATCH),
    (|sent| sent.uri = "/x".to_owned(), MISMATCH),
    (|sent| sent.uri = "/?a=b".to_owned(), MISMATCH),
    (|sent| sent.set("Host", "127.0.0.1:4568"), MISMATCH),
    (|sent| sent.headers.push(("Host".to_owned(), "127.0.0.1:4567".to_owned())), MISMATCH),
    (|sent| sent.headers.retain(|(name, _)| name != "Host"), MISMATCH),
    (|sent| sent.set("X-Amz-Target", "Kinesis_20131202.DeleteStream"), MISMATCH),
    (|sent| sent.headers.push(("X-Amz-Target".to_owned(), "Kinesis_20131202.DeleteStream".to_owned())), MISMATCH),
    (|sent| sent.headers.retain(|(name, _)| name != "X-Amz-Target"), MISMATCH),
    (|sent| sent.set("Content-Type", "application/x-amz-cbor-1.1"), MISMATCH),
    (|sent| sent.set("Content-Type", "Application/x-amz-json-1.1"), MISMATCH),
    (|sent| sent.set("X-Amz-Date", "20261125T071111Z"), MISMATCH),
    (|sent| sent.set("X-Amz-Date", "Wed, 25 Nov 2026 07:11:10 GMT"), MISMATCH),
    // The signature.
    (|sent| auth(sent, "Signature=d9", "Signature=d8"), MISMATCH),
    (|sent| auth(sent, "5fc8", "5fc9"), MISMATCH),
    (|sent| auth(sent, "5fc8", "5fc"), MISMATCH),
    (|sent| auth(sent, "5fc8", "5fc80"), MISMATCH),
    (|sent| auth(sent, "5fc8", "5fc800"), MISMATCH),
    (|sent| auth(sent, "5fc8", "5FC8"), MISMATCH),
    (|sent| auth(sent, SIGNATURE, "x"), MISMATCH),
    (|sent| auth(sent, SIGNATURE, "ö"), MISMATCH),
    (|sent| auth(sent, SIGNATURE, &"0".repeat(64)), MISMATCH),
    (|sent| auth(sent, "Signature=", "Signature=="), MISMATCH),
    (
        |sent| auth(sent, SIGNATURE, ""),
        "IncompleteSignatureException: Authorization header requires 'Signature' parameter.",
    ),
    (|sent| auth(sent, "5fc8", "5fc8, Signature=00"), MISMATCH),
    // The names of the signed headers.
    (|sent| auth(sent, "content-type;", ""), MISMATCH),
    (|sent| auth(sent, "content-type;host", "host;content-type"), MISMATCH),
    (|sent| auth(sent, "content-type;host", "content-type;content-type;host"), MISMATCH),
    (|sent| auth(sent, "host;", ""), HOST),
    (|sent| auth(sent, "host;", "Host;"), HOST),
    (|sent| auth(sent, "x-amz-date;", ""), MISMATCH),
    (|sent| auth(sent, "x-amz-target", "x-amz-target;user-agent"), MISMATCH),
    (|sent| auth(sent, ";x-amz-target", ""), "InvalidSignatureException: 'X-Amz-Target' must be a 'SignedHeader'"),
    (|sent| auth(sent, "x-amz-target", "x-amz-target;"), MISMATCH),
    // The credential.
    (|sent| auth(sent, KEY, "RKABCDEFGHIJKLMNOPQS"), UNKNOWN),
    (|sent| auth(sent, KEY, ""), UNKNOWN),
    (|sent| auth(sent, "eu-west-1", "eu-west-2"), MISMATCH),
    (|sent| auth(sent, "eu-west-1", ""), REGION),
    (|sent| auth(sent, "eu-west-1", "EU-WEST-1"), REGION),
    (|sent| auth(sent, "/kinesis/", "/dynamodb/"), SERVICE),
    (|sent| auth(sent, "/kinesis/", "//"), SERVICE),
    (
        |sent| auth(sent, "aws4_request", "aws5_request"),
        "InvalidSignatureException: Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
    ),
    (|sent| auth(sent, "/20261125/", "/20261124/"), DAY),
    (|sent| auth(sent, "/20261125/", "/2026112/"), DAY),
    (|sent| auth(sent, "/20261125/", "//"), DAY),
    (|sent| auth(sent, "/aws4_request", ""), ELEMENTS),
    (|sent| auth(sent, "/aws4_request", "/aws4_request/x"), ELEMENTS),
    // The algorithm, the date, and a second signature.
    (|sent| auth(sent, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), ALGORITHM),
    (|sent| auth(sent, "AWS4-HMAC-SHA256", "aws4-hmac-sha256"), ALGORITHM),
    (|sent| sent.set("X-Amz-Date", "2026-11-25T07:11:10Z"), DATE),
    (|sent| sent.set("X-Amz-Date", "20261125T071170Z"), DATE),
    (|sent| sent.set("X-Amz-Date", "20261126T071110Z"), DAY),
    (|sent| sent.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(), BOTH),
    (|sent| sent.now_s += 301, "InvalidSignatureException: Signature expired"),
    (|sent| sent.now_s -= 301, "InvalidSignatureException: Signature not yet current"),
    // A client that says that its body is not signed has signed another one.
    (
        |sent| {
            sent.set("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD");
            auth(sent, "host;", "host;x-amz-content-sha256;");
        },
        MISMATCH,
    ),
];

#[test]
fn every_change_of_a_signed_request_is_refused_with_awss_error() {
    for (at, (change, expected)) in CHANGES.iter().enumerate() {
        let mut sent = put_record();
        change(&mut sent);
        let refusal = sent.verify().expect_err("it was changed").to_string();
        assert!(refusal.starts_with(expected), "change {at}: {refusal}");
        assert!(!refusal.contains(SECRET));
    }
    assert!(CHANGES.len() >= 40 && put_record().verify().is_ok());
}

#[test]
fn every_bit_of_a_signature_counts() {
    for bit in 0..256 {
        let mut mac = hex::decode(SIGNATURE).expect("it is hexadecimal");
        mac[bit / 8] ^= 1 << (bit % 8);
        let mut sent = put_record();
        auth(&mut sent, SIGNATURE, &hex::encode(mac));
        assert_eq!(sent.verify(), Err(mismatch()), "bit {bit}");
    }
}

#[test]
fn a_lifetime_that_cannot_be_is_refused() {
    for (expires, why) in [("x", "should be a number"), ("-1", "should be a number"), ("604801", "less than a week")] {
        let mut sent = put_record();
        sent.headers.retain(|(name, _)| name != "Authorization");
        sent.uri = format!(
            "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}/{SCOPE}&X-Amz-Date=20261125T071110Z&\
             X-Amz-Expires={expires}&X-Amz-SignedHeaders=host;x-amz-target&X-Amz-Signature={SIGNATURE}"
        );
        let refusal = sent.verify().expect_err("no signature lives so long");
        assert!(refusal.kind.name() == "IncompleteSignatureException" && refusal.text().contains(why), "{refusal}");
    }
}
