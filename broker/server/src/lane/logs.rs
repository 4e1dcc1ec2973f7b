//! The logs of a lane: found by stream and shard, each with the files it writes to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rheos_core::catalog::{ShardState, StreamRecord};
use rheos_core::log::{ClosedShard, Log, LogId, LogSettings, LogShard};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::StreamLimits;
use tokio::sync::oneshot;

use super::inbox::Ends;

/// Place of a log in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slot(pub(super) usize);

/// A log with its handles.
#[derive(Debug)]
pub(super) struct OwnedLog {
    pub(super) log: Log,
    /// Open for writing, by segment number: the active one, its spare, those being sealed.
    pub(super) files: BTreeMap<u64, Arc<File>>,
    /// Set when the segment being made is needed.
    pub(super) hurry: Arc<AtomicBool>,
    /// Whether it stands in the queue of those that want a commit.
    pub(super) queued: bool,
    /// The write of it that is in flight.
    pub(super) writing: Option<Writing>,
    pub(super) stopped: bool,
    /// Its stream was deleted; it waits for its last write.
    pub(super) dropped: bool,
    /// Who waits for the shards that are to be closed.
    pub(super) closing: Option<oneshot::Sender<Ends>>,
}

/// A write in flight.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) began: Instant,
    /// Bytes of batches in it.
    pub(super) payload_bytes: u64,
}

/// All logs of a lane.
#[derive(Debug, Default)]
pub(super) struct Logs {
    slots: Vec<Option<OwnedLog>>,
    free: Vec<usize>,
    streams: HashMap<u64, StreamLogs>,
    /// Logs that want a commit, oldest wish first.
    queue: VecDeque<Slot>,
}

#[derive(Debug)]
struct StreamLogs {
    record: Arc<StreamRecord>,
    /// By the number of the log; other lanes serve those that have none.
    slots: Vec<Option<Slot>>,
}

impl Logs {
    /// Adds a stream with those of its logs that this lane serves.
    pub(super) fn add(&mut self, record: Arc<StreamRecord>, logs: Vec<Log>) -> Vec<Slot> {
        let mut slots = vec![None; record.log_count as usize];
        for log in logs {
            let number = log.id().log as usize;
            slots[number] = Some(self.place(log));
        }
        let taken = slots.iter().flatten().copied().collect();
        self.streams.insert(record.incarnation, StreamLogs { record, slots });
        taken
    }

    /// Takes the catalog's new word for a stream's shards; returns where its logs here are, by their numbers.
    /// Nothing when the stream is not here.
    pub(super) fn change(&mut self, record: Arc<StreamRecord>) -> Vec<(u32, Slot)> {
        let Some(stream) = self.streams.get_mut(&record.incarnation) else { return Vec::new() };
        stream.record = record;
        (0..).zip(&stream.slots).filter_map(|(log, slot)| Some((log, (*slot)?))).collect()
    }

    /// A stream, as the catalog has it, when this lane serves logs of it.
    pub(super) fn record(&self, incarnation: u64) -> Option<&StreamRecord> {
        self.streams.get(&incarnation).map(|stream| &*stream.record)
    }

    /// Takes a stream out; its logs stay in their slots until [`remove`](Self::remove).
    pub(super) fn take_stream(&mut self, incarnation: u64) -> Vec<Slot> {
        self.streams.remove(&incarnation).map_or_else(Vec::new, |stream| stream.slots.into_iter().flatten().collect())
    }

    /// The slots of those logs of a stream that this lane serves.
    pub(super) fn slots_of(&self, incarnation: u64) -> Vec<Slot> {
        self.streams.get(&incarnation).map_or_else(Vec::new, |stream| stream.slots.iter().flatten().copied().collect())
    }

    /// Frees a slot.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.slots[slot.0] = None;
        self.queue.retain(|queued| *queued != slot);
        self.free.push(slot.0);
    }

    /// The log that holds a shard.
    pub(super) fn of_shard(&self, incarnation: u64, shard: u32) -> Result<Slot, WireError> {
        let not_here = || {
            let message = format!("stream incarnation {incarnation:x} is not here; describe the stream again");
            WireError::new(ErrorCode::StreamNotFound, message)
        };
        let stream = self.streams.get(&incarnation).ok_or_else(not_here)?;
        let shard = stream.record.shard(shard).ok_or_else(|| {
            let message = format!("stream {} has no shard {shard}; describe it again", stream.record.name);
            WireError::new(ErrorCode::ShardNotFound, message)
        })?;
        // Who knows the stream asks the lane that serves the log; to others it is being made or deleted.
        stream.slots[shard.log as usize].ok_or_else(not_here)
    }

    /// The log of this id, unless its stream is gone.
    pub(super) fn of_id(&self, id: LogId) -> Option<Slot> {
        self.streams.get(&id.incarnation)?.slots.get(id.log as usize).copied().flatten()
    }

    /// The log of this id, to be looked at.
    pub(super) fn log(&self, id: LogId) -> Option<&Log> {
        self.slots[self.of_id(id)?.0].as_ref().map(|owned| &owned.log)
    }

    /// The name of a log's stream, for the operator.
    pub(super) fn stream_name(&self, id: LogId) -> &str {
        self.streams.get(&id.incarnation).map_or("", |stream| stream.record.name.as_str())
    }

    /// Every log whose stream is there.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Log> {
        self.slots.iter().flatten().filter(|owned| !owned.dropped).map(|owned| &owned.log)
    }

    /// The same, to be changed.
    pub(super) fn logs_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.slots.iter_mut().flatten().filter(|owned| !owned.dropped).map(|owned| &mut owned.log)
    }

    /// All logs by stream, those that were made first before later ones.
    pub(super) fn by_stream(&self) -> impl Iterator<Item = impl Iterator<Item = &Log>> {
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_unstable_by_key(|(incarnation, _)| **incarnation);
        let log = |slot: &Slot| self.slots[slot.0].as_ref().map(|owned| &owned.log);
        streams.into_iter().map(move |(_, stream)| stream.slots.iter().flatten().filter_map(log))
    }

    /// The log in a slot.
    pub(super) fn at(&mut self, slot: Slot) -> Option<&mut OwnedLog> {
        self.slots[slot.0].as_mut()
    }

    /// Every slot that holds a log whose stream is there.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let taken: Vec<_> = (0..self.slots.len())
            .filter(|at| self.slots[*at].as_ref().is_some_and(|owned| !owned.dropped))
            .map(Slot)
            .collect();
        taken.into_iter()
    }

    /// Slots of logs that time changes. One whose stream is gone only waits for its last write: told of
    /// the time it might begin another.
    pub(super) fn open_slots(&self, into: &mut Vec<Slot>) {
        let open = |slot: &Option<OwnedLog>| slot.as_ref().is_some_and(|owned| !owned.dropped && owned.log.is_open());
        into.extend((0..self.slots.len()).filter(|at| open(&self.slots[*at])).map(Slot));
    }

    /// Puts a log at the end of the queue of those that want a commit, if it does.
    pub(super) fn queue_if_wanting(&mut self, slot: Slot) {
        let Some(owned) = self.slots[slot.0].as_mut() else { return };
        if !owned.queued && owned.log.wants_commit() {
            owned.queued = true;
            self.queue.push_back(slot);
        }
    }

    /// The next log that wants a commit.
    pub(super) fn next_wanting(&mut self) -> Option<Slot> {
        while let Some(slot) = self.queue.pop_front() {
            if let Some(owned) = self.slots[slot.0].as_mut() {
                owned.queued = false;
                return Some(slot);
            }
        }
        None
    }

    /// How many logs have not stopped.
    pub(super) fn unstopped(&self) -> usize {
        self.slots.iter().flatten().filter(|owned| !owned.stopped).count()
    }

    /// Whether every log has stopped.
    pub(super) fn all_stopped(&self) -> bool {
        self.slots.iter().flatten().all(|owned| owned.stopped && owned.writing.is_none())
    }

    fn place(&mut self, log: Log) -> Slot {
        let owned = OwnedLog {
            log,
            files: BTreeMap::new(),
            hurry: Arc::new(AtomicBool::new(false)),
            queued: false,
            writing: None,
            stopped: false,
            dropped: false,
            closing: None,
        };
        match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(owned);
                Slot(at)
            }
            None => {
                self.slots.push(Some(owned));
                Slot(self.slots.len() - 1)
            }
        }
    }
}

/// What the catalog's record of a stream says about one of its logs, where `limits` are the broker's.
pub(crate) fn settings_of(record: &StreamRecord, log: u32, limits: StreamLimits) -> LogSettings {
    LogSettings {
        id: LogId { incarnation: record.incarnation, log },
        shards: shards_of(record, log),
        terms: record.terms.of_log(record.log_count, limits),
    }
}

/// What the catalog's record of a stream says about the shards of one of its logs.
pub(super) fn shards_of(record: &StreamRecord, log: u32) -> Vec<LogShard> {
    let mut children = record.children_of_log(log);
    let mut children_of = |shard| children.remove(&shard).unwrap_or_default();
    let shards = record.shards_of_log(log).map(|shard| LogShard {
        number: shard.shard,
        range: shard.range,
        closed: match shard.state {
            ShardState::Open => None,
            ShardState::Closed { end_sequence, closed_ms } => {
                Some(ClosedShard { end_sequence, closed_ms, children: children_of(shard.shard) })
            }
        },
    });
    shards.collect()
}
