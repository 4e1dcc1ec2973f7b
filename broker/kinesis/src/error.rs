//! Errors as AWS's clients know them: a name from a fixed list, a message, an HTTP status.
//!
//! Every refusal of the face is an [`Error`] until its answer is written; nothing else puts a name
//! on the wire. Clients branch on the name, and people read the message: where AWS's text is
//! known it is that text.

use std::fmt;

use crate::answer::Answer;
use crate::codec::Encoding;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind it is.
    pub kind: ErrorKind,
    /// The words, where there are any: three errors of the transport have none.
    pub message: Option<String>,
}

impl Error {
    /// An error with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: Some(message.into()) }
    }

    /// An error of the transport, which is a name alone.
    pub fn bare(kind: ErrorKind) -> Error {
        Error { kind, message: None }
    }

    /// An argument that contradicts another, or the state of things.
    pub fn invalid_argument(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::ResourceNotFound, message)
    }

    /// The words; empty where there are none.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or("")
    }

    /// The HTTP answer, in the encoding of the request.
    pub fn answer(&self, encoding: Encoding) -> Answer {
        Answer {
            status: self.kind.status(),
            content_type: Some(encoding.content_type()),
            error_type: Some(self.kind.name()),
            body: encoding.encode_pairs(&self.pairs()),
        }
    }

    /// The body's names and texts, in order.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![("__type", self.kind.name())];
        pairs.extend(self.message.as_deref().map(|text| (self.kind.message_name(), text)));
        pairs
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.kind.name()),
            None => f.write_str(self.kind.name()),
        }
    }
}

impl std::error::Error for Error {}

/// The kinds of errors: one line each, name on the wire and HTTP status.
macro_rules! error_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:literal;)*) => {
        /// Every kind of error that the face may answer with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$kind,)*];

            /// The name on the wire: `__type`, and the header `x-amzn-ErrorType`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $name,)*
                }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(ErrorKind::$kind => $status,)*
                }
            }
        }
    };
}

error_kinds! {
    /// The principal may not do this.
    AccessDenied = "AccessDeniedException", 400;
    /// The call would have succeeded, had it not said DryRun.
    DryRunOperation = "DryRunOperationException", 400;
    /// The shard iterator is older than five minutes.
    ExpiredIterator = "ExpiredIteratorException", 400;
    /// The page token is older than five minutes.
    ExpiredNextToken = "ExpiredNextTokenException", 400;
    /// The authorization lacks a part.
    IncompleteSignature = "IncompleteSignatureException", 400;
    /// rheos failed.
    InternalFailure = "InternalFailure", 500;
    /// An argument contradicts another or the state of things.
    InvalidArgument = "InvalidArgumentException", 400;
    /// The signature is not the key's.
    InvalidSignature = "InvalidSignatureException", 400;
    /// The KMS key may not be used.
    KmsAccessDenied = "KMSAccessDeniedException", 400;
    /// The KMS key is disabled.
    KmsDisabled = "KMSDisabledException", 400;
    /// The KMS key is in a state that forbids this.
    KmsInvalidState = "KMSInvalidStateException", 400;
    /// There is no such KMS key.
    KmsNotFound = "KMSNotFoundException", 400;
    /// KMS wants a subscription.
    KmsOptInRequired = "KMSOptInRequired", 400;
    /// KMS was asked too often.
    KmsThrottling = "KMSThrottlingException", 400;
    /// Too many calls or too many things of a kind.
    LimitExceeded = "LimitExceededException", 400;
    /// No authorization at all.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 400;
    /// A shard's throughput is used up.
    ProvisionedThroughputExceeded = "ProvisionedThroughputExceededException", 400;
    /// The body of the request came too slowly.
    RequestTimeout = "RequestTimeoutException", 408;
    /// The stream, shard or consumer is in a state that forbids this.
    ResourceInUse = "ResourceInUseException", 400;
    /// There is no such stream, shard or consumer.
    ResourceNotFound = "ResourceNotFoundException", 400;
    /// The body is not what the operation's table makes of it.
    Serialization = "SerializationException", 400;
    /// The broker cannot serve now.
    ServiceUnavailable = "ServiceUnavailable", 503;
    /// No operation of this name.
    UnknownOperation = "UnknownOperationException", 400;
    /// No such access key.
    UnrecognizedClient = "UnrecognizedClientException", 400;
    /// A member breaks a constraint of the table.
    Validation = "ValidationException", 400;
}

impl ErrorKind {
    /// What the message is called in the body: AWS writes one of them with a capital.
    const fn message_name(self) -> &'static str {
        match self {
            ErrorKind::Serialization => "Message",
            _ => "message",
        }
    }
}
