//! NextToken: where a list goes on, and what was asked for when it began.
//!
//! ```text
//!   0  8  nonce
//!   8  8  issued, ms since 1970
//!  16  .  the page, by operation:
//!         ListStreams          name of the last stream
//!         ListShards           stream | incarnation u64 | last shard u32 | filter: u8 kind, u64 value
//!         ListStreamConsumers  stream | incarnation u64 | name of the last consumer
//!     32  MAC over this, the operation and the principal, see token.rs
//! ```
//!
//! Little-endian; names have their lengths in two bytes before them. What must hold: a token is of one operation and
//! one principal, for 300 seconds, over restarts; it carries all that was asked for, as AWS wants nothing else
//! beside it. Tags of a resource are never paged by AWS, and so they have none.

use bytes::BufMut;
use rheos_protocol::limits::{NAME_CHARS_MAX, STREAM_NAME_CHARS_MAX};
use rheos_protocol::name::{ConsumerName, StreamName};
use rheos_protocol::wire::{FieldReader, FieldWriter, Malformed};

use crate::error::{Error, ErrorKind};
use crate::moment::spoken;
use crate::records::Issue;
use crate::shard_id::ShardId;
use crate::token::{TOKEN_LIFE_MS, TokenKey, has_expired};

/// Far more than the longest that is given.
const TOKEN_CHARS_MAX: usize = 1024;

/// The rest of ListStreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsPage {
    /// The last stream that was listed.
    pub after: StreamName,
}

/// The rest of ListShards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardsPage {
    /// The stream, for messages.
    pub stream: StreamName,
    /// Which life of it.
    pub incarnation: u64,
    /// The last shard that was listed.
    pub after: ShardId,
    /// Which shards are listed.
    pub filter: PageFilter,
}

/// The rest of ListStreamConsumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumersPage {
    /// The stream, for messages.
    pub stream: StreamName,
    /// Which life of it.
    pub incarnation: u64,
    /// The last consumer that was listed.
    pub after: ConsumerName,
}

/// Which shards a list goes on with. AT_LATEST must be the time at which the list began by now, so that its pages
/// show one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFilter {
    /// Every shard that is kept.
    FromTrimHorizon,
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// Those that were open at this time, ms since 1970.
    AtTimestamp(u64),
    /// Those that were open at or after this time, ms since 1970.
    FromTimestamp(u64),
}

/// What a list goes on with. Only the operations of this module have one.
pub trait Page: Sized {
    /// The operation, as AWS names it.
    const OPERATION: &'static str;
    /// Appends its fields.
    fn write(&self, body: &mut Vec<u8>);
    /// Reads its fields.
    fn read(fields: &mut FieldReader<'_>) -> Result<Self, Malformed>;

    /// The NextToken for this principal, given at `now_ms`. The nonce is random or counted, another one each time.
    fn seal(&self, key: &TokenKey, principal: &str, now_ms: u64, nonce: u64) -> String {
        let mut body = Vec::with_capacity(64);
        body.put_u64_le(nonce);
        body.put_u64_le(now_ms);
        self.write(&mut body);
        key.seal(&purpose(Self::OPERATION), principal, body)
    }

    /// The NextToken for whom it is issued to.
    fn seal_for(&self, issue: &Issue<'_>) -> String {
        self.seal(issue.key, issue.principal, issue.now_ms, issue.nonce)
    }

    /// Reads a NextToken of whom tokens are issued to now.
    ///
    /// # Errors
    ///
    /// Those of [`Page::open`].
    fn open_for(text: &str, issue: &Issue<'_>) -> Result<Self, Error> {
        Self::open(text, issue.key, issue.principal, issue.now_ms)
    }

    /// Reads a NextToken that this operation has given to this principal.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException` for any other text, `ExpiredNextTokenException` after 300 seconds.
    fn open(text: &str, key: &TokenKey, principal: &str, now_ms: u64) -> Result<Self, Error> {
        let body = key.open(&purpose(Self::OPERATION), principal, text, TOKEN_CHARS_MAX);
        let read = body.and_then(|body| {
            let mut fields = FieldReader::new("next token", &body);
            let (_nonce, issued_ms) = (fields.u64().ok()?, fields.u64().ok()?);
            Some((Self::read(&mut fields).ok()?, issued_ms))
        });
        let (page, issued_ms) = read.ok_or_else(|| Error::invalid_argument("Invalid NextToken."))?;
        if has_expired(issued_ms, now_ms) { Err(expired(issued_ms, now_ms)) } else { Ok(page) }
    }
}

impl Page for StreamsPage {
    const OPERATION: &'static str = "ListStreams";

    fn write(&self, body: &mut Vec<u8>) {
        body.text(self.after.as_str());
    }

    fn read(fields: &mut FieldReader<'_>) -> Result<StreamsPage, Malformed> {
        Ok(StreamsPage { after: stream_name(fields)? })
    }
}

impl Page for ShardsPage {
    const OPERATION: &'static str = "ListShards";

    fn write(&self, body: &mut Vec<u8>) {
        body.text(self.stream.as_str());
        body.put_u64_le(self.incarnation);
        body.put_u32_le(self.after.number());
        let (kind, value) = match self.filter {
            PageFilter::FromTrimHorizon => (0, 0),
            PageFilter::AtTrimHorizon => (1, 0),
            PageFilter::AtTimestamp(ms) => (2, ms),
            PageFilter::FromTimestamp(ms) => (3, ms),
        };
        body.put_u8(kind);
        body.put_u64_le(value);
    }

    fn read(fields: &mut FieldReader<'_>) -> Result<ShardsPage, Malformed> {
        let (stream, incarnation) = (stream_name(fields)?, fields.u64()?);
        let after = ShardId::new(fields.u32()?).ok_or(fields.wrong("no shard has that number"))?;
        let filter = match (fields.u8()?, fields.u64()?) {
            (0, _) => PageFilter::FromTrimHorizon,
            (1, _) => PageFilter::AtTrimHorizon,
            (2, ms) => PageFilter::AtTimestamp(ms),
            (3, ms) => PageFilter::FromTimestamp(ms),
            _ => return Err(fields.wrong("its filter is of no kind")),
        };
        Ok(ShardsPage { stream, incarnation, after, filter })
    }
}

impl Page for ConsumersPage {
    const OPERATION: &'static str = "ListStreamConsumers";

    fn write(&self, body: &mut Vec<u8>) {
        body.text(self.stream.as_str());
        body.put_u64_le(self.incarnation);
        body.text(self.after.as_str());
    }

    fn read(fields: &mut FieldReader<'_>) -> Result<ConsumersPage, Malformed> {
        let (stream, incarnation) = (stream_name(fields)?, fields.u64()?);
        let after =
            ConsumerName::new(fields.text(NAME_CHARS_MAX)?).map_err(|_| fields.wrong("it names no consumer"))?;
        Ok(ConsumersPage { stream, incarnation, after })
    }
}

fn stream_name(fields: &mut FieldReader<'_>) -> Result<StreamName, Malformed> {
    StreamName::new(fields.text(STREAM_NAME_CHARS_MAX)?).map_err(|_| fields.wrong("it names no stream"))
}

pub(crate) fn purpose(operation: &str) -> String {
    format!("rheos next token 1 of {operation}")
}

/// AWS's words are not known; these follow those of its iterators.
fn expired(issued_ms: u64, now_ms: u64) -> Error {
    let (issued, now) = (spoken(issued_ms), spoken(now_ms));
    let created = format!("NextToken expired. The token was created at time {issued} while right now it is {now}");
    let message =
        format!("{created} which is further in the future than the tolerated delay of {TOKEN_LIFE_MS} milliseconds.");
    Error::new(ErrorKind::ExpiredNextToken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_421_889_722_000;

    fn key() -> TokenKey {
        TokenKey::new(&[7; 32])
    }

    fn shards(filter: PageFilter) -> ShardsPage {
        let stream = StreamName::new("orders").expect("it is one");
        ShardsPage { stream, incarnation: 9, after: ShardId::new(3).expect("it is one"), filter }
    }

    fn consumers() -> ConsumersPage {
        let after = ConsumerName::new("board").expect("it is one");
        ConsumersPage { stream: StreamName::new("orders").expect("it is one"), incarnation: 9, after }
    }

    fn open<P: Page>(text: &str) -> Result<P, Error> {
        P::open(text, &key(), "RKALICE", NOW_MS)
    }

    #[test]
    fn every_page_comes_back_from_the_text_alone() {
        let streams = StreamsPage { after: StreamName::new(&"s".repeat(128)).expect("it is one") };
        assert_eq!(open(&streams.seal(&key(), "RKALICE", NOW_MS, 1)), Ok(streams));
        assert_eq!(open(&consumers().seal(&key(), "RKALICE", NOW_MS, 1)), Ok(consumers()));
        use PageFilter::{AtTimestamp, AtTrimHorizon, FromTimestamp, FromTrimHorizon};
        for filter in [FromTrimHorizon, AtTrimHorizon, AtTimestamp(5), FromTimestamp(u64::MAX)] {
            assert_eq!(open(&shards(filter).seal(&key(), "RKALICE", NOW_MS, 1)), Ok(shards(filter)));
        }
    }

    #[test]
    fn a_token_is_of_one_operation_one_principal_and_one_text() {
        let invalid = || Error::invalid_argument("Invalid NextToken.");
        let text = consumers().seal(&key(), "RKALICE", NOW_MS, 1);
        assert_ne!(text, consumers().seal(&key(), "RKALICE", NOW_MS, 2));
        assert_eq!(open::<ShardsPage>(&text), Err(invalid()));
        assert_eq!(open::<StreamsPage>(&text), Err(invalid()));
        assert_eq!(ConsumersPage::open(&text, &key(), "RKBOB", NOW_MS), Err(invalid()));
        assert_eq!(ConsumersPage::open(&text, &TokenKey::new(&[8; 32]), "RKALICE", NOW_MS), Err(invalid()));
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let edited = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(open::<ConsumersPage>(&edited), Err(invalid()), "{edited}");
            assert_eq!(open::<ConsumersPage>(&text[..at]), Err(invalid()));
        }
        assert_eq!(open::<ConsumersPage>(&"A".repeat(1 << 20)), Err(invalid()));
    }

    #[test]
    fn a_token_expires_after_300_seconds() {
        let text = consumers().seal(&key(), "RKALICE", NOW_MS, 1);
        assert!(ConsumersPage::open(&text, &key(), "RKALICE", NOW_MS + 300_000).is_ok());
        let refusal = ConsumersPage::open(&text, &key(), "RKALICE", NOW_MS + 300_001).expect_err("it is too old");
        assert_eq!(refusal.kind.name(), "ExpiredNextTokenException");
        assert!(refusal.text().contains("created at time Thu Jan 22 01:22:02 UTC 2015"), "{refusal}");
    }
}
