//! Tags of a stream or a registered consumer: what they may be, and how they change.
//!
//! ```text
//!   u32 count | count x { text key | text value }, sorted by key
//! ```
//!
//! The rules are those of Kinesis: up to 50, keys of 1 to 128 and values of up to 256 characters, which are
//! Unicode letters, digits, white space and `_ . : / = + - @`; keys that begin with `aws:`, in whatever case, are
//! reserved.

use std::collections::BTreeMap;

use bytes::BufMut;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use rheos_protocol::message::Tag;
use rheos_protocol::wire::{FieldReader, FieldWriter};

use super::envelope::BadRecord;

/// Tags by their keys. Every key and value that is here is one that may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The tags after a change: those of `set` replace what has their key, a key of `remove` need not be there, and
    /// of a key in both the tag stays.
    ///
    /// # Errors
    ///
    /// `BadRequest`, which names the tag and the rule; `LimitExceeded` for more than 50.
    pub fn change(&self, set: &[Tag], remove: &[String]) -> Result<Tags, WireError> {
        let mut tags = self.0.clone();
        for key in remove {
            is_key(key)?;
            tags.remove(key);
        }
        for Tag { key, value } in set {
            is_key(key)?;
            is_value(key, value)?;
            tags.insert(key.clone(), value.clone());
        }
        if tags.len() > TAGS_MAX as usize {
            let message = format!("there may be {TAGS_MAX} tags, and these would be {}; remove some first", tags.len());
            let (most, would_be) = (u64::from(TAGS_MAX), tags.len() as u64);
            return Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(most, would_be));
        }
        Ok(Tags(tags))
    }

    /// Whether there is a tag with this key, and this value where one is asked for.
    pub fn has(&self, key: &str, value: Option<&str>) -> bool {
        self.0.get(key).is_some_and(|there| value.is_none_or(|value| there == value))
    }

    /// All of them, sorted by key.
    pub fn list(&self) -> Vec<Tag> {
        self.0.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
    }

    /// Whether a character may stand in keys and values.
    pub fn allows(c: char) -> bool {
        let is_space = c.is_whitespace() && !c.is_control();
        c.is_alphabetic() || c.is_numeric() || is_space || "_.:/=+-@".contains(c)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32_le(self.0.len() as u32);
        for (key, value) in &self.0 {
            FieldWriter::text(out, key);
            FieldWriter::text(out, value);
        }
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<Tags, BadRecord> {
        let count = fields.count(TAGS_MAX, 4)?;
        let mut tags = BTreeMap::new();
        for _ in 0..count {
            let (key, value) = (fields.text(4 * TAG_KEY_CHARS_MAX)?, fields.text(4 * TAG_VALUE_CHARS_MAX)?);
            let is_tag = is_key(key).is_ok() && is_value(key, value).is_ok();
            if !is_tag || tags.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= key) {
                return Err(BadRecord::Impossible("its tags are none, or not in order"));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
        Ok(Tags(tags))
    }
}

fn is_key(key: &str) -> Result<(), WireError> {
    let why = if key.is_empty() {
        "it is empty"
    } else if key.chars().count() > TAG_KEY_CHARS_MAX {
        "it has more than 128 characters"
    } else if !key.chars().all(Tags::allows) {
        ALLOWED
    } else if key.get(..RESERVED.len()).is_some_and(|head| head.eq_ignore_ascii_case(RESERVED)) {
        "what begins with aws: is reserved"
    } else {
        return Ok(());
    };
    Err(WireError::new(ErrorCode::BadRequest, format!("{:?} is no key of a tag: {why}", shown(key))))
}

fn is_value(key: &str, value: &str) -> Result<(), WireError> {
    let why = if value.chars().count() > TAG_VALUE_CHARS_MAX {
        "it has more than 256 characters"
    } else if !value.chars().all(Tags::allows) {
        ALLOWED
    } else {
        return Ok(());
    };
    let message = format!("{:?} is no value of the tag {:?}: {why}", shown(value), shown(key));
    Err(WireError::new(ErrorCode::BadRequest, message))
}

/// As much of a text as a message takes.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES)]
}

const RESERVED: &str = "aws:";
const ALLOWED: &str = "letters, digits, white space and _ . : / = + - @ are allowed";
const SHOWN_BYTES: usize = 160;

#[cfg(test)]
mod tests {
    use super::super::envelope::{ended, seal, unseal};
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    fn tags(all: &[(&str, &str)]) -> Tags {
        let all: Vec<Tag> = all.iter().map(|(key, value)| tag(key, value)).collect();
        Tags::default().change(&all, &[]).expect("they may be")
    }

    #[test]
    fn tags_are_set_replaced_and_removed() {
        let before = tags(&[("team", "payments"), ("env", "prod"), ("old", "")]);
        let after =
            before.change(&[tag("env", "test"), tag("both", "stays")], &["old".into(), "none".into(), "both".into()]);
        assert_eq!(after, Ok(tags(&[("both", "stays"), ("env", "test"), ("team", "payments")])));
        assert!(before.has("env", None) && before.has("env", Some("prod")) && before.has("old", Some("")));
        assert!(!before.has("env", Some("test")) && !before.has("en", None));
        let keys = |tags: Tags| tags.list().into_iter().map(|tag| tag.key).collect::<Vec<_>>();
        assert_eq!(keys(before), ["env", "old", "team"]);
    }

    #[test]
    fn the_rules_are_those_of_kinesis() {
        let longest = ("k".repeat(128), "v".repeat(256));
        let letters = ("\u{1f4a9}".to_owned(), "ok".to_owned());
        for (key, value) in [
            ("team", "payments"),
            ("a b\u{3000}c", ""),
            ("k8s.io/name:x=+-@_", "Gr\u{fc}\u{df}e 42"),
            ("\u{6771}\u{4eac}", "\u{661}"),
            ("awsome", "aws:fine as a value"),
            (&longest.0, &longest.1),
            (&"\u{e4}".repeat(128), &"\u{6771}".repeat(256)),
        ] {
            Tags::default().change(&[tag(key, value)], &[]).unwrap_or_else(|error| panic!("{key}={value}: {error}"));
        }
        for (key, value, word) in [
            ("", "v", "empty"),
            (&"k".repeat(129), "v", "128"),
            ("aws:team", "v", "reserved"),
            ("AWS:x", "v", "reserved"),
            ("50%", "v", "allowed"),
            ("a,b", "v", "allowed"),
            ("a\tb", "v", "allowed"),
            (&letters.0, "v", "allowed"),
            ("k", "a\nb", "allowed"),
            ("k", "50%", "allowed"),
            ("k", &"v".repeat(257), "256"),
        ] {
            let error = Tags::default().change(&[tag(key, value)], &[]).expect_err(word);
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.contains(word), "{error}");
        }
        let error = Tags::default().change(&[], &[String::new()]).expect_err("it is no key");
        assert_eq!(error.code, ErrorCode::BadRequest);
    }

    #[test]
    fn there_are_at_most_fifty() {
        let fifty: Vec<Tag> = (0..50).map(|at| tag(&format!("k{at}"), "v")).collect();
        let full = Tags::default().change(&fifty, &[]).expect("they are as many as may be");
        full.change(&[tag("k7", "w")], &[]).expect("that is no more");
        full.change(&[tag("new", "")], &["k1".to_owned()]).expect("one goes");
        let error = full.change(&[tag("new", "")], &[]).expect_err("it is one more");
        assert_eq!((error.code, error.detail, error.detail_2), (ErrorCode::LimitExceeded, 50, 51));
    }

    #[test]
    fn only_what_may_be_is_read_back() {
        const MAGIC: [u8; 4] = *b"TEST";
        let read = |bytes: &[u8]| {
            let mut fields = unseal(MAGIC, 1, bytes)?;
            let tags = Tags::decode(&mut fields)?;
            ended(&fields).map(|()| tags)
        };
        let good = tags(&[("env", "prod"), ("team", "")]);
        assert_eq!(read(&seal(MAGIC, 1, 0, |out| good.encode(out))), Ok(good));
        let raw = |all: &[(&str, &str)]| {
            seal(MAGIC, 1, 0, |out| {
                out.put_u32_le(all.len() as u32);
                for (key, value) in all {
                    FieldWriter::text(out, key);
                    FieldWriter::text(out, value);
                }
            })
        };
        let many: Vec<(String, String)> = (0..51).map(|at| (format!("k{at:02}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        for bad in [&[("b", ""), ("a", "")][..], &[("a", ""), ("a", "")], &[("", "")], &[("a", "%")], &many] {
            assert!(matches!(read(&raw(bad)), Err(BadRecord::Impossible(_))), "{bad:?}");
        }
    }
}
