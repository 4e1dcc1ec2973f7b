//! What one lane of a machine can push, as it was measured, set by hand, or is assumed.
//!
//! ```text
//!   0  4  magic "RHP1"
//!   4  4  version = 1
//!   8  8  bytes a second
//!  16  1  how it was found: 1 measured, 2 set
//!  17  8  when, ms since 1970
//!  25  8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. It lies in a file of its own in the data directory, because it is of the machine and not of what
//! the broker keeps: a directory that moves to another machine is measured anew. What is assumed is never stored.

use bytes::BufMut;
use rheos_protocol::limits::RATE_MAX;

use crate::catalog::BadRecord;
use crate::catalog::envelope::{ended, seal, unseal};
use crate::limits::{CAPACITY_ASSUMED, CAPACITY_LEAST, PROMISED_PERCENT_MAX};

const MAGIC: [u8; 4] = *b"RHP1";
const VERSION: u32 = 1;

/// What one lane can push, in bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    bytes_per_second: u64,
    found: Found,
}

/// How a capacity came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is not: nobody has measured or set it.
    Assumed,
    /// `rheos calibrate` has measured it, at this time in ms since 1970.
    Measured {
        /// When.
        at_ms: u64,
    },
    /// Somebody has set it, at this time in ms since 1970.
    Set {
        /// When.
        at_ms: u64,
    },
}

/// A capacity that no lane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCapacity {
    /// What was asked for.
    pub bytes_per_second: u64,
}

impl Capacity {
    /// What is taken for true without a measurement.
    pub const ASSUMED: Capacity = Capacity { bytes_per_second: CAPACITY_ASSUMED, found: Found::Assumed };

    /// A capacity that was found.
    ///
    /// # Errors
    ///
    /// [`BadCapacity`] when it is out of range.
    pub fn new(bytes_per_second: u64, found: Found) -> Result<Capacity, BadCapacity> {
        match (CAPACITY_LEAST..=RATE_MAX).contains(&bytes_per_second) {
            true => Ok(Capacity { bytes_per_second, found }),
            false => Err(BadCapacity { bytes_per_second }),
        }
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// How it came to be known.
    pub fn found(&self) -> Found {
        self.found
    }

    /// The most that may be promised of it, in bytes a second.
    pub fn promised_max(&self) -> u64 {
        self.bytes_per_second * PROMISED_PERCENT_MAX / 100
    }

    /// Its bytes; nothing when it is only assumed.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (how, at_ms) = match self.found {
            Found::Assumed => return None,
            Found::Measured { at_ms } => (1, at_ms),
            Found::Set { at_ms } => (2, at_ms),
        };
        Some(seal(MAGIC, VERSION, 40, |out| {
            out.put_u64_le(self.bytes_per_second);
            out.put_u8(how);
            out.put_u64_le(at_ms);
        }))
    }

    /// Reads a capacity and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<Capacity, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let (bytes_per_second, how, at_ms) = (fields.u64()?, fields.u8()?, fields.u64()?);
        ended(&fields)?;
        let found = match how {
            1 => Found::Measured { at_ms },
            2 => Found::Set { at_ms },
            _ => return Err(BadRecord::Impossible("it was found in a way that is none")),
        };
        Capacity::new(bytes_per_second, found).map_err(|_| BadRecord::Impossible("it is out of range"))
    }
}

impl std::fmt::Display for BadCapacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a lane's capacity is {CAPACITY_LEAST} to {RATE_MAX} bytes a second, not {}", self.bytes_per_second)
    }
}

impl std::error::Error for BadCapacity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_reads_back_and_no_damage_goes_unseen() {
        for (bytes, found) in [
            (CAPACITY_LEAST, Found::Set { at_ms: 0 }),
            (123_456_789, Found::Measured { at_ms: 1_700_000_000_123 }),
            (RATE_MAX, Found::Set { at_ms: u64::MAX }),
        ] {
            let capacity = Capacity::new(bytes, found).expect("it is in range");
            let good = capacity.encode().expect("it was found");
            assert_eq!(Capacity::decode(&good), Ok(capacity));
            for bit in 0..good.len() * 8 {
                let mut bytes = good.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Capacity::decode(&bytes).is_err(), "bit {bit}");
            }
        }
        assert_eq!(Capacity::ASSUMED.encode(), None);
    }

    #[test]
    fn what_no_lane_has_is_refused() {
        for bytes in [0, CAPACITY_LEAST - 1, RATE_MAX + 1, u64::MAX] {
            let refused = Capacity::new(bytes, Found::Set { at_ms: 1 }).expect_err("it is out of range");
            assert!(refused.to_string().contains(&bytes.to_string()), "{refused}");
        }
        let stored = |bytes: u64, how: u8| {
            seal(MAGIC, VERSION, 0, |out| {
                out.put_u64_le(bytes);
                out.put_u8(how);
                out.put_u64_le(7);
            })
        };
        assert!(Capacity::decode(&stored(CAPACITY_LEAST, 1)).is_ok());
        assert!(Capacity::decode(&stored(CAPACITY_LEAST - 1, 1)).is_err());
        assert!(Capacity::decode(&stored(CAPACITY_LEAST, 0)).is_err());
    }

    #[test]
    fn a_part_of_it_may_be_promised() {
        let capacity = Capacity::new(100 << 20, Found::Set { at_ms: 1 }).expect("it is in range");
        assert_eq!(capacity.promised_max(), 60 << 20);
        let most = Capacity::new(RATE_MAX, Found::Set { at_ms: 1 }).expect("it is in range");
        assert_eq!(most.promised_max(), RATE_MAX / 100 * 60 + RATE_MAX % 100 * 60 / 100);
    }
}
