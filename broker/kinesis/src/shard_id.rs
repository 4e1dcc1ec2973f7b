//! The ids of shards, and how a stream and its shards are named in messages.
//!
//! ```text
//! shardId-000000000007            what is answered
//! shardId-000000000007, shard-7, x-00007, 7   what is understood as it
//! ```
//!
//! What must hold: a [`ShardId`] is one that can be; messages name the normalised id, but for an id that cannot
//! be, which is named as it was given.

use std::fmt;

use crate::arn::AccountId;
use crate::error::Error;

/// The number of a shard in its stream, 0 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u32);

impl ShardId {
    /// The largest number of a shard.
    pub const MAX: ShardId = ShardId(i32::MAX as u32);

    /// The id of the shard with this number; none above [`ShardId::MAX`].
    pub fn new(number: u32) -> Option<ShardId> {
        (number <= ShardId::MAX.0).then_some(ShardId(number))
    }

    /// Understands an id as leniently as AWS: what follows the first `-`, or all of it, must be digits.
    ///
    /// # Errors
    ///
    /// `ResourceNotFoundException` where it cannot be the id of any shard.
    pub fn parse(given: &str, stream: &StreamOf<'_>) -> Result<ShardId, Error> {
        ShardId::read(given).ok_or_else(|| Error::not_found(format!("Could not find shard {given} in {stream}.")))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The refusal of a read from a shard that is not there.
    pub fn does_not_exist(self, stream: &StreamOf<'_>) -> Error {
        Error::not_found(format!("Shard {self} in {stream} does not exist"))
    }

    /// The refusal of a split or merge of a shard that is not there.
    pub fn could_not_be_found(self, stream: &StreamOf<'_>) -> Error {
        Error::not_found(format!("Could not find shard {self} in {stream}."))
    }

    fn read(given: &str) -> Option<ShardId> {
        let digits = match given.split_once('-') {
            Some((_, after)) if !after.is_empty() => after,
            _ => given,
        };
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Digits that do not fit are too large, however many zeros stand before them.
        all_digits.then(|| digits.parse().ok()).flatten().and_then(ShardId::new)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// A stream as messages name it: `stream orders under account 000000000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOf<'a> {
    /// The stream's name, as it was given.
    pub name: &'a str,
    /// Whose it is.
    pub account: &'a AccountId,
}

impl StreamOf<'_> {
    /// The refusal of a stream that is not there.
    pub fn not_found(&self) -> Error {
        Error::not_found(format!("Stream {} under account {} not found.", self.name, self.account))
    }
}

impl fmt::Display for StreamOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {} under account {}", self.name, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &str) -> Result<String, String> {
        let account = AccountId::new("000000000000").expect("it is one");
        let stream = StreamOf { name: "orders", account: &account };
        ShardId::parse(given, &stream).map(|id| id.to_string()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn ids_are_understood_leniently_and_normalised() {
        for given in ["shardId-000000000002", "2", "shard-2", "foo-00002", "-2", "0000000000000000000000000000002"] {
            assert_eq!(read(given), Ok("shardId-000000000002".to_owned()), "{given}");
        }
        assert_eq!(read("0"), Ok("shardId-000000000000".to_owned()));
        assert_eq!(read("x-2147483647"), Ok("shardId-002147483647".to_owned()));
    }

    #[test]
    fn what_is_no_id_is_named_as_it_was_given() {
        for given in ["", "-", "shardId-", "shardId", "a-1-2", "a--1", "a-1.0", "+1", "a- 1", "2147483648", "٣"] {
            let text = format!("Could not find shard {given} in stream orders under account 000000000000.");
            assert_eq!(read(given), Err(format!("ResourceNotFoundException: {text}")));
        }
    }

    #[test]
    fn absence_is_said_as_aws_says_it() {
        let account = AccountId::new("123456789012").expect("it is one");
        let stream = StreamOf { name: "s", account: &account };
        let shard = ShardId::new(5).expect("it is one");
        let texts = [shard.does_not_exist(&stream), shard.could_not_be_found(&stream), stream.not_found()];
        assert_eq!(
            texts.each_ref().map(Error::text),
            [
                "Shard shardId-000000000005 in stream s under account 123456789012 does not exist",
                "Could not find shard shardId-000000000005 in stream s under account 123456789012.",
                "Stream s under account 123456789012 not found.",
            ]
        );
    }
}
