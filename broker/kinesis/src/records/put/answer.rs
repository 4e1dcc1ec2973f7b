//! What a put is answered with, once the fate of every record is known.

use super::{Fate, Puts};
use crate::error::{Error, ErrorKind};
use crate::shapes::operations;
use crate::shapes::structures::PUT_RESULT;
use crate::value::{Structure, Value};

impl Puts<'_> {
    /// The answer.
    ///
    /// # Errors
    /// Of a PutRecord, why its record was refused. Of a PutRecords, ResourceNotFoundException when the stream was
    /// deleted before a record of it was stored: every other refusal is told record by record.
    ///
    /// # Panics
    /// While the fate of a record is not known.
    pub fn answer(&self) -> Result<Structure, Error> {
        if self.is_single { self.answer_one() } else { self.answer_many() }
    }

    fn answer_one(&self) -> Result<Structure, Error> {
        let operation = operations::find("PutRecord").expect("the table has it");
        told(operation.answer(), &self.fates[0])
    }

    fn answer_many(&self) -> Result<Structure, Error> {
        let gone = |fate: &Fate| matches!(fate, Fate::Refused(error) if error.kind == ErrorKind::ResourceNotFound);
        if let Some(Fate::Refused(error)) = self.fates.first().filter(|_| self.fates.iter().all(gone)) {
            return Err(error.clone());
        }
        let mut failed = 0_u32;
        let mut result = |fate: &Fate| {
            told(Structure::of(&PUT_RESULT), fate).unwrap_or_else(|error| {
                failed += 1;
                refused(&error)
            })
        };
        let results: Value = self.fates.iter().map(&mut result).collect();
        let operation = operations::find("PutRecords").expect("the table has it");
        Ok(operation.answer().with("FailedRecordCount", failed).with("Records", results))
    }
}

/// The shard and number of a record in an answer, or why there are none.
fn told(answer: Structure, fate: &Fate) -> Result<Structure, Error> {
    match fate {
        Fate::Stored { numbers, sequence, arrival_ms } => Ok(answer
            .with("ShardId", numbers.shard().to_string())
            .with("SequenceNumber", numbers.of_record(*sequence, *arrival_ms).to_string())),
        Fate::Refused(error) => Err(error.clone()),
        Fate::Open => panic!("a put is answered when the fate of every record is known"),
    }
}

/// A record has one of two error codes: what is neither a limit nor a fault of AWS's is a fault of AWS's too.
fn refused(error: &Error) -> Structure {
    let code = match error.kind {
        ErrorKind::ProvisionedThroughputExceeded => error.kind.name(),
        _ => ErrorKind::InternalFailure.name(),
    };
    Structure::of(&PUT_RESULT).with("ErrorCode", code).with_some("ErrorMessage", error.message.as_deref())
}
