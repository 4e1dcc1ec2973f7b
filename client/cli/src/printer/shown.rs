//! What is printed of one record: by a template, or as a JSON object.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use rheos_client::RecordAt;
use serde_json::{Value, json};

use crate::template::Template;
use crate::units::{show_arrival_in, show_arrival_ms};

/// What a template may show of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    DataBase64,
    Bytes,
    Key,
    HashKey,
    Shard,
    Sequence,
    Arrival,
    ArrivalLocal,
    ArrivalMs,
}

/// The fields by their names, and what each is.
const FIELDS: [(&str, Field, &str); 10] = [
    ("data", Field::Data, "its bytes as they are"),
    ("data_base64", Field::DataBase64, "the same in base64"),
    ("bytes", Field::Bytes, "how many bytes these are"),
    ("key", Field::Key, "its partition key"),
    ("hash_key", Field::HashKey, "its place in the hash space, 32 hexadecimal digits"),
    ("shard", Field::Shard, "the shard that it is in"),
    ("sequence", Field::Sequence, "its place in the shard"),
    ("arrival", Field::Arrival, "when the broker took it: 2026-11-24T20:15:00.250Z"),
    ("arrival_local", Field::ArrivalLocal, "the same in the local time zone, with its offset"),
    ("arrival_ms", Field::ArrivalMs, "the same in milliseconds since 1970"),
];

pub(super) fn parse_shown(text: &str) -> Result<Template<Field>, String> {
    Template::parse(text, &FIELDS.map(|(name, field, _)| (name, field)))
}

/// A line for each field.
pub(super) fn about_fields() -> String {
    let line = |(name, _, about): &(&str, Field, &str)| format!("  {:<20}{about}\n", format!("{{{{{name}}}}}"));
    FIELDS.iter().map(line).collect()
}

/// A template, and what it needs to know beside the record.
pub(super) struct Shown {
    template: Template<Field>,
    zone: TimeZone,
}

impl Shown {
    pub(super) fn new(template: Template<Field>) -> Shown {
        Shown { template, zone: TimeZone::system() }
    }

    pub(super) fn write(&self, out: &mut impl Write, shard: u32, at: &RecordAt<'_>) -> io::Result<()> {
        let record = &at.record;
        self.template.write(out, |field, out| match field {
            Field::Data => out.write_all(record.data),
            Field::DataBase64 => out.write_all(STANDARD.encode(record.data).as_bytes()),
            Field::Bytes => write!(out, "{}", record.data.len()),
            Field::Key => out.write_all(record.partition_key.as_bytes()),
            Field::HashKey => write!(out, "{:032x}", record.hash_key()),
            Field::Shard => write!(out, "{shard}"),
            Field::Sequence => write!(out, "{}", at.sequence),
            Field::Arrival => out.write_all(show_arrival_ms(at.arrival_ms).as_bytes()),
            Field::ArrivalLocal => out.write_all(show_arrival_in(&self.zone, at.arrival_ms).as_bytes()),
            Field::ArrivalMs => write!(out, "{}", at.arrival_ms),
        })?;
        out.write_all(if self.template.is_closed { b"" } else { b"\n" })
    }
}

/// A record as programs are given it.
pub(super) fn as_json(shard: u32, at: &RecordAt<'_>) -> Value {
    let mut object = json!({
        "shard": shard,
        "sequence": at.sequence,
        "partition_key": at.record.partition_key,
        "arrival": show_arrival_ms(at.arrival_ms),
        "arrival_ms": at.arrival_ms,
    });
    if let Some(hash_key) = at.record.explicit_hash_key {
        // Beyond what a JSON number holds.
        object["explicit_hash_key"] = hash_key.to_string().into();
    }
    match str::from_utf8(at.record.data) {
        Ok(text) => object["data"] = text.into(),
        Err(_) => object["data_base64"] = STANDARD.encode(at.record.data).into(),
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use rheos_client::RecordView;

    fn at<'a>(data: &'a [u8], explicit_hash_key: Option<u128>) -> RecordAt<'a> {
        let record = RecordView { partition_key: "k", explicit_hash_key, data };
        RecordAt { sequence: 5, arrival_ms: 7, record }
    }

    #[test]
    fn data_that_is_no_text_is_encoded() {
        let head = json!({
            "shard": 2, "sequence": 5, "partition_key": "k", "arrival": "1970-01-01T00:00:00.007Z", "arrival_ms": 7,
        });
        let mut text = head.clone();
        text["data"] = "é\n".into();
        assert_eq!(as_json(2, &at("é\n".as_bytes(), None)), text);
        let mut bytes = head;
        bytes["data_base64"] = "/wA=".into();
        bytes["explicit_hash_key"] = u128::MAX.to_string().into();
        assert_eq!(as_json(2, &at(&[0xff, 0], Some(u128::MAX))), bytes);
    }

    #[test]
    fn every_field_is_shown() {
        let written = |text: &str, at: &RecordAt<'_>| {
            let mut out = Vec::new();
            Shown::new(parse_shown(text).unwrap()).write(&mut out, 2, at).unwrap();
            out
        };
        let all = written(
            r"{{key}} {{shard}} {{sequence}} {{arrival}} {{arrival_ms}} {{bytes}} {{hash_key}} {{data_base64}}\t{{data}}",
            &at(&[0xff, 0], Some(10)),
        );
        let hash_key = "0000000000000000000000000000000a";
        let head = format!("k 2 5 1970-01-01T00:00:00.007Z 7 2 {hash_key} /wA=\t");
        assert_eq!(all, [head.as_bytes(), &[0xff, 0, b'\n']].concat());
        assert!(written("{{arrival_local}}", &at(b"", None)).starts_with(b"19"));
        assert_eq!(written(r"{{key}}\0\c", &at(b"", None)), b"k\0");
    }
}
