//! Names that can only be right.

use crate::limits::NAME_CHARS_MAX;

/// The name of a stream: 1 to 128 of `a-z A-Z 0-9 _ . -`, as in Kinesis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

/// Why a text is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName(String);

impl std::fmt::Display for BadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.0[..self.0.floor_char_boundary(NAME_CHARS_MAX)];
        write!(f, "{shown:?} is not a stream name: use 1 to {NAME_CHARS_MAX} of a-z A-Z 0-9 _ . -")
    }
}

impl std::error::Error for BadName {}

impl StreamName {
    /// Proves that `text` is a stream name.
    pub fn new(text: &str) -> Result<StreamName, BadName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(allowed) {
            return Err(BadName(text.to_owned()));
        }
        Ok(StreamName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for StreamName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<StreamName, BadName> {
        StreamName::new(text)
    }
}
