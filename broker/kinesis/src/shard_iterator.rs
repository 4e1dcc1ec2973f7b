//! Shard iterators, which the broker does not keep: all that a GetRecords wants is in the text.
//!
//! ```text
//!   0  8  version = 1, big-endian: an iterator of AWS begins with the same bytes
//!   8  8  nonce
//!  16  8  issued, ms since 1970
//!  24  8  incarnation of the stream
//!  32  4  shard
//!  36  1  position: 0 trim horizon, 1 sequence, 2 timestamp
//!  37  8  sequence, or ms since 1970
//!  45  2  length of the stream's name
//!      .  name
//!     32  MAC over this and the principal, see token.rs
//! ```
//!
//! Little-endian but for the version. What must hold: an iterator opens for the principal that it was given to and
//! for nobody else, for 5 minutes, over restarts; two are never the same text, as long as their nonces differ; it
//! names the incarnation, so it never reads a stream that was made again under the name. LATEST is a sequence by
//! then: what is put after the iterator was given is read with it.

use bytes::BufMut;
use rheos_protocol::limits::STREAM_NAME_CHARS_MAX;
use rheos_protocol::name::StreamName;
use rheos_protocol::wire::{FieldReader, FieldWriter, Malformed};

use crate::error::{Error, ErrorKind};
use crate::moment::spoken;
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;
use crate::token::{TOKEN_LIFE_MS, TokenKey, has_expired};

/// The longest iterator, in characters.
pub const ITERATOR_CHARS_MAX: usize = 512;
pub(crate) const PURPOSE: &str = "rheos shard iterator";
const VERSION: u64 = 1;

/// Where GetRecords goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator {
    /// The name of the stream, for messages: the incarnation says which stream it is.
    pub stream: StreamName,
    /// Which life of the stream.
    pub incarnation: u64,
    /// The shard.
    pub shard: ShardId,
    /// The place in it.
    pub position: IteratorPosition,
}

/// A place in a shard that means the same whenever it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IteratorPosition {
    /// The oldest record that is kept when it is read.
    TrimHorizon,
    /// The record with this sequence, or the next that is kept. LATEST and the places of sequence numbers are these.
    Sequence(u64),
    /// The first record that arrived at or after this time, ms since 1970.
    Timestamp(u64),
}

impl IteratorPosition {
    /// Where AT_SEQUENCE_NUMBER begins, whether there is a record of that number or not.
    pub fn at(number: &SequenceNumber) -> IteratorPosition {
        IteratorPosition::Sequence(number.first_at())
    }

    /// Where AFTER_SEQUENCE_NUMBER begins, whether there is a record of that number or not.
    pub fn after(number: &SequenceNumber) -> IteratorPosition {
        IteratorPosition::Sequence(number.first_after())
    }
}

impl ShardIterator {
    /// The text for this principal, given at `now_ms`. The nonce is random or counted, and another one each time.
    pub fn seal(&self, key: &TokenKey, principal: &str, now_ms: u64, nonce: u64) -> String {
        let mut body = Vec::with_capacity(64 + self.stream.as_str().len());
        body.put_u64(VERSION);
        body.put_u64_le(nonce);
        body.put_u64_le(now_ms);
        body.put_u64_le(self.incarnation);
        body.put_u32_le(self.shard.number());
        let (kind, value) = match self.position {
            IteratorPosition::TrimHorizon => (0, 0),
            IteratorPosition::Sequence(sequence) => (1, sequence),
            IteratorPosition::Timestamp(ms) => (2, ms),
        };
        body.put_u8(kind);
        body.put_u64_le(value);
        body.text(self.stream.as_str());
        key.seal(PURPOSE, principal, body)
    }

    /// Reads an iterator of this principal. One in literal double quotes is taken, as AWS takes it.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException` for what was not given to this principal by this broker, and
    /// `ExpiredIteratorException` 5 minutes after it was.
    pub fn open(text: &str, key: &TokenKey, principal: &str, now_ms: u64) -> Result<ShardIterator, Error> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let body = key.open(PURPOSE, principal, bare, ITERATOR_CHARS_MAX);
        let read = body.and_then(|body| ShardIterator::decode(&body).ok());
        let (iterator, issued_ms) = read.ok_or_else(|| Error::invalid_argument("Invalid ShardIterator."))?;
        if has_expired(issued_ms, now_ms) { Err(expired(issued_ms, now_ms)) } else { Ok(iterator) }
    }

    /// What is sealed, and when it was. What the MAC covers we have written, but a later version may have.
    fn decode(body: &[u8]) -> Result<(ShardIterator, u64), Malformed> {
        let mut fields = FieldReader::new("shard iterator", body);
        if u64::from_be_bytes(fields.array()?) != VERSION {
            return Err(fields.wrong("it is of another version"));
        }
        let _nonce = fields.u64()?;
        let (issued_ms, incarnation) = (fields.u64()?, fields.u64()?);
        let shard = ShardId::new(fields.u32()?).ok_or(fields.wrong("no shard has that number"))?;
        let position = match (fields.u8()?, fields.u64()?) {
            (0, _) => IteratorPosition::TrimHorizon,
            (1, sequence) => IteratorPosition::Sequence(sequence),
            (2, ms) => IteratorPosition::Timestamp(ms),
            _ => return Err(fields.wrong("its position is of no kind")),
        };
        let stream =
            StreamName::new(fields.text(STREAM_NAME_CHARS_MAX)?).map_err(|_| fields.wrong("its stream has no name"))?;
        Ok((ShardIterator { stream, incarnation, shard, position }, issued_ms))
    }
}

fn expired(issued_ms: u64, now_ms: u64) -> Error {
    let (issued, now) = (spoken(issued_ms), spoken(now_ms));
    let created = format!("Iterator expired. The iterator was created at time {issued} while right now it is {now}");
    let message =
        format!("{created} which is further in the future than the tolerated delay of {TOKEN_LIFE_MS} milliseconds.");
    Error::new(ErrorKind::ExpiredIterator, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_421_889_722_000;

    fn key() -> TokenKey {
        TokenKey::new(&[7; 32])
    }

    fn iterator(position: IteratorPosition) -> ShardIterator {
        let shard = ShardId::new(3).expect("it is one");
        ShardIterator { stream: StreamName::new("orders").expect("it is one"), incarnation: 9, shard, position }
    }

    fn sealed() -> String {
        iterator(IteratorPosition::Sequence(5)).seal(&key(), "RKALICE", NOW_MS, 1)
    }

    fn invalid() -> Result<ShardIterator, Error> {
        Err(Error::invalid_argument("Invalid ShardIterator."))
    }

    #[test]
    fn every_position_comes_back_from_the_text_alone() {
        use IteratorPosition::{Sequence, Timestamp, TrimHorizon};
        for position in [TrimHorizon, Sequence(0), Sequence(u64::MAX), Timestamp(NOW_MS)] {
            let text = iterator(position).seal(&key(), "RKALICE", NOW_MS, 1);
            // The key made again is a restart.
            assert_eq!(ShardIterator::open(&text, &key(), "RKALICE", NOW_MS), Ok(iterator(position)));
            let quoted = format!("\"{text}\"");
            assert_eq!(ShardIterator::open(&quoted, &key(), "RKALICE", NOW_MS), Ok(iterator(position)));
        }
    }

    #[test]
    fn a_number_of_no_record_has_a_position_too() {
        let shard = ShardId::new(3).expect("it is one");
        let (record, start) = (SequenceNumber::of_record(shard, 5, 7, 9), SequenceNumber::of_start(shard, 5));
        let both = |number| (IteratorPosition::at(&number), IteratorPosition::after(&number));
        assert_eq!(both(record), (IteratorPosition::Sequence(7), IteratorPosition::Sequence(8)));
        assert_eq!(both(start), (IteratorPosition::Sequence(0), IteratorPosition::Sequence(0)));
    }

    #[test]
    fn the_text_is_what_clients_expect_and_never_the_same() {
        let long = format!("123456789012/{}/{}", "r".repeat(32), "n".repeat(128));
        let long = StreamName::new(&long).expect("it is one");
        let longest = ShardIterator { stream: long, ..iterator(IteratorPosition::TrimHorizon) };
        let text = longest.seal(&key(), "RKALICE", NOW_MS, 1);
        assert!(text.len() <= ITERATOR_CHARS_MAX && text.len() == 340, "{}", text.len());
        assert!(
            text.starts_with("AAAAAAAAAAE")
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        );
        let again = longest.seal(&key(), "RKALICE", NOW_MS, 2);
        assert_ne!(text, again);
    }

    #[test]
    fn the_bytes_are_as_drawn() {
        let golden = "AAAAAAAAAAEBAAAAAAAAAJBWOw9LAQAACQAAAAAAAAADAAAAAQUAAAAAAAAABgBvcmRlcnNZk9G3/KD4PUEdUdUsRMKNtKjZtqQ4d+xTXzrrBmKWlQ==";
        assert_eq!(sealed(), golden);
    }

    #[test]
    fn an_edited_iterator_is_refused_wherever_it_was_edited() {
        let text = sealed();
        for at in 0..text.len() {
            for other in ["A", "B", "/", "=", "", "!", "\"", "AA"] {
                let edited = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                if edited != text {
                    assert_eq!(ShardIterator::open(&edited, &key(), "RKALICE", NOW_MS), invalid(), "{edited}");
                }
            }
            assert_eq!(ShardIterator::open(&text[..at], &key(), "RKALICE", NOW_MS), invalid());
        }
        for other in
            ["", "\"", "\"\"", &format!("\"\"{text}\"\""), &format!(" {text}"), &format!("{text}\n"), &"A".repeat(513)]
        {
            assert_eq!(ShardIterator::open(other, &key(), "RKALICE", NOW_MS), invalid(), "{other}");
        }
    }

    #[test]
    fn it_is_of_one_principal_and_one_key() {
        assert_eq!(ShardIterator::open(&sealed(), &key(), "RKBOB", NOW_MS), invalid());
        assert_eq!(ShardIterator::open(&sealed(), &key(), "", NOW_MS), invalid());
        assert_eq!(ShardIterator::open(&sealed(), &TokenKey::new(&[8; 32]), "RKALICE", NOW_MS), invalid());
    }

    #[test]
    fn it_expires_after_five_minutes_in_aws_words() {
        let open_at = |now_ms| ShardIterator::open(&sealed(), &key(), "RKALICE", now_ms);
        assert!(open_at(NOW_MS + 300_000).is_ok());
        assert!(open_at(NOW_MS - 3_600_000).is_ok(), "a clock that is set back ends no iterator");
        let refusal = open_at(NOW_MS + 300_001).expect_err("it is too old");
        assert_eq!(refusal.kind.name(), "ExpiredIteratorException");
        assert_eq!(
            refusal.text(),
            "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is Thu \
             Jan 22 01:27:02 UTC 2015 which is further in the future than the tolerated delay of 300000 milliseconds."
        );
    }
}
