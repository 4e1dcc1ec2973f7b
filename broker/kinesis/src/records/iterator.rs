//! GetShardIterator: a place in a shard, as a text that GetRecords takes for five minutes.
//!
//! What must hold: an iterator is given for closed shards too; LATEST stands where the shard was durable when it was
//! given, so what is put before the first GetRecords is read by it.

use rheos_core::catalog::{ShardRecord, StreamRecord};

use super::get::Issue;
use super::start::{Said, Start};
use super::{end_of, refuse_dry_run};
use crate::error::Error;
use crate::shapes::operations;
use crate::shard_id::{ShardId, StreamOf};
use crate::shard_iterator::ShardIterator;
use crate::shard_view::ShardNumbers;
use crate::value::Structure;

/// An iterator that may be given.
#[derive(Debug)]
pub struct IteratorAsked<'a> {
    stream: &'a StreamRecord,
    /// The shard, with the log that holds it.
    pub shard: &'a ShardRecord,
    start: Start,
}

impl<'a> IteratorAsked<'a> {
    /// Proves what is asked of a stream, or of none where there is none of that name: AWS words that as the absence
    /// of the shard.
    ///
    /// # Errors
    /// ResourceNotFoundException for the shard, InvalidArgumentException for where to begin, and
    /// DryRunOperationException when nothing is wrong.
    pub fn new(
        input: &Structure,
        stream: Option<&'a StreamRecord>,
        named: &StreamOf<'_>,
        now_ms: u64,
    ) -> Result<IteratorAsked<'a>, Error> {
        let (stream, shard) = shard_named(input.required("ShardId"), stream, named)?;
        let said = Said {
            operation: "GetShardIterator",
            kind: input.required("ShardIteratorType"),
            number: input.optional("StartingSequenceNumber"),
            timestamp: input.optional("Timestamp"),
        };
        let start = said.start(&ShardNumbers::of(shard), named, now_ms)?;
        refuse_dry_run(input)?;
        Ok(IteratorAsked { stream, shard, start })
    }

    /// Whether the answer depends on where the shard is durable now, which only its lane knows.
    pub fn wants_tip(&self) -> bool {
        self.start == Start::Latest && end_of(self.shard).is_none()
    }

    /// The answer. `tip` is the sequence before which everything is durable, where it is wanted.
    pub fn answer(&self, tip: Option<u64>, issue: &Issue<'_>) -> Structure {
        assert!(tip.is_some() || !self.wants_tip(), "LATEST of an open shard is where its lane says");
        let tip = end_of(self.shard).or(tip).unwrap_or(0);
        let iterator = ShardIterator {
            stream: self.stream.name.clone(),
            incarnation: self.stream.incarnation,
            shard: ShardNumbers::of(self.shard).shard(),
            position: self.start.at(tip),
        };
        let operation = operations::find("GetShardIterator").expect("the table has it");
        operation.answer().with("ShardIterator", issue.seal(&iterator))
    }
}

/// The shard that a call names, in whatever spelling.
pub(super) fn shard_named<'a>(
    given: &str,
    stream: Option<&'a StreamRecord>,
    named: &StreamOf<'_>,
) -> Result<(&'a StreamRecord, &'a ShardRecord), Error> {
    let id = ShardId::parse(given, named)?;
    let found = stream.and_then(|stream| Some((stream, stream.shard(id.number())?)));
    found.ok_or_else(|| id.does_not_exist(named))
}
