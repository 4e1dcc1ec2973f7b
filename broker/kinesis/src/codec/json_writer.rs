//! Values as JSON 1.1.
//!
//! serde_json escapes the texts. The rest is written here, because serde would have each blob first as
//! a text of its own and each timestamp as a float: Base64 goes straight into the body, and numbers never
//! have an exponent, which some SDKs cannot read.

use std::io::Write as _;

use super::base64_text;
use crate::value::{Structure, Value};

/// Appends a structure.
pub(super) fn write_structure(out: &mut Vec<u8>, structure: &Structure) {
    write_entries(out, structure.present(), write_value);
}

/// Appends an object of texts.
pub(super) fn write_pairs(out: &mut Vec<u8>, pairs: &[(&str, &str)]) {
    write_entries(out, pairs.iter().copied(), write_text);
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean(it) => out.extend_from_slice(if *it { b"true" } else { b"false" }),
        Value::Integer(it) => append(out, format_args!("{it}")),
        Value::Text(it) => write_text(out, it),
        Value::Blob(it) => write_blob(out, it),
        Value::Timestamp(it) => write_timestamp(out, *it),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                write_comma(out, at);
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            write_entries(out, entries.iter().map(|(name, value)| (name.as_str(), value)), write_value);
        }
        Value::Structure(it) => write_structure(out, it),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

fn write_entries<'a, T>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'a str, T)>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (at, (name, value)) in entries.enumerate() {
        write_comma(out, at);
        write_text(out, name);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

fn write_comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text in memory cannot fail");
}

fn write_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64_text::append(out, bytes);
    out.push(b'"');
}

/// Seconds with three decimals.
fn write_timestamp(out: &mut Vec<u8>, ms: i64) {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    append(out, format_args!("{sign}{}.{:03}", ms / 1000, ms % 1000));
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a write to memory cannot fail");
}
