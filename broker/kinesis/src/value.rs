//! Values by the table, and how an operation reads its input and builds its output.
//!
//! A structure knows its members, and holds a place for each. An operation names a member by its
//! wire name and says the type that it expects: `input.required::<&str>("ShardId")`,
//! `input.optional::<i64>("Limit")`, `Structure::new(members).with("ShardId", id)`. That reads as the
//! reference does, needs no code for each operation, and costs a look along at most twenty names.
//! A struct for each operation would be a second table beside the first.
//!
//! A name that the table lacks, a type that is not the table's, and a demand for a member that the
//! table does not require are our mistakes, and panic: the first test of the operation finds them.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::shapes::{Member, Members, Shape, position};

/// A value of some shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a boolean.
    Boolean(bool),
    /// Of an integer or a long.
    Integer(i64),
    /// Of a text.
    Text(String),
    /// Of a blob: the bytes themselves, whatever they were on the wire.
    Blob(Bytes),
    /// Milliseconds of the epoch.
    Timestamp(i64),
    /// Of a list.
    List(Vec<Value>),
    /// Of a map.
    Map(BTreeMap<String, Value>),
    /// Of a structure.
    Structure(Structure),
    /// A null in a list or map. Validation refuses it, so no operation meets one.
    Null,
}

/// The members of a structure that are there.
#[derive(Clone)]
pub struct Structure {
    members: Members,
    values: Vec<Option<Value>>,
}

impl Structure {
    /// A structure with no member set.
    pub fn new(members: Members) -> Structure {
        Structure { members, values: vec![None; members.len()] }
    }

    /// A structure that is a value of `shape`.
    ///
    /// # Panics
    /// If the shape is no structure.
    pub fn of(shape: &'static Shape) -> Structure {
        let Shape::Structure { members, .. } = shape else { panic!("{shape:?} is no structure") };
        Structure::new(members)
    }

    /// The same with `value` as the member `name`.
    ///
    /// # Panics
    /// If the table has no such member here, or another type for it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Structure {
        let at = self.place(name);
        let value = value.into();
        assert!(value.is_of(self.members[at].shape), "{name} is {:?}, not {value:?}", self.members[at].shape);
        self.values[at] = Some(value);
        self
    }

    /// The same with `value` as the member `name`, where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Structure {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A member that the table requires; validation has proved that it is there.
    ///
    /// # Panics
    /// If the table does not require it or has another type for it.
    pub fn required<'a, T: View<'a>>(&'a self, name: &str) -> T {
        let at = self.place(name);
        assert!(self.members[at].required, "{name} may be absent");
        self.seen(at).unwrap_or_else(|| panic!("{name} is absent from a structure that was not validated"))
    }

    /// A member, where it is there.
    ///
    /// # Panics
    /// If the table has no such member here, or another type for it.
    pub fn optional<'a, T: View<'a>>(&'a self, name: &str) -> Option<T> {
        self.seen(self.place(name))
    }

    /// A member that the table requires and that is absent, here or further down.
    pub fn missing(&self) -> Option<&'static str> {
        self.entries().find_map(|(member, value)| match value {
            Some(value) => value.missing(),
            None => member.required.then_some(member.name),
        })
    }

    /// What the table says of this structure.
    pub fn members(&self) -> Members {
        self.members
    }

    /// Every member of the table with its value, if it has one.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static Member, Option<&Value>)> {
        self.members.iter().zip(self.values.iter().map(Option::as_ref))
    }

    /// The members that are there, by name.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.entries().filter_map(|(member, value)| Some((member.name, value?)))
    }

    /// Sets a member whose type the caller has decoded by the table.
    pub(crate) fn put(&mut self, at: usize, value: Option<Value>) {
        self.values[at] = value;
    }

    fn place(&self, name: &str) -> usize {
        position(self.members, name).unwrap_or_else(|| panic!("the table has no member {name} here"))
    }

    fn seen<'a, T: View<'a>>(&'a self, at: usize) -> Option<T> {
        let value = self.values[at].as_ref()?;
        let view = T::of(value);
        Some(view.unwrap_or_else(|| panic!("{} was read as another type than {value:?}", self.members[at].name)))
    }
}

impl PartialEq for Structure {
    fn eq(&self, other: &Structure) -> bool {
        std::ptr::eq(self.members, other.members) && self.values == other.values
    }
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.present()).finish()
    }
}

impl Value {
    /// As [`Structure::missing`].
    fn missing(&self) -> Option<&'static str> {
        match self {
            Value::Structure(structure) => structure.missing(),
            Value::List(items) => items.iter().find_map(Value::missing),
            _ => None,
        }
    }

    /// Whether this is of `shape`'s type. Members of structures were looked at when they were set.
    fn is_of(&self, shape: &Shape) -> bool {
        match (self, shape) {
            (Value::Boolean(_), Shape::Boolean)
            | (Value::Integer(_), Shape::Integer(_) | Shape::Long(_))
            | (Value::Text(_), Shape::Text(_))
            | (Value::Blob(_), Shape::Blob(_))
            | (Value::Timestamp(_), Shape::Timestamp) => true,
            (Value::List(items), Shape::List { item, .. }) => items.iter().all(|value| value.is_of(item)),
            (Value::Map(entries), Shape::Map { value: shape, .. }) => entries.values().all(|value| value.is_of(shape)),
            (Value::Structure(structure), Shape::Structure { members, .. }) => {
                std::ptr::eq(structure.members, *members)
            }
            _ => false,
        }
    }
}

/// What an operation sees a value as.
pub trait View<'a>: Sized {
    /// The value as this type; `None` if it is of another.
    fn of(value: &'a Value) -> Option<Self>;
}

/// Says for one variant how it is seen.
macro_rules! view {
    ($($view:ty: $variant:ident($held:ident) => $seen:expr;)*) => {$(
        impl<'a> View<'a> for $view {
            fn of(value: &'a Value) -> Option<Self> {
                match value {
                    Value::$variant($held) => Some($seen),
                    _ => None,
                }
            }
        }
    )*};
}

view! {
    bool: Boolean(it) => *it;
    i64: Integer(it) => *it;
    &'a str: Text(it) => it;
    &'a Bytes: Blob(it) => it;
    TimestampMs: Timestamp(it) => TimestampMs(*it);
    &'a [Value]: List(it) => it;
    &'a BTreeMap<String, Value>: Map(it) => it;
    &'a Structure: Structure(it) => it;
}

/// Milliseconds of the epoch, apart from other numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampMs(pub i64);

/// A list whose items are all `T`, in order. Items of another type cannot be where the table has put `T`.
pub fn items<'a, T: View<'a> + 'a>(list: &'a [Value]) -> impl ExactSizeIterator<Item = T> + 'a {
    list.iter().map(|value| T::of(value).unwrap_or_else(|| panic!("a list was read as another type than {value:?}")))
}

/// Says for one type what value it makes.
macro_rules! value_from {
    ($($from:ty: $held:ident => $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($held: $from) -> Value {
                $value
            }
        }
    )*};
}

value_from! {
    bool: it => Value::Boolean(it);
    i64: it => Value::Integer(it);
    i32: it => Value::Integer(it.into());
    u32: it => Value::Integer(it.into());
    &str: it => Value::Text(it.to_owned());
    String: it => Value::Text(it);
    Bytes: it => Value::Blob(it);
    TimestampMs: it => Value::Timestamp(it.0);
    Structure: it => Value::Structure(it);
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::structures::{CHILD_SHARD, HASH_KEY_RANGE};

    #[test]
    fn what_was_set_is_seen() {
        let range = Structure::of(&HASH_KEY_RANGE).with("StartingHashKey", "0").with("EndingHashKey", "7");
        let parents: Value = ["shardId-000000000000"].into_iter().collect();
        let child = Structure::of(&CHILD_SHARD)
            .with_some("ShardId", None::<&str>)
            .with("ParentShards", parents)
            .with("HashKeyRange", range.clone());
        assert_eq!(child.optional::<&str>("ShardId"), None);
        assert_eq!((child.missing(), range.missing()), (Some("ShardId"), None));
        assert_eq!(items::<&str>(child.required("ParentShards")).collect::<Vec<_>>(), ["shardId-000000000000"]);
        assert_eq!(child.required::<&Structure>("HashKeyRange"), &range);
        assert_eq!(range.required::<&str>("EndingHashKey"), "7");
    }

    #[test]
    #[should_panic(expected = "the table has no member EndingKey here")]
    fn a_name_that_the_table_lacks_is_our_mistake() {
        let _ = Structure::of(&HASH_KEY_RANGE).with("EndingKey", "7");
    }

    #[test]
    #[should_panic(expected = "EndingHashKey is Text")]
    fn a_type_that_is_not_the_tables_is_our_mistake() {
        let _ = Structure::of(&HASH_KEY_RANGE).with("EndingHashKey", 7);
    }
}
