//! Why something is refused, in AWS's words.

use std::fmt;

/// An error as an AWS client sees it.
///
/// Its HTTP status and its encoding are not said here: `InternalFailure` is the server's fault, every other
/// name of this crate's the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error's name on the wire, such as `InvalidArgumentException`.
    pub name: &'static str,
    /// What a person reads. Empty where AWS says nothing.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(name: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { name, message: message.into() }
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Refusal {
        Refusal::new("InvalidArgumentException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new("ResourceNotFoundException", message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Refusal {}
