//! Every operation of the face: by name, what performs it.
//!
//! What must hold: an operation that the table of `rheos_kinesis` has is performed here; a test asks for each.

mod records;
mod subscribe;

use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::shapes::operations::Operation;
use rheos_kinesis::value::Structure;

use super::call::{Call, Outcome};

/// Performs an operation.
///
/// # Errors
/// Those of the operation.
pub(super) async fn perform(call: &Call<'_>, operation: &Operation, input: &Structure) -> Result<Outcome, Error> {
    match operation.name {
        "PutRecord" => records::put_record(call, input).await,
        "PutRecords" => records::put_records(call, input).await,
        "GetShardIterator" => records::get_shard_iterator(call, input).await,
        "GetRecords" => records::get_records(call, input).await,
        "SubscribeToShard" => subscribe::subscribe_to_shard(call, input).await,
        other => Err(Error::new(ErrorKind::UnknownOperation, format!("rheos does not perform {other}."))),
    }
}
