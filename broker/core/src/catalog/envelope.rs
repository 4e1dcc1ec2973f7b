//! What every record of the catalog begins and ends with.
//!
//! ```text
//!   0  4  magic, which says what kind of record it is
//!   4  4  version
//!   8  .  fields
//!      8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. What must hold: no field is looked at before the checksum holds; a record of a later
//! release is recognised as such whatever follows its version.

use bytes::BufMut;
use rheos_protocol::wire::{FieldReader, Malformed};
use xxhash_rust::xxh3::xxh3_64;

const HEAD_BYTES: usize = 8;
pub(super) const CHECKSUM_BYTES: usize = 8;

/// Why bytes are no record of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRecord {
    /// They are not even meant to be one of this kind.
    NotARecord,
    /// A later release has written it.
    Newer {
        /// The record's version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// They are not what was written.
    Checksum,
    /// They are what was written, and say what cannot be.
    Impossible(&'static str),
}

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRecord::NotARecord => write!(f, "its bytes are no such record"),
            BadRecord::Newer { found, known } => {
                write!(f, "its record has version {found} and this release knows up to {known}")
            }
            BadRecord::Checksum => write!(f, "its record's checksum is wrong"),
            BadRecord::Impossible(why) => write!(f, "its record cannot be: {why}"),
        }
    }
}

impl std::error::Error for BadRecord {}

impl From<Malformed> for BadRecord {
    fn from(malformed: Malformed) -> BadRecord {
        BadRecord::Impossible(malformed.why)
    }
}

/// A record whose fields `fill` writes, into a vector of about `capacity` bytes.
pub(crate) fn seal(magic: [u8; 4], version: u32, capacity: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    out.put_slice(&magic);
    out.put_u32_le(version);
    fill(&mut out);
    out.put_u64_le(xxh3_64(&out));
    out
}

/// The fields of a record, when they are what was written by a release up to this one.
pub(crate) fn unseal(magic: [u8; 4], known: u32, bytes: &[u8]) -> Result<FieldReader<'_>, BadRecord> {
    let mut head = FieldReader::new("record", bytes);
    if head.array::<4>() != Ok(magic) {
        return Err(BadRecord::NotARecord);
    }
    // The version stands where every version has it, and says how to read the rest.
    let found = head.u32().map_err(|_| BadRecord::NotARecord)?;
    if found > known {
        return Err(BadRecord::Newer { found, known });
    }
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(BadRecord::Checksum)?;
    if found == 0 || covered.len() < HEAD_BYTES || xxh3_64(covered) != u64::from_le_bytes(*checksum) {
        return Err(BadRecord::Checksum);
    }
    Ok(FieldReader::new("record", &covered[HEAD_BYTES..]))
}

/// Refuses what follows the last field.
pub(crate) fn ended(fields: &FieldReader<'_>) -> Result<(), BadRecord> {
    match fields.rest() {
        [] => Ok(()),
        _ => Err(BadRecord::Impossible("something follows its last field")),
    }
}
