//! The state that a segment inherits: for every shard of the log where it stands, and which puts of
//! which producers are stored.
//!
//! It stands at the head of a segment, so that recovery needs that segment alone, and again in the
//! footer, as it is at the segment's end. Little-endian, shards sorted by number.
//!
//! ```text
//!   u32 shard count | u32 producer count
//!   shard count x    { u32 shard | u32 state: 0 open, 1 closed | u64 next sequence | u64 last arrival ms }
//!   producer count x { u64 producer id | u32 shard | u32 epoch | u64 next number | u32 puts remembered |
//!                      puts remembered x { u64 first sequence | u64 arrival ms } }   oldest first
//! ```
//!
//! The highest bit of the puts remembered says that later ones may have been stored and are lost.

use bytes::{BufMut, BytesMut};
use rheos_protocol::wire::{FieldReader, Malformed};

use crate::limits::{LOG_SHARDS_MAX, PRODUCER_PUTS_MAX, PRODUCERS_MAX};
use crate::producer::{ProducerTable, StoredPuts};

/// Bytes of one shard in a carry-over.
pub const SHARD_BYTES: usize = 24;
/// Bytes before the first shard.
pub const COUNTS_BYTES: usize = 8;

/// In the count of a producer's puts: later ones may be lost.
const INTERRUPTED: u32 = 1 << 31;

/// Where one shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardState {
    /// Number within the stream.
    pub shard: u32,
    /// Whether it takes no more puts, for good.
    pub closed: bool,
    /// Sequence of the next record.
    pub next_sequence: u64,
    /// Arrival of the last record; 0 when there was none.
    pub last_arrival_ms: u64,
}

impl ShardState {
    /// A shard that has stored nothing.
    pub fn new(shard: u32) -> ShardState {
        ShardState { shard, closed: false, next_sequence: 0, last_arrival_ms: 0 }
    }
}

/// The state of a log between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarryOver {
    /// Every shard that the log has had by then, sorted by number.
    pub shards: Vec<ShardState>,
    /// The puts that are remembered.
    pub producers: ProducerTable,
}

impl CarryOver {
    /// The state of a log that has stored nothing.
    pub fn new(shards: impl IntoIterator<Item = u32>) -> CarryOver {
        let mut shards: Vec<_> = shards.into_iter().map(ShardState::new).collect();
        shards.sort_unstable_by_key(|state| state.shard);
        CarryOver { shards, producers: ProducerTable::default() }
    }

    /// Where a shard stands; one that is not listed was opened since, and begins now.
    pub fn shard_or_new(&mut self, shard: u32) -> &mut ShardState {
        let at = self.shards.binary_search_by_key(&shard, |state| state.shard).unwrap_or_else(|at| {
            self.shards.insert(at, ShardState::new(shard));
            at
        });
        &mut self.shards[at]
    }

    /// Where a shard stands.
    pub fn shard(&self, shard: u32) -> Option<&ShardState> {
        self.shards.binary_search_by_key(&shard, |state| state.shard).ok().map(|at| &self.shards[at])
    }

    /// Latest arrival of all shards.
    pub fn last_arrival_ms(&self) -> u64 {
        self.shards.iter().map(|state| state.last_arrival_ms).max().unwrap_or(0)
    }

    /// Takes over from a later state where each shard stands by then, and which puts are stored.
    pub fn raise(&mut self, later: &CarryOver) {
        for shard in &mut self.shards {
            if let Some(later) = later.shard(shard.shard) {
                shard.next_sequence = shard.next_sequence.max(later.next_sequence);
                shard.last_arrival_ms = shard.last_arrival_ms.max(later.last_arrival_ms);
            }
        }
        self.producers = later.producers.clone();
    }

    /// Appends the bytes drawn above.
    pub fn encode(&self, out: &mut BytesMut) {
        encode(self.shards.iter().copied(), &self.producers, out);
    }

    /// Reads a carry-over whose checksum has been proved.
    pub fn decode(bytes: &[u8]) -> Result<CarryOver, Malformed> {
        let mut fields = FieldReader::new("carry-over", bytes);
        let shard_count = fields.u32()? as usize;
        let producer_count = fields.u32()? as usize;
        if shard_count > LOG_SHARDS_MAX
            || producer_count > PRODUCERS_MAX
            || shard_count * SHARD_BYTES > fields.rest().len()
        {
            return Err(fields.wrong("its counts are out of bounds"));
        }
        let shards = (0..shard_count).map(|_| decode_shard(&mut fields)).collect::<Result<Vec<_>, _>>()?;
        if !shards.is_sorted_by(|a, b| a.shard < b.shard) {
            return Err(fields.wrong("its shards are not sorted"));
        }
        let mut producers = ProducerTable::default();
        for _ in 0..producer_count {
            let (id, shard, epoch) = (fields.u64()?, fields.u32()?, fields.u32()?);
            let next_number = fields.u64()?;
            let count = fields.u32()?;
            let (is_interrupted, count) = (count & INTERRUPTED != 0, (count & !INTERRUPTED) as usize);
            if count > PRODUCER_PUTS_MAX {
                return Err(fields.wrong("a producer has too many puts"));
            }
            let mut puts = StoredPuts::new(epoch, next_number);
            puts.is_interrupted = is_interrupted;
            for _ in 0..count {
                puts.push((fields.u64()?, fields.u64()?));
            }
            producers.restore(id, shard, puts);
        }
        Ok(CarryOver { shards, producers })
    }
}

/// Appends a carry-over from the live state of a log.
pub fn encode(shards: impl ExactSizeIterator<Item = ShardState>, producers: &ProducerTable, out: &mut BytesMut) {
    out.put_u32_le(shards.len() as u32);
    let count_at = out.len();
    out.put_u32_le(0);
    for state in shards {
        out.put_u32_le(state.shard);
        out.put_u32_le(u32::from(state.closed));
        out.put_u64_le(state.next_sequence);
        out.put_u64_le(state.last_arrival_ms);
    }
    let mut count = 0u32;
    for (id, shard, puts) in producers.stored() {
        count += 1;
        out.put_u64_le(id);
        out.put_u32_le(shard);
        out.put_u32_le(puts.epoch);
        out.put_u64_le(puts.next_number);
        out.put_u32_le(puts.len() as u32 | if puts.is_interrupted { INTERRUPTED } else { 0 });
        for (first_sequence, arrival_ms) in puts.iter() {
            out.put_u64_le(first_sequence);
            out.put_u64_le(arrival_ms);
        }
    }
    out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
}

/// Reads one shard of the table.
pub fn decode_shard(fields: &mut FieldReader<'_>) -> Result<ShardState, Malformed> {
    let shard = fields.u32()?;
    let closed = match fields.u32()? {
        0 => false,
        1 => true,
        _ => return Err(fields.wrong("a shard's state is unknown")),
    };
    Ok(ShardState { shard, closed, next_sequence: fields.u64()?, last_arrival_ms: fields.u64()? })
}
