//! Registered consumers: registered, described, listed.
//!
//! What must hold: a consumer's ARN ends in the second of its registration, and its creation is shown in whole seconds
//! too: by them clients tell lives of a name apart.

use rheos_core::catalog::ConsumerRecord;
use rheos_protocol::message::Tag;
use rheos_protocol::name::{ConsumerName, StreamName};

use super::status::ConsumerStatus;
use super::streams::whole_seconds;
use super::subject::{self, Caller};
use super::tags;
use crate::arn::{ConsumerArn, StreamArn};
use crate::error::{Error, ErrorKind};
use crate::page_token::{ConsumersPage, Page};
use crate::records::Issue;
use crate::shapes::operations::find;
use crate::shapes::structures::{CONSUMER, CONSUMER_DESCRIPTION};
use crate::value::{Structure, TimestampMs, Value};

/// Most consumers of a page, whatever is asked for.
const PAGE_CONSUMERS_MAX: i64 = 100;
/// Consumers of a stream by AWS's limits.
pub const CONSUMERS_MAX_OF_KINESIS: usize = 20;

/// A consumer that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterAsked {
    /// With which stream.
    pub stream: StreamArn,
    /// Its name.
    pub name: ConsumerName,
    /// The tags that it is to have from the beginning.
    pub tags: Vec<Tag>,
}

/// A page of consumers that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAsked {
    /// Of which stream.
    pub stream: StreamArn,
    /// The page begins with the next name after this one; empty for the first.
    pub after: String,
    /// Most consumers of the page, 1 to 100.
    pub limit: usize,
    life: Life,
}

/// Which life of the stream is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Any,
    CreatedIn { second: u64 },
    Incarnation(u64),
}

/// What a RegisterStreamConsumer asks for.
///
/// # Errors
///
/// Those of the stream's ARN, `InvalidArgumentException` for tags that may not be.
pub fn register(input: &Structure, caller: &Caller) -> Result<RegisterAsked, Error> {
    let stream = subject::stream(input, caller)?;
    let given: &str = input.required("ConsumerName");
    let name = subject::consumer_name(given)?;
    let tags = tags::given_to_new(input, &format!("consumer {name} of {}", stream.in_messages()))?;
    Ok(RegisterAsked { stream, name, tags })
}

/// Refuses one consumer more, where the stream has so many, with `--limits kinesis`.
///
/// # Errors
///
/// `LimitExceededException`. AWS's words were never recorded.
pub fn admit(asked: &RegisterAsked, consumers: usize) -> Result<(), Error> {
    if consumers < CONSUMERS_MAX_OF_KINESIS {
        return Ok(());
    }
    let message = format!(
        "The limit of {CONSUMERS_MAX_OF_KINESIS} registered consumers of {} is reached.",
        asked.stream.in_messages()
    );
    Err(Error::new(ErrorKind::LimitExceeded, message))
}

/// The answer to RegisterStreamConsumer. A consumer is CREATING in it, as on AWS, whatever it is a moment later.
pub fn registered(stream: &StreamArn, record: &ConsumerRecord) -> Structure {
    let consumer = shown(Structure::of(&CONSUMER), stream, record, ConsumerStatus::Creating);
    find("RegisterStreamConsumer").expect("it is in the table").answer().with("Consumer", consumer)
}

/// The answer to DescribeStreamConsumer.
pub fn describe(stream: &StreamArn, record: &ConsumerRecord, status: ConsumerStatus) -> Structure {
    let description = shown(Structure::of(&CONSUMER_DESCRIPTION), stream, record, status);
    let description = description.with("StreamARN", stream.to_string());
    find("DescribeStreamConsumer").expect("it is in the table").answer().with("ConsumerDescription", description)
}

/// The refusal of a consumer that may not subscribe, or be given a policy, in its state.
pub fn not_active(stream: &StreamArn, record: &ConsumerRecord) -> Error {
    let ConsumerRecord { name, created_ms, .. } = record;
    let message = format!(
        "Consumer {name} with creation timestamp {} under {} is not in ACTIVE status.",
        created_ms / 1_000,
        stream.in_messages()
    );
    Error::new(ErrorKind::ResourceInUse, message)
}

impl ListAsked {
    /// What a ListStreamConsumers asks for.
    ///
    /// # Errors
    ///
    /// Those of the ARN and of the token; `InvalidArgumentException` for a token beside a time of creation.
    pub fn read(input: &Structure, caller: &Caller, issue: &Issue<'_>) -> Result<ListAsked, Error> {
        let stream = subject::stream(input, caller)?;
        let limit = input.optional::<i64>("MaxResults").unwrap_or(PAGE_CONSUMERS_MAX).min(PAGE_CONSUMERS_MAX) as usize;
        let created = input.optional::<TimestampMs>("StreamCreationTimestamp");
        let Some(token) = input.optional::<&str>("NextToken") else {
            let second = |TimestampMs(ms): TimestampMs| Life::CreatedIn { second: ms.max(0).unsigned_abs() / 1_000 };
            return Ok(ListAsked { stream, after: String::new(), limit, life: created.map_or(Life::Any, second) });
        };
        if created.is_some() {
            let message = "NextToken and StreamCreationTimestamp cannot be provided together.";
            return Err(Error::invalid_argument(message));
        }
        let page = ConsumersPage::open_for(token, issue)?;
        let life = Life::Incarnation(page.incarnation);
        Ok(ListAsked { stream, after: page.after.as_str().to_owned(), limit, life })
    }

    /// Whether this life of the stream, made in ms since 1970, is the one whose consumers are listed.
    ///
    /// # Errors
    ///
    /// `ResourceNotFoundException`, also for a token of another stream.
    pub fn admit(&self, incarnation: u64, created_ms: u64) -> Result<(), Error> {
        let is_meant = match self.life {
            Life::Any => true,
            Life::CreatedIn { second } => second == created_ms / 1_000,
            Life::Incarnation(meant) => meant == incarnation,
        };
        if is_meant { Ok(()) } else { Err(self.stream.in_messages().not_found()) }
    }

    /// The answer with these consumers, in the order of their names, where there are more or none.
    pub fn answer(
        &self,
        consumers: &[(&ConsumerRecord, ConsumerStatus)],
        has_more: bool,
        stream: &StreamName,
        issue: &Issue<'_>,
    ) -> Structure {
        let last = consumers.last().filter(|_| has_more).map(|(record, _)| ConsumersPage {
            stream: stream.clone(),
            incarnation: record.incarnation,
            after: record.name.clone(),
        });
        let consumer = |(record, status): &(&ConsumerRecord, ConsumerStatus)| {
            shown(Structure::of(&CONSUMER), &self.stream, record, *status)
        };
        let answer = find("ListStreamConsumers").expect("it is in the table").answer();
        answer
            .with("Consumers", consumers.iter().map(consumer).collect::<Value>())
            .with_some("NextToken", last.map(|page| page.seal_for(issue)))
    }
}

/// What every structure of a consumer has.
fn shown(structure: Structure, stream: &StreamArn, record: &ConsumerRecord, status: ConsumerStatus) -> Structure {
    let arn = ConsumerArn::new(stream.clone(), record.name.clone(), record.created_ms / 1_000);
    structure
        .with("ConsumerName", record.name.as_str())
        .with("ConsumerARN", arn.to_string())
        .with("ConsumerStatus", status.name())
        .with("ConsumerCreationTimestamp", whole_seconds(record.created_ms))
}

#[cfg(test)]
mod tests;
