//! JSON 1.1 and CBOR: bodies become values by the table, and values become bodies.
//!
//! A body is read once, straight into values: the table's shape says at each place what may come
//! (`seed`), conversions and their texts are the same for both encodings (`convert`), members that the
//! table lacks are skipped and nulls are dropped. Bytes that are no JSON or CBOR are [`Malformed`], and
//! that is known at once; a value of a wrong type is remembered in the [`Claim`], because AWS looks at
//! the signature between the two.
//!
//! Whatever the bytes, decoding never panics, and what it keeps is bounded by the body's length: depth
//! by [`crate::limits::DEPTH_MAX`], items of a list by the table or [`crate::limits::ITEMS_MAX`].

mod base64_text;
mod cbor_reader;
mod cbor_writer;
mod convert;
mod json_writer;
mod seed;

use serde::de::DeserializeSeed;

use crate::error::{Error, ErrorKind};
use crate::shapes::Members;
use crate::validate::validate;
use crate::value::Structure;
use cbor_reader::CborReader;
use seed::{Reading, Root};

/// How a body is encoded. The answer is encoded as its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-amz-json-1.1`
    Json,
    /// `application/x-amz-cbor-1.1`
    Cbor,
}

impl Encoding {
    /// The content type of requests and answers.
    pub const fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
            Encoding::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// Reads a body as a structure with these members.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not one JSON object or CBOR map and nothing else.
    pub fn decode(self, members: Members, body: &[u8]) -> Result<Claim, Malformed> {
        let mut reading = Reading { encoding: self, fault: None };
        let root = Root { members, reading: &mut reading };
        let structure = match self {
            Encoding::Json => {
                let mut json = serde_json::Deserializer::from_slice(body);
                let structure = root.deserialize(&mut json).map_err(|_| Malformed)?;
                json.end().map_err(|_| Malformed)?;
                structure
            }
            Encoding::Cbor => {
                let mut cbor = CborReader::new(body);
                let structure = root.deserialize(&mut cbor)?;
                cbor.end()?;
                structure
            }
        };
        Ok(Claim { structure, fault: reading.fault })
    }

    /// Writes a structure: its members in the table's order, absent ones not at all.
    pub fn encode(self, structure: &Structure) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Encoding::Json => json_writer::write_structure(&mut body, structure),
            Encoding::Cbor => cbor_writer::write_structure(&mut body, structure),
        }
        body
    }

    /// Writes a few texts by name, as error bodies are.
    pub(crate) fn encode_pairs(self, pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Encoding::Json => json_writer::write_pairs(&mut body, pairs),
            Encoding::Cbor => cbor_writer::write_pairs(&mut body, pairs),
        }
        body
    }
}

/// A body that was read, but of which nothing is proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    structure: Structure,
    fault: Option<String>,
}

impl Claim {
    /// The structure, once its types and then its constraints are found to be the table's.
    ///
    /// # Errors
    /// SerializationException for the first value of a wrong type, else ValidationException with
    /// every constraint that is broken.
    pub fn prove(self) -> Result<Structure, Error> {
        let structure = self.unproved()?;
        validate(&structure)?;
        Ok(structure)
    }

    /// The structure with the table's types, but whatever values: for answers, whose constraints
    /// are ours to keep.
    ///
    /// # Errors
    /// SerializationException for the first value of a wrong type.
    pub fn unproved(self) -> Result<Structure, Error> {
        match self.fault {
            Some(fault) => Err(Error::new(ErrorKind::Serialization, fault)),
            None => Ok(self.structure),
        }
    }
}

/// The bytes are no JSON object or CBOR map, or nest too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body is not one JSON object or CBOR map")
    }
}

impl std::error::Error for Malformed {}

impl serde::de::Error for Malformed {
    fn custom<T: std::fmt::Display>(_: T) -> Malformed {
        Malformed
    }
}
