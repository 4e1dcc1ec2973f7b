//! A record: what a producer puts and a consumer gets.
//!
//! ```text
//!   0  4  data length
//!   4  2  partition key length in bytes, 1 to 1,024
//!   6  2  flags: bit 0 = an explicit hash key follows
//!   8 16  explicit hash key, only with bit 0
//!      n  partition key, UTF-8, 1 to 256 characters
//!      n  data
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{PARTITION_KEY_BYTES_MAX, PARTITION_KEY_CHARS_MAX, RECORD_BYTES_MAX};
use crate::wire::{FieldReader, Malformed};

/// Bytes of a record in a batch beside its keys and data.
pub(crate) const RECORD_HEAD_BYTES: usize = 8;

/// A record with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1 to 256 characters; its MD5 decides the shard.
    pub partition_key: String,
    /// Decides the shard instead of the partition key.
    pub explicit_hash_key: Option<u128>,
    /// 0 bytes to the stream's largest record (1 MiB, by setting up to 10 MiB).
    pub data: Bytes,
}

impl Record {
    /// A record whose partition key decides the shard.
    pub fn new(partition_key: impl Into<String>, data: impl Into<Bytes>) -> Record {
        Record { partition_key: partition_key.into(), explicit_hash_key: None, data: data.into() }
    }

    /// The same record, seen through a reference.
    pub fn view(&self) -> RecordView<'_> {
        RecordView { partition_key: &self.partition_key, explicit_hash_key: self.explicit_hash_key, data: &self.data }
    }
}

/// A record inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// 1 to 256 characters.
    pub partition_key: &'a str,
    /// Decides the shard instead of the partition key.
    pub explicit_hash_key: Option<u128>,
    /// The producer's bytes.
    pub data: &'a [u8],
}

/// Why a record cannot be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecord {
    /// The partition key is empty.
    KeyEmpty,
    /// The partition key has more than 256 characters.
    KeyTooLong,
    /// The data is larger than the limit, which is carried in bytes.
    DataTooLarge(u32),
}

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRecord::KeyEmpty => {
                write!(f, "the partition key is empty; give 1 to {PARTITION_KEY_CHARS_MAX} characters")
            }
            BadRecord::KeyTooLong => write!(f, "the partition key has more than {PARTITION_KEY_CHARS_MAX} characters"),
            BadRecord::DataTooLarge(limit) => write!(f, "the data is larger than the stream's limit of {limit} bytes"),
        }
    }
}

impl std::error::Error for BadRecord {}

impl<'a> RecordView<'a> {
    /// Where the record belongs in the hash space.
    pub fn hash_key(&self) -> u128 {
        self.explicit_hash_key.unwrap_or_else(|| crate::hash::hash_key(self.partition_key))
    }

    /// Bytes that the record takes in a batch.
    pub fn encoded_len(&self) -> usize {
        RECORD_HEAD_BYTES
            + if self.explicit_hash_key.is_some() { 16 } else { 0 }
            + self.partition_key.len()
            + self.data.len()
    }

    /// Checks the record against the limits; `data_bytes_max` is the stream's largest record.
    pub fn check(&self, data_bytes_max: u32) -> Result<(), BadRecord> {
        if self.partition_key.is_empty() {
            return Err(BadRecord::KeyEmpty);
        }
        if self.partition_key.len() > PARTITION_KEY_CHARS_MAX
            && self.partition_key.chars().count() > PARTITION_KEY_CHARS_MAX
        {
            return Err(BadRecord::KeyTooLong);
        }
        if self.data.len() > data_bytes_max as usize {
            return Err(BadRecord::DataTooLarge(data_bytes_max));
        }
        Ok(())
    }

    /// Appends the record; it must have passed [`check`](Self::check).
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        assert!(self.data.len() <= RECORD_BYTES_MAX as usize && self.partition_key.len() <= PARTITION_KEY_BYTES_MAX);
        out.put_u32_le(self.data.len() as u32);
        out.put_u16_le(self.partition_key.len() as u16);
        out.put_u16_le(u16::from(self.explicit_hash_key.is_some()));
        if let Some(hash) = self.explicit_hash_key {
            out.put_u128_le(hash);
        }
        out.put_slice(self.partition_key.as_bytes());
        out.put_slice(self.data);
    }

    /// Reads one record from the front of a batch body.
    pub(crate) fn decode(body: &mut FieldReader<'a>) -> Result<RecordView<'a>, Malformed> {
        let data_len = body.u32()? as usize;
        let key_len = usize::from(body.u16()?);
        let explicit_hash_key = match body.u16()? {
            0 => None,
            1 => Some(body.u128()?),
            _ => return Err(body.wrong("a record has unknown flags")),
        };
        let key = body.slice(key_len)?;
        let partition_key = std::str::from_utf8(key).map_err(|_| body.wrong("a partition key is not UTF-8"))?;
        Ok(RecordView { partition_key, explicit_hash_key, data: body.slice(data_len)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_ENCODED_BYTES_LEAST;

    #[test]
    fn the_smallest_record_has_the_fewest_bytes() {
        let record = Record::new("k", "");
        let mut encoded = BytesMut::new();
        record.view().encode(&mut encoded);
        assert_eq!(encoded.len(), RECORD_ENCODED_BYTES_LEAST);
        assert_eq!(record.view().check(RECORD_BYTES_MAX), Ok(()));
        assert_eq!(Record::new("", "").view().check(RECORD_BYTES_MAX), Err(BadRecord::KeyEmpty));
    }
}
