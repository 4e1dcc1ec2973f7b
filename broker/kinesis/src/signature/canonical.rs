//! The canonical form of a request: what its signature is over.
//!
//! ```text
//! method
//! path, dot segments and repeated slashes removed, encoded once more
//! query, without X-Amz-Signature: decoded, encoded, sorted
//! name:value of each signed header, lower case, blanks folded, several values joined by commas
//!
//! names of the signed headers
//! SHA-256 of the body
//! ```
//!
//! What must hold: it follows from the request and the names alone, and never fails: what a client
//! cannot have meant gives a text that nobody has signed. Memory is a small multiple of the request's head.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use http::request::Parts;
use ring::digest::{Context, SHA256};

/// The parameter that cannot sign itself.
const SIGNATURE: &str = "X-Amz-Signature";
/// How signers call the host: over HTTP/2, the AWS SDK for JavaScript calls it as HTTP/2 does.
pub(super) const HOST_NAMES: [&str; 2] = ["host", ":authority"];

/// The SHA-256 of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// The digest of a body that lies in these pieces.
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> BodyDigest {
        let mut context = Context::new(&SHA256);
        pieces.into_iter().for_each(|piece| context.update(piece));
        BodyDigest(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The canonical form, in bytes: header values need not be UTF-8.
pub(super) fn request(request: &Parts, signed_headers: &str, body: &BodyDigest) -> Vec<u8> {
    let query = canonical_query(request.uri.query().unwrap_or_default());
    let mut form = format!("{}\n{}\n{query}\n", request.method, canonical_path(request.uri.path())).into_bytes();
    let mut written = BTreeSet::new();
    for name in signed_headers.split(';') {
        form.extend_from_slice(name.as_bytes());
        form.push(b':');
        // No client names a header twice, and whoever did would have its value written as often.
        if written.insert(name.to_ascii_lowercase()) {
            write_values(&mut form, request, name);
        }
        form.push(b'\n');
    }
    form.extend_from_slice(format!("\n{signed_headers}\n{body}").as_bytes());
    form
}

/// The decoded names and values of a query, in its order.
pub(super) fn pairs(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn write_values(form: &mut Vec<u8>, request: &Parts, name: &str) {
    let values: Vec<&[u8]> = request.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    // HTTP/2 has the host in the target of a request. What it calls `:authority` is no header for us.
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let is_host = values.is_empty() && HOST_NAMES.contains(&name);
    let values = if is_host { authority.into_iter().collect() } else { values };
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            form.push(b',');
        }
        let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        form.extend_from_slice(words.next().unwrap_or_default());
        for word in words {
            form.push(b' ');
            form.extend_from_slice(word);
        }
    }
}

fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encode(segment.as_bytes())),
        }
    }
    let ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let slash = if ends_open && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

fn canonical_query(query: &str) -> String {
    let pairs = pairs(query).into_iter().filter(|(name, _)| name != SIGNATURE);
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (encode(name.as_bytes()), encode(value.as_bytes()))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-encodes all but `A-Z a-z 0-9 - . _ ~`.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Takes `%XX` and `+` for what they stand for. What is no UTF-8 then is replaced, which no client can have signed.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let coded = || after.first_chunk::<2>().and_then(|digits| hex::decode(digits).ok());
        match (*first, if *first == b'%' { coded() } else { None }) {
            (_, Some(byte)) => {
                bytes.extend_from_slice(&byte);
                rest = &after[2..];
            }
            (byte, None) => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
