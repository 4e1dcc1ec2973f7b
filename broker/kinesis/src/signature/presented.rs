//! The parts of a signature as a request presents them, in its `Authorization` header or its query.
//!
//! What must hold: a request with all parts in one place is presented, any other is refused in AWS's words, which
//! name every part that is missing. Parts of a header stand apart by commas, blanks or both.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, DATE, HeaderName};
use http::request::Parts;

use super::{ALGORITHM, canonical, incomplete, invalid};
use crate::error::{Error, ErrorKind};
use crate::moment;

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_TARGET: &str = "x-amz-target";
const HEADER_PARTS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
const UNDATED: &str = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
const QUERY_PARTS: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// A signature with all its parts, none of them proved.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    pub(super) credential: String,
    /// The names of what is signed besides path, query and body, with semicolons between them.
    pub(super) signed_headers: String,
    pub(super) signature: String,
    /// As it is signed: `20150122T012202Z`.
    pub(super) date: String,
    /// How long the signature is said to be good for, in the query form alone.
    pub(super) expires: Option<String>,
}

impl Presented {
    pub(super) fn read(request: &Parts) -> Result<Presented, Error> {
        let query = canonical::pairs(request.uri.query().unwrap_or_default());
        let in_query = query.iter().any(|(name, _)| name == QUERY_PARTS[0]);
        // The text is only shown and cut up, so what is no UTF-8 in it may be replaced.
        let header = request.headers.get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match header.filter(|header| !header.is_empty()) {
            Some(_) if in_query => {
                Err(invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."))
            }
            Some(header) => Presented::in_header(&header, request),
            None if in_query => Presented::in_query(&query),
            None => Err(Error::new(ErrorKind::MissingAuthenticationToken, "Missing Authentication Token")),
        }
    }

    fn in_header(header: &str, request: &Parts) -> Result<Presented, Error> {
        let mut words = header.split([',', ' ']);
        let algorithm = words.next().unwrap_or_default();
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let last = |name| last_of(words.iter().filter_map(|word| word.split_once('=')), name);
        let date = request.headers.get(AMZ_DATE).or_else(|| request.headers.get(DATE));
        let date = date.filter(|date| !date.is_empty());
        let ([Some(credential), Some(signature), Some(signed_headers)], Some(date)) = (HEADER_PARTS.map(last), date)
        else {
            let missing = HEADER_PARTS.into_iter().filter(|name| last(name).is_none());
            let named = missing.map(|name| format!("Authorization header requires '{name}' parameter. "));
            let undated = if date.is_none() { UNDATED } else { "" };
            return Err(incomplete(format!("{}{undated}Authorization={header}", named.collect::<String>())));
        };
        if let Some(word) = words.iter().find(|word| !word.contains('=')) {
            let pair = format!("'{word}' not a valid key=value pair (missing equal-sign)");
            return Err(incomplete(format!("{pair} in Authorization header: '{header}'.")));
        }
        must_be_ours(algorithm)?;
        Ok(Presented {
            credential: credential.to_owned(),
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            date: signing_date(&String::from_utf8_lossy(date.as_bytes()))?,
            expires: None,
        })
    }

    fn in_query(query: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Presented, Error> {
        let last = |name| last_of(query.iter().map(|(name, value)| (&**name, &**value)), name);
        let [Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date)] =
            QUERY_PARTS.map(last)
        else {
            let missing = QUERY_PARTS.into_iter().filter(|name| last(name).is_none());
            let named = missing.map(|name| format!("AWS query-string parameters must include '{name}'. "));
            return Err(incomplete(format!("{}Re-examine the query-string parameters.", named.collect::<String>())));
        };
        must_be_ours(algorithm)?;
        Ok(Presented {
            credential: credential.to_owned(),
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            date: signing_date(date)?,
            expires: last("X-Amz-Expires").map(str::to_owned),
        })
    }

    /// Refuses a signature that leaves out what a request cannot be believed without.
    pub(super) fn must_sign(&self, request: &Parts) -> Result<(), Error> {
        let signs = |name| self.signed_headers.split(';').any(|signed| signed == name);
        if !canonical::HOST_NAMES.into_iter().any(signs) {
            return Err(invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
        }
        if request.headers.contains_key(AMZ_TARGET) && !signs(AMZ_TARGET) {
            return Err(invalid("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."));
        }
        Ok(())
    }
}

/// An empty value is none.
fn last_of<'a>(pairs: impl DoubleEndedIterator<Item = (&'a str, &'a str)>, name: &str) -> Option<&'a str> {
    pairs.rev().find(|(found, _)| *found == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

fn must_be_ours(algorithm: &str) -> Result<(), Error> {
    if algorithm == ALGORITHM {
        Ok(())
    } else {
        Err(incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'.")))
    }
}

/// The date as it is signed, whichever way it is spelled.
fn signing_date(text: &str) -> Result<String, Error> {
    moment::read_http_date(text.trim()).map(moment::basic).ok_or_else(|| {
        let got = format!("Date must be in ISO-8601 'basic format'. Got '{text}'.");
        incomplete(format!("{got} See http://en.wikipedia.org/wiki/ISO_8601"))
    })
}
