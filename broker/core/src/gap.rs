//! The gap mark: a file in the place of a segment that is lost, once somebody has accepted the loss.
//!
//! It is one block, little-endian; the rest of the block is zero:
//!
//! ```text
//!   0  4  magic "RHG1"
//!   4  4  version = 1
//!   8  8  data directory id
//!  16  8  incarnation of the stream
//!  24  4  log
//!  28  4  zero
//!  32  8  segment number
//!  40  8  checksum: xxh3-64 of bytes 0 .. 40
//! ```
//!
//! With it the numbers of a log are dense again. It holds no record and no state: what it stands for is
//! named by whoever reads over it.

use bytes::{BufMut, Bytes};
use rheos_protocol::wire::{FieldReader, Malformed};
use xxhash_rust::xxh3::xxh3_64;

use crate::commit::SegmentId;
use crate::limits::BLOCK_BYTES;

const MAGIC: [u8; 4] = *b"RHG1";
const VERSION: u32 = 1;

/// That a segment is lost and its loss accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapMark {
    /// Identity of the data directory.
    pub directory: u64,
    /// Which segment is lost.
    pub segment: SegmentId,
}

impl GapMark {
    /// The whole file.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(BLOCK_BYTES as usize);
        out.put_slice(&MAGIC);
        out.put_u32_le(VERSION);
        out.put_u64_le(self.directory);
        out.put_u64_le(self.segment.incarnation);
        out.put_u32_le(self.segment.log);
        out.put_u32_le(0);
        out.put_u64_le(self.segment.segment);
        let checksum = xxh3_64(&out);
        out.put_u64_le(checksum);
        out.resize(BLOCK_BYTES as usize, 0);
        out.into()
    }

    /// Reads and proves the first block of a file.
    ///
    /// # Errors
    /// It is no gap mark.
    pub fn decode(block: &[u8]) -> Result<GapMark, Malformed> {
        let mut fields = FieldReader::new("gap mark", block);
        let proved = block.get(..40).map(xxh3_64);
        if fields.array::<4>()? != MAGIC {
            return Err(fields.wrong("it does not begin with RHG1"));
        }
        let (version, directory) = (fields.u32()?, fields.u64()?);
        let (incarnation, log, _) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let mark = GapMark { directory, segment: SegmentId { incarnation, log, segment: fields.u64()? } };
        if proved != Some(fields.u64()?) {
            return Err(fields.wrong("its checksum is wrong"));
        }
        if version != VERSION {
            return Err(fields.wrong("its version is unknown"));
        }
        Ok(mark)
    }
}
