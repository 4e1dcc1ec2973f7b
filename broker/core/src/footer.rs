//! The footer of a sealed segment: where each shard's records are, and the state at its end.
//!
//! Only an index: what it says is rebuilt from the commits when it is missing or damaged. It begins
//! at the first block after the last commit and ends with its own block, the trailer, which is the
//! last of the file. Little-endian.
//!
//! ```text
//!   table      shard count x { u32 shard | u32 entry count | u64 first entry }   sorted by shard
//!   entries    by shard, in order: { u64 first sequence | u64 arrival ms | u64 offset of the commit }
//!   carry-out  the state at the end of the segment, as a carry-over
//!   zeros to the next block
//!   trailer:
//!      0  4  magic "RHF1"
//!      4  4  version = 1
//!      8  8  incarnation
//!     16  4  log
//!     20  4  shards in the table
//!     24  8  segment number
//!     32  8  salt of the segment
//!     40  8  end: where the last commit ends and the footer begins
//!     48  8  entries
//!     56  8  carry-out length
//!     64  8  number after the last commit
//!     72  8  checksum of the last commit; 0 when there is none
//!     80  8  offset of the last commit that holds batches; 0 when there is none
//!     88  8  latest arrival in ms
//!     96  8  checksum of table, entries and carry-out: xxh3-64, seeded with the salt
//!    104 16  zero
//!    120  8  checksum: xxh3-64 of bytes 0 .. 120, seeded with the segment number
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use rheos_protocol::wire::{FieldReader, Malformed};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::carry_over::CarryOver;
use crate::commit::SegmentId;
use crate::index::{IndexEntry, SegmentIndex};
use crate::limits::{BLOCK_BYTES, INDEX_ENTRIES_MAX, LOG_SHARDS_MAX, SEGMENT_FILE_BYTES_MAX};

/// Bytes of one shard in the table.
const TABLE_SHARD_BYTES: usize = 16;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"RHF1";
const VERSION: u32 = 1;
/// Bytes of the largest carry-out: all shards, all producers, all their puts.
const CARRY_OUT_BYTES_MAX: u64 = 16 << 20;

/// Where a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Where its last commit ends.
    pub offset: u64,
    /// Number after its last commit.
    pub next_commit: u64,
    /// Checksum of its last commit's header; 0 when it holds none.
    pub last_checksum: u64,
    /// Offset of its last commit that holds batches; 0 when there is none.
    pub last_data_offset: u64,
}

/// The last block of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Which segment.
    pub segment: SegmentId,
    /// Its salt, so that a reader needs no other block.
    pub salt: u64,
    /// Where it ends.
    pub end: SegmentEnd,
    /// Latest arrival in it, or inherited.
    pub last_arrival_ms: u64,
    shard_count: u32,
    entry_count: u64,
    carry_out_len: u64,
    content_checksum: u64,
}

impl Trailer {
    /// Reads and proves the last block of a file.
    pub fn decode(block: &[u8], segment: SegmentId) -> Result<Trailer, Malformed> {
        let mut fields = FieldReader::new("segment footer", block);
        let checksum = block.get(120..128).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        if fields.array::<4>()? != MAGIC {
            return Err(fields.wrong("there is none"));
        }
        if checksum != block.get(..120).map(|bytes| xxh3_64_with_seed(bytes, segment.segment)) {
            return Err(fields.wrong("its checksum is wrong"));
        }
        let version = fields.u32()?;
        let (incarnation, log, shard_count) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let own = SegmentId { incarnation, log, segment: fields.u64()? };
        let salt = fields.u64()?;
        let offset = fields.u64()?;
        let (entry_count, carry_out_len) = (fields.u64()?, fields.u64()?);
        let end = SegmentEnd {
            offset,
            next_commit: fields.u64()?,
            last_checksum: fields.u64()?,
            last_data_offset: fields.u64()?,
        };
        let trailer = Trailer {
            segment,
            salt,
            end,
            last_arrival_ms: fields.u64()?,
            shard_count,
            entry_count,
            carry_out_len,
            content_checksum: fields.u64()?,
        };
        let bounded = shard_count as usize <= LOG_SHARDS_MAX
            && entry_count <= INDEX_ENTRIES_MAX as u64 + LOG_SHARDS_MAX as u64
            && carry_out_len <= CARRY_OUT_BYTES_MAX
            && offset <= SEGMENT_FILE_BYTES_MAX
            && offset % BLOCK_BYTES == 0;
        if version != VERSION || own != segment || !bounded {
            return Err(fields.wrong("it belongs to another segment or version, or is out of bounds"));
        }
        Ok(trailer)
    }

    /// Where table, entries and carry-out stand in the file, and their length.
    pub fn content(&self) -> (u64, usize) {
        let table = self.shard_count as usize * TABLE_SHARD_BYTES;
        (self.end.offset, table + self.entry_count as usize * ENTRY_BYTES + self.carry_out_len as usize)
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        let (offset, len) = self.content();
        (offset + len as u64).next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES
    }

    /// The index and the state at the segment's end, from the bytes at [`content`](Self::content).
    pub fn decode_content(&self, content: &[u8]) -> Result<(SegmentIndex, CarryOver), Malformed> {
        let content = self.prove_content(content)?;
        let mut fields = FieldReader::new("segment footer", content);
        let table = (0..self.shard_count)
            .map(|_| Ok((fields.u32()?, fields.u32()?, fields.u64()?)))
            .collect::<Result<Vec<_>, Malformed>>()?;
        if !table.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(fields.wrong("its shards are not sorted"));
        }
        let mut index = SegmentIndex::default();
        for (shard, count, _) in table {
            let mut last = None;
            for _ in 0..count {
                let entry = decode_entry(&mut fields)?;
                if last.replace(entry).is_some_and(|last| !entry.follows(&last)) {
                    return Err(fields.wrong("its entries are not sorted"));
                }
                index.add(shard, entry);
            }
        }
        Ok((index, CarryOver::decode(fields.rest())?))
    }

    /// The entries of one shard, from the bytes at [`content`](Self::content).
    pub fn entries_of(&self, content: &[u8], shard: u32) -> Result<Vec<IndexEntry>, Malformed> {
        let content = self.prove_content(content)?;
        let (table, entries) = content.split_at(self.shard_count as usize * TABLE_SHARD_BYTES);
        let row = |at: usize| FieldReader::new("segment footer", &table[at * TABLE_SHARD_BYTES..]);
        let (mut low, mut high) = (0, self.shard_count as usize);
        while low < high {
            let middle = (low + high) / 2;
            if row(middle).u32()? < shard { low = middle + 1 } else { high = middle }
        }
        if low == self.shard_count as usize || row(low).u32()? != shard {
            return Ok(Vec::new());
        }
        let mut fields = row(low);
        let (_, count, first) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let mut fields = FieldReader::new("segment footer", entries);
        fields.slice((first as usize).saturating_mul(ENTRY_BYTES))?;
        (0..count).map(|_| decode_entry(&mut fields)).collect()
    }

    fn prove_content<'a>(&self, content: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let mut fields = FieldReader::new("segment footer", content);
        let content = fields.slice(self.content().1)?;
        if xxh3_64_with_seed(content, self.salt) != self.content_checksum {
            return Err(fields.wrong("the checksum of its content is wrong"));
        }
        Ok(content)
    }
}

fn decode_entry(fields: &mut FieldReader<'_>) -> Result<IndexEntry, Malformed> {
    Ok(IndexEntry { first_sequence: fields.u64()?, arrival_ms: fields.u64()?, offset: fields.u64()? })
}

/// The whole footer of a segment that ends here: what is to be written at `end.offset`, and is the end of the file.
pub fn encode(
    segment: SegmentId,
    salt: u64,
    end: SegmentEnd,
    index: &SegmentIndex,
    carry_out: &[u8],
    last_arrival_ms: u64,
) -> Bytes {
    let mut out = BytesMut::new();
    let mut first_entry = 0u64;
    for (shard, entries) in index.shards() {
        out.put_u32_le(shard);
        out.put_u32_le(entries.len() as u32);
        out.put_u64_le(first_entry);
        first_entry += entries.len() as u64;
    }
    for entry in index.shards().flat_map(|(_, entries)| entries) {
        out.put_u64_le(entry.first_sequence);
        out.put_u64_le(entry.arrival_ms);
        out.put_u64_le(entry.offset);
    }
    out.put_slice(carry_out);
    let content_checksum = xxh3_64_with_seed(&out, salt);
    out.resize(out.len().next_multiple_of(BLOCK_BYTES as usize), 0);

    let at = out.len();
    out.put_slice(&MAGIC);
    out.put_u32_le(VERSION);
    out.put_u64_le(segment.incarnation);
    out.put_u32_le(segment.log);
    out.put_u32_le(index.shards().count() as u32);
    out.put_u64_le(segment.segment);
    out.put_u64_le(salt);
    out.put_u64_le(end.offset);
    out.put_u64_le(first_entry);
    out.put_u64_le(carry_out.len() as u64);
    out.put_u64_le(end.next_commit);
    out.put_u64_le(end.last_checksum);
    out.put_u64_le(end.last_data_offset);
    out.put_u64_le(last_arrival_ms);
    out.put_u64_le(content_checksum);
    out.resize(at + 120, 0);
    let checksum = xxh3_64_with_seed(&out[at..], segment.segment);
    out.put_u64_le(checksum);
    out.resize(at + BLOCK_BYTES as usize, 0);
    out.freeze()
}
