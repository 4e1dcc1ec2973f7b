//! The commitments of accounts, as they are written down and read.

use redb::{ReadableTable, ReadableTableMetadata};
use rheos_core::catalog::{Commitment, admit_commitment};
use rheos_protocol::error::WireError;

use super::{Changed, Outcome, Tables, internal};

impl Tables<'_> {
    /// The commitment of a place, if it ever made one.
    pub(super) fn read_commitment(&self, place: &str) -> Result<Outcome, redb::Error> {
        Ok(self.kept_commitment(place)?.map(Changed::Commitment))
    }

    /// Makes a commitment, or ends it.
    pub(super) fn commit_throughput(&mut self, place: &str, enable: bool, now_ms: u64) -> Result<Outcome, redb::Error> {
        let before = match self.kept_commitment(place)? {
            Ok(before) => before,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let after = match (enable, before) {
            (true, _) => Some(Commitment::enable(before, now_ms)),
            (false, there) => there.map(|there| there.disable(now_ms)),
        };
        if before.is_none()
            && after.is_some()
            && let Err(refusal) = admit_commitment(self.commitments.len()?)
        {
            return Ok(Err(refusal));
        }
        if let Some(changed) = after.filter(|_| after != before) {
            self.has_changed = true;
            self.commitments.insert(place, changed.encode().as_slice())?;
        }
        Ok(Ok(Changed::Commitment(after)))
    }

    fn kept_commitment(&self, place: &str) -> Result<Result<Option<Commitment>, WireError>, redb::Error> {
        let Some(bytes) = self.commitments.get(place)? else { return Ok(Ok(None)) };
        let damaged = |error| internal(format!("the commitment of account {place:?}: {error}"));
        Ok(Commitment::decode(bytes.value()).map(Some).map_err(damaged))
    }
}
