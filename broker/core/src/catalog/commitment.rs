//! The commitment to a least throughput that an account makes in a region: its one setting in the Kinesis API.
//!
//! ```text
//!   0  4  magic "RHA1"
//!   4  4  version = 1
//!   8  8  started, ms since 1970
//!  16  8  ends, ms since 1970; 0 for no end
//!  24  8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. It is kept and told as the API says, 24 hours at least; nobody is billed for it.
//!
//! What must hold: it never ends sooner than it may; one that is to end goes on when it is made again before that.

use bytes::BufMut;
use rheos_protocol::error::{ErrorCode, WireError};

use super::envelope::{BadRecord, ended, seal, unseal};
use crate::limits::COMMITMENTS_MAX;

const MAGIC: [u8; 4] = *b"RHA1";
const VERSION: u32 = 1;
/// A commitment lasts for 24 hours at least, in ms.
pub const COMMITMENT_MS_LEAST: u64 = 24 * 3_600_000;

/// A commitment that was made; it may be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// When it was made, ms since 1970.
    pub started_ms: u64,
    /// When it is over, ms since 1970, when somebody has ended it.
    pub ends_ms: Option<u64>,
}

/// What is in force of a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitmentStatus {
    /// It has not been ended.
    Enabled,
    /// It was ended too early, and is in force until it may end.
    EnabledUntilEarliestEnd,
    /// It is over.
    Disabled,
}

impl Commitment {
    /// The commitment after somebody has made one, on top of what there was.
    pub fn enable(before: Option<Commitment>, now_ms: u64) -> Commitment {
        match before {
            Some(there) if there.status(now_ms) != CommitmentStatus::Disabled => Commitment { ends_ms: None, ..there },
            _ => Commitment { started_ms: now_ms, ends_ms: None },
        }
    }

    /// The commitment after somebody has ended it: now, or when it may end. One that has an end keeps it.
    pub fn disable(self, now_ms: u64) -> Commitment {
        let ends_ms = self.ends_ms.unwrap_or(now_ms.max(self.earliest_end_ms()));
        Commitment { ends_ms: Some(ends_ms), ..self }
    }

    /// What is in force of it.
    pub fn status(self, now_ms: u64) -> CommitmentStatus {
        match self.ends_ms {
            None => CommitmentStatus::Enabled,
            Some(ends_ms) if now_ms < ends_ms => CommitmentStatus::EnabledUntilEarliestEnd,
            Some(_) => CommitmentStatus::Disabled,
        }
    }

    /// Before this time, in ms since 1970, it cannot end.
    pub fn earliest_end_ms(self) -> u64 {
        self.started_ms.saturating_add(COMMITMENT_MS_LEAST)
    }

    /// The record as the catalog stores it.
    pub fn encode(self) -> Vec<u8> {
        seal(MAGIC, VERSION, 32, |out| {
            out.put_u64_le(self.started_ms);
            out.put_u64_le(self.ends_ms.unwrap_or(0));
        })
    }

    /// Reads a record and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<Commitment, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let (started_ms, ends_ms) = (fields.u64()?, fields.u64()?);
        ended(&fields)?;
        let commitment = Commitment { started_ms, ends_ms: (ends_ms != 0).then_some(ends_ms) };
        if commitment.ends_ms.is_some_and(|ends_ms| ends_ms < commitment.earliest_end_ms()) {
            return Err(BadRecord::Impossible("it ends before it may"));
        }
        Ok(commitment)
    }
}

/// Refuses the first commitment of one account and region more than a broker may have.
///
/// # Errors
///
/// `LimitExceeded`, which names the limit.
pub fn admit_commitment(commitments_now: u64) -> Result<(), WireError> {
    if commitments_now < COMMITMENTS_MAX {
        return Ok(());
    }
    let message = format!("a broker keeps the settings of at most {COMMITMENTS_MAX} accounts and regions");
    Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(COMMITMENTS_MAX, commitments_now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = COMMITMENT_MS_LEAST;

    #[test]
    fn a_commitment_lasts_for_a_day_at_least() {
        use CommitmentStatus::{Disabled, Enabled, EnabledUntilEarliestEnd};
        let made = Commitment::enable(None, 1_000);
        assert_eq!((made.status(1_000), made.status(u64::MAX)), (Enabled, Enabled));
        assert_eq!(Commitment::enable(Some(made), 5_000), made, "it has begun when it began");
        // Too early: it stays in force until the day is over, however often it is ended.
        let early = made.disable(2_000).disable(3_000);
        assert_eq!((early.ends_ms, early.earliest_end_ms()), (Some(1_000 + DAY), 1_000 + DAY));
        assert_eq!((early.status(999 + DAY), early.status(1_000 + DAY)), (EnabledUntilEarliestEnd, Disabled));
        assert_eq!(Commitment::enable(Some(early), 4_000), made, "it goes on");
        let anew = Commitment::enable(Some(early), 1_000 + DAY);
        assert_eq!(anew, Commitment { started_ms: 1_000 + DAY, ends_ms: None });
        // Late enough: at once.
        let late = made.disable(2 * DAY);
        assert_eq!((late.ends_ms, late.status(2 * DAY)), (Some(2 * DAY), Disabled));
        assert_eq!(late.disable(3 * DAY), late);
    }

    #[test]
    fn a_record_reads_back_and_only_what_can_be_is_believed() {
        let made = Commitment::enable(None, 1_700_000_000_123);
        for commitment in [made, made.disable(1_700_000_000_124), made.disable(u64::MAX)] {
            assert_eq!(Commitment::decode(&commitment.encode()), Ok(commitment));
        }
        let good = made.encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Commitment::decode(&bytes).is_err(), "bit {bit}");
        }
        let short = Commitment { started_ms: 1_000, ends_ms: Some(DAY) };
        assert!(matches!(Commitment::decode(&short.encode()), Err(BadRecord::Impossible(_))));
        admit_commitment(COMMITMENTS_MAX - 1).expect("there is room for one");
        assert_eq!(admit_commitment(COMMITMENTS_MAX).expect_err("there is none").code, ErrorCode::LimitExceeded);
    }
}
