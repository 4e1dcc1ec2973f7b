//! Names that can only be right.

use crate::limits::NAME_CHARS_MAX;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    what: &'static str,
    text: String,
}

impl std::fmt::Display for BadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.text[..self.text.floor_char_boundary(NAME_CHARS_MAX)];
        write!(f, "{shown:?} is not a {} name: use 1 to {NAME_CHARS_MAX} of a-z A-Z 0-9 _ . -", self.what)
    }
}

impl std::error::Error for BadName {}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident = $what:literal,)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Proves that `text` is a name.
            pub fn new(text: &str) -> Result<$name, BadName> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
                if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(allowed) {
                    return Err(BadName { what: $what, text: text.to_owned() });
                }
                Ok($name(text.to_owned()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<$name, BadName> {
                $name::new(text)
            }
        }
    )+};
}

names! {
    /// The name of a stream: 1 to 128 of `a-z A-Z 0-9 _ . -`, as in Kinesis.
    StreamName = "stream",
    /// The name of a registered consumer: 1 to 128 of `a-z A-Z 0-9 _ . -`, as in Kinesis.
    ConsumerName = "consumer",
    /// What an access key was made for: 1 to 128 of `a-z A-Z 0-9 _ . -`.
    KeyName = "key",
}
