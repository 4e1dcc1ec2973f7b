//! Requests of every shape, signed by the aws-sigv4 crate and proved by the face.

use std::time::{Duration, SystemTime};

use http::request::{Builder, Parts};
use rheos_kinesis::signature::{BodyDigest, Claim, SigningSecret};

use crate::signed_request::{Form, SignedRequest, Signer};

const METHODS: &[&str] = &["POST", "GET", "PUT", "DELETE", "OPTIONS"];
const SEGMENTS: &[&str] =
    &["", "a", ".", "..", "%41", "%2F", "%20x", "a~b_c-d.e", "@connections", "%e1%88%b4", "a:b", "x*y", "!$'()"];
const NAMES: &[&str] = &["a", "b", "X-Amz-Foo", "%41", "a%20b", "%E1%88%B4", "-._~", "a+b", "a/b", "a:b"];
const VALUES: &[&str] = &["", "1", "x%20y", "%2f", "%2B", "+", "a%20b", "~", "%C3%A4", "a=b", "=", "%25", "a,b;c"];
const HEADERS: &[&str] = &["Content-Type", "X-Amz-Target", "x-custom", "X-Amz-Security-Token", "cache-control", "Zz"];
const TEXTS: &[&str] =
    &["a", "A  b   c", " lead and trail ", "\"q   q\"", "1,2", "a=b; c", "", "Kinesis_20131202.PutRecord"];

const KEY: &str = "RKABCDEFGHIJKLMNOPQR";
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJKL";
/// 2026-11-25T07:11:10Z.
const NOW_S: u64 = 1_795_590_670;

/// The bytes choose a request; whatever is chosen is proved, and refused with another body.
pub fn signed(data: &[u8]) {
    let mut choices = Choices(data);
    let form = if choices.below(2) == 0 { Form::Header } else { Form::Query };
    let signer = Signer { id: KEY, secret: SECRET, region: "eu-west-1", service: "kinesis" };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S);
    let sent = signer.sign(chosen(&mut choices), form, at);
    let parts = parts(&sent);
    let claim = Claim::read(&parts).expect("the crate leaves nothing out");
    let verify = |body: &[u8]| {
        let known = |key_id: &str| (key_id == KEY).then(|| SigningSecret::new(SECRET));
        claim.verify(&BodyDigest::of([body]), NOW_S, known)
    };
    let proved = verify(&sent.body).unwrap_or_else(|refusal| panic!("{refusal}: {sent:?}"));
    assert_eq!((proved.key_id.as_str(), proved.region.as_str()), (KEY, "eu-west-1"));
    let refusal = verify(&[&sent.body[..], b"."].concat()).expect_err("another body was signed");
    assert_eq!(refusal.kind.name(), "InvalidSignatureException");
}

/// Numbers from the front of the data, zeros after its end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first) % end
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn chosen(choices: &mut Choices<'_>) -> SignedRequest {
    let method = choices.of(METHODS).to_owned();
    let path: String = (0..=choices.below(4)).map(|_| format!("/{}", choices.of(SEGMENTS))).collect();
    let query: Vec<_> =
        (0..choices.below(4)).map(|_| format!("{}={}", choices.of(NAMES), choices.of(VALUES))).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut headers = vec![("host".to_owned(), "127.0.0.1:4567".to_owned())];
    headers.extend((0..choices.below(6)).map(|_| (choices.of(HEADERS).to_owned(), choices.of(TEXTS).to_owned())));
    let body = choices.0[..choices.0.len().min(4096)].to_vec();
    SignedRequest { method, target: format!("{path}{mark}{}", query.join("&")), headers, body }
}

fn parts(request: &SignedRequest) -> Parts {
    let header = |builder: Builder, (name, value): &(String, String)| builder.header(name, value);
    let builder = Builder::new().method(request.method.as_str()).uri(&request.target);
    request.headers.iter().fold(builder, header).body(()).expect("it is a request").into_parts().0
}
