//! How messages repeat a value: as Java prints it, cut where it is too long.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::limits::PRINTED_BYTES_MAX;
use crate::shapes::Shape;
use crate::value::Value;

/// A value as messages repeat it.
pub(super) struct Printed<'a> {
    pub(super) shape: &'static Shape,
    pub(super) value: &'a Value,
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut { to: f, left: PRINTED_BYTES_MAX };
        // The one error is that the rest was cut; the formatter's own comes back at its next use.
        let _ = print(&mut cut, self.shape, self.value);
        Ok(())
    }
}

/// As much of a text as messages repeat.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(PRINTED_BYTES_MAX)]
}

fn print(out: &mut Cut<'_, '_>, shape: &'static Shape, value: &Value) -> fmt::Result {
    match (value, shape) {
        (Value::Text(it), _) => out.write_str(it),
        (Value::Boolean(it), _) => write!(out, "{it}"),
        (Value::Integer(it) | Value::Timestamp(it), _) => write!(out, "{it}"),
        (Value::Blob(it), _) => write!(out, "java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", it.len()),
        (Value::List(items), Shape::List { item, .. }) => print_items(out, item, items),
        (Value::Map(entries), Shape::Map { value, .. }) => print_entries(out, value, entries),
        // Java prints a class and the object's hash, which nobody can use: the count of members stands for it.
        (Value::Structure(it), Shape::Structure { name, .. }) => {
            write!(out, "com.amazonaws.kinesis.v20131202.{name}@{:x}", it.present().count())
        }
        _ => out.write_str("null"),
    }
}

fn print_items(out: &mut Cut<'_, '_>, shape: &'static Shape, items: &[Value]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        out.write_str(if at == 0 { "[" } else { ", " })?;
        print(out, shape, item)?;
    }
    out.write_str(if items.is_empty() { "[]" } else { "]" })
}

fn print_entries(out: &mut Cut<'_, '_>, shape: &'static Shape, entries: &BTreeMap<String, Value>) -> fmt::Result {
    for (at, (name, value)) in entries.iter().enumerate() {
        out.write_str(if at == 0 { "{" } else { ", " })?;
        write!(out, "{name}=")?;
        print(out, shape, value)?;
    }
    out.write_str(if entries.is_empty() { "{}" } else { "}" })
}

/// Writes up to a number of bytes, and fails after them.
struct Cut<'f, 'g> {
    to: &'f mut fmt::Formatter<'g>,
    left: usize,
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = &text[..text.floor_char_boundary(self.left)];
        self.to.write_str(kept)?;
        self.left -= kept.len();
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
