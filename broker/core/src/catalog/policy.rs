//! A resource policy: what the owner of a stream or a consumer says of who may use it.
//!
//! ```text
//!   0  4  magic "RHP1"
//!   4  4  version = 1
//!   8  2  length of the policy
//!  10  .  policy: a JSON text as it was given
//!      8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. A policy belongs to one life of a stream, or to one registered consumer, and goes with it. What it
//! means is not asked here: it is kept and given back to the letter.

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::wire::FieldWriter;

use super::envelope::{BadRecord, ended, seal, unseal};
use super::plan::refuse_unless;
use crate::limits::{POLICIES_MAX, POLICY_BYTES_MAX};

const MAGIC: [u8; 4] = *b"RHP1";
const VERSION: u32 = 1;

/// A policy, of 1 byte to 20 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePolicy(String);

impl ResourcePolicy {
    /// Proves that a text is as long as a policy may be.
    ///
    /// # Errors
    ///
    /// `BadRequest`, which names the range.
    pub fn new(text: impl Into<String>) -> Result<ResourcePolicy, WireError> {
        let text = text.into();
        refuse_unless("the length of the policy", text.len() as u64, 1, POLICY_BYTES_MAX as u64, " bytes")?;
        Ok(ResourcePolicy(text))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record as the catalog stores it.
    pub fn encode(&self) -> Vec<u8> {
        seal(MAGIC, VERSION, 32 + self.0.len(), |out| FieldWriter::text(out, &self.0))
    }

    /// Reads a record and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<ResourcePolicy, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let text = fields.text(POLICY_BYTES_MAX)?;
        ended(&fields)?;
        ResourcePolicy::new(text).map_err(|_| BadRecord::Impossible("it is empty"))
    }
}

/// Refuses one policy more than a broker may have.
///
/// # Errors
///
/// `LimitExceeded`, which names the limit.
pub fn admit_policy(policies_now: u64) -> Result<(), WireError> {
    if policies_now < POLICIES_MAX {
        return Ok(());
    }
    let message = format!(
        "a broker keeps at most {POLICIES_MAX} resource policies, this one has {policies_now}; delete some that are \
         no longer needed"
    );
    Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(POLICIES_MAX, policies_now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_back_to_the_letter_and_no_damage_goes_unseen() {
        for text in ["{}", "{\"Version\": \"2012-10-17\"}\n", "ä", &"x".repeat(POLICY_BYTES_MAX)] {
            let policy = ResourcePolicy::new(text).expect("it is in range");
            assert_eq!((policy.as_str(), ResourcePolicy::decode(&policy.encode())), (text, Ok(policy.clone())));
        }
        let good = ResourcePolicy::new("{\"Statement\": []}").expect("it is in range").encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(ResourcePolicy::decode(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(ResourcePolicy::decode(&good[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_and_not_believed() {
        for text in ["", &"x".repeat(POLICY_BYTES_MAX + 1)] {
            let error = ResourcePolicy::new(text).expect_err("it is out of range");
            assert!(error.code == ErrorCode::BadRequest && error.message.contains("20480 bytes"), "{error}");
            let bytes = seal(MAGIC, VERSION, 0, |out| FieldWriter::text(out, text));
            assert!(matches!(ResourcePolicy::decode(&bytes), Err(BadRecord::Impossible(_))));
        }
        admit_policy(POLICIES_MAX - 1).expect("there is room for one");
        let error = admit_policy(POLICIES_MAX).expect_err("there is none");
        assert_eq!((error.code, error.detail), (ErrorCode::LimitExceeded, POLICIES_MAX));
    }
}
