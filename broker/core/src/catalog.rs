//! What the catalog keeps of streams, logs, registered consumers and access keys, and the rules by which it
//! changes.
//!
//! ```
//! use rheos_core::catalog::{LogRecord, StreamRecord, plan_stream};
//! use rheos_protocol::message::CreateStream;
//!
//! let create = CreateStream { name: "orders".to_owned(), shards: 4, ..CreateStream::default() };
//! let stream = plan_stream(&create, 1_700_000_000_000, 7, 2, None)?;
//! assert_eq!(stream.log_count, 2);
//! assert_eq!(stream.open_shard_of(u128::MAX).unwrap().shard, 3);
//! assert_eq!(StreamRecord::decode(&stream.encode())?, stream);
//!
//! let log = LogRecord::NEW.raise_highest_prepared(1)?.expect("it is higher than before");
//! assert_eq!(log.raise_highest_prepared(1)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What must hold, and is proved whenever a record is made or read: the open shards tile the hash
//! space; shards are sorted by number, a parent's is lower than its child's; every shard belongs to
//! one of the stream's logs. A log's two numbers never fall. A key is granted by name at most read-write, and
//! streams of proved names alone.
//!
//! Nothing here knows how the catalog is stored, which lane serves a log, or what time it is.

mod commitment;
mod consumer;
pub(crate) mod envelope;
mod key;
mod monitoring;
mod plan;
mod policy;
mod record;
mod reshard;
mod scaling;
mod tags;
mod terms;

use std::collections::BTreeMap;

use rheos_protocol::hash::HashRange;
use rheos_protocol::message::{ShardDescription, StreamDescription, StreamFilter, StreamLimits, StreamSummary};
use rheos_protocol::name::StreamName;

pub use commitment::{COMMITMENT_MS_LEAST, Commitment, CommitmentStatus, admit_commitment};
pub use consumer::{ConsumerRecord, admit_consumer, consumer_exists, consumer_not_found, next_epoch, plan_consumer};
pub use envelope::BadRecord;
pub use key::{KeyRecord, admit_key, key_exists, key_not_found, plan_key};
pub use monitoring::{ShardMetric, ShardMetrics};
pub use plan::{
    SHARDS_OF_BROKER_MAX, TOMBSTONE_SECONDS, admit_shards, creation_second, plan_stream, stream_exists,
    stream_not_found, tombstone_may_go,
};
pub use policy::{ResourcePolicy, admit_policy};
pub use reshard::{
    MadeShard, RESHARD_RETRY_MS, Reshard, ReshardPlan, plan_merge, plan_reshard, plan_scale, plan_split,
};
pub use scaling::{decode_step, encode_step, is_said};
pub use tags::Tags;
pub use terms::StreamTerms;

/// Most logs of one stream: one for each lane that a broker can have.
pub const LOGS_OF_STREAM_MAX: u32 = 256;
/// Most shards that a stream's record lists, the closed ones included.
pub const SHARDS_LISTED_MAX: usize = 4 * rheos_protocol::limits::SHARDS_MAX as usize;
/// The number of a log's first segment.
pub const FIRST_SEGMENT: u64 = 1;

/// One life of a stream, as the catalog keeps it.
///
/// Made by [`plan_stream`] and [`StreamRecord::decode`] alone, and then shared and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// The stream's name.
    pub name: StreamName,
    /// Identity of this life of the name; never used again.
    pub incarnation: u64,
    /// Creation in ms since 1970. Its second differs from that of every other life of the name.
    pub created_ms: u64,
    /// What may be changed of it while it is served.
    pub terms: StreamTerms,
    /// How many logs hold the stream; they are numbered from 0.
    pub log_count: u32,
    /// The shards, sorted by number. Closed ones stay for as long as they hold records.
    pub shards: Vec<ShardRecord>,
    /// The reshard that has begun and is not done.
    pub resharding: Option<Reshard>,
    /// Its tags.
    pub tags: Tags,
    /// The metrics of its shards that enhanced monitoring has enabled.
    pub shard_metrics: ShardMetrics,
    /// Places in `shards` of the open ones, sorted by their stretch of the hash space.
    open: Vec<u32>,
}

/// A shard, as the catalog keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRecord {
    /// Number within the stream; never used again.
    pub shard: u32,
    /// Its stretch of the hash space.
    pub range: HashRange,
    /// Whether it takes puts.
    pub state: ShardState,
    /// The shard it was split or merged from.
    pub parent: Option<u32>,
    /// The second shard it was merged from.
    pub adjacent_parent: Option<u32>,
    /// The log that holds it.
    pub log: u32,
    /// When it was opened, in ms since 1970: in a later second than its parents that took records. It may lie ahead
    /// by a second for each reshard of its ancestors that came in one.
    pub opened_ms: u64,
}

/// Whether a shard takes puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardState {
    /// It does.
    Open,
    /// It does no more; its children do.
    Closed {
        /// The sequence after its last record.
        end_sequence: u64,
        /// When it was closed, in ms since 1970.
        closed_ms: u64,
    },
}

impl StreamRecord {
    /// The shard of this number.
    pub fn shard(&self, number: u32) -> Option<&ShardRecord> {
        let place = self.shards.binary_search_by_key(&number, |shard| shard.shard).ok()?;
        Some(&self.shards[place])
    }

    /// The open shard that takes a record with this hash key. There is one for every hash key; `None`
    /// would mean that somebody has changed the record.
    pub fn open_shard_of(&self, hash_key: u128) -> Option<&ShardRecord> {
        let after = self.open.partition_point(|place| self.shards[*place as usize].range.first <= hash_key);
        let shard = &self.shards[self.open[after.checked_sub(1)?] as usize];
        shard.range.contains(hash_key).then_some(shard)
    }

    /// The open shards in the order of their stretches of the hash space.
    pub fn open_shards(&self) -> impl ExactSizeIterator<Item = &ShardRecord> {
        self.open.iter().map(|place| &self.shards[*place as usize])
    }

    /// The shards that a log holds, the closed ones included, sorted by number.
    pub fn shards_of_log(&self, log: u32) -> impl Iterator<Item = &ShardRecord> {
        self.shards.iter().filter(move |shard| shard.log == log)
    }

    /// The children of each shard that a log holds and that has some, whichever logs those are in.
    pub fn children_of_log(&self, log: u32) -> BTreeMap<u32, Vec<u32>> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for child in &self.shards {
            for parent in child.parents() {
                if self.shard(parent).is_some_and(|parent| parent.log == log) {
                    children.entry(parent).or_default().push(child.shard);
                }
            }
        }
        children
    }

    /// Whether a listing that looks for such streams shows this one.
    pub fn passes(&self, filter: &StreamFilter) -> bool {
        let has = |(key, value): &(String, Option<String>)| self.tags.has(key, value.as_deref());
        self.name.as_str().starts_with(&filter.name_prefix) && filter.tags.iter().all(has)
    }

    /// The stream with other tags; `None` when they are the same.
    pub fn with_tags(&self, tags: Tags) -> Option<StreamRecord> {
        (tags != self.tags).then(|| StreamRecord { tags, ..self.clone() })
    }

    /// The creation second: the part of every Kinesis sequence number that tells lives of a name apart.
    pub fn created_second(&self) -> u64 {
        self.created_ms / 1_000
    }

    /// The stream as a client sees it; `lane_of` says which lane serves a log in this run, and `inherited` are the
    /// broker's limits.
    pub fn describe(&self, lane_of: impl Fn(u32) -> u16, inherited: StreamLimits) -> StreamDescription {
        let shards = self.shards.iter().map(|shard| shard.describe(lane_of(shard.log))).collect();
        StreamDescription {
            name: self.name.as_str().to_owned(),
            incarnation: self.incarnation,
            created_ms: self.created_ms,
            retention_ms: self.terms.retention_ms,
            record_bytes_max: self.terms.record_bytes_max,
            shards,
            settings: self.terms.settings(inherited),
        }
    }

    /// The stream's line in a listing.
    pub fn summary(&self) -> StreamSummary {
        StreamSummary {
            name: self.name.as_str().to_owned(),
            incarnation: self.incarnation,
            created_ms: self.created_ms,
            open_shards: u32::try_from(self.open.len()).expect("a stream has at most 10,000 open shards"),
            retention_ms: self.terms.retention_ms,
            mode: self.terms.mode,
        }
    }
}

impl ShardRecord {
    /// Whether it takes puts.
    pub fn is_open(&self) -> bool {
        self.state == ShardState::Open
    }

    /// The shards it was split or merged from.
    pub fn parents(&self) -> impl Iterator<Item = u32> + use<> {
        [self.parent, self.adjacent_parent].into_iter().flatten()
    }

    fn describe(&self, lane: u16) -> ShardDescription {
        ShardDescription {
            shard: self.shard,
            range: self.range,
            open: self.is_open(),
            parent: self.parent,
            adjacent_parent: self.adjacent_parent,
            log: self.log,
            lane,
        }
    }
}

/// Which segments of a log must be there: the catalog's word, against which the directory is read.
///
/// A segment below `lowest_kept` may be removed; one above `highest_prepared` is not known and set
/// aside; one between that is missing is damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRecord {
    /// The first segment that is kept. Raised before the ones below are removed.
    pub lowest_kept: u64,
    /// The last segment that was ever prepared. Raised before its file is made.
    pub highest_prepared: u64,
}

/// A number of a log that nobody in his right mind would raise it to: a fault of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRaise {
    /// Segments are numbered from [`FIRST_SEGMENT`].
    NoSegment,
    /// The newest segment of a log is always kept.
    BeyondPrepared {
        /// The segment that was to be the lowest.
        lowest_kept: u64,
        /// The log's highest.
        highest_prepared: u64,
    },
}

impl LogRecord {
    /// A log that never had a segment.
    pub const NEW: LogRecord = LogRecord { lowest_kept: FIRST_SEGMENT, highest_prepared: FIRST_SEGMENT - 1 };

    /// A record with these numbers, unless no raises lead to them.
    ///
    /// # Errors
    ///
    /// [`BadRaise`], when the record cannot be.
    pub fn new(lowest_kept: u64, highest_prepared: u64) -> Result<LogRecord, BadRaise> {
        match (lowest_kept, highest_prepared) {
            (FIRST_SEGMENT, 0) => Ok(LogRecord::NEW),
            (0, _) | (_, 0) => Err(BadRaise::NoSegment),
            _ if lowest_kept > highest_prepared => Err(BadRaise::BeyondPrepared { lowest_kept, highest_prepared }),
            _ => Ok(LogRecord { lowest_kept, highest_prepared }),
        }
    }

    /// The record after `segment` was prepared; `None` when that changes nothing.
    ///
    /// # Errors
    ///
    /// [`BadRaise::NoSegment`] for segment 0.
    pub fn raise_highest_prepared(self, segment: u64) -> Result<Option<LogRecord>, BadRaise> {
        if segment < FIRST_SEGMENT {
            return Err(BadRaise::NoSegment);
        }
        Ok((segment > self.highest_prepared).then_some(LogRecord { highest_prepared: segment, ..self }))
    }

    /// The record after everything below `segment` was given up; `None` when that changes nothing.
    ///
    /// # Errors
    ///
    /// [`BadRaise::BeyondPrepared`] when the log would keep no segment.
    pub fn raise_lowest_kept(self, segment: u64) -> Result<Option<LogRecord>, BadRaise> {
        if segment <= self.lowest_kept {
            return Ok(None);
        }
        LogRecord::new(segment, self.highest_prepared).map(Some)
    }

    /// Whether a segment must be there.
    pub fn expects(&self, segment: u64) -> bool {
        self.lowest_kept <= segment && segment <= self.highest_prepared
    }
}

impl std::fmt::Display for BadRaise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRaise::NoSegment => write!(f, "segments are numbered from {FIRST_SEGMENT}"),
            BadRaise::BeyondPrepared { lowest_kept, highest_prepared } => {
                write!(f, "lowest kept segment {lowest_kept} is beyond the highest prepared one, {highest_prepared}")
            }
        }
    }
}

impl std::error::Error for BadRaise {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logs_numbers_never_fall() {
        let numbers = [0, 1, 2, 3, u64::MAX - 1, u64::MAX];
        let mut records = vec![LogRecord::NEW];
        for lowest in numbers {
            for highest in numbers {
                records.extend(LogRecord::new(lowest, highest));
            }
        }
        assert_eq!(records.len(), 2 + 5 * 6 / 2, "NEW twice, and every pair in order");
        for record in records {
            for segment in numbers {
                for raised in [record.raise_highest_prepared(segment), record.raise_lowest_kept(segment)] {
                    let Ok(Some(raised)) = raised else { continue };
                    assert!(raised.lowest_kept >= record.lowest_kept);
                    assert!(raised.highest_prepared >= record.highest_prepared);
                    assert_ne!(raised, record);
                    assert_eq!(LogRecord::new(raised.lowest_kept, raised.highest_prepared), Ok(raised));
                }
            }
        }
    }

    #[test]
    fn a_log_keeps_its_newest_segment() {
        assert!(!LogRecord::NEW.expects(0) && !LogRecord::NEW.expects(1));
        let log = LogRecord::new(2, 5).expect("it is in order");
        assert_eq!((1..=6).filter(|segment| log.expects(*segment)).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(log.raise_lowest_kept(5), Ok(Some(LogRecord { lowest_kept: 5, highest_prepared: 5 })));
        let error = log.raise_lowest_kept(6).expect_err("nothing would be left");
        assert_eq!(error, BadRaise::BeyondPrepared { lowest_kept: 6, highest_prepared: 5 });
        assert!(error.to_string().contains('6') && error.to_string().contains('5'));
        assert_eq!(LogRecord::NEW.raise_highest_prepared(0), Err(BadRaise::NoSegment));
        assert_eq!(log.raise_lowest_kept(0), Ok(None));
    }
}
