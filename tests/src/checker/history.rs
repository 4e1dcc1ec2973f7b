//! The history of a run: every put as it was sent and as it was answered, and everything that was read, said and
//! pushed, in the order in which whoever ran it knew of it.
//!
//! What must hold: it says nothing of how the run was made, so that the same judge serves a simulated broker and a
//! real one; nothing is told before it was known.

use rheos_protocol::record::RecordView;
use xxhash_rust::xxh3::Xxh3;

/// A shard of a life of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardOf {
    /// Incarnation of the stream.
    pub stream: u64,
    /// Number within it.
    pub shard: u32,
}

/// Stands for a record: all of its bytes, hashed. No two records of a history may be alike, so a
/// producer gives each a partition key of its own.
pub type Fingerprint = u64;

/// The fingerprint of a record.
pub fn fingerprint(record: &RecordView<'_>) -> Fingerprint {
    let mut hash = Xxh3::new();
    hash.update(&(record.partition_key.len() as u64).to_le_bytes());
    hash.update(record.partition_key.as_bytes());
    hash.update(&record.explicit_hash_key.unwrap_or_default().to_le_bytes());
    hash.update(record.data);
    hash.digest()
}

/// A put, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Names the put in the history.
    pub id: u64,
    /// Producer id; 0 when its puts are not numbered.
    pub producer: u64,
    /// Its number at (producer, shard), or its place among the unnumbered.
    pub number: u64,
    /// Where to.
    pub shard: ShardOf,
    /// What.
    pub records: Vec<Fingerprint>,
}

/// What a producer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Acked {
        /// Sequence of its first record.
        first_sequence: u64,
        /// Arrival in ms.
        arrival_ms: u64,
    },
    /// It is not stored, and will not be unless it is sent again.
    Refused,
    /// Nothing, or that it may be stored.
    Unknown,
}

/// A batch as a reader got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSeen {
    /// Sequence of its first record.
    pub first_sequence: u64,
    /// Arrival in ms.
    pub arrival_ms: u64,
    /// Its records.
    pub records: Vec<Fingerprint>,
}

/// One thing that was seen in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A put was sent, for the first time or again.
    Sent(Put),
    /// It was answered.
    Answered {
        /// Which put.
        put: u64,
        /// How.
        outcome: Outcome,
    },
    /// A read was answered.
    Read {
        /// The shard.
        shard: ShardOf,
        /// The sequence that the position meant.
        start_sequence: u64,
        /// Where to read on.
        next_sequence: u64,
        /// The batches.
        batches: Vec<BatchSeen>,
    },
    /// Where a time stands in a shard, by a read that began there.
    Began {
        /// The shard.
        shard: ShardOf,
        /// The time asked for, ms since 1970.
        arrival_ms: u64,
        /// The first record at or after it.
        sequence: u64,
    },
    /// The broker's word for the next sequence of a shard.
    Tip {
        /// The shard.
        shard: ShardOf,
        /// The next sequence.
        next_sequence: u64,
    },
    /// The broker's word that records below this one have expired.
    Trimmed {
        /// The shard.
        shard: ShardOf,
        /// The first that is kept.
        first_kept: u64,
        /// Nothing that arrived at or after this time may be gone; `None` when the clock is not to be trusted.
        kept_since_ms: Option<u64>,
    },
    /// A subscription was accepted, for the first time or again.
    Subscribed {
        /// Names the subscriber in the history; at a shard it has one place.
        subscriber: u64,
        /// The shard.
        shard: ShardOf,
        /// The place: the next sequence that it is to be pushed.
        next_sequence: u64,
    },
    /// Batches were pushed.
    Pushed {
        /// To whom.
        subscriber: u64,
        /// Of which shard.
        shard: ShardOf,
        /// The batches.
        batches: Vec<BatchSeen>,
        /// The broker's word for the next sequence of the shard.
        tip_sequence: u64,
    },
    /// The catalog has closed a shard: what it took is taken by others from here on.
    Closed {
        /// The shard.
        shard: ShardOf,
        /// After its last record.
        end_sequence: u64,
        /// Who takes what it took.
        children: Vec<u32>,
    },
    /// A subscriber had credit and room for long enough: it must have been pushed everything.
    CaughtUp {
        /// Who.
        subscriber: u64,
        /// At which shard.
        shard: ShardOf,
    },
}

/// All that was seen, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(pub Vec<Seen>);
