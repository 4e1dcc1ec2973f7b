//! The tables of the catalog, and each change as it is done to them.
//!
//! ```text
//! streams     name                    -> stream record (its bytes are drawn in rheos_core::catalog)
//! logs        incarnation, log        -> lowest kept, highest prepared; a row for every log of a stream
//! condemned   incarnation             -> its number of logs: deleted, files still to be removed
//! names       name                    -> creation second of its last deleted life, for a few seconds
//! consumers   incarnation, name       -> consumer record; they go with their stream
//! keys        id                      -> key record, its secret with it
//! scaling     incarnation, number     -> step of an on-demand stream; they go with their stream
//! policies    incarnation, consumer   -> policy record; the stream's own where there is no consumer; they go with either
//! commitments account/region          -> commitment record; the broker's own account and region are ""
//! meta        format, directory, next incarnation, newest creation second gone from names, transactions
//! ```
//!
//! What must hold: a change that is refused has written nothing; a secret is in no `Debug` text and no message. A
//! catalog from before there were consumers, keys, steps, policies or commitments has no tables of them, and that is
//! the same as empty ones.

mod commitments;
mod policies;
mod scaling;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};
use rheos_core::catalog::{
    Commitment, ConsumerRecord, KeyRecord, LogRecord, Reshard, ResourcePolicy, ShardMetrics, StreamRecord,
    admit_consumer, admit_key, admit_shards, consumer_exists, consumer_not_found, creation_second, key_exists,
    key_not_found, plan_consumer, plan_key, plan_stream, stream_exists, stream_not_found, tombstone_may_go,
};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{CreateKey, CreateStream, ScalingOutcome, ScalingStep, Tag, UpdateStream};
use rheos_protocol::name::{ConsumerName, StreamName};

use crate::identity::AccessKey;

/// The newest format that this release reads and writes.
pub(super) const FORMAT: u64 = 1;

pub(super) const STREAMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("streams");
pub(super) const LOGS: TableDefinition<'_, (u64, u32), (u64, u64)> = TableDefinition::new("logs");
pub(super) const CONDEMNED: TableDefinition<'_, u64, u32> = TableDefinition::new("condemned");
pub(super) const NAMES: TableDefinition<'_, &str, u64> = TableDefinition::new("names");
pub(super) const CONSUMERS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("consumers");
pub(super) const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
pub(super) const SCALING: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("scaling");
pub(super) const POLICIES: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("policies");
pub(super) const COMMITMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("commitments");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_DIRECTORY: &str = "directory";
pub(super) const META_NEXT_INCARNATION: &str = "next incarnation";
pub(super) const META_NEWEST_GONE: &str = "newest creation second gone from names";
pub(super) const META_TRANSACTIONS: &str = "transactions";

/// Something that is asked of the catalog.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Make a stream with these tags.
    Create { create: CreateStream, tags: Vec<Tag>, now_ms: u64, lanes: u16 },
    /// Delete a stream.
    Delete { name: StreamName },
    /// Write down that a stream is to be resharded, with the step that it is, unless somebody has asked for it.
    BeginReshard { stream: StreamName, reshard: Reshard, step: Option<Box<ScalingStep>> },
    /// Close the parents at these ends and open the children.
    FinishReshard { life: Life, ends: BTreeMap<u32, u64>, now_ms: u64 },
    /// Forget that a stream was to be resharded.
    AbandonReshard { life: Life, now_ms: u64 },
    /// Write down what stands against a step.
    NoteStep { life: Life, step: Box<ScalingStep> },
    /// Tell the steps of the stream of this name.
    ListSteps { stream: StreamName },
    /// Forget those of these closed shards that may go.
    ForgetShards { life: Life, expired: BTreeSet<u32> },
    /// Change the terms of a stream, of which everything before the horizon has expired.
    Update { stream: StreamName, update: Box<UpdateStream>, horizon_ms: u64 },
    /// Change tags of a stream, or of a consumer of it.
    Tag { stream: StreamName, consumer: Option<ConsumerName>, set: Vec<Tag>, remove: Vec<String> },
    /// Enable metrics of a stream's shards, then disable others.
    Monitor { stream: StreamName, enable: ShardMetrics, disable: ShardMetrics },
    /// Keep the resource policy of a stream, or of a consumer of it.
    PutPolicy { life: Life, consumer: Option<ConsumerName>, policy: ResourcePolicy },
    /// Tell it.
    ReadPolicy { life: Life, consumer: Option<ConsumerName> },
    /// Delete it.
    DeletePolicy { life: Life, consumer: Option<ConsumerName> },
    /// Tell the commitment of an account in a region.
    ReadCommitment { place: String },
    /// Make or end it.
    CommitThroughput { place: String, enable: bool, now_ms: u64 },
    /// Raise a number of a log.
    Raise { incarnation: u64, log: u32, raise: Raise },
    /// Forget a condemned incarnation.
    Forget { incarnation: u64 },
    /// Register a consumer of the stream of this name, with these tags.
    RegisterConsumer { stream: StreamName, consumer: String, reserved_bytes: u64, tags: Vec<Tag>, now_ms: u64 },
    /// Change what is promised to one.
    Reserve { stream: StreamName, consumer: ConsumerName, reserved_bytes: u64 },
    /// Deregister one.
    DeregisterConsumer { stream: StreamName, consumer: ConsumerName },
    /// Keep an access key that was just drawn.
    CreateKey { create: CreateKey, key: AccessKey, now_ms: u64 },
    /// Revoke the access key of this id or name.
    RevokeKey { id_or_name: String },
}

/// One life of a stream.
#[derive(Debug, Clone)]
pub(super) struct Life {
    name: StreamName,
    incarnation: u64,
}

impl Life {
    pub(super) fn of(stream: &StreamRecord) -> Life {
        Life { name: stream.name.clone(), incarnation: stream.incarnation }
    }
}

/// Which number of a log is raised, and to which segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raise {
    LowestKept(u64),
    HighestPrepared(u64),
}

/// What a change has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Changed {
    /// This stream was made, changed or deleted.
    Stream(Arc<StreamRecord>),
    /// This consumer was registered, changed or deregistered.
    Consumer(Arc<ConsumerRecord>),
    /// This key was made or revoked.
    Key(Arc<KeyRecord>),
    /// These are the steps, the newest first.
    Steps(Vec<ScalingStep>),
    /// This is the resource policy, or was before it was deleted.
    Policy(Option<ResourcePolicy>),
    /// This is the commitment.
    Commitment(Option<Commitment>),
    /// It was done.
    Done,
}

/// What a change has led to, or why it was refused.
pub(super) type Outcome = Result<Changed, WireError>;

impl Change {
    /// Whether it makes the catalog larger.
    pub(super) fn is_create(&self) -> bool {
        // Finishing what has begun counts as none: children are few bytes, and parents wait for them.
        matches!(
            self,
            Change::Create { .. }
                | Change::BeginReshard { .. }
                | Change::NoteStep { .. }
                | Change::Tag { .. }
                | Change::RegisterConsumer { .. }
                | Change::CreateKey { .. }
                | Change::PutPolicy { .. }
                | Change::CommitThroughput { .. }
        )
    }
}

impl Changed {
    /// The stream of a change that makes, changes or deletes one.
    pub(super) fn into_stream(self) -> Arc<StreamRecord> {
        match self {
            Changed::Stream(stream) => stream,
            other => panic!("a stream that was made, changed or deleted is answered with its record, not {other:?}"),
        }
    }

    /// The steps that were asked for.
    pub(super) fn into_steps(self) -> Vec<ScalingStep> {
        match self {
            Changed::Steps(steps) => steps,
            other => panic!("who asks for steps is answered with them, not {other:?}"),
        }
    }

    /// The policy that was asked for or deleted.
    pub(super) fn into_policy(self) -> Option<ResourcePolicy> {
        match self {
            Changed::Policy(policy) => policy,
            other => panic!("who asks for a policy is answered with it, not {other:?}"),
        }
    }

    /// The commitment that was asked for, made or ended.
    pub(super) fn into_commitment(self) -> Option<Commitment> {
        match self {
            Changed::Commitment(commitment) => commitment,
            other => panic!("who asks for a commitment is answered with it, not {other:?}"),
        }
    }

    /// The consumer of a change that registers, changes or deregisters one.
    pub(super) fn into_consumer(self) -> Arc<ConsumerRecord> {
        match self {
            Changed::Consumer(consumer) => consumer,
            other => {
                panic!(
                    "a consumer that was registered, changed or deregistered is answered with its record, not {other:?}"
                )
            }
        }
    }

    /// The key of a change that makes or revokes one.
    pub(super) fn into_key(self) -> Arc<KeyRecord> {
        match self {
            Changed::Key(key) => key,
            other => panic!("a key that was made or revoked is answered with its record, not {other:?}"),
        }
    }
}

/// The tables in a transaction that changes them.
pub(super) struct Tables<'txn> {
    streams: Table<'txn, &'static str, &'static [u8]>,
    logs: Table<'txn, (u64, u32), (u64, u64)>,
    condemned: Table<'txn, u64, u32>,
    names: Table<'txn, &'static str, u64>,
    consumers: Table<'txn, (u64, &'static str), &'static [u8]>,
    keys: Table<'txn, &'static str, &'static [u8]>,
    scaling: Table<'txn, (u64, u64), &'static [u8]>,
    policies: Table<'txn, (u64, &'static str), &'static [u8]>,
    commitments: Table<'txn, &'static str, &'static [u8]>,
    meta: Table<'txn, &'static str, u64>,
    /// Shards of all streams.
    shards: u64,
    has_changed: bool,
}

impl<'txn> Tables<'txn> {
    /// Makes the tables of a new catalog.
    pub(super) fn create(transaction: &'txn WriteTransaction, directory_id: u64) -> Result<(), redb::Error> {
        let mut tables = Tables::open(transaction, 0)?;
        for (key, value) in
            [(META_FORMAT, FORMAT), (META_DIRECTORY, directory_id), (META_NEXT_INCARNATION, 1), (META_TRANSACTIONS, 0)]
        {
            tables.meta.insert(key, value)?;
        }
        Ok(())
    }

    /// The tables of a catalog that holds so many shards.
    pub(super) fn open(transaction: &'txn WriteTransaction, shards: u64) -> Result<Tables<'txn>, redb::Error> {
        Ok(Tables {
            streams: transaction.open_table(STREAMS)?,
            logs: transaction.open_table(LOGS)?,
            condemned: transaction.open_table(CONDEMNED)?,
            names: transaction.open_table(NAMES)?,
            consumers: transaction.open_table(CONSUMERS)?,
            keys: transaction.open_table(KEYS)?,
            scaling: transaction.open_table(SCALING)?,
            policies: transaction.open_table(POLICIES)?,
            commitments: transaction.open_table(COMMITMENTS)?,
            meta: transaction.open_table(META)?,
            shards,
            has_changed: false,
        })
    }

    /// Does one change, or refuses it.
    pub(super) fn perform(&mut self, change: &Change) -> Result<Outcome, redb::Error> {
        match change {
            Change::Create { create, tags, now_ms, lanes } => self.create_stream(create, tags, *now_ms, *lanes),
            Change::Delete { name } => self.delete_stream(name),
            Change::BeginReshard { stream, reshard, step } => self.begin_reshard(stream, *reshard, step.as_deref()),
            Change::FinishReshard { life, ends, now_ms } => {
                let outcome = ScalingOutcome::Done { ended_ms: *now_ms };
                self.end_reshard(life, outcome, |stream| stream.finish_reshard(ends, *now_ms))
            }
            Change::AbandonReshard { life, now_ms } => {
                let outcome = ScalingOutcome::Undone { ended_ms: *now_ms };
                self.end_reshard(life, outcome, |stream| Ok(stream.abandon_reshard()))
            }
            Change::NoteStep { life, step } => self.note_step(life, step),
            Change::ListSteps { stream } => self.list_steps(stream),
            Change::ForgetShards { life, expired } => {
                self.change_stream(life, |stream| Ok(stream.forget_shards(expired)))
            }
            Change::Update { stream, update, horizon_ms } => {
                self.change_named(stream, |stream| stream.update(update, *horizon_ms))
            }
            Change::Tag { stream, consumer: None, set, remove } => {
                self.change_named(stream, |stream| Ok(stream.with_tags(stream.tags.change(set, remove)?)))
            }
            Change::Tag { stream, consumer: Some(consumer), set, remove } => {
                self.change_consumer(stream, consumer, |it| Ok(it.with_tags(it.tags.change(set, remove)?)))
            }
            Change::Monitor { stream, enable, disable } => self.change_named(stream, |stream| {
                Ok(stream.monitoring(stream.shard_metrics.with(*enable).without(*disable)))
            }),
            Change::PutPolicy { life, consumer, policy } => self.put_policy(life, consumer.as_ref(), policy),
            Change::ReadPolicy { life, consumer } => self.read_policy(life, consumer.as_ref()),
            Change::DeletePolicy { life, consumer } => self.delete_policy(life, consumer.as_ref()),
            Change::ReadCommitment { place } => self.read_commitment(place),
            Change::CommitThroughput { place, enable, now_ms } => self.commit_throughput(place, *enable, *now_ms),
            Change::Raise { incarnation, log, raise } => self.raise((*incarnation, *log), *raise),
            Change::Forget { incarnation } => {
                self.has_changed |= self.condemned.remove(*incarnation)?.is_some();
                Ok(Ok(Changed::Done))
            }
            Change::RegisterConsumer { stream, consumer, reserved_bytes, tags, now_ms } => {
                let planned = self.stream(stream)?.and_then(|stream| {
                    let plain = plan_consumer(consumer, stream.incarnation, *now_ms)?;
                    let reserving = plain.reserving(*reserved_bytes)?.unwrap_or(plain);
                    Ok(reserving.with_tags(reserving.tags.change(tags, &[])?).unwrap_or(reserving))
                });
                self.register_consumer(stream, planned)
            }
            Change::Reserve { stream, consumer, reserved_bytes } => {
                self.change_consumer(stream, consumer, |it| it.reserving(*reserved_bytes))
            }
            Change::DeregisterConsumer { stream, consumer } => self.deregister_consumer(stream, consumer),
            Change::CreateKey { create, key, now_ms } => self.create_key(create, key, *now_ms),
            Change::RevokeKey { id_or_name } => self.revoke_key(id_or_name),
        }
    }

    /// Counts the transaction. Returns its number, when it has changed anything, and the shards there are now.
    pub(super) fn finish(mut self) -> Result<(Option<u64>, u64), redb::Error> {
        if !self.has_changed {
            return Ok((None, self.shards));
        }
        let number = self.meta(META_TRANSACTIONS)?.unwrap_or(0) + 1;
        self.meta.insert(META_TRANSACTIONS, number)?;
        Ok((Some(number), self.shards))
    }

    /// Counts a transaction that does nothing else.
    pub(super) fn count_once_more(mut self) -> Result<(), redb::Error> {
        self.has_changed = true;
        self.finish().map(drop)
    }

    fn create_stream(
        &mut self,
        create: &CreateStream,
        tags: &[Tag],
        now_ms: u64,
        lanes: u16,
    ) -> Result<Outcome, redb::Error> {
        let incarnation = self.meta(META_NEXT_INCARNATION)?.unwrap_or(1);
        let tombstone = self.names.get(create.name.as_str())?.map(|second| second.value());
        let last_created_second = creation_second(tombstone, self.meta(META_NEWEST_GONE)?);
        let planned = plan_stream(create, now_ms, incarnation, lanes, last_created_second)
            .and_then(|plain| Ok(plain.with_tags(plain.tags.change(tags, &[])?).unwrap_or(plain)));
        let stream = match planned {
            Ok(stream) => stream,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.streams.get(stream.name.as_str())?.is_some() {
            return Ok(Err(stream_exists(&stream.name)));
        }
        if let Err(refusal) = admit_shards(self.shards, create.shards) {
            return Ok(Err(refusal));
        }

        self.has_changed = true;
        self.shards += stream.shards.len() as u64;
        self.meta.insert(META_NEXT_INCARNATION, incarnation + 1)?;
        self.streams.insert(stream.name.as_str(), stream.encode().as_slice())?;
        let LogRecord { lowest_kept, highest_prepared } = LogRecord::NEW;
        for log in 0..stream.log_count {
            self.logs.insert((incarnation, log), (lowest_kept, highest_prepared))?;
        }
        self.names.remove(stream.name.as_str())?;
        self.remove_old_tombstones(now_ms)?;
        Ok(Ok(Changed::Stream(Arc::new(stream))))
    }

    fn delete_stream(&mut self, name: &StreamName) -> Result<Outcome, redb::Error> {
        let stream = match self.stream(name)? {
            Ok(stream) => stream,
            Err(refusal) => return Ok(Err(refusal)),
        };

        self.has_changed = true;
        self.shards = self.shards.saturating_sub(stream.shards.len() as u64);
        self.streams.remove(name.as_str())?;
        for log in 0..stream.log_count {
            self.logs.remove((stream.incarnation, log))?;
        }
        for consumer in self.consumers.extract_from_if(consumers_of(stream.incarnation), |_, _| true)? {
            consumer?;
        }
        for step in self.scaling.extract_from_if(scaling::steps_of(stream.incarnation), |_, _| true)? {
            step?;
        }
        self.remove_policies_of(stream.incarnation)?;
        self.condemned.insert(stream.incarnation, stream.log_count)?;
        self.names.insert(name.as_str(), stream.created_second())?;
        Ok(Ok(Changed::Stream(Arc::new(stream))))
    }

    fn begin_reshard(
        &mut self,
        name: &StreamName,
        reshard: Reshard,
        step: Option<&ScalingStep>,
    ) -> Result<Outcome, redb::Error> {
        let shards = self.shards;
        let begun = self.stream(name)?.and_then(|stream| {
            let (begun, plan) = stream.begin_reshard(reshard, step)?;
            admit_shards(shards, plan.made.len() as u32)?;
            Ok(begun)
        });
        match begun {
            Ok(begun) => {
                self.has_changed = true;
                self.streams.insert(name.as_str(), begun.encode().as_slice())?;
                if let Some(step) = step {
                    self.begin_step(&begun, step)?;
                }
                Ok(Ok(Changed::Stream(Arc::new(begun))))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Ends a reshard as `change` says, and with it the step that it was.
    fn end_reshard(
        &mut self,
        life: &Life,
        outcome: ScalingOutcome,
        change: impl FnOnce(&StreamRecord) -> Result<Option<StreamRecord>, WireError>,
    ) -> Result<Outcome, redb::Error> {
        let ended = self.change_stream(life, change)?;
        if ended.is_ok() {
            self.end_step(life.incarnation, outcome)?;
        }
        Ok(ended)
    }

    /// Changes the record of one life of a stream; `change` says to what, or that it is so already.
    fn change_stream(
        &mut self,
        life: &Life,
        change: impl FnOnce(&StreamRecord) -> Result<Option<StreamRecord>, WireError>,
    ) -> Result<Outcome, redb::Error> {
        let stream = match self.stream(&life.name)? {
            Ok(stream) if stream.incarnation == life.incarnation => stream,
            Ok(_) => return Ok(Err(stream_not_found(&life.name))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.put_changed(stream, change)
    }

    /// Changes the record of the life that the stream of this name has now.
    fn change_named(
        &mut self,
        name: &StreamName,
        change: impl FnOnce(&StreamRecord) -> Result<Option<StreamRecord>, WireError>,
    ) -> Result<Outcome, redb::Error> {
        match self.stream(name)? {
            Ok(stream) => self.put_changed(stream, change),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn put_changed(
        &mut self,
        stream: StreamRecord,
        change: impl FnOnce(&StreamRecord) -> Result<Option<StreamRecord>, WireError>,
    ) -> Result<Outcome, redb::Error> {
        match change(&stream) {
            Ok(Some(changed)) => {
                self.has_changed = true;
                self.shards = self.shards.saturating_sub(stream.shards.len() as u64) + changed.shards.len() as u64;
                self.streams.insert(stream.name.as_str(), changed.encode().as_slice())?;
                Ok(Ok(Changed::Stream(Arc::new(changed))))
            }
            Ok(None) => Ok(Ok(Changed::Stream(Arc::new(stream)))),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn change_consumer(
        &mut self,
        stream: &StreamName,
        consumer: &ConsumerName,
        change: impl FnOnce(&ConsumerRecord) -> Result<Option<ConsumerRecord>, WireError>,
    ) -> Result<Outcome, redb::Error> {
        let record = match self.consumer(stream, consumer)? {
            Ok(record) => record,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match change(&record) {
            Ok(Some(changed)) => {
                self.has_changed = true;
                let place = (changed.incarnation, changed.name.as_str());
                self.consumers.insert(place, changed.encode().as_slice())?;
                Ok(Ok(Changed::Consumer(Arc::new(changed))))
            }
            Ok(None) => Ok(Ok(Changed::Consumer(Arc::new(record)))),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn raise(&mut self, log: (u64, u32), raise: Raise) -> Result<Outcome, redb::Error> {
        let Some((lowest_kept, highest_prepared)) = self.logs.get(log)?.map(|row| row.value()) else {
            let message = format!("no stream has incarnation {} with a log {}; it may have been deleted", log.0, log.1);
            return Ok(Err(WireError::new(ErrorCode::StreamNotFound, message)));
        };
        let raised = LogRecord::new(lowest_kept, highest_prepared).and_then(|record| match raise {
            Raise::LowestKept(segment) => record.raise_lowest_kept(segment),
            Raise::HighestPrepared(segment) => record.raise_highest_prepared(segment),
        });
        match raised {
            Ok(Some(LogRecord { lowest_kept, highest_prepared })) => {
                self.has_changed = true;
                self.logs.insert(log, (lowest_kept, highest_prepared))?;
                Ok(Ok(Changed::Done))
            }
            Ok(None) => Ok(Ok(Changed::Done)),
            Err(error) => Ok(Err(internal(format!("log {} of incarnation {}: {error}", log.1, log.0)))),
        }
    }

    fn register_consumer(
        &mut self,
        stream: &StreamName,
        planned: Result<ConsumerRecord, WireError>,
    ) -> Result<Outcome, redb::Error> {
        let consumer = match planned {
            Ok(consumer) => consumer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let place = (consumer.incarnation, consumer.name.as_str());
        if self.consumers.get(place)?.is_some() {
            return Ok(Err(consumer_exists(stream, &consumer.name)));
        }
        let there = self.consumers.range(consumers_of(consumer.incarnation))?.count() as u64;
        if let Err(refusal) = admit_consumer(stream, there) {
            return Ok(Err(refusal));
        }
        self.has_changed = true;
        self.consumers.insert(place, consumer.encode().as_slice())?;
        Ok(Ok(Changed::Consumer(Arc::new(consumer))))
    }

    fn deregister_consumer(&mut self, stream: &StreamName, consumer: &ConsumerName) -> Result<Outcome, redb::Error> {
        let record = match self.consumer(stream, consumer)? {
            Ok(record) => record,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.has_changed = true;
        self.consumers.remove((record.incarnation, consumer.as_str()))?;
        self.policies.remove((record.incarnation, consumer.as_str()))?;
        Ok(Ok(Changed::Consumer(Arc::new(record))))
    }

    /// The consumer of this name of the stream of this name.
    fn consumer(
        &self,
        stream: &StreamName,
        consumer: &ConsumerName,
    ) -> Result<Result<ConsumerRecord, WireError>, redb::Error> {
        let incarnation = match self.stream(stream)? {
            Ok(stream) => stream.incarnation,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(bytes) = self.consumers.get((incarnation, consumer.as_str()))? else {
            return Ok(Err(consumer_not_found(stream, consumer)));
        };
        let damaged = |error| internal(format!("consumer {consumer} of stream {stream}: {error}"));
        Ok(ConsumerRecord::decode(bytes.value()).map_err(damaged))
    }

    fn create_key(&mut self, create: &CreateKey, key: &AccessKey, now_ms: u64) -> Result<Outcome, redb::Error> {
        let key = match plan_key(create, &key.id, &key.secret, now_ms) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Whoever revokes a key may name it by either, so neither may mean another key.
        for taken in [key.name.as_str(), &key.id] {
            if self.key(taken)?.is_some() {
                return Ok(Err(key_exists(&key.name)));
            }
        }
        if let Err(refusal) = admit_key(self.keys.len()?) {
            return Ok(Err(refusal));
        }
        self.has_changed = true;
        self.keys.insert(key.id.as_str(), key.encode().as_slice())?;
        Ok(Ok(Changed::Key(Arc::new(key))))
    }

    fn revoke_key(&mut self, id_or_name: &str) -> Result<Outcome, redb::Error> {
        let Some(key) = self.key(id_or_name)? else {
            return Ok(Err(key_not_found(id_or_name)));
        };
        self.has_changed = true;
        self.keys.remove(key.id.as_str())?;
        Ok(Ok(Changed::Key(Arc::new(key))))
    }

    fn stream(&self, name: &StreamName) -> Result<Result<StreamRecord, WireError>, redb::Error> {
        let Some(bytes) = self.streams.get(name.as_str())? else { return Ok(Err(stream_not_found(name))) };
        let damaged = |error| internal(format!("the catalog's record of stream {name} is damaged: {error}"));
        Ok(StreamRecord::decode(bytes.value()).map_err(damaged))
    }

    /// The key of this id or name. One that is damaged, which a start would have refused, is none.
    fn key(&self, id_or_name: &str) -> Result<Option<KeyRecord>, redb::Error> {
        for row in self.keys.iter()? {
            match KeyRecord::decode(row?.1.value()) {
                Ok(key) if key.id == id_or_name || key.name.as_str() == id_or_name => return Ok(Some(key)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Their newest second stays in `meta`, for the case that the clock is set back behind it.
    fn remove_old_tombstones(&mut self, now_ms: u64) -> Result<(), redb::Error> {
        let mut newest = self.meta(META_NEWEST_GONE)?;
        for gone in self.names.extract_if(|_, second| tombstone_may_go(second, now_ms))? {
            newest = newest.max(Some(gone?.1.value()));
        }
        if let Some(newest) = newest {
            self.meta.insert(META_NEWEST_GONE, newest)?;
        }
        Ok(())
    }

    fn meta(&self, key: &'static str) -> Result<Option<u64>, redb::Error> {
        Ok(self.meta.get(key)?.map(|value| value.value()))
    }
}

/// The places of all consumers of one life of a stream: no name sorts before the empty one, or after this.
fn consumers_of(incarnation: u64) -> RangeInclusive<(u64, &'static str)> {
    (incarnation, "")..=(incarnation, "\u{10ffff}")
}

fn internal(message: String) -> WireError {
    WireError::new(ErrorCode::Internal, message)
}
