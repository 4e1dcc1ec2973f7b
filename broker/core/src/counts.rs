//! What logs and their shards count, for the operator.
//!
//! What must hold: a record counts as come in once, when it is durable, however often it was sent; every put
//! that is answered with an error counts as refused, and those alone. Counts begin at 0 when a log is opened,
//! only grow, and decide nothing.

use std::ops::AddAssign;

use rheos_protocol::batch::BatchHeader;
use rheos_protocol::error::ErrorCode;

/// A number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many they are.
    pub records: u64,
    /// Bytes of their keys and data.
    pub bytes: u64,
}

impl Amount {
    /// The records of a batch.
    pub fn of(batch: &BatchHeader) -> Amount {
        Amount { records: batch.record_count.into(), bytes: batch.record_bytes() }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, more: Amount) {
        self.records += more.records;
        self.bytes += more.bytes;
    }
}

/// Why puts are answered with an error: few enough to be counted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room for them now, or a limit is reached.
    Throttled,
    /// The disk is full.
    StorageFull,
    /// The log takes no puts for good.
    ReadOnly,
    /// The shard is closed, or about to be.
    ShardClosed,
    /// A record belongs to another shard.
    WrongShard,
    /// A record is larger than the stream allows.
    RecordTooLarge,
    /// An earlier put of the producer was refused.
    Behind,
    /// The producer's number is not known here, or belongs to somebody else by now.
    Producer,
    /// The broker stops.
    Stopping,
    /// They were written and it is not known whether they are stored.
    Indeterminate,
    /// Anything else.
    Other,
}

/// So many reasons there are.
const REFUSALS: usize = 11;

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; REFUSALS] = [
        Refusal::Throttled,
        Refusal::StorageFull,
        Refusal::ReadOnly,
        Refusal::ShardClosed,
        Refusal::WrongShard,
        Refusal::RecordTooLarge,
        Refusal::Behind,
        Refusal::Producer,
        Refusal::Stopping,
        Refusal::Indeterminate,
        Refusal::Other,
    ];

    /// The reason that an error stands for.
    pub fn of(code: ErrorCode) -> Refusal {
        match code {
            ErrorCode::Busy | ErrorCode::OverLimit => Refusal::Throttled,
            ErrorCode::StorageFull => Refusal::StorageFull,
            ErrorCode::ReadOnly => Refusal::ReadOnly,
            ErrorCode::ShardClosed | ErrorCode::Resharding => Refusal::ShardClosed,
            ErrorCode::WrongShard => Refusal::WrongShard,
            ErrorCode::RecordTooLarge => Refusal::RecordTooLarge,
            ErrorCode::Behind => Refusal::Behind,
            ErrorCode::UnknownProducer | ErrorCode::ProducerFenced | ErrorCode::NumberTooOld => Refusal::Producer,
            ErrorCode::GoingAway => Refusal::Stopping,
            ErrorCode::Indeterminate => Refusal::Indeterminate,
            _ => Refusal::Other,
        }
    }

    /// The reason in one word, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Throttled => "throttled",
            Refusal::StorageFull => "storage_full",
            Refusal::ReadOnly => "read_only",
            Refusal::ShardClosed => "shard_closed",
            Refusal::WrongShard => "wrong_shard",
            Refusal::RecordTooLarge => "record_too_large",
            Refusal::Behind => "behind",
            Refusal::Producer => "producer",
            Refusal::Stopping => "stopping",
            Refusal::Indeterminate => "indeterminate",
            Refusal::Other => "other",
        }
    }
}

/// Records of puts that were answered with an error, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused([u64; REFUSALS]);

impl Refused {
    /// Counts records that were refused.
    pub fn add(&mut self, why: Refusal, records: u64) {
        self.0[why as usize] += records;
    }

    /// How many were refused for a reason.
    pub fn records(&self, why: Refusal) -> u64 {
        self.0[why as usize]
    }

    /// How many were refused in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl AddAssign for Refused {
    fn add_assign(&mut self, more: Refused) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

/// What a log has counted, all shards together; also those that it no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Records that have become durable.
    pub incoming: Amount,
    /// Those of puts that were answered with an error.
    pub refused: Refused,
    /// Records that reads were given.
    pub read: Amount,
    /// Reads that were answered, also those that were given nothing.
    pub reads: u64,
}

/// What is counted of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardCounts {
    /// Records that have become durable.
    pub incoming: Amount,
    /// Records of puts that were answered with an error.
    pub refused_records: u64,
    /// Records that reads were given. Pushes are counted by the fan-out.
    pub read: Amount,
    /// The last read.
    pub last_read: Option<LastRead>,
}

/// How far the last reader of a shard had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRead {
    /// When it read.
    pub boot_ms: u64,
    /// Age of the last record that it was given, in ms; 0 when there were no more.
    pub iterator_age_ms: u64,
}

impl ShardCounts {
    /// Age of the last record that whoever reads the shard was given, in ms; 0 when there were no more, nothing
    /// when nobody has read for [`READ_SEEN_MS`](crate::limits::READ_SEEN_MS).
    pub fn iterator_age_ms(&self, boot_ms: u64) -> Option<u64> {
        let last = self.last_read?;
        (boot_ms.saturating_sub(last.boot_ms) <= crate::limits::READ_SEEN_MS).then_some(last.iterator_age_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::READ_SEEN_MS;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let mut refused = Refused::default();
        for (at, why) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at, "{}", why.name());
            refused.add(why, at as u64 + 1);
        }
        assert!(Refusal::ALL.into_iter().all(|why| refused.records(why) == why as u64 + 1));
        let names: BTreeSet<_> = Refusal::ALL.into_iter().map(Refusal::name).collect();
        assert_eq!((names.len(), refused.total()), (REFUSALS, 66));
        let mut twice = refused;
        twice += refused;
        assert_eq!((twice.total(), twice.records(Refusal::Behind)), (132, 14));
    }

    #[test]
    fn every_error_has_a_reason() {
        let reasons: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| Refusal::of(*code) as usize).collect();
        assert_eq!(reasons.len(), REFUSALS, "a reason that no error has");
        assert_eq!(Refusal::of(ErrorCode::OverLimit), Refusal::Throttled, "as Kinesis counts it");
        assert_eq!(Refusal::of(ErrorCode::Unknown(9_999)), Refusal::Other);
    }

    #[test]
    fn who_has_not_read_for_long_is_not_behind() {
        let mut counts = ShardCounts::default();
        assert_eq!(counts.iterator_age_ms(0), None);
        counts.last_read = Some(LastRead { boot_ms: 1_000, iterator_age_ms: 7 });
        assert_eq!(counts.iterator_age_ms(1_000), Some(7));
        assert_eq!(counts.iterator_age_ms(1_000 + READ_SEEN_MS), Some(7));
        assert_eq!(counts.iterator_age_ms(1_001 + READ_SEEN_MS), None);
    }
}
