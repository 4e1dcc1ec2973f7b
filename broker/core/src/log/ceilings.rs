//! The ceilings of a shard: what its puts and reads may take, and what those are told that may not.
//!
//! Nothing queues: a put or a read is let through or refused at once, with how long to wait. A shard has
//! buckets only once something was taken of them, and none without limits. Bytes are those of keys and data, as
//! Kinesis counts them.
//!
//! What must hold: what is refused for another reason takes nothing; a resend of what is stored takes nothing.

use std::num::NonZeroU64;

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Limit, StreamLimits};

use super::Log;
use crate::arrival::Now;
use crate::bucket::Bucket;
use crate::counts::Amount;
use crate::limits::OVER_LIMIT_WAIT_MS_MAX;

/// What is left of each ceiling of a shard; of one that nothing was taken of, nothing is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ceilings {
    in_bytes: Option<Bucket>,
    in_records: Option<Bucket>,
    out_bytes: Option<Bucket>,
    out_reads: Option<Bucket>,
}

impl Log {
    /// Whether a put may be admitted to a shard, as far as its ceilings go.
    pub(super) fn put_is_within(&mut self, now: Now, shard_at: usize, cost: Amount) -> Result<(), WireError> {
        let limits = self.settings.terms.limits;
        let Some(ceilings) = self.shards[shard_at].ceilings.as_deref_mut() else { return Ok(()) };
        let waits = [
            wait_ms(&mut ceilings.in_bytes, limits.in_bytes.per_second(), cost.bytes, now),
            wait_ms(&mut ceilings.in_records, limits.in_records.per_second(), cost.records, now),
        ];
        match waits.into_iter().flatten().max() {
            Some(wait_ms) => Err(over_put_limit(self.shards[shard_at].number, &limits, wait_ms)),
            None => Ok(()),
        }
    }

    /// Takes what a put costs.
    pub(super) fn take_put(&mut self, now: Now, shard_at: usize, cost: Amount) {
        let limits = self.settings.terms.limits;
        let (bytes, records) = (limits.in_bytes.per_second(), limits.in_records.per_second());
        if bytes.is_none() && records.is_none() {
            return;
        }
        let ceilings = self.shards[shard_at].ceilings.get_or_insert_default();
        take(&mut ceilings.in_bytes, bytes, cost.bytes, now);
        take(&mut ceilings.in_records, records, cost.records, now);
    }

    /// Counts a read of a shard, which all its readers share, and says how many bytes it may take: as many as it
    /// asks for, or as are left.
    ///
    /// # Errors
    ///
    /// `ShardNotFound`, and `OverLimit`, which says how long to wait.
    pub fn admit_read(&mut self, now: Now, shard: u32, bytes_max: usize) -> Result<usize, WireError> {
        let shard_at = self.shard_at(shard)?;
        let limits = self.settings.terms.limits;
        let (bytes, reads) = (limits.out_bytes.per_second(), limits.out_reads.per_second());
        if bytes.is_none() && reads.is_none() {
            return Ok(bytes_max);
        }
        let ceilings = self.shards[shard_at].ceilings.get_or_insert_default();
        // Of the bytes one must be there; what is read is known, and taken, when it was read.
        let waits = [wait_ms(&mut ceilings.out_bytes, bytes, 1, now), wait_ms(&mut ceilings.out_reads, reads, 1, now)];
        if let Some(wait_ms) = waits.into_iter().flatten().max() {
            return Err(over_read_limit(shard, &limits, wait_ms));
        }
        take(&mut ceilings.out_reads, reads, 1, now);
        let left = ceilings.out_bytes.as_mut().zip(bytes).map(|(bucket, rate)| bucket.left(rate, now.boot_ms));
        let most = left.or(bytes.map(NonZeroU64::get)).unwrap_or(u64::MAX);
        Ok(bytes_max.min(usize::try_from(most).unwrap_or(usize::MAX)))
    }

    /// Takes what a read has brought. A shard that has gone meanwhile has no ceiling.
    pub(super) fn take_read(&mut self, now: Now, shard: u32, given: Amount) {
        let Some(rate) = self.settings.terms.limits.out_bytes.per_second() else { return };
        let Ok(shard_at) = self.shard_at(shard) else { return };
        let ceilings = self.shards[shard_at].ceilings.get_or_insert_default();
        take(&mut ceilings.out_bytes, Some(rate), given.bytes, now);
    }

    /// Forgets what was taken of ceilings that are none any more: one that comes back begins anew.
    pub(super) fn forget_ceilings(&mut self) {
        let limits = self.settings.terms.limits;
        let kept = |bucket: Option<Bucket>, limit: Limit| bucket.filter(|_| limit.per_second().is_some());
        for shard in &mut self.shards {
            let Some(before) = shard.ceilings.take() else { continue };
            let ceilings = Ceilings {
                in_bytes: kept(before.in_bytes, limits.in_bytes),
                in_records: kept(before.in_records, limits.in_records),
                out_bytes: kept(before.out_bytes, limits.out_bytes),
                out_reads: kept(before.out_reads, limits.out_reads),
            };
            shard.ceilings = (ceilings != Ceilings::default()).then(|| Box::new(ceilings));
        }
    }

    /// How many bytes of a shard may be pushed to each registered consumer in a second, if that is limited.
    pub(crate) fn push_rate(&self) -> Option<NonZeroU64> {
        self.settings.terms.limits.push_bytes.per_second()
    }
}

fn wait_ms(bucket: &mut Option<Bucket>, rate: Option<NonZeroU64>, cost: u64, now: Now) -> Option<u64> {
    bucket.as_mut()?.wait_ms(rate?, cost, now.boot_ms)
}

fn take(bucket: &mut Option<Bucket>, rate: Option<NonZeroU64>, cost: u64, now: Now) {
    if let Some(rate) = rate {
        bucket.get_or_insert_with(|| Bucket::full(rate, now.boot_ms)).take(rate, cost, now.boot_ms);
    }
}

/// The numbers of the refusal are the ceilings, so that a client can make its batches small enough for them.
fn over_put_limit(shard: u32, limits: &StreamLimits, wait_ms: u64) -> WireError {
    let (bytes, records) = (limits.in_bytes.per_second(), limits.in_records.per_second());
    let allowed = [bytes.map(|rate| format!("{rate} bytes")), records.map(|rate| format!("{rate} records"))];
    let allowed = allowed.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    over_limit(format!("shard {shard} takes {allowed} a second"), wait_ms)
        .with_detail(bytes.map_or(0, NonZeroU64::get), records.map_or(0, NonZeroU64::get))
}

fn over_read_limit(shard: u32, limits: &StreamLimits, wait_ms: u64) -> WireError {
    let (bytes, reads) = (limits.out_bytes.per_second(), limits.out_reads.per_second());
    let allowed = [bytes.map(|rate| format!("{rate} bytes")), reads.map(|rate| format!("{rate} reads"))];
    let allowed = allowed.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    over_limit(format!("shard {shard} gives its readers {allowed} a second"), wait_ms)
        .with_detail(bytes.map_or(0, NonZeroU64::get), reads.map_or(0, NonZeroU64::get))
}

fn over_limit(ceiling: String, wait_ms: u64) -> WireError {
    let wait_ms = wait_ms.min(OVER_LIMIT_WAIT_MS_MAX) as u32;
    let message = format!("{ceiling}; come again after {wait_ms} ms, or raise the limit of the stream");
    WireError::retry_after(ErrorCode::OverLimit, wait_ms, message)
}
