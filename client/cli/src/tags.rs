//! Tags as people write them: `team=payments`; and how they are shown.

use rheos_client::Tag;
use serde_json::{Map, Value};

/// A tag; the value may be empty, and hold further `=`.
pub(crate) fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no tag; write a key, = and a value, such as team=payments")),
    }
}

/// A tag to look for: its key, and its value where that matters.
pub(crate) fn parse_wanted(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some(("", _)) => parse_tag(text).map(|(key, value)| (key, Some(value))),
        Some((key, value)) => Ok((key.to_owned(), Some(value.to_owned()))),
        None if text.is_empty() => Err("a tag to look for has a key".to_owned()),
        None => Ok((text.to_owned(), None)),
    }
}

/// For people, on one line.
pub(crate) fn show(tags: &[Tag]) -> String {
    match tags {
        [] => "none".to_owned(),
        tags => tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(", "),
    }
}

/// For programs: an object.
pub(crate) fn as_json(tags: &[Tag]) -> Value {
    tags.iter().map(|tag| (tag.key.clone(), Value::from(tag.value.as_str()))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        for (text, key, value) in [("team=payments", "team", "payments"), ("a=", "a", ""), ("a=b=c", "a", "b=c")] {
            assert_eq!(parse_tag(text), Ok((key.to_owned(), value.to_owned())));
            assert_eq!(parse_wanted(text), Ok((key.to_owned(), Some(value.to_owned()))));
        }
        assert_eq!(parse_wanted("team"), Ok(("team".to_owned(), None)));
        for text in ["", "team", "=payments"] {
            assert!(parse_tag(text).is_err_and(|why| why.contains("team=payments")), "{text}");
        }
        assert!(parse_wanted("").is_err() && parse_wanted("=x").is_err());
    }
}
