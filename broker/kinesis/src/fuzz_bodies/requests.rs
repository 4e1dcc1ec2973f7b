//! The decoders of what a request says: JSON, CBOR, and the order in which a request is looked at.

use crate::codec::Encoding;
use crate::request::{Incoming, receive};
use crate::shapes::operations::{self, Output};
use crate::value::Structure;

/// A JSON body: a byte that chooses the operation, then the body.
pub fn json(data: &[u8]) {
    body(Encoding::Json, data);
}

/// A CBOR body: a byte that chooses the operation, then the body.
pub fn cbor(data: &[u8]) {
    body(Encoding::Cbor, data);
}

/// A whole request: method, content type and target, each up to a line's end, then the body.
pub fn http(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next().unwrap_or_default()).ok();
    let (method, content_type, target) = (line().unwrap_or("POST"), line(), line());
    match receive(&Incoming { method, content_type, target, body: parts.next().unwrap_or_default() }) {
        Ok(request) => drop(request.input()),
        Err(answer) => assert!(answer.status >= 400, "a refusal says so"),
    }
}

/// What is proved says the same when it is encoded, in either encoding, and decoded again.
fn body(encoding: Encoding, data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let operation = operations::all().cycle().nth(usize::from(*choice)).expect("the table is not empty");
    if let Ok(claim) = encoding.decode(operation.input, body)
        && let Ok(input) = claim.prove()
    {
        comes_back(&input);
    }
    if let Output::Body(members) = operation.output
        && let Ok(claim) = encoding.decode(members, body)
    {
        drop(claim.prove());
    }
}

/// Timestamps at the ends of time lose their last digits in JSON's floats, so only CBOR gives all back.
fn comes_back(input: &Structure) {
    let cbor = Encoding::Cbor.decode(input.members(), &Encoding::Cbor.encode(input));
    assert_eq!(cbor.expect("CBOR that was written is CBOR").prove().as_ref(), Ok(input));
    let json = Encoding::Json.decode(input.members(), &Encoding::Json.encode(input));
    assert!(json.expect("JSON that was written is JSON").prove().is_ok());
}
