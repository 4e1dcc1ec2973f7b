//! A commit: the unit of write. Valid whole or not at all.
//!
//! The header never leaves the disk. Little-endian.
//!
//! ```text
//!   0  4  magic "RHC1"
//!   4  1  version = 1
//!   5  1  stored form: 0 = plain
//!   6  2  flags = 0
//!   8  8  incarnation of the stream
//!  16  4  log
//!  20  4  batch count; 0 in an empty commit, which only carries the watermark
//!  24  8  segment number
//!  32  8  commit number within the log: 0, 1, 2 ...
//!  40  8  own offset in the segment
//!  48  4  length with header and padding, a multiple of 4,096
//!  52  4  payload length: the batches, one after the other
//!  56  8  digest: xxh3-64 of the batch headers in order (each holds the checksum of its body)
//!  64  8  durable commit number: every commit below it was on the disk when this one was made
//!  72  8  checksum of the previous commit of the log, 0 for the first
//!  80 16  room for an authentication tag, zero
//!  96 24  zero
//! 120  8  checksum: xxh3-64 of bytes 0 .. 120, seeded with the segment's salt
//! 128  n  payload, then zeros to the next block
//! ```
//!
//! What must hold: nobody holds a [`Commit`] whose header, digest or batches are wrong. The salt is
//! secret, so that record data cannot imitate a header.

use bytes::Bytes;
use rheos_protocol::batch::{Batch, HEADER_BYTES};
use rheos_protocol::wire::{FieldReader, Malformed};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::limits::{BLOCK_BYTES, COMMIT_PAYLOAD_BYTES_MAX};

/// Bytes of a commit header.
pub const COMMIT_HEADER_BYTES: usize = 128;
const MAGIC: [u8; 4] = *b"RHC1";
const VERSION: u8 = 1;

/// Which segment of which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId {
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Log number within the stream.
    pub log: u32,
    /// Segment number within the log, from 1.
    pub segment: u64,
}

/// The numbers of a commit header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitHeader {
    /// The segment it stands in.
    pub segment: SegmentId,
    /// Number within the log.
    pub number: u64,
    /// Where it stands in the segment.
    pub offset: u64,
    /// Bytes of the batches.
    pub payload_len: u32,
    /// Batches in it.
    pub batch_count: u32,
    /// xxh3-64 of the batch headers.
    pub digest: u64,
    /// Every commit below this number was durable when this one was made.
    pub durable: u64,
    /// Checksum of the commit before it.
    pub previous_checksum: u64,
}

impl CommitHeader {
    /// Bytes of a commit with this payload: header, batches, padding.
    pub fn padded_len(payload_len: usize) -> u64 {
        ((COMMIT_HEADER_BYTES + payload_len) as u64).next_multiple_of(BLOCK_BYTES)
    }

    /// Bytes that this commit takes in the segment.
    pub fn len(&self) -> u64 {
        Self::padded_len(self.payload_len as usize)
    }

    /// Never: even an empty commit has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where the next commit stands.
    pub fn end(&self) -> u64 {
        self.offset + self.len()
    }

    /// The header's bytes and their checksum.
    pub fn encode(&self, salt: u64) -> ([u8; COMMIT_HEADER_BYTES], u64) {
        let mut out = [0u8; COMMIT_HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        out[8..16].copy_from_slice(&self.segment.incarnation.to_le_bytes());
        out[16..20].copy_from_slice(&self.segment.log.to_le_bytes());
        out[20..24].copy_from_slice(&self.batch_count.to_le_bytes());
        out[24..32].copy_from_slice(&self.segment.segment.to_le_bytes());
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.offset.to_le_bytes());
        out[48..52].copy_from_slice(&(self.len() as u32).to_le_bytes());
        out[52..56].copy_from_slice(&self.payload_len.to_le_bytes());
        out[56..64].copy_from_slice(&self.digest.to_le_bytes());
        out[64..72].copy_from_slice(&self.durable.to_le_bytes());
        out[72..80].copy_from_slice(&self.previous_checksum.to_le_bytes());
        let checksum = xxh3_64_with_seed(&out[..120], salt);
        out[120..128].copy_from_slice(&checksum.to_le_bytes());
        (out, checksum)
    }

    /// Reads the header at `offset` of a segment and proves its checksum, identity and place.
    pub fn decode(bytes: &[u8], segment: SegmentId, offset: u64, salt: u64) -> Result<(CommitHeader, u64), BadCommit> {
        let head = bytes.first_chunk::<COMMIT_HEADER_BYTES>().ok_or(BadCommit::Header)?;
        let mut fields = FieldReader::new("commit header", head);
        // The magic first: it is all that is looked at in most blocks that are no commit.
        if fields.array::<4>()? != MAGIC || xxh3_64_with_seed(&head[..120], salt).to_le_bytes() != head[120..] {
            return Err(BadCommit::Header);
        }
        let (version, form, flags) = (fields.u8()?, fields.u8()?, fields.u16()?);
        let incarnation = fields.u64()?;
        let log = fields.u32()?;
        let batch_count = fields.u32()?;
        let own = SegmentId { incarnation, log, segment: fields.u64()? };
        let (number, own_offset, len, payload_len) = (fields.u64()?, fields.u64()?, fields.u32()?, fields.u32()?);
        let header = CommitHeader {
            segment: own,
            number,
            offset: own_offset,
            payload_len,
            batch_count,
            digest: fields.u64()?,
            durable: fields.u64()?,
            previous_checksum: fields.u64()?,
        };
        let consistent = payload_len as usize <= COMMIT_PAYLOAD_BYTES_MAX && header.len() == u64::from(len);
        if version != VERSION || form != 0 || flags != 0 || own != segment || own_offset != offset || !consistent {
            return Err(BadCommit::Header);
        }
        let checksum = u64::from_le_bytes(*head.last_chunk().expect("the header ends with its checksum"));
        Ok((header, checksum))
    }
}

/// What is wrong with bytes that should be a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCommit {
    /// There is no valid header.
    Header,
    /// The header is valid and what follows is not what it describes.
    Payload,
}

impl From<Malformed> for BadCommit {
    fn from(_: Malformed) -> Self {
        BadCommit::Header
    }
}

/// A commit that has been proved whole.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its header.
    pub header: CommitHeader,
    /// Its header's checksum, which the next commit repeats.
    pub checksum: u64,
    /// Its batches.
    pub batches: Vec<Batch>,
    /// The bytes of all its batches, one after the other.
    pub payload: Bytes,
}

impl Commit {
    /// Proves the commit that stands at `offset` of a segment; `bytes` begin there.
    pub fn parse(bytes: &Bytes, segment: SegmentId, offset: u64, salt: u64) -> Result<Commit, BadCommit> {
        let (header, checksum) = CommitHeader::decode(bytes, segment, offset, salt)?;
        let end = COMMIT_HEADER_BYTES + header.payload_len as usize;
        if bytes.len() < end {
            return Err(BadCommit::Payload);
        }
        let payload = bytes.slice(COMMIT_HEADER_BYTES..end);
        let mut rest = payload.clone();
        let mut digest = HeaderDigest::default();
        let mut batches = Vec::with_capacity((header.batch_count as usize).min(payload.len() / HEADER_BYTES));
        while !rest.is_empty() {
            let batch = Batch::split_from(&mut rest).map_err(|_| BadCommit::Payload)?;
            digest.add(batch.bytes());
            batches.push(batch);
        }
        if batches.len() != header.batch_count as usize || digest.finish() != header.digest {
            return Err(BadCommit::Payload);
        }
        Ok(Commit { header, checksum, batches, payload })
    }
}

/// The digest of batch headers, made as batches are gathered.
#[derive(Default)]
pub struct HeaderDigest(Xxh3);

impl HeaderDigest {
    /// Adds the header of a stored batch.
    pub fn add(&mut self, batch: &[u8]) {
        self.0.update(&batch[..HEADER_BYTES]);
    }

    /// The digest of the headers so far.
    pub fn finish(&self) -> u64 {
        self.0.digest()
    }
}

impl std::fmt::Debug for HeaderDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeaderDigest({:016x})", self.finish())
    }
}
