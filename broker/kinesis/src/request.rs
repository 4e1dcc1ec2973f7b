//! From an HTTP request to an operation with its input, or to the exact answer that refuses it.
//!
//! AWS looks at things in this order, and so do these functions:
//!
//! | # | what | refused with |
//! |---|---|---|
//! | 1 | the body's size | 413, empty |
//! | 2 | the method is POST | 403, XML |
//! | 3 | there is a body | 400, SerializationException, or UnknownOperationException where the target is none |
//! | 4 | the content type is one of three | 404, XML; 403, XML without a target |
//! | 5 | the body is an object | 400, SerializationException, in a wrapper for `application/json` |
//! | 6 | the content type is not `application/json` | 404, UnknownOperationException in that wrapper |
//! | 7 | the target names an operation | 400, UnknownOperationException |
//! | 8 | the signature | the caller's affair, between [`receive`] and [`Request::input`] |
//! | 9 | the types of the members | 400, SerializationException with a message |
//! | 10 | the constraints of the members | 400, ValidationException |
//!
//! The path is never looked at, as on AWS.

use crate::answer::Answer;
use crate::codec::{Claim, Encoding};
use crate::error::{Error, ErrorKind};
use crate::limits::BODY_BYTES_MAX;
use crate::shapes::operations::{self, Operation};
use crate::value::Structure;

/// What the face looks at in an HTTP request, besides its signature.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a str,
    /// The header `Content-Type`; parameters after a semicolon are tolerated.
    pub content_type: Option<&'a str>,
    /// The header `X-Amz-Target`.
    pub target: Option<&'a str>,
    /// The whole body. The service stops reading one byte after [`BODY_BYTES_MAX`].
    pub body: &'a [u8],
}

/// A call of an operation, of whose input nothing is proved yet.
#[derive(Debug)]
pub struct Request {
    /// The operation that is called.
    pub operation: &'static Operation,
    /// The encoding of the request, and of its answer.
    pub encoding: Encoding,
    claim: Claim,
}

impl Request {
    /// The input, proved by the table. To be called once the caller is known: AWS tells strangers
    /// nothing about their input.
    ///
    /// # Errors
    /// SerializationException, ValidationException.
    pub fn input(self) -> Result<Structure, Error> {
        self.claim.prove()
    }
}

/// Reads a request up to the point where the signature is looked at.
///
/// # Errors
/// The answer to send, when it is refused.
pub fn receive(incoming: &Incoming<'_>) -> Result<Request, Answer> {
    for refuse in BEFORE_THE_BODY {
        if let Some(answer) = refuse(incoming) {
            return Err(answer);
        }
    }
    let media = incoming.media().expect("an unknown content type was refused above");
    let operation = incoming.target().operation();
    let members = operation.map_or(&[][..], |operation| operation.input);
    let claim = media.encoding().decode(members, incoming.body).map_err(|_| malformed(media))?;
    if media == Media::PlainJson {
        return Err(wrapped(404, ErrorKind::UnknownOperation));
    }
    let encoding = media.encoding();
    let operation = operation.ok_or_else(|| Error::bare(ErrorKind::UnknownOperation).answer(encoding))?;
    Ok(Request { operation, encoding, claim })
}

/// What can be refused before the body is read, in AWS's order.
const BEFORE_THE_BODY: [fn(&Incoming<'_>) -> Option<Answer>; 4] =
    [body_too_large, method_not_post, body_empty, content_type_unknown];

fn body_too_large(incoming: &Incoming<'_>) -> Option<Answer> {
    (incoming.body.len() > BODY_BYTES_MAX).then(too_large)
}

/// The answer to a body of more than [`BODY_BYTES_MAX`] bytes.
pub fn too_large() -> Answer {
    Answer { status: 413, content_type: None, error_type: None, body: Vec::new() }
}

fn method_not_post(incoming: &Incoming<'_>) -> Option<Answer> {
    (incoming.method != "POST").then(nothing_to_authorize)
}

fn body_empty(incoming: &Incoming<'_>) -> Option<Answer> {
    let kind = match incoming.target().operation() {
        Some(_) => ErrorKind::Serialization,
        None => ErrorKind::UnknownOperation,
    };
    incoming.body.is_empty().then(|| Error::bare(kind).answer(incoming.encoding()))
}

fn content_type_unknown(incoming: &Incoming<'_>) -> Option<Answer> {
    match (incoming.media(), incoming.target()) {
        (Some(_), _) => None,
        (None, Target { service: "", .. } | Target { operation: "", .. }) => Some(nothing_to_authorize()),
        (None, _) => Some(xml(404, ErrorKind::UnknownOperation, "<UnknownOperationException/>\n".to_owned())),
    }
}

fn malformed(media: Media) -> Answer {
    match media {
        Media::Encoded(encoding) => Error::bare(ErrorKind::Serialization).answer(encoding),
        Media::PlainJson => wrapped(400, ErrorKind::Serialization),
    }
}

fn nothing_to_authorize() -> Answer {
    let name = ErrorKind::AccessDenied.name();
    let message = "Unable to determine service/operation name to be authorized";
    xml(403, ErrorKind::AccessDenied, format!("<{name}>\n  <Message>{message}</Message>\n</{name}>\n"))
}

fn xml(status: u16, kind: ErrorKind, body: String) -> Answer {
    Answer { status, content_type: None, error_type: Some(kind.name()), body: body.into_bytes() }
}

/// What `application/json` is answered with: no client of Kinesis says it, and AWS goes no further.
fn wrapped(status: u16, kind: ErrorKind) -> Answer {
    let name = kind.name();
    let body = format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{name}"}},"Version":"1.0"}}"#);
    Answer { status, content_type: Some(PLAIN_JSON), error_type: Some(name), body: body.into_bytes() }
}

impl<'a> Incoming<'a> {
    /// The encoding of a refusal that does not wait for the body to be read: JSON only for those who have
    /// said JSON 1.1; all others get CBOR, whatever they have said.
    pub fn encoding(&self) -> Encoding {
        match self.media() {
            Some(Media::Encoded(Encoding::Json)) => Encoding::Json,
            _ => Encoding::Cbor,
        }
    }

    fn media(&self) -> Option<Media> {
        let said = self.content_type?.split(';').next()?.trim();
        let encoded = [Encoding::Json, Encoding::Cbor].map(Media::Encoded);
        encoded.into_iter().chain([Media::PlainJson]).find(|media| said.eq_ignore_ascii_case(media.name()))
    }

    fn target(&self) -> Target<'a> {
        let mut parts = self.target.unwrap_or("").split('.');
        Target { service: parts.next().unwrap_or(""), operation: parts.next().unwrap_or("") }
    }
}

/// A content type that AWS knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Encoded(Encoding),
    PlainJson,
}

impl Media {
    fn name(self) -> &'static str {
        match self {
            Media::Encoded(encoding) => encoding.content_type(),
            Media::PlainJson => PLAIN_JSON,
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Media::Encoded(encoding) => encoding,
            Media::PlainJson => Encoding::Json,
        }
    }
}

/// The target's parts; empty where it has none.
#[derive(Clone, Copy)]
struct Target<'a> {
    service: &'a str,
    operation: &'a str,
}

impl Target<'_> {
    fn operation(self) -> Option<&'static Operation> {
        if self.service == SERVICE { operations::find(self.operation) } else { None }
    }
}

const SERVICE: &str = "Kinesis_20131202";
const PLAIN_JSON: &str = "application/json";
