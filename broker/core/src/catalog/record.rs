//! A stream's record as bytes, and the proof that it can be believed.
//!
//! ```text
//!   0  4  magic "RHT1"
//!   4  4  version = 1
//!   8  8  incarnation
//!  16  8  created, ms since 1970
//!  24  8  retention in ms
//!  32  4  largest record in bytes
//!  36  4  logs
//!  40  4  shards
//!  44  1  the reshard that has begun: 0 none, 1 split, 2 merge, 3 scale
//!  45  4  shard that is split or merged, or the target of the scale; 0 when there is none
//!  49  4  shard that is merged with it; else 0
//!  53 16  hash key at which it is split; else 0
//!  69  2  length of the name
//!  71  .  name
//!      .  a shard, 73 bytes, as often as there are shards:
//!           0  4  number
//!           4 16  first hash key
//!          20 16  last hash key
//!          36  1  state: 0 open, 1 closed
//!          37  8  end sequence; 0 while it is open
//!          45  4  parent + 1; 0 when there is none
//!          49  4  adjacent parent + 1; 0 when there is none
//!          53  4  log
//!          57  8  opened, ms since 1970
//!          65  8  closed, ms since 1970; 0 while it is open
//!      8  retention in bytes; 0 for no such bound
//!      8  ms since 1970 before which everything has expired
//!     40  limits: bytes in, records in, bytes out, reads out, bytes pushed; each 0 inherit, 2^64 - 1 unlimited, else
//!         so many a second
//!      .  tags, drawn in tags.rs
//!      1  mode: 0 provisioned, 1 on demand; a record from before there were modes ends before it
//!      4  fewest open shards of an on-demand stream; else 0
//!      4  most; else 0
//!      1  metrics of its shards that are enabled, drawn in monitoring.rs; a record of a stream with none ends before it
//!      8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. What must hold: a record that decodes is whole and can be; one that cannot is never
//! encoded.

use bytes::BufMut;
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::{SHARDS_MAX, STREAM_NAME_CHARS_MAX};
use rheos_protocol::message::{StreamLimits, StreamMode};
use rheos_protocol::name::StreamName;
use rheos_protocol::wire::{FieldReader, FieldWriter};

use super::envelope::{BadRecord, ended, seal, unseal};
use super::reshard::{Reshard, plan_reshard};
use super::{
    LOGS_OF_STREAM_MAX, SHARDS_LISTED_MAX, ShardMetrics, ShardRecord, ShardState, StreamRecord, StreamTerms, Tags,
};

const MAGIC: [u8; 4] = *b"RHT1";
const VERSION: u32 = 1;
const SHARD_BYTES: usize = 73;

impl StreamRecord {
    /// The record as the catalog stores it.
    ///
    /// # Panics
    ///
    /// When somebody has changed the record into one that cannot be.
    pub fn encode(&self) -> Vec<u8> {
        if let Err(why) = prove(&self.shards, self.log_count, &self.terms) {
            panic!("stream {} was changed: {why}", self.name);
        }
        let capacity = 256 + self.name.as_str().len() + self.shards.len() * SHARD_BYTES;
        seal(MAGIC, VERSION, capacity, |out| {
            out.put_u64_le(self.incarnation);
            out.put_u64_le(self.created_ms);
            out.put_u64_le(self.terms.retention_ms);
            out.put_u32_le(self.terms.record_bytes_max);
            out.put_u32_le(self.log_count);
            out.put_u32_le(u32::try_from(self.shards.len()).expect("they are counted above"));
            encode_reshard(self.resharding, out);
            FieldWriter::text(out, self.name.as_str());
            self.shards.iter().for_each(|shard| shard.encode(out));
            out.put_u64_le(self.terms.retention_bytes);
            out.put_u64_le(self.terms.trimmed_ms);
            self.terms.limits.to_numbers().into_iter().for_each(|number| out.put_u64_le(number));
            self.tags.encode(out);
            let (mode, shards_min, shards_max) = self.terms.mode.to_numbers();
            out.put_u8(mode);
            out.put_u32_le(shards_min);
            out.put_u32_le(shards_max);
            if self.shard_metrics != ShardMetrics::NONE {
                out.put_u8(self.shard_metrics.to_bits());
            }
        })
    }

    /// Reads a record and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<StreamRecord, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let record = StreamFields::decode(&mut fields)?;
        ended(&fields)?;
        record.prove()
    }
}

/// What a record says, not yet proved.
pub(super) struct StreamFields {
    pub(super) name: StreamName,
    pub(super) incarnation: u64,
    pub(super) created_ms: u64,
    pub(super) terms: StreamTerms,
    pub(super) log_count: u32,
    pub(super) shards: Vec<ShardRecord>,
    pub(super) resharding: Option<Reshard>,
    pub(super) tags: Tags,
    pub(super) shard_metrics: ShardMetrics,
}

impl StreamFields {
    fn decode(fields: &mut FieldReader<'_>) -> Result<StreamFields, BadRecord> {
        let (incarnation, created_ms, retention_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (record_bytes_max, log_count, shard_count) = (fields.u32()?, fields.u32()?, fields.u32()? as usize);
        let resharding = decode_reshard(fields)?;
        let name = StreamName::new(fields.text(STREAM_NAME_CHARS_MAX)?)
            .map_err(|_| BadRecord::Impossible("its name is no stream name"))?;
        if shard_count > SHARDS_LISTED_MAX || shard_count.saturating_mul(SHARD_BYTES) > fields.rest().len() {
            return Err(BadRecord::Impossible("its count of shards is not what follows"));
        }
        let shards = (0..shard_count).map(|_| ShardRecord::decode(fields)).collect::<Result<_, _>>()?;
        let (retention_bytes, trimmed_ms) = (fields.u64()?, fields.u64()?);
        let mut number = || fields.u64();
        let limits = StreamLimits::from_numbers([number()?, number()?, number()?, number()?, number()?]);
        let tags = Tags::decode(fields)?;
        let mode = decode_mode(fields)?;
        let shard_metrics = decode_shard_metrics(fields)?;
        let terms = StreamTerms { retention_ms, retention_bytes, trimmed_ms, record_bytes_max, limits, mode };
        Ok(StreamFields { name, incarnation, created_ms, terms, log_count, shards, resharding, tags, shard_metrics })
    }

    /// The record, when it can be.
    pub(super) fn prove(self) -> Result<StreamRecord, BadRecord> {
        let open = prove(&self.shards, self.log_count, &self.terms).map_err(BadRecord::Impossible)?;
        let record = StreamRecord {
            name: self.name,
            incarnation: self.incarnation,
            created_ms: self.created_ms,
            terms: self.terms,
            log_count: self.log_count,
            shards: self.shards,
            resharding: self.resharding,
            tags: self.tags,
            shard_metrics: self.shard_metrics,
            open,
        };
        match record.resharding.map(|reshard| plan_reshard(&record, reshard)) {
            Some(Err(_)) => Err(BadRecord::Impossible("the reshard that has begun cannot be")),
            Some(Ok(_)) | None => Ok(record),
        }
    }
}

impl ShardRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let (state, end_sequence, closed_ms) = match self.state {
            ShardState::Open => (0, 0, 0),
            ShardState::Closed { end_sequence, closed_ms } => (1, end_sequence, closed_ms),
        };
        out.put_u32_le(self.shard);
        out.put_u128_le(self.range.first);
        out.put_u128_le(self.range.last);
        out.put_u8(state);
        out.put_u64_le(end_sequence);
        out.put_u32_le(self.parent.map_or(0, |parent| parent + 1));
        out.put_u32_le(self.adjacent_parent.map_or(0, |parent| parent + 1));
        out.put_u32_le(self.log);
        out.put_u64_le(self.opened_ms);
        out.put_u64_le(closed_ms);
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<ShardRecord, BadRecord> {
        let shard = fields.u32()?;
        let range = HashRange { first: fields.u128()?, last: fields.u128()? };
        let (state, end_sequence) = (fields.u8()?, fields.u64()?);
        let (parent, adjacent_parent) = (fields.u32()?.checked_sub(1), fields.u32()?.checked_sub(1));
        let (log, opened_ms, closed_ms) = (fields.u32()?, fields.u64()?, fields.u64()?);
        let state = match (state, end_sequence, closed_ms) {
            (0, 0, 0) => ShardState::Open,
            (1, ..) => ShardState::Closed { end_sequence, closed_ms },
            _ => return Err(BadRecord::Impossible("a shard is neither open nor closed")),
        };
        Ok(ShardRecord { shard, range, state, parent, adjacent_parent, log, opened_ms })
    }
}

fn decode_mode(fields: &mut FieldReader<'_>) -> Result<StreamMode, BadRecord> {
    if fields.rest().is_empty() {
        return Ok(StreamMode::Provisioned);
    }
    let numbers = (fields.u8()?, fields.u32()?, fields.u32()?);
    StreamMode::from_numbers(numbers).ok_or(BadRecord::Impossible("its mode is none"))
}

fn decode_shard_metrics(fields: &mut FieldReader<'_>) -> Result<ShardMetrics, BadRecord> {
    if fields.rest().is_empty() {
        return Ok(ShardMetrics::NONE);
    }
    ShardMetrics::from_bits(fields.u8()?).ok_or(BadRecord::Impossible("a metric of its shards is none"))
}

fn encode_reshard(reshard: Option<Reshard>, out: &mut Vec<u8>) {
    let (kind, first, second, at) = match reshard {
        None => (0, 0, 0, 0),
        Some(Reshard::Split { shard, at }) => (1, shard, 0, at),
        Some(Reshard::Merge { shard, adjacent }) => (2, shard, adjacent, 0),
        Some(Reshard::Scale { target }) => (3, target, 0, 0),
    };
    out.put_u8(kind);
    out.put_u32_le(first);
    out.put_u32_le(second);
    out.put_u128_le(at);
}

fn decode_reshard(fields: &mut FieldReader<'_>) -> Result<Option<Reshard>, BadRecord> {
    match (fields.u8()?, fields.u32()?, fields.u32()?, fields.u128()?) {
        (0, 0, 0, 0) => Ok(None),
        (1, shard, 0, at) => Ok(Some(Reshard::Split { shard, at })),
        (2, shard, adjacent, 0) => Ok(Some(Reshard::Merge { shard, adjacent })),
        (3, target, 0, 0) => Ok(Some(Reshard::Scale { target })),
        _ => Err(BadRecord::Impossible("it is resharded in a way that is none")),
    }
}

/// Says what is wrong, or where the open shards are, in the order of the hash space.
fn prove(shards: &[ShardRecord], log_count: u32, terms: &StreamTerms) -> Result<Vec<u32>, &'static str> {
    let all = |holds: fn(&ShardRecord, u32) -> bool| shards.iter().all(|shard| holds(shard, log_count));
    let truths = [
        ((1..=LOGS_OF_STREAM_MAX).contains(&log_count), "its number of logs is out of range"),
        (shards.len() <= SHARDS_LISTED_MAX, "it has too many shards"),
        (shards.is_sorted_by(|one, next| one.shard < next.shard), "its shards are not in order"),
        (all(|shard, _| shard.shard < u32::MAX), "a shard has a number that none can have"),
        (all(|shard, logs| shard.log < logs), "a shard is in a log that the stream does not have"),
        (all(|shard, _| is_descended(shard)), "a shard descends from one that came later"),
    ];
    match truths.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(why),
        None => terms.prove(log_count).and_then(|()| tile(shards)),
    }
}

fn is_descended(shard: &ShardRecord) -> bool {
    match (shard.parent, shard.adjacent_parent) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(parent), None) => parent < shard.shard,
        (Some(parent), Some(adjacent)) => parent < shard.shard && adjacent < shard.shard && parent != adjacent,
    }
}

/// Proves that the open shards cover every hash key once.
fn tile(shards: &[ShardRecord]) -> Result<Vec<u32>, &'static str> {
    let mut open: Vec<u32> = (0..).zip(shards).filter(|(_, shard)| shard.is_open()).map(|(place, _)| place).collect();
    if open.len() > SHARDS_MAX as usize {
        return Err("it has too many open shards");
    }
    open.sort_unstable_by_key(|place| shards[*place as usize].range);
    // The hash key at which the next shard must begin; none after the last.
    let mut next = Some(0);
    for place in &open {
        let HashRange { first, last } = shards[*place as usize].range;
        if next != Some(first) || last < first {
            return Err("its open shards do not tile the hash space");
        }
        next = last.checked_add(1);
    }
    if next.is_some() {
        return Err("its open shards do not tile the hash space");
    }
    if shards.iter().any(|shard| shard.range.last < shard.range.first) {
        return Err("a closed shard has no stretch of the hash space");
    }
    Ok(open)
}

#[cfg(test)]
mod tests;
