//! Requests of every shape, signed by the aws-sigv4 crate and checked here.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use super::*;

const METHODS: &[&str] = &["POST", "GET", "PUT", "DELETE", "OPTIONS"];
const SEGMENTS: &[&str] =
    &["", "a", ".", "..", "%41", "%2F", "%20x", "a~b_c-d.e", "@connections", "%e1%88%b4", "a:b", "x*y", "!$'()"];
const NAMES: &[&str] = &["a", "b", "X-Amz-Foo", "%41", "a%20b", "%E1%88%B4", "-._~", "a+b", "a/b", "a:b"];
const VALUES: &[&str] = &["", "1", "x y", "%2f", "%2B", "+", "a%20b", "~", "%C3%A4", "a=b", "=", "%25", "a,b;c"];
const HEADERS: &[&str] = &["Content-Type", "X-Amz-Target", "x-custom", "X-Amz-Security-Token", "cache-control", "Zz"];
const TEXTS: &[&str] =
    &["a", "A  b   c", " lead and trail ", "\"q   q\"", "1,2", "a=b; c", "", "Kinesis_20131202.PutRecord"];

/// A xorshift: the same requests on every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn request(&mut self) -> Sent {
        let path: String = (0..=self.below(4)).map(|_| format!("/{}", self.of(SEGMENTS))).collect();
        let query: Vec<_> = (0..self.below(4)).map(|_| (self.of(NAMES), self.of(VALUES))).collect();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "%20"))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut headers = vec![("host".to_owned(), "127.0.0.1:4567".to_owned())];
        for _ in 0..self.below(6) {
            headers.push((self.of(HEADERS).to_owned(), self.of(TEXTS).to_owned()));
        }
        let body = (0..self.below(200)).map(|_| self.below(256) as u8).collect();
        Sent {
            method: METHODS[self.below(METHODS.len())],
            uri: format!("{path}{mark}{}", query.join("&")),
            headers,
            body,
            now_s: NOW_S,
        }
    }
}

/// Signs a request as a client of the crate does.
fn signed(mut sent: Sent, location: SignatureLocation) -> Sent {
    let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    settings.expires_in = (location == SignatureLocation::QueryParams).then_some(Duration::from_secs(600));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S);
    let params = SigningParams::builder().identity(&identity).region("eu-west-1").name("kinesis").time(time);
    let params = params.settings(settings).build().expect("nothing is left out").into();
    let uri = format!("http://127.0.0.1:4567{}", sent.uri);
    let headers = sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request =
        SignableRequest::new(sent.method, uri, headers, SignableBody::Bytes(&sent.body)).expect("it is a request");
    let (instructions, _) = sign(request, &params).expect("it can be signed").into_parts();
    let (added, in_query) = instructions.into_parts();
    sent.headers.extend(added.iter().map(|header| (header.name().to_owned(), header.value().to_owned())));
    for (name, value) in in_query {
        let mark = if sent.uri.contains('?') { '&' } else { '?' };
        let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        sent.uri = format!("{}{mark}{name}={value}", sent.uri);
    }
    sent
}

fn check(location: SignatureLocation) {
    let mut draw = Draw(0x5eed_0fa_c1a1 + location as u64);
    for round in 0..2_000 {
        let sent = signed(draw.request(), location);
        let shown = format!("round {round}: {} {} {:?}", sent.method, sent.uri, sent.headers);
        assert_eq!(sent.verify(), signed_in("eu-west-1"), "{shown}");
        let mut edited = sent;
        edited.body.push(0);
        assert_eq!(edited.verify(), Err(mismatch()), "{shown}");
    }
}

#[test]
fn what_aws_sigv4_signs_in_a_header_is_proved() {
    check(SignatureLocation::Headers);
}

#[test]
fn what_aws_sigv4_signs_in_a_query_is_proved() {
    check(SignatureLocation::QueryParams);
}
