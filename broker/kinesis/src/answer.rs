//! An HTTP answer as data: what the service writes, whoever decided it.

use crate::codec::Encoding;
use crate::value::Structure;

/// An answer, but for the headers that every answer has (request id, date, length).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`; AWS's XML forms have none.
    pub content_type: Option<&'static str>,
    /// `x-amzn-ErrorType`, from which some SDKs take an error's name.
    pub error_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer of an operation that succeeded: its output, or nothing at all.
    ///
    /// # Panics
    /// If the output lacks a member that the table requires: typed clients would fail on it.
    pub fn success(encoding: Encoding, output: Option<&Structure>) -> Answer {
        let missing = output.and_then(Structure::missing);
        assert_eq!(missing, None, "an answer without a member that clients count on");
        Answer {
            status: 200,
            content_type: Some(encoding.content_type()),
            error_type: None,
            body: output.map(|output| encoding.encode(output)).unwrap_or_default(),
        }
    }
}
