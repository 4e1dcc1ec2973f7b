//! Errors that travel: a number that is never reused, a message a person can act on, and whether and
//! when to try again.

use bytes::{BufMut, BytesMut};

use crate::limits::TEXT_BYTES_MAX;
use crate::wire::{FieldReader, FieldWriter, Malformed};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What went wrong. The numbers are for ever; they are also QUIC application close codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)+
            /// A number of a later version.
            Unknown(u16),
        }

        impl ErrorCode {
            /// Every code of this version.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),+];

            /// The number that travels.
            pub fn number(self) -> u16 {
                match self {
                    $(ErrorCode::$name => $number,)+
                    ErrorCode::Unknown(number) => number,
                }
            }

            /// The code of a number.
            pub fn from_number(number: u16) -> ErrorCode {
                match number {
                    $($number => ErrorCode::$name,)+
                    number => ErrorCode::Unknown(number),
                }
            }
        }
    };
}

error_codes! {
    /// The bytes are not a frame or message; the connection or stream is closed.
    BadFrame = 1,
    /// No protocol version in common.
    UnsupportedVersion = 2,
    /// The broker does not know this kind of request.
    Unsupported = 3,
    /// The credential is missing or wrong.
    Unauthenticated = 4,
    /// The principal may not do this.
    Denied = 5,
    /// A declared length exceeds the limit of its kind.
    FrameTooLarge = 6,
    /// A field of the request is out of its range.
    BadRequest = 7,
    /// No stream of that name, or that incarnation of it is gone.
    StreamNotFound = 10,
    /// A stream of that name exists.
    StreamExists = 11,
    /// The stream has no such shard.
    ShardNotFound = 12,
    /// A record of the batch belongs to another shard.
    WrongShard = 13,
    /// The shard is closed; its children take puts.
    ShardClosed = 14,
    /// The stream has no registered consumer of that name, or it was deregistered.
    ConsumerNotFound = 15,
    /// The stream has a registered consumer of that name.
    ConsumerExists = 16,
    /// A newer epoch of the consumer is subscribed to the shard; `detail` is that epoch.
    Superseded = 17,
    /// No access key of that id or name.
    KeyNotFound = 18,
    /// An access key of that name exists.
    KeyExists = 19,
    /// The batch is malformed.
    BadBatch = 20,
    /// A checksum of the batch is wrong.
    BadChecksum = 21,
    /// A record is larger than the stream allows.
    RecordTooLarge = 22,
    /// A partition key is empty or too long.
    BadKey = 23,
    /// The broker's byte budget is used up; try again after the wait.
    Busy = 30,
    /// The shard's limit is reached; try again after the wait.
    OverLimit = 31,
    /// An earlier put of this producer was refused; resend from the number in `detail`.
    Behind = 32,
    /// The broker does not remember this producer, so it cannot tell whether the put is a resend.
    UnknownProducer = 33,
    /// A newer epoch of this producer exists.
    ProducerFenced = 34,
    /// The number is older than what the broker remembers.
    NumberTooOld = 35,
    /// The stream or the shard is being split or merged; try again after the wait.
    Resharding = 36,
    /// More would be promised to consumers than a lane can keep: `detail` is the most in bytes a second, `detail_2` what
    /// it would be.
    OverReserved = 37,
    /// The put may or may not be stored.
    Indeterminate = 40,
    /// The log takes no puts, because it is damaged or its disk failed; reads go on.
    ReadOnly = 41,
    /// The disk is full; puts are refused until there is room, reads go on.
    StorageFull = 42,
    /// Records are damaged on the disk: `detail` is the first missing sequence, `detail_2` the last.
    Damaged = 43,
    /// The position is before what is kept; `detail` is the first kept sequence.
    Trimmed = 44,
    /// The position is beyond the tip; `detail` is the next sequence.
    BeyondTip = 45,
    /// The broker stops; connect again after the wait.
    GoingAway = 50,
    /// The broker failed; its log says why.
    Internal = 51,
    /// A limit of the broker is reached, such as open streams of a connection or shards of a broker.
    LimitExceeded = 52,
}

/// Whether and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again.
    Never,
    /// After this many milliseconds.
    After(u32),
    /// Resend the puts of this (producer, shard) from this number on.
    From(u64),
}

/// An error as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// What went wrong.
    pub code: ErrorCode,
    /// Whether and when to try again.
    pub retry: Retry,
    /// A number that belongs to the code, else 0.
    pub detail: u64,
    /// A second number that belongs to the code, else 0.
    pub detail_2: u64,
    /// Names the thing and says what to do; at most 1,024 bytes.
    pub message: String,
}

impl WireError {
    /// An error that trying again does not mend.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> WireError {
        WireError { code, retry: Retry::Never, detail: 0, detail_2: 0, message: message.into() }
    }

    /// An error that may pass after `wait_ms`.
    pub fn retry_after(code: ErrorCode, wait_ms: u32, message: impl Into<String>) -> WireError {
        WireError { retry: Retry::After(wait_ms), ..WireError::new(code, message) }
    }

    /// An earlier put was refused: resend from `number`.
    pub fn behind(number: u64) -> WireError {
        WireError {
            retry: Retry::From(number),
            detail: number,
            ..WireError::new(ErrorCode::Behind, format!("an earlier put was refused; resend from number {number}"))
        }
    }

    /// The same error with its numbers.
    pub fn with_detail(mut self, detail: u64, detail_2: u64) -> WireError {
        (self.detail, self.detail_2) = (detail, detail_2);
        self
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.code.number());
        let (kind, value) = match self.retry {
            Retry::Never => (0, 0),
            Retry::After(wait_ms) => (1, u64::from(wait_ms)),
            Retry::From(number) => (2, number),
        };
        out.put_u8(kind);
        out.put_u64_le(value);
        out.put_u64_le(self.detail);
        out.put_u64_le(self.detail_2);
        FieldWriter::text(out, cut(&self.message));
    }

    pub(crate) fn decode(fields: &mut FieldReader<'_>) -> Result<WireError, Malformed> {
        let code = ErrorCode::from_number(fields.u16()?);
        let retry = match (fields.u8()?, fields.u64()?) {
            (1, wait_ms) => Retry::After(wait_ms.min(u64::from(u32::MAX)) as u32),
            (2, number) => Retry::From(number),
            _ => Retry::Never,
        };
        let (detail, detail_2) = (fields.u64()?, fields.u64()?);
        Ok(WireError { code, retry, detail, detail_2, message: fields.text(TEXT_BYTES_MAX)?.to_owned() })
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (error {})", self.message, self.code.number())
    }
}

impl std::error::Error for WireError {}

/// The longest prefix of `message` that may travel.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_one_to_one() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), *code);
        }
        let mut numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert_eq!(ErrorCode::from_number(9_999), ErrorCode::Unknown(9_999));
    }
}
