//! What a shape demands of a value besides its type.

use std::fmt;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// The least and the most of a number or of a length, both inclusive. Either may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

impl Bounds {
    /// Anything.
    pub const ANY: Bounds = Bounds { min: None, max: None };

    /// From `min` to `max`.
    pub const fn between(min: i64, max: i64) -> Bounds {
        Bounds { min: Some(min), max: Some(max) }
    }

    /// `min` and more.
    pub const fn at_least(min: i64) -> Bounds {
        Bounds { min: Some(min), max: None }
    }

    /// Whether `value` is not below the least.
    pub fn admits_low(&self, value: i64) -> bool {
        self.min.is_none_or(|min| value >= min)
    }

    /// Whether `value` is not above the most.
    pub fn admits_high(&self, value: i64) -> bool {
        self.max.is_none_or(|max| value <= max)
    }
}

/// What a text must be.
#[derive(Debug)]
pub struct Text {
    /// How many characters (Unicode scalar values) it may have.
    pub length: Bounds,
    /// What the whole of it must match.
    pub pattern: Option<&'static Pattern>,
    /// The texts that are allowed; none means all.
    pub values: &'static [&'static str],
}

/// A regular expression that must match the whole of a text.
///
/// Classes are ASCII's, as in AWS's own validation; it is compiled when it is first asked.
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern of the table.
    pub const fn new(text: &'static str) -> Pattern {
        Pattern { text, compiled: OnceLock::new() }
    }

    /// The pattern as messages show it.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Whether all of `value` matches.
    ///
    /// # Panics
    /// If the pattern is none; a test compiles every pattern of the table.
    pub fn matches(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| {
            let whole = format!(r"\A(?:{})\z", self.text);
            RegexBuilder::new(&whole).unicode(false).build().expect("the table's patterns are regular expressions")
        });
        compiled.is_match(value.as_bytes())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}
