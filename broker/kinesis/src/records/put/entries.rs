//! The records of a call, proved against what the table cannot know: the stream's largest record and how it places
//! records.
//!
//! Constraints are told of together, as the table's are; what contradicts the hash space is told of alone, and after
//! them. One bad record refuses the call.

use bytes::Bytes;
use rheos_protocol::hash;
use rheos_protocol::record::RecordView;

use super::{Placement, PutTo};
use crate::error::Error;
use crate::limits::PUT_RECORDS_BYTES_MAX;
use crate::records::refusals::{constraints_broken, data_too_long, hash_key_too_large, key_is_null, request_too_large};
use crate::records::{NO_KEY, refuse_dry_run};
use crate::sequence_number::check_ordering;
use crate::value::{Structure, Value, items};

/// A record of a call.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// As it is stored.
    pub(super) record: RecordView<'a>,
    /// Its place in the hash space.
    pub(super) hash_key: u128,
}

pub(super) fn of_one<'a>(input: &'a Structure, to: &PutTo<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let clauses: Vec<String> = broken(input, "", to).collect();
    if !clauses.is_empty() {
        return Err(constraints_broken(&clauses));
    }
    let entries = placed([input].into_iter(), to)?;
    if let Some(number) = input.optional("SequenceNumberForOrdering") {
        // What is put now is after every number that was given before now.
        check_ordering(number, &to.named, to.now_s)?;
    }
    refuse_dry_run(input)?;
    Ok(entries)
}

pub(super) fn of_many<'a>(input: &'a Structure, to: &PutTo<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let records = || items::<&Structure>(input.required::<&[Value]>("Records"));
    let mut clauses = Vec::new();
    let mut bytes = 0;
    for (record, number) in records().zip(1..) {
        if breaks(record, to) {
            clauses.extend(broken(record, &format!("records.{number}.member."), to));
        }
        bytes += size(record);
    }
    if !clauses.is_empty() {
        return Err(constraints_broken(&clauses));
    }
    if bytes > PUT_RECORDS_BYTES_MAX {
        return Err(request_too_large());
    }
    let entries = placed(records(), to)?;
    refuse_dry_run(input)?;
    Ok(entries)
}

/// Bytes of a record's data and partition key: what AWS's limits are about.
fn size(record: &Structure) -> usize {
    record.required::<&Bytes>("Data").len() + record.optional::<&str>("PartitionKey").map_or(0, str::len)
}

fn lacks_key(record: &Structure, to: &PutTo<'_>) -> bool {
    to.placement == Placement::Keys && record.optional::<&str>("PartitionKey").is_none()
}

fn is_too_large(record: &Structure, to: &PutTo<'_>) -> bool {
    size(record) > to.stream.terms.record_bytes_max as usize
}

fn breaks(record: &Structure, to: &PutTo<'_>) -> bool {
    lacks_key(record, to) || is_too_large(record, to)
}

/// The constraints that a record breaks, in words.
fn broken(record: &Structure, path: &str, to: &PutTo<'_>) -> impl Iterator<Item = String> {
    let too_large = is_too_large(record, to).then(|| data_too_long(path, to.stream.terms.record_bytes_max));
    let no_key = lacks_key(record, to).then(|| key_is_null(path));
    [too_large, no_key].into_iter().flatten()
}

/// The records with their places. A key that comes again right after is not hashed again.
fn placed<'a>(records: impl Iterator<Item = &'a Structure>, to: &PutTo<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(records.size_hint().0);
    for record in records {
        let data: &Bytes = record.required("Data");
        let partition_key = record.optional("PartitionKey").unwrap_or(NO_KEY);
        let explicit_hash_key = match to.placement {
            Placement::Keys => record.optional("ExplicitHashKey").map(hash_key_given).transpose()?,
            Placement::Turns { seed } => Some(seed.wrapping_add(GOLDEN.wrapping_mul(entries.len() as u128))),
        };
        let record = RecordView { partition_key, explicit_hash_key, data };
        let before = entries.last().filter(|before| before.record.partition_key == partition_key);
        let hash_key = match (explicit_hash_key, before) {
            (Some(hash_key), _) => hash_key,
            (None, Some(before)) if before.record.explicit_hash_key.is_none() => before.hash_key,
            (None, _) => hash::hash_key(partition_key),
        };
        entries.push(Entry { record, hash_key });
    }
    Ok(entries)
}

/// The pattern has let through up to 39 digits, which may be more than the hash space has.
fn hash_key_given(digits: &str) -> Result<u128, Error> {
    digits.parse().map_err(|_| hash_key_too_large(digits))
}

/// The golden ratio of the hash space: its multiples fall as evenly as any, however many there are.
const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
