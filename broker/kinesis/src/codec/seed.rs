//! The walk of a body along a shape, for any serde deserializer.
//!
//! One visitor for all shapes: what comes is either a scalar, which `convert` judges, or a list or map,
//! which the shape must allow. After a value of a wrong type the rest is still read, so that bytes
//! which are no JSON or CBOR are found whatever stands before them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Encoding;
use super::convert::{LIST_UNEXPECTED, MAP_UNEXPECTED, Scalar, convert};
use crate::limits::ITEMS_MAX;
use crate::shapes::{Bounds, Members, Shape, position};
use crate::value::{Structure, Value};

/// What holds for the whole of one body.
pub(super) struct Reading {
    pub(super) encoding: Encoding,
    /// The first value of a wrong type, in AWS's words.
    pub(super) fault: Option<String>,
}

impl Reading {
    /// Remembers a fault; the value's place stays empty.
    fn refuse(&mut self, fault: String) -> Value {
        self.fault.get_or_insert(fault);
        Value::Null
    }
}

/// The body's outermost structure.
pub(super) struct Root<'r> {
    pub(super) members: Members,
    pub(super) reading: &'r mut Reading,
}

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = Structure;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Structure, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Structure;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Structure, A::Error> {
        read_structure(self.members, self.reading, map)
    }
}

/// A value of a shape.
struct Place<'r> {
    shape: &'static Shape,
    reading: &'r mut Reading,
}

impl Place<'_> {
    fn scalar(self, scalar: Scalar<'_>) -> Value {
        match convert(self.shape, scalar, self.reading.encoding) {
            Ok(value) => value,
            Err(fault) => self.reading.refuse(fault),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Boolean(it)))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Integer(it)))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Integer(i64::try_from(it).unwrap_or(i64::MAX))))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Fraction(it)))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Text(it)))
    }

    fn visit_bytes<E: Error>(self, it: &[u8]) -> Result<Value, E> {
        Ok(self.scalar(Scalar::Bytes(it)))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if let Shape::List { item, length } = self.shape {
            return read_list(item, length, self.reading, seq);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.reading.refuse(LIST_UNEXPECTED.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        match self.shape {
            Shape::Structure { members, .. } => read_structure(members, self.reading, map).map(Value::Structure),
            Shape::Map { value, length, .. } => read_map(value, length, self.reading, map),
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(self.reading.refuse(MAP_UNEXPECTED.to_owned()))
            }
        }
    }
}

/// Reads members that the table has and skips the others. Of a member that comes twice, the last counts.
fn read_structure<'de, A: MapAccess<'de>>(
    members: Members,
    reading: &mut Reading,
    mut map: A,
) -> Result<Structure, A::Error> {
    let mut structure = Structure::new(members);
    while let Some(known) = map.next_key_seed(MemberName(members))? {
        let Some(at) = known else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        let value = map.next_value_seed(Place { shape: members[at].shape, reading })?;
        structure.put(at, (value != Value::Null).then_some(value));
    }
    Ok(structure)
}

/// Reads every item, and keeps one more than there may be, so that validation sees that it is too many.
fn read_list<'de, A: SeqAccess<'de>>(
    shape: &'static Shape,
    length: &Bounds,
    reading: &mut Reading,
    mut seq: A,
) -> Result<Value, A::Error> {
    let mut items = Vec::new();
    while items.len() < kept_max(length) {
        match seq.next_element_seed(Place { shape, reading })? {
            Some(item) => items.push(item),
            None => return Ok(Value::List(items)),
        }
    }
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(Value::List(items))
}

/// Reads every entry; as [`read_list`]. Of a name that comes twice, the last counts.
fn read_map<'de, A: MapAccess<'de>>(
    shape: &'static Shape,
    length: &Bounds,
    reading: &mut Reading,
    mut map: A,
) -> Result<Value, A::Error> {
    let mut entries = BTreeMap::new();
    while entries.len() < kept_max(length) {
        match map.next_key::<String>()? {
            Some(name) => entries.insert(name, map.next_value_seed(Place { shape, reading })?),
            None => return Ok(Value::Map(entries)),
        };
    }
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Value::Map(entries))
}

/// How many items are kept of a list or map.
fn kept_max(length: &Bounds) -> usize {
    length.max.and_then(|max| usize::try_from(max).ok()).map_or(ITEMS_MAX, |max| max + 1)
}

/// The name of a member, found in the table without a copy. `None` for one that the table lacks.
struct MemberName(Members);

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(position(self.0, name))
    }
}
