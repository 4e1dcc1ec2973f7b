//! Constraints of the table against an input, with AWS's ValidationException for what breaks them.
//!
//! Everything that is broken is told, up to [`CLAUSES_MAX`] clauses, in the table's order (AWS's order
//! varies). Nothing is written down before something is broken, so an input that is right costs the
//! comparisons and no memory.

mod constraint;
mod print;

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::limits::CLAUSES_MAX;
use crate::shapes::Shape;
use crate::value::{Structure, Value};
use constraint::{Constraint, constraints};
use print::Printed;
pub(crate) use print::shown;

/// Checks a structure that was decoded by the table.
///
/// # Errors
/// ValidationException with a clause for each constraint that is broken.
pub fn validate(input: &Structure) -> Result<(), Error> {
    let mut clauses = Clauses(Vec::new());
    check_structure(input, None, &mut clauses);
    match clauses.0.len() {
        0 => Ok(()),
        found => {
            let plural = if found > 1 { "s" } else { "" };
            let text = format!("{found} validation error{plural} detected: {}", clauses.0.join("; "));
            Err(Error::new(ErrorKind::Validation, text))
        }
    }
}

fn check_structure(structure: &Structure, above: Option<&Path<'_>>, clauses: &mut Clauses) {
    for (member, value) in structure.entries() {
        let path = Path { above, step: Step::Member(member.name) };
        match value {
            Some(value) => check_value(member.shape, value, &path, clauses),
            None if member.required => clauses.null(&path),
            None => {}
        }
    }
}

fn check_value(shape: &'static Shape, value: &Value, path: &Path<'_>, clauses: &mut Clauses) {
    for constraint in constraints(shape).filter(|constraint| !constraint.holds(value)) {
        clauses.broken(shape, value, path, constraint);
    }
    match value {
        Value::List(_) => check_items(shape, value, path, clauses),
        Value::Map(_) => check_entries(shape, value, path, clauses),
        Value::Structure(structure) => check_structure(structure, Some(path), clauses),
        Value::Null => clauses.null(path),
        _ => {}
    }
}

/// Scalars of a list are told of together, as the list; structures each at its own place.
fn check_items(shape: &'static Shape, list: &Value, path: &Path<'_>, clauses: &mut Clauses) {
    let (Shape::List { item, .. }, Value::List(items)) = (shape, list) else { return };
    let structures = matches!(item, Shape::Structure { .. });
    for (at, value) in items.iter().enumerate() {
        if structures || *value == Value::Null {
            check_value(item, value, &Path { above: Some(path), step: Step::Item(at + 1) }, clauses);
        }
    }
    if !structures && items.iter().any(|value| breaks(item, value)) {
        clauses.broken(shape, list, path, Constraint::OfItems(item));
    }
}

fn check_entries(shape: &'static Shape, map: &Value, path: &Path<'_>, clauses: &mut Clauses) {
    let (Shape::Map { key, value: held, .. }, Value::Map(entries)) = (shape, map) else { return };
    if entries.keys().any(|name| constraints(key).any(|constraint| !constraint.holds_for_text(name))) {
        clauses.broken(shape, map, path, Constraint::OfKeys(key));
    }
    if entries.values().any(|value| breaks(held, value)) {
        clauses.broken(shape, map, path, Constraint::OfValues(held));
    }
    for (name, _) in entries.iter().filter(|(_, value)| **value == Value::Null) {
        clauses.null(&Path { above: Some(path), step: Step::Entry(name) });
    }
}

fn breaks(shape: &'static Shape, value: &Value) -> bool {
    constraints(shape).any(|constraint| !constraint.holds(value))
}

/// What is broken so far.
struct Clauses(Vec<String>);

impl Clauses {
    fn null(&mut self, path: &Path<'_>) {
        self.add(format_args!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
    }

    /// AWS no longer repeats blobs, and never did so usefully.
    fn broken(&mut self, shape: &'static Shape, value: &Value, path: &Path<'_>, constraint: Constraint) {
        match value {
            Value::Blob(_) => {
                self.add(format_args!("Value at '{path}' failed to satisfy constraint: {constraint}"));
            }
            _ => {
                let printed = Printed { shape, value };
                self.add(format_args!("Value '{printed}' at '{path}' failed to satisfy constraint: {constraint}"));
            }
        }
    }

    fn add(&mut self, clause: fmt::Arguments<'_>) {
        if self.0.len() < CLAUSES_MAX {
            self.0.push(clause.to_string());
        }
    }
}

/// Where a value stands, as AWS writes it: `records.1.member.partitionKey`.
struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

enum Step<'p> {
    Member(&'static str),
    /// Counted from one.
    Item(usize),
    Entry(&'p str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        match self.step {
            Step::Member(name) => {
                let (first, rest) = name.split_at(1);
                write!(f, "{}{rest}", first.to_ascii_lowercase())
            }
            Step::Item(number) => write!(f, "{number}.member"),
            Step::Entry(name) => write!(f, "{}.member", shown(name)),
        }
    }
}
