//! A registered consumer: its record, and why one is refused.
//!
//! ```text
//!   0  4  magic "RHC1"
//!   4  4  version = 1
//!   8  8  incarnation of the stream
//!  16  8  created, ms since 1970
//!  24  2  length of the name
//!  26  .  name
//!      .  tags, drawn in tags.rs
//!      8  bytes a second that are promised to it; 0 for no promise
//!      8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. A consumer belongs to one life of a stream and goes with it. Its epochs are not kept:
//! subscriptions do not outlive the broker, so neither need their order.

use std::num::NonZeroU64;

use bytes::BufMut;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{CONSUMERS_OF_STREAM_MAX, NAME_CHARS_MAX, RATE_MAX};
use rheos_protocol::message::ConsumerDescription;
use rheos_protocol::name::{ConsumerName, StreamName};
use rheos_protocol::wire::FieldWriter;

use super::Tags;
use super::envelope::{BadRecord, ended, seal, unseal};
use super::plan::refuse_unless;

const MAGIC: [u8; 4] = *b"RHC1";
const VERSION: u32 = 1;

/// A consumer of one life of a stream, as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Its name; no two consumers of a stream have one name.
    pub name: ConsumerName,
    /// Identity of the life of the stream that it is registered with.
    pub incarnation: u64,
    /// Registration, in ms since 1970.
    pub created_ms: u64,
    /// Its tags.
    pub tags: Tags,
    /// Bytes a second that are promised to it, of all shards together.
    pub reserved: Option<NonZeroU64>,
}

impl ConsumerRecord {
    /// The record as the catalog stores it.
    pub fn encode(&self) -> Vec<u8> {
        seal(MAGIC, VERSION, 40 + self.name.as_str().len(), |out| {
            out.put_u64_le(self.incarnation);
            out.put_u64_le(self.created_ms);
            FieldWriter::text(out, self.name.as_str());
            self.tags.encode(out);
            out.put_u64_le(self.reserved_bytes());
        })
    }

    /// The consumer with other tags; `None` when they are the same.
    pub fn with_tags(&self, tags: Tags) -> Option<ConsumerRecord> {
        (tags != self.tags).then(|| ConsumerRecord { tags, ..self.clone() })
    }

    /// The consumer with another reservation, in bytes a second, 0 for none; `None` when it is the same.
    ///
    /// # Errors
    ///
    /// `BadRequest` when it is out of range.
    pub fn reserving(&self, reserved_bytes: u64) -> Result<Option<ConsumerRecord>, WireError> {
        refuse_unless("reserved_bytes", reserved_bytes, 0, RATE_MAX, " bytes a second, or 0 for no reservation")?;
        let reserved = NonZeroU64::new(reserved_bytes);
        Ok((reserved != self.reserved).then(|| ConsumerRecord { reserved, ..self.clone() }))
    }

    fn reserved_bytes(&self) -> u64 {
        self.reserved.map_or(0, NonZeroU64::get)
    }

    /// Reads a record and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<ConsumerRecord, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let (incarnation, created_ms) = (fields.u64()?, fields.u64()?);
        let name = ConsumerName::new(fields.text(NAME_CHARS_MAX)?)
            .map_err(|_| BadRecord::Impossible("its name is no consumer name"))?;
        let (tags, reserved) = (Tags::decode(&mut fields)?, fields.u64()?);
        ended(&fields)?;
        if reserved > RATE_MAX {
            return Err(BadRecord::Impossible("its reservation is out of range"));
        }
        Ok(ConsumerRecord { name, incarnation, created_ms, tags, reserved: NonZeroU64::new(reserved) })
    }

    /// The consumer as a client sees it; `epoch` is 0 in a listing.
    pub fn describe(&self, epoch: u64) -> ConsumerDescription {
        ConsumerDescription {
            name: self.name.as_str().to_owned(),
            incarnation: self.incarnation,
            created_ms: self.created_ms,
            epoch,
            reserved_bytes: self.reserved_bytes(),
        }
    }
}

/// Plans the consumer that is asked for, of this life of a stream.
///
/// # Errors
///
/// `BadRequest`, which names the field.
pub fn plan_consumer(name: &str, incarnation: u64, now_ms: u64) -> Result<ConsumerRecord, WireError> {
    let name =
        ConsumerName::new(name).map_err(|error| WireError::new(ErrorCode::BadRequest, format!("consumer: {error}")))?;
    Ok(ConsumerRecord { name, incarnation, created_ms: now_ms, tags: Tags::default(), reserved: None })
}

/// Refuses one consumer more than a stream may have.
///
/// # Errors
///
/// `LimitExceeded`, which names the limit.
pub fn admit_consumer(stream: &StreamName, consumers_now: u64) -> Result<(), WireError> {
    let most = u64::from(CONSUMERS_OF_STREAM_MAX);
    if consumers_now < most {
        return Ok(());
    }
    let message = format!(
        "a stream has at most {most} registered consumers, {stream} has {consumers_now}; deregister some that are no \
         longer used"
    );
    Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(most, consumers_now))
}

/// The refusal of a second consumer of one name.
pub fn consumer_exists(stream: &StreamName, consumer: &ConsumerName) -> WireError {
    WireError::new(
        ErrorCode::ConsumerExists,
        format!("stream {stream} has a registered consumer named {consumer}; use it, or choose another name"),
    )
}

/// The refusal of a request about a consumer that is not there.
pub fn consumer_not_found(stream: &StreamName, consumer: &ConsumerName) -> WireError {
    let message = format!("stream {stream} has no registered consumer named {consumer}; register it first");
    WireError::new(ErrorCode::ConsumerNotFound, message)
}

/// An epoch that is newer than every one before it, also when the clock was set back. That it follows the
/// clock keeps it newer than those that were given before a restart.
pub fn next_epoch(last: u64, wall_ms: u64) -> u64 {
    wall_ms.max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> ConsumerRecord {
        plan_consumer(name, 7, 1_700_000_000_123).expect("it is a name")
    }

    #[test]
    fn a_record_reads_back_and_no_damage_goes_unseen() {
        for name in ["a", "billing", &"n".repeat(NAME_CHARS_MAX)] {
            assert_eq!(ConsumerRecord::decode(&record(name).encode()), Ok(record(name)));
        }
        let good = record("billing").encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(ConsumerRecord::decode(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(ConsumerRecord::decode(&good[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_reservation_is_kept_changed_and_taken_back() {
        let plain = record("billing");
        assert_eq!(plain.reserving(0), Ok(None), "equal is no change");
        let reserving = plain.reserving(8 << 20).expect("it is in range").expect("it changes");
        assert_eq!(ConsumerRecord::decode(&reserving.encode()), Ok(reserving.clone()));
        assert_eq!((plain.describe(1).reserved_bytes, reserving.describe(1).reserved_bytes), (0, 8 << 20));
        assert_eq!(reserving.reserving(8 << 20), Ok(None));
        assert_eq!(reserving.reserving(0), Ok(Some(plain.clone())));
        let error = plain.reserving(RATE_MAX + 1).expect_err("it is out of range");
        assert!(error.code == ErrorCode::BadRequest && error.message.contains("reserved_bytes"), "{error}");
    }

    #[test]
    fn what_is_whole_and_cannot_be_is_not_believed() {
        let reserving = |name: &str, reserved: u64, more: &[u8]| {
            seal(MAGIC, VERSION, 0, |out| {
                out.put_u64_le(7);
                out.put_u64_le(8);
                FieldWriter::text(out, name);
                out.put_u32_le(0);
                out.put_u64_le(reserved);
                out.put_slice(more);
            })
        };
        let with = |name: &str, more: &[u8]| reserving(name, RATE_MAX, more);
        assert!(ConsumerRecord::decode(&with("fine", b"")).is_ok());
        for (bytes, word) in [
            (with("", b""), "name"),
            (with("a b", b""), "name"),
            (with("fine", b"x"), "follows"),
            (reserving("fine", RATE_MAX + 1, b""), "reservation"),
            (with(&"n".repeat(129), b""), "longer"),
        ] {
            let error = ConsumerRecord::decode(&bytes).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
        let newer = seal(MAGIC, 9, 0, |_| {});
        assert_eq!(ConsumerRecord::decode(&newer), Err(BadRecord::Newer { found: 9, known: 1 }));
        assert_eq!(ConsumerRecord::decode(b"RHT1"), Err(BadRecord::NotARecord));
    }

    #[test]
    fn a_refusal_names_the_thing_and_the_limit() {
        let stream = StreamName::new("orders").expect("it is a name");
        for bad in ["", "a b", &"n".repeat(129)] {
            let error = plan_consumer(bad, 1, 1).expect_err("it is no name");
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.starts_with("consumer: "), "{error}");
        }
        let most = u64::from(CONSUMERS_OF_STREAM_MAX);
        admit_consumer(&stream, most - 1).expect("there is room for one");
        let error = admit_consumer(&stream, most).expect_err("there is none");
        assert_eq!((error.code, error.detail), (ErrorCode::LimitExceeded, most));
        assert!(error.message.contains("orders") && error.message.contains("1000"), "{error}");
    }

    #[test]
    fn epochs_rise_whatever_the_clock_does() {
        let mut last = 0;
        for wall_ms in [5, 5, 1_000, 3, 0, 1_001, 1_001, u64::MAX - 1, 7] {
            let next = next_epoch(last, wall_ms);
            assert!(next > last && next >= wall_ms, "{next} after {last} at {wall_ms}");
            last = next;
        }
        assert_eq!(next_epoch(u64::MAX, 1), u64::MAX);
    }
}
