//! CBOR for serde, over minicbor's decoder.
//!
//! minicbor's own serde crate refuses tags, and every SDK tags its timestamps; here a tag says nothing
//! and what it tags is read, because the table knows better what is wanted. Lists, maps, texts and bytes
//! may be of definite or indefinite length. No declared length is believed: memory is taken for what is
//! read. Names of members must be texts.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Malformed;
use crate::limits::DEPTH_MAX;

/// A place in a body.
pub(super) struct CborReader<'de> {
    decoder: Decoder<'de>,
    depth: usize,
}

impl<'de> CborReader<'de> {
    /// The beginning of a body.
    pub(super) fn new(body: &'de [u8]) -> CborReader<'de> {
        CborReader { decoder: Decoder::new(body), depth: 0 }
    }

    /// Nothing may follow the body's one value.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.decoder.position() == self.decoder.input().len() { Ok(()) } else { Err(Malformed) }
    }

    /// The type of the next value; its tags are passed over.
    fn next_type(&mut self) -> Result<Type, Malformed> {
        loop {
            match self.decoder.datatype()? {
                Type::Tag => self.decoder.tag().map(drop)?,
                other => return Ok(other),
            }
        }
    }

    /// A float of 16 bits, which some encoders make of zero and small numbers. minicbor would bring four crates for it.
    fn half(&mut self) -> Result<f64, Malformed> {
        let at = self.decoder.position();
        let after = self.decoder.input().get(at + 1..).and_then(|rest| rest.first_chunk()).ok_or(Malformed)?;
        let bits = u16::from_be_bytes(*after);
        self.decoder.set_position(at + 3);
        Ok(half_float(bits))
    }

    /// Goes one level down for `read`, if that is not too deep.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut CborReader<'de> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        match self.next_type()? {
            Type::Bool => visitor.visit_bool(self.decoder.bool()?),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.decoder.u64()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                let integer = i128::from(self.decoder.int()?);
                visitor.visit_i64(i64::try_from(integer).unwrap_or(i64::MIN))
            }
            Type::F16 => visitor.visit_f64(self.half()?),
            Type::F32 => visitor.visit_f64(self.decoder.f32()?.into()),
            Type::F64 => visitor.visit_f64(self.decoder.f64()?),
            Type::String => visitor.visit_borrowed_str(self.decoder.str()?),
            Type::StringIndef => visitor.visit_string(self.decoder.str_iter()?.collect::<Result<_, _>>()?),
            Type::Bytes => visitor.visit_borrowed_bytes(self.decoder.bytes()?),
            Type::BytesIndef => {
                let mut bytes = Vec::new();
                for chunk in self.decoder.bytes_iter()? {
                    bytes.extend_from_slice(chunk?);
                }
                visitor.visit_byte_buf(bytes)
            }
            Type::Null | Type::Undefined => {
                self.decoder.skip()?;
                visitor.visit_unit()
            }
            Type::Array | Type::ArrayIndef => {
                let left = self.decoder.array()?;
                self.nested(|reader| visitor.visit_seq(Items { reader, left }))
            }
            Type::Map | Type::MapIndef => {
                let left = self.decoder.map()?;
                self.nested(|reader| visitor.visit_map(Items { reader, left }))
            }
            Type::Tag | Type::Simple | Type::Break | Type::Unknown(_) => Err(Malformed),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The items of a list or the entries of a map: how many are left, or as many as come before a break.
struct Items<'r, 'de> {
    reader: &'r mut CborReader<'de>,
    left: Option<u64>,
}

impl Items<'_, '_> {
    /// Whether another comes; the break after the last is consumed.
    fn another(&mut self) -> Result<bool, Malformed> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if self.reader.decoder.datatype()? == Type::Break => {
                let after = self.reader.decoder.position() + 1;
                self.reader.decoder.set_position(after);
                self.left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Malformed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Malformed> {
        if self.another()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Malformed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Malformed> {
        if !self.another()? {
            return Ok(None);
        }
        match self.reader.next_type()? {
            Type::String | Type::StringIndef => seed.deserialize(&mut *self.reader).map(Some),
            _ => Err(Malformed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Malformed> {
        seed.deserialize(&mut *self.reader)
    }
}

impl From<Error> for Malformed {
    fn from(_: Error) -> Malformed {
        Malformed
    }
}

/// IEEE 754's binary16: a sign, five bits of exponent, ten of fraction.
fn half_float(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8949, appendix A.
    #[test]
    fn half_floats_are_the_rfcs() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0x3e00, 1.5),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 0.000_061_035_156_25),
            (0xc400, -4.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half_float(bits), number, "{bits:04x}");
        }
        assert!(half_float(0x7e00).is_nan());
    }

    #[test]
    fn a_half_float_that_is_cut_is_malformed() {
        for body in [&b"\xf9"[..], b"\xf9\x3c"] {
            assert!(matches!(CborReader::new(body).half(), Err(Malformed)));
        }
    }
}
