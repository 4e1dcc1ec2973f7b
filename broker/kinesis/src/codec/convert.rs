//! What a scalar of the wire becomes where the table wants some shape, and AWS's words where it cannot.

use bytes::Bytes;

use super::{Encoding, base64_text};
use crate::shapes::Shape;
use crate::validate::shown;
use crate::value::Value;

/// Of a list where the table wants something else.
pub(super) const LIST_UNEXPECTED: &str = "Start of list found where not expected";
/// Of an object where the table wants something else.
pub(super) const MAP_UNEXPECTED: &str = "Start of structure or map found where not expected.";

/// What the wire carries, other than lists, maps and nulls.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Integer(i64),
    Fraction(f64),
    Text(&'a str),
    /// CBOR's alone.
    Bytes(&'a [u8]),
}

/// The value, or the message of a SerializationException.
pub(super) fn convert(shape: &Shape, scalar: Scalar<'_>, encoding: Encoding) -> Result<Value, String> {
    match shape {
        Shape::Boolean => boolean(scalar).map(Value::Boolean),
        Shape::Integer(_) => integer(scalar, "an Integer").map(|it| Value::Integer(it.clamp(INTEGER_MIN, INTEGER_MAX))),
        Shape::Long(_) => integer(scalar, "an Long").map(Value::Integer),
        Shape::Text(_) => text(scalar).map(Value::Text),
        Shape::Blob(_) => blob(scalar).map(Value::Blob),
        Shape::Timestamp => timestamp_ms(scalar, encoding).map(Value::Timestamp),
        Shape::List { .. } => Err("Expected list or null".to_owned()),
        Shape::Map { .. } => Err("Expected map or null".to_owned()),
        Shape::Structure { .. } => Err("Expected null".to_owned()),
    }
}

/// Texts that say yes or no are taken, in any case.
fn boolean(scalar: Scalar<'_>) -> Result<bool, String> {
    match scalar {
        Scalar::Boolean(it) => Ok(it),
        Scalar::Text(text) => {
            let upper = shown(text).to_uppercase();
            match upper.as_str() {
                "TRUE" | "1" | "YES" => Ok(true),
                "FALSE" | "0" | "NO" => Ok(false),
                _ => Err(format!("'{upper}' can not be converted to an Boolean")),
            }
        }
        _ => Err(inconvertible(scalar, "an Boolean")),
    }
}

/// Fractions are floored; what is beyond 64 bits is the nearest that is not.
fn integer(scalar: Scalar<'_>, wanted: &str) -> Result<i64, String> {
    match scalar {
        Scalar::Integer(it) => Ok(it),
        Scalar::Fraction(it) => Ok(it.floor() as i64),
        _ => Err(inconvertible(scalar, wanted)),
    }
}

fn text(scalar: Scalar<'_>) -> Result<String, String> {
    match scalar {
        Scalar::Text(it) => Ok(it.to_owned()),
        _ => Err(inconvertible(scalar, "an String")),
    }
}

/// Base64 where it is text, in either encoding.
fn blob(scalar: Scalar<'_>) -> Result<Bytes, String> {
    match scalar {
        Scalar::Bytes(it) => Ok(Bytes::copy_from_slice(it)),
        Scalar::Text(it) => {
            base64_text::decode(it).map_err(|fault| format!("'{}' can not be converted to a Blob: {fault}", shown(it)))
        }
        _ => Err(inconvertible(scalar, "a Blob")),
    }
}

/// Numbers are seconds in JSON and milliseconds in CBOR, whatever their type.
fn timestamp_ms(scalar: Scalar<'_>, encoding: Encoding) -> Result<i64, String> {
    match (scalar, encoding) {
        (Scalar::Integer(seconds), Encoding::Json) => Ok(seconds.saturating_mul(1000)),
        (Scalar::Fraction(seconds), Encoding::Json) => Ok((seconds * 1000.0).round() as i64),
        (Scalar::Integer(millis), Encoding::Cbor) => Ok(millis),
        (Scalar::Fraction(millis), Encoding::Cbor) => Ok(millis.floor() as i64),
        _ => Err(inconvertible(scalar, "milliseconds since epoch")),
    }
}

/// AWS names the Java class of what it found. The class for bytes is a guess: no SDK sends them there.
fn inconvertible(scalar: Scalar<'_>, wanted: &str) -> String {
    let found = match scalar {
        Scalar::Boolean(_) => "java.lang.Boolean",
        Scalar::Integer(_) | Scalar::Fraction(_) => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        Scalar::Text(_) => "java.lang.String",
        Scalar::Bytes(_) => "java.nio.HeapByteBuffer",
    };
    format!("class {found} can not be converted to {wanted}")
}

const INTEGER_MIN: i64 = i32::MIN as i64;
const INTEGER_MAX: i64 = i32::MAX as i64;
