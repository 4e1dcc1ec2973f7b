//! The head of a segment: its label, its header and the carry-over.
//!
//! ```text
//!   block 0    label: whose file it is and its salt; on the disk before the segment is used
//!   block 1    header: predecessor and carry-over; written together with the first commit
//!   block 2    the same header again, so that one bad block loses nothing
//!   block 3 .. carry-over, padded to a block
//!              first commit, second commit ...
//!              footer, once it is sealed: see [`crate::footer`]
//! ```
//!
//! The label, little-endian; the rest of the block is zero:
//!
//! ```text
//!   0  4  magic "RHL1"
//!   4  4  version = 1
//!   8  8  data directory id
//!  16  8  incarnation of the stream
//!  24  4  log
//!  28  4  zero
//!  32  8  segment number
//!  40  8  salt: random, secret, seeds every checksum of the segment
//!  48  8  checksum: xxh3-64 of bytes 0 .. 48
//! ```
//!
//! The header; the rest of the block is zero:
//!
//! ```text
//!   0  4  magic "RHS1"
//!   4  4  version = 1
//!   8  8  incarnation
//!  16  4  log
//!  20  4  carry-over length
//!  24  8  segment number
//!  32  8  carry-over checksum: xxh3-64, seeded with the salt
//!  40  8  number of the first commit
//!  48  8  end of the predecessor: where its last commit ends; 0 when there is none
//!  56  8  checksum of the predecessor's last commit; 0 when there is none
//!  64  8  arrival of the first batch in ms
//!  72 48  zero
//! 120  8  checksum: xxh3-64 of bytes 0 .. 120, seeded with the salt
//! ```
//!
//! The predecessor is the segment with the number before. Its end as named here overrules whatever
//! stands beyond it: the header is durable before anything in this segment is acked.

use bytes::{BufMut, BytesMut};
use rheos_protocol::wire::{FieldReader, Malformed};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::carry_over::CarryOver;
use crate::commit::SegmentId;
use crate::limits::{BLOCK_BYTES, SEGMENT_FILE_BYTES_MAX};

/// Bytes of label and headers: where the carry-over begins.
pub const HEAD_BYTES: u64 = 3 * BLOCK_BYTES;
/// Where the label ends and the header begins.
pub const HEADER_OFFSET: u64 = BLOCK_BYTES;

const LABEL_MAGIC: [u8; 4] = *b"RHL1";
const HEADER_MAGIC: [u8; 4] = *b"RHS1";
const VERSION: u32 = 1;

/// What a segment file is, from before its first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Identity of the data directory.
    pub directory: u64,
    /// Which segment.
    pub segment: SegmentId,
    /// Seeds the checksums of everything else in the file.
    pub salt: u64,
}

impl Label {
    /// The block that stands first in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_BYTES as usize);
        out.put_slice(&LABEL_MAGIC);
        out.put_u32_le(VERSION);
        out.put_u64_le(self.directory);
        out.put_u64_le(self.segment.incarnation);
        out.put_u32_le(self.segment.log);
        out.put_u32_le(0);
        out.put_u64_le(self.segment.segment);
        out.put_u64_le(self.salt);
        let checksum = xxh3_64(&out);
        out.put_u64_le(checksum);
        out.resize(BLOCK_BYTES as usize, 0);
        out
    }

    /// Reads and proves the first block of a file.
    pub fn decode(block: &[u8]) -> Result<Label, Malformed> {
        let mut fields = FieldReader::new("segment label", block);
        let proved = block.get(..48).map(xxh3_64);
        if fields.array::<4>()? != LABEL_MAGIC {
            return Err(fields.wrong("it does not begin with RHL1"));
        }
        let version = fields.u32()?;
        let directory = fields.u64()?;
        let (incarnation, log, _) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let label =
            Label { directory, segment: SegmentId { incarnation, log, segment: fields.u64()? }, salt: fields.u64()? };
        if proved != Some(fields.u64()?) {
            return Err(fields.wrong("its checksum is wrong"));
        }
        if version != VERSION {
            return Err(fields.wrong("its version is unknown"));
        }
        Ok(label)
    }
}

/// What a segment inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which segment.
    pub segment: SegmentId,
    /// Bytes of the carry-over.
    pub carry_over_len: u32,
    /// Its checksum.
    pub carry_over_checksum: u64,
    /// Number of the first commit in it.
    pub first_commit: u64,
    /// Where the predecessor ends.
    pub predecessor: Option<Predecessor>,
    /// Arrival of its first batch.
    pub first_arrival_ms: u64,
}

/// What a segment says about the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Where its last commit ends.
    pub end: u64,
    /// Checksum of its last commit's header; 0 when it holds none.
    pub last_checksum: u64,
}

impl Header {
    /// Where the first commit stands.
    pub fn first_offset(&self) -> u64 {
        HEAD_BYTES + u64::from(self.carry_over_len).next_multiple_of(BLOCK_BYTES)
    }

    /// One header block.
    fn encode(&self, salt: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_BYTES as usize);
        out.put_slice(&HEADER_MAGIC);
        out.put_u32_le(VERSION);
        out.put_u64_le(self.segment.incarnation);
        out.put_u32_le(self.segment.log);
        out.put_u32_le(self.carry_over_len);
        out.put_u64_le(self.segment.segment);
        out.put_u64_le(self.carry_over_checksum);
        out.put_u64_le(self.first_commit);
        out.put_u64_le(self.predecessor.map_or(0, |predecessor| predecessor.end));
        out.put_u64_le(self.predecessor.map_or(0, |predecessor| predecessor.last_checksum));
        out.put_u64_le(self.first_arrival_ms);
        out.resize(120, 0);
        let checksum = xxh3_64_with_seed(&out, salt);
        out.put_u64_le(checksum);
        out.resize(BLOCK_BYTES as usize, 0);
        out
    }

    /// Reads and proves one header block of this segment.
    pub fn decode(block: &[u8], segment: SegmentId, salt: u64) -> Result<Header, Malformed> {
        let mut fields = FieldReader::new("segment header", block);
        let checksum = block.get(120..128).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        if fields.array::<4>()? != HEADER_MAGIC {
            return Err(fields.wrong("it does not begin with RHS1"));
        }
        if checksum != block.get(..120).map(|bytes| xxh3_64_with_seed(bytes, salt)) {
            return Err(fields.wrong("its checksum is wrong"));
        }
        let version = fields.u32()?;
        let (incarnation, log, carry_over_len) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let own = SegmentId { incarnation, log, segment: fields.u64()? };
        let (carry_over_checksum, first_commit) = (fields.u64()?, fields.u64()?);
        let (end, last_checksum, first_arrival_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        if version != VERSION || own != segment {
            return Err(fields.wrong("it belongs to another segment or version"));
        }
        let header = Header {
            segment,
            carry_over_len,
            carry_over_checksum,
            first_commit,
            predecessor: (end > 0).then_some(Predecessor { end, last_checksum }),
            first_arrival_ms,
        };
        if header.first_offset() > SEGMENT_FILE_BYTES_MAX || end > SEGMENT_FILE_BYTES_MAX {
            return Err(fields.wrong("its lengths are out of bounds"));
        }
        Ok(header)
    }

    /// Reads whichever copy of the header is good, from the first three blocks of the file.
    pub fn decode_either(head: &[u8], segment: SegmentId, salt: u64) -> Result<Header, Malformed> {
        let block = |at: usize| head.get(at * BLOCK_BYTES as usize..(at + 1) * BLOCK_BYTES as usize).unwrap_or(&[]);
        Header::decode(block(1), segment, salt).or_else(|_| Header::decode(block(2), segment, salt))
    }

    /// Reads the carry-over, whose bytes follow the head, and proves its checksum.
    pub fn decode_carry_over(&self, bytes: &[u8], salt: u64) -> Result<CarryOver, Malformed> {
        let malformed = |why| Malformed { what: "carry-over", why };
        let bytes = bytes.get(..self.carry_over_len as usize).ok_or(malformed("it ends early"))?;
        if xxh3_64_with_seed(bytes, salt) != self.carry_over_checksum {
            return Err(malformed("its checksum is wrong"));
        }
        CarryOver::decode(bytes)
    }
}

/// Everything between the label and the first commit: both headers and the carry-over, padded.
pub fn encode_head(header: &Header, carry_over: &[u8], salt: u64) -> BytesMut {
    let header = Header {
        carry_over_len: carry_over.len() as u32,
        carry_over_checksum: xxh3_64_with_seed(carry_over, salt),
        ..*header
    };
    let block = header.encode(salt);
    let mut out = BytesMut::with_capacity((header.first_offset() - HEADER_OFFSET) as usize);
    out.put_slice(&block);
    out.put_slice(&block);
    out.put_slice(carry_over);
    out.resize((header.first_offset() - HEADER_OFFSET) as usize, 0);
    out
}
