//! The table of shapes against AWS's API model.
//!
//! `model.txt` was derived from the model of version 2013-12-02, uid kinesis-2013-12-02, as of botocore
//! 1.44.5: each operation's members with their constraints, then each structure's. Where the table
//! differs on purpose (see `rheos_kinesis::shapes`), so does the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rheos_kinesis::shapes::operations::{self, Output};
use rheos_kinesis::shapes::{Bounds, Members, Pattern, Shape};

const MODEL: &str = include_str!("model.txt");

#[test]
fn the_table_is_the_models() {
    let mut found = Table::default();
    let mut text = String::new();
    let by_name: BTreeMap<_, _> = operations::all().map(|operation| (operation.name, operation)).collect();
    for (name, operation) in by_name {
        writeln!(text, "{name}").unwrap();
        found.write_members(&mut text, "  in ", operation.input);
        match operation.output {
            Output::Empty => writeln!(text, "  empty").unwrap(),
            Output::Body(members) => found.write_members(&mut text, "  out ", members),
            Output::Events(shape) => writeln!(text, "  events {}", found.described(shape)).unwrap(),
        }
    }
    while let Some((name, members)) = found.next_structure() {
        let mut described = format!("{name}\n");
        found.write_members(&mut described, "  ", members);
        found.written.insert(name, described);
    }
    text.extend(found.written.into_values());
    for (at, (ours, models)) in text.lines().zip(MODEL.lines()).enumerate() {
        assert_eq!(ours, models, "line {}", at + 1);
    }
    assert_eq!(text.lines().count(), MODEL.lines().count());
}

#[test]
fn there_are_forty_operations_and_each_is_found() {
    assert_eq!(operations::all().count(), 40);
    for operation in operations::all() {
        assert!(std::ptr::eq(operations::find(operation.name).unwrap(), operation), "{} twice", operation.name);
    }
    for unknown in ["", "putRecord", "PutRecord ", "CreateQueue", "ListChannels"] {
        assert!(operations::find(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn every_list_and_map_of_an_input_has_a_bound() {
    for operation in operations::all() {
        for member in operation.input {
            if let Shape::List { length, .. } | Shape::Map { length, .. } = member.shape {
                assert!(length.max.is_some(), "{} {}", operation.name, member.name);
            }
        }
    }
}

#[test]
fn patterns_match_the_whole_text() {
    let pattern = |operation: &str, member: &str| -> &'static Pattern {
        let input = operations::find(operation).unwrap().input;
        match input.iter().find(|known| known.name == member).unwrap().shape {
            Shape::Text(text) => text.pattern.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let nines = |count| "9".repeat(count);
    for (operation, member, matching, not) in [
        ("PutRecord", "StreamName", vec!["a", "A_.-9"], vec!["", "a b", "ä", "a\n", "a/b"]),
        ("PutRecord", "ExplicitHashKey", vec!["0", "10", &nines(39)], vec!["", "00", "-1", "1a", &nines(40), "٣"]),
        ("PutRecord", "SequenceNumberForOrdering", vec!["0", &nines(129)], vec!["", "01", &nines(130)]),
        (
            "PutRecord",
            "StreamARN",
            vec!["arn:aws:kinesis:eu-west-1:000000000000:stream/s", "arn:aws-cn:kinesis::123456789012:stream/a/b"],
            vec!["arn:aws:kinesis:eu-west-1:00000000000:stream/s", "arn:aws:kinesis:e:000000000000:stream/a b", "s"],
        ),
        (
            "SubscribeToShard",
            "ConsumerARN",
            vec!["arn:aws:kinesis:e:000000000000:stream/s/consumer/c:12"],
            vec!["arn:aws:kinesis:e:000000000000:stream/s/consumer/c", "arn:aws:kinesis:e:000000000000:stream/s"],
        ),
        (
            "TagResource",
            "ResourceARN",
            vec!["arn:aws:kinesis:e:000000000000:stream/s", "arn:aws:kinesis:e:000000000000:queue/q"],
            vec!["arn:aws:s3:e:000000000000:stream/s"],
        ),
    ] {
        let pattern = pattern(operation, member);
        for text in matching {
            assert!(pattern.matches(text), "{pattern:?} {text:?}");
        }
        for text in not {
            assert!(!pattern.matches(text), "{pattern:?} {text:?}");
        }
    }
}

/// What of the table was met.
#[derive(Default)]
struct Table {
    met: BTreeMap<&'static str, Members>,
    written: BTreeMap<&'static str, String>,
}

impl Table {
    fn next_structure(&self) -> Option<(&'static str, Members)> {
        let next = self.met.iter().find(|(name, _)| !self.written.contains_key(*name));
        next.map(|(name, members)| (*name, *members))
    }

    fn write_members(&mut self, text: &mut String, indent: &str, members: Members) {
        for member in members {
            let star = if member.required { "*" } else { "" };
            writeln!(text, "{indent}{}{star}: {}", member.name, self.described(member.shape)).unwrap();
        }
    }

    fn described(&mut self, shape: &'static Shape) -> String {
        match shape {
            Shape::Boolean => "boolean".to_owned(),
            Shape::Timestamp => "timestamp".to_owned(),
            Shape::Integer(range) => format!("integer{}", bounds(range)),
            Shape::Long(range) => format!("long{}", bounds(range)),
            Shape::Blob(length) => format!("blob{}", bounds(length)),
            Shape::Text(it) => {
                let pattern = it.pattern.map(|pattern| format!(" /{}/", pattern.text())).unwrap_or_default();
                let values = if it.values.is_empty() { String::new() } else { format!(" {}", it.values.join("|")) };
                format!("text{}{pattern}{values}", bounds(&it.length))
            }
            Shape::List { item, length } => format!("list of ({}){}", self.described(item), bounds(length)),
            Shape::Map { key, value, length } => {
                format!("map of ({}) to ({}){}", self.described(key), self.described(value), bounds(length))
            }
            Shape::Structure { name, members } => {
                self.met.insert(name, members);
                (*name).to_owned()
            }
        }
    }
}

fn bounds(bounds: &Bounds) -> String {
    let end = |end: Option<i64>| end.map(|end| end.to_string()).unwrap_or_default();
    if *bounds == Bounds::ANY { String::new() } else { format!(" {}..{}", end(bounds.min), end(bounds.max)) }
}
