//! ListShards.
//!
//! What must hold: the pages of one list show one life of a stream at one moment: the token says which.

use rheos_protocol::name::StreamName;

use super::filter::{ShardFilter, missing, shows};
use super::shard;
use crate::arn::StreamArn;
use crate::error::Error;
use crate::operations::status::StreamStatus;
use crate::operations::streams::StreamView;
use crate::operations::subject::{self, Caller};
use crate::page_token::{Page, ShardsPage};
use crate::records::Issue;
use crate::shapes::operations::find;
use crate::shard_id::{ShardId, StreamOf};
use crate::shard_view::shard_id;
use crate::value::{Structure, TimestampMs, Value};

/// Most shards of a page, whatever is asked for.
const PAGE_SHARDS_MAX: i64 = 1_000;

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAsked {
    /// Of which stream.
    pub of: Listed,
    after: Option<ShardId>,
    filter: ShardFilter,
    limit: usize,
}

/// The stream whose shards are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// The one of this ARN, and only the life that began in this second since 1970, where one is named.
    Stream(StreamArn, Option<u64>),
    /// The life of a stream that the list began with.
    Life {
        /// The stream's name in the catalog, for messages.
        name: StreamName,
        /// Which life of it.
        incarnation: u64,
    },
}

impl ListAsked {
    /// What a ListShards asks for. Beside a NextToken, a StreamARN and a filter are taken and not looked at: the token
    /// carries both.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException` for members that exclude each other or are missing, those of the token, and
    /// `ResourceNotFoundException` for an id that can be no shard's.
    pub fn read(input: &Structure, caller: &Caller, issue: &Issue<'_>) -> Result<ListAsked, Error> {
        let limit = input.optional::<i64>("MaxResults").unwrap_or(PAGE_SHARDS_MAX).min(PAGE_SHARDS_MAX) as usize;
        let Some(token) = input.optional::<&str>("NextToken") else {
            let stream = subject::stream(input, caller)?;
            let (filter, after) = filter_and_start(input, &stream.in_messages())?;
            let created = input.optional::<TimestampMs>("StreamCreationTimestamp");
            let created_s = created.map(|TimestampMs(ms)| ms.max(0).unsigned_abs() / 1_000);
            return Ok(ListAsked { of: Listed::Stream(stream, created_s), after, filter, limit });
        };
        nothing_beside_token(input)?;
        let ShardsPage { stream, incarnation, after, filter } = ShardsPage::open_for(token, issue)?;
        let of = Listed::Life { name: stream, incarnation };
        Ok(ListAsked { of, after: Some(after), filter: ShardFilter::Settled(filter), limit })
    }

    /// The answer for the stream, when everything before `horizon_ms`, in ms since 1970, has expired.
    ///
    /// # Errors
    ///
    /// `ResourceInUseException` for a stream that is being made or deleted, `ResourceNotFoundException` when another
    /// life of it was meant.
    pub fn answer(&self, stream: &StreamView<'_>, horizon_ms: u64, issue: &Issue<'_>) -> Result<Structure, Error> {
        if !self.of.is(stream) {
            return Err(stream.arn.in_messages().not_found());
        }
        if !matches!(stream.status, StreamStatus::Active | StreamStatus::Updating) {
            return Err(stream.status.refuses(stream.arn));
        }
        let record = stream.record;
        let filter = self.filter.settle(record, horizon_ms, issue.now_ms);
        let is_next = |number| self.after.is_none_or(|after| number > after.number());
        let mut rest = record.shards.iter().filter(|shard| is_next(shard.shard) && shows(filter, shard, horizon_ms));
        let page: Vec<_> = rest.by_ref().take(self.limit).collect();
        let last = page.last().filter(|_| rest.next().is_some()).map(|last| ShardsPage {
            stream: record.name.clone(),
            incarnation: record.incarnation,
            after: shard_id(last.shard),
            filter,
        });
        let answer = find("ListShards").expect("it is in the table").answer();
        let shards: Value = page.into_iter().map(shard).collect();
        Ok(answer.with("Shards", shards).with_some("NextToken", last.map(|page| page.seal_for(issue))))
    }
}

impl Listed {
    fn is(&self, stream: &StreamView<'_>) -> bool {
        match self {
            Listed::Stream(_, created_s) => created_s.is_none_or(|second| second == stream.record.created_second()),
            Listed::Life { incarnation, .. } => *incarnation == stream.record.incarnation,
        }
    }
}

fn filter_and_start(input: &Structure, stream: &StreamOf<'_>) -> Result<(ShardFilter, Option<ShardId>), Error> {
    let id = |given: Option<&str>| given.map(|given| ShardId::parse(given, stream)).transpose();
    let after = id(input.optional("ExclusiveStartShardId"))?;
    let Some(filter) = input.optional::<&Structure>("ShardFilter") else {
        return Ok((ShardFilter::FromTrimHorizon, after));
    };
    let kind: &str = filter.required("Type");
    if kind != "AFTER_SHARD_ID" {
        return Ok((ShardFilter::read(filter)?, after));
    }
    let of_filter = id(filter.optional("ShardId"))?.ok_or_else(|| missing("ShardId", kind))?;
    Ok((ShardFilter::FromTrimHorizon, after.max(Some(of_filter))))
}

/// AWS's words for the name are known, and those for the others follow them.
fn nothing_beside_token(input: &Structure) -> Result<(), Error> {
    let beside = [
        ("StreamName", input.optional::<&str>("StreamName").is_some()),
        ("ExclusiveStartShardId", input.optional::<&str>("ExclusiveStartShardId").is_some()),
        ("StreamCreationTimestamp", input.optional::<TimestampMs>("StreamCreationTimestamp").is_some()),
    ];
    match beside.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => {
            Err(Error::invalid_argument(format!("NextToken and {member} cannot be provided together.")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
