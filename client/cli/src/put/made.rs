//! Records that are made up from a template, each when it is put.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;

use bytes::Bytes;
use jiff::Timestamp;

use crate::template::Template;
use crate::units::show_arrival_ms;

/// What a made-up record may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MadeField {
    Number,
    Random,
    Time,
    TimeMs,
}

const FIELDS: [(&str, MadeField); 4] = [
    ("number", MadeField::Number),
    ("random", MadeField::Random),
    ("time", MadeField::Time),
    ("time_ms", MadeField::TimeMs),
];

/// Reads `--template`.
pub(super) fn parse_made(text: &str) -> Result<Template<MadeField>, String> {
    Template::parse(text, &FIELDS)
}

/// A template and how many records it makes.
pub(super) struct Made {
    template: Template<MadeField>,
    pub(super) count: u64,
    random: RandomState,
}

impl Made {
    pub(super) fn new(template: Template<MadeField>, count: u64) -> Made {
        Made { template, count, random: RandomState::new() }
    }

    /// The data of record `number`, from 1.
    pub(super) fn record(&self, number: u64) -> Bytes {
        let now = Timestamp::now().as_millisecond();
        let mut data = Vec::new();
        let made = self.template.write(&mut data, |field, out| match field {
            MadeField::Number => write!(out, "{number}"),
            MadeField::Random => write!(out, "{:016x}", self.random.hash_one(number)),
            MadeField::Time => write!(out, "{}", show_arrival_ms(u64::try_from(now).unwrap_or(0))),
            MadeField::TimeMs => write!(out, "{now}"),
        });
        made.expect("memory takes what is written to it");
        data.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_another() {
        let made = Made::new(parse_made(r#"{"n":{{number}},"id":"{{random}}"} {{time}} {{time_ms}}"#).unwrap(), 2);
        let records = [1, 2].map(|number| String::from_utf8(made.record(number).to_vec()).unwrap());
        assert!(
            records[0].starts_with(r#"{"n":1,"id":""#) && records[1].starts_with(r#"{"n":2,"id":""#),
            "{records:?}"
        );
        let id = |record: &str| record.split('"').nth(5).map(str::to_owned);
        assert_ne!(id(&records[0]), id(&records[1]));
        let last: u64 = records[1].split(' ').next_back().unwrap().parse().unwrap();
        assert!(last > 1_700_000_000_000 && records[1].contains("Z "), "{records:?}");
        assert!(parse_made("{{Number}}").is_err_and(|why| why.contains("did you mean number?")));
    }
}
