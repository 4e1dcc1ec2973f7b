//! Single constraints: whether one holds, and AWS's words for it.

use std::fmt;

use crate::shapes::{Bounds, Pattern, Shape};
use crate::value::Value;

/// One constraint of a shape.
#[derive(Clone, Copy)]
pub(super) enum Constraint {
    /// The most of a number.
    AtMost(i64),
    /// The least of a number.
    AtLeast(i64),
    /// The most of a length.
    LengthAtMost(i64),
    /// The least of a length.
    LengthAtLeast(i64),
    Matches(&'static Pattern),
    OneOf(&'static [&'static str]),
    /// Every item of a list satisfies the constraints of this shape.
    OfItems(&'static Shape),
    /// So do the keys of a map.
    OfKeys(&'static Shape),
    /// So do its values.
    OfValues(&'static Shape),
}

/// The constraints on a value of this shape itself, in the order in which AWS lists those of items.
pub(super) fn constraints(shape: &'static Shape) -> impl Iterator<Item = Constraint> {
    let (value, length) = match shape {
        Shape::Integer(bounds) | Shape::Long(bounds) => (*bounds, Bounds::ANY),
        Shape::Blob(bounds) | Shape::List { length: bounds, .. } | Shape::Map { length: bounds, .. } => {
            (Bounds::ANY, *bounds)
        }
        Shape::Text(text) => (Bounds::ANY, text.length),
        Shape::Boolean | Shape::Timestamp | Shape::Structure { .. } => (Bounds::ANY, Bounds::ANY),
    };
    let (pattern, values) = match shape {
        Shape::Text(text) => (text.pattern, text.values),
        _ => (None, &[][..]),
    };
    [
        value.max.map(Constraint::AtMost),
        value.min.map(Constraint::AtLeast),
        length.max.map(Constraint::LengthAtMost),
        length.min.map(Constraint::LengthAtLeast),
        pattern.map(Constraint::Matches),
        (!values.is_empty()).then_some(Constraint::OneOf(values)),
    ]
    .into_iter()
    .flatten()
}

impl Constraint {
    /// Whether `value` satisfies this. A value of another type than the constraint's is none to judge.
    pub(super) fn holds(self, value: &Value) -> bool {
        match value {
            Value::Text(text) => self.holds_for_text(text),
            Value::Integer(number) => match self {
                Constraint::AtMost(max) => *number <= max,
                Constraint::AtLeast(min) => *number >= min,
                _ => true,
            },
            Value::Blob(bytes) => self.holds_for_length(bytes.len()),
            Value::List(items) => self.holds_for_length(items.len()),
            Value::Map(entries) => self.holds_for_length(entries.len()),
            Value::Boolean(_) | Value::Timestamp(_) | Value::Structure(_) | Value::Null => true,
        }
    }

    /// Whether a text satisfies this. Characters are counted only where bytes do not decide.
    pub(super) fn holds_for_text(self, text: &str) -> bool {
        match self {
            Constraint::Matches(pattern) => pattern.matches(text),
            Constraint::OneOf(values) => values.contains(&text),
            Constraint::LengthAtMost(_) if self.holds_for_length(text.len()) => true,
            Constraint::LengthAtLeast(_) if !self.holds_for_length(text.len()) => false,
            _ => self.holds_for_length(text.chars().count()),
        }
    }

    fn holds_for_length(self, length: usize) -> bool {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        match self {
            Constraint::LengthAtMost(max) => length <= max,
            Constraint::LengthAtLeast(min) => length >= min,
            _ => true,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Constraint::AtMost(max) => write!(f, "Member must have value less than or equal to {max}"),
            Constraint::AtLeast(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Constraint::LengthAtMost(max) => write!(f, "Member must have length less than or equal to {max}"),
            Constraint::LengthAtLeast(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Constraint::Matches(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {}", pattern.text())
            }
            Constraint::OneOf(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
            Constraint::OfItems(item) => write!(f, "Member must satisfy constraint: [{}]", listed(item)),
            Constraint::OfKeys(key) => write!(f, "Map keys must satisfy constraint: [{}]", listed(key)),
            Constraint::OfValues(value) => write!(f, "Map value must satisfy constraint: [{}]", listed(value)),
        }
    }
}

fn listed(shape: &'static Shape) -> String {
    constraints(shape).map(|constraint| constraint.to_string()).collect::<Vec<_>>().join(", ")
}
