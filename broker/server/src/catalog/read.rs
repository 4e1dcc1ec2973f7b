//! The catalog as it is read: whole at a start, in parts after a failure.
//!
//! What must hold: everything read is proved before it is believed, and so is that it fits together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, Value};
use rheos_core::catalog::{
    BadRecord, Commitment, ConsumerRecord, KeyRecord, LogRecord, ResourcePolicy, StreamRecord, decode_step,
};

use super::CatalogAtStart;
use super::tables::{
    COMMITMENTS, CONDEMNED, CONSUMERS, FORMAT, KEYS, LOGS, META, META_DIRECTORY, META_FORMAT, META_NEXT_INCARNATION,
    META_TRANSACTIONS, NAMES, POLICIES, SCALING, STREAMS,
};

/// Why what was read cannot be believed.
#[derive(Debug)]
pub(super) enum Unbelievable {
    /// A later release has written it.
    Newer(u64),
    /// It cannot be.
    Damaged(String),
}

impl From<TableError> for Unbelievable {
    fn from(error: TableError) -> Unbelievable {
        Unbelievable::Damaged(error.to_string())
    }
}

impl From<redb::StorageError> for Unbelievable {
    fn from(error: redb::StorageError) -> Unbelievable {
        Unbelievable::Damaged(error.to_string())
    }
}

/// How many transactions have changed the catalog: tells whether one of unknown outcome has.
pub(super) fn transactions(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    Ok(transaction.open_table(META)?.get(META_TRANSACTIONS)?.map_or(0, |number| number.value()))
}

/// Counts the shards of all streams. A record that cannot be read counts for nothing here.
pub(super) fn shards(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    let mut shards = 0;
    for row in transaction.open_table(STREAMS)?.iter()? {
        shards += StreamRecord::decode(row?.1.value()).map_or(0, |stream| stream.shards.len() as u64);
    }
    Ok(shards)
}

/// Reads everything and proves that it fits together. Also returns the number of shards.
pub(super) fn read(transaction: &ReadTransaction, directory_id: u64) -> Result<(CatalogAtStart, u64), Unbelievable> {
    let next_incarnation = read_meta(transaction, directory_id)?;
    let streams = read_streams(transaction)?;
    let logs = read_logs(transaction)?;
    let condemned = transaction.open_table(CONDEMNED)?;
    let condemned = condemned.iter()?.map(|row| Ok(row?.0.value())).collect::<Result<Vec<_>, redb::StorageError>>()?;
    // A change would make it otherwise; a start finds out first.
    transaction.open_table(NAMES)?;
    let (consumers, keys) = (read_consumers(transaction)?, read_keys(transaction)?);

    let live: BTreeSet<u64> = streams.iter().map(|stream| stream.incarnation).collect();
    let mut incarnations: Vec<u64> = streams.iter().map(|stream| stream.incarnation).chain(condemned.clone()).collect();
    incarnations.sort_unstable();
    if !incarnations.is_sorted_by(|one, next| one < next) {
        return Err(Unbelievable::Damaged("two streams are of one incarnation".to_owned()));
    }
    if incarnations.last().is_some_and(|last| *last >= next_incarnation) {
        return Err(Unbelievable::Damaged("its next incarnation is in use".to_owned()));
    }
    let expected: usize = streams.iter().map(|stream| stream.log_count as usize).sum();
    let is_there = |stream: &StreamRecord, log| logs.contains_key(&(stream.incarnation, log));
    let all_there = streams.iter().all(|stream| (0..stream.log_count).all(|log| is_there(stream, log)));
    if expected != logs.len() || !all_there {
        return Err(Unbelievable::Damaged("its logs are not those of its streams".to_owned()));
    }
    let is_of_a_stream = |consumer: &Arc<ConsumerRecord>| live.contains(&consumer.incarnation);
    if !consumers.iter().all(is_of_a_stream) {
        return Err(Unbelievable::Damaged("a consumer is registered with no stream".to_owned()));
    }
    prove_steps(transaction, &live)?;
    prove_policies(transaction, &live, &consumers)?;
    prove_commitments(transaction)?;
    let shards = streams.iter().map(|stream| stream.shards.len() as u64).sum();
    Ok((CatalogAtStart { streams, logs, condemned, consumers, keys }, shards))
}

/// Proves the format and whose the catalog is, and returns the next incarnation.
fn read_meta(transaction: &ReadTransaction, directory_id: u64) -> Result<u64, Unbelievable> {
    let meta = transaction.open_table(META)?;
    let number = |key: &str| match meta.get(key)? {
        Some(value) => Ok(value.value()),
        None => Err(Unbelievable::Damaged(format!("it has no {key}"))),
    };
    match number(META_FORMAT)? {
        FORMAT => {}
        newer if newer > FORMAT => return Err(Unbelievable::Newer(newer)),
        never => return Err(Unbelievable::Damaged(format!("format {never} never was"))),
    }
    if number(META_DIRECTORY)? != directory_id {
        return Err(Unbelievable::Damaged("it belongs to another data directory".to_owned()));
    }
    number(META_NEXT_INCARNATION)
}

fn read_streams(transaction: &ReadTransaction) -> Result<Vec<Arc<StreamRecord>>, Unbelievable> {
    let mut streams = Vec::new();
    for row in transaction.open_table(STREAMS)?.iter()? {
        let (name, bytes) = row?;
        let stream =
            StreamRecord::decode(bytes.value()).map_err(unbelievable(|| format!("stream {:?}", name.value())))?;
        if stream.name.as_str() != name.value() {
            return Err(Unbelievable::Damaged(format!("stream {:?} stands under another name", name.value())));
        }
        streams.push(Arc::new(stream));
    }
    Ok(streams)
}

fn read_logs(transaction: &ReadTransaction) -> Result<BTreeMap<(u64, u32), LogRecord>, Unbelievable> {
    let mut logs = BTreeMap::new();
    for row in transaction.open_table(LOGS)?.iter()? {
        let (log, numbers) = row?;
        let ((incarnation, log), (lowest_kept, highest_prepared)) = (log.value(), numbers.value());
        let record = LogRecord::new(lowest_kept, highest_prepared)
            .map_err(|error| Unbelievable::Damaged(format!("log {log} of incarnation {incarnation}: {error}")))?;
        logs.insert((incarnation, log), record);
    }
    Ok(logs)
}

fn read_consumers(transaction: &ReadTransaction) -> Result<Vec<Arc<ConsumerRecord>>, Unbelievable> {
    let Some(table) = open_if_there(transaction, CONSUMERS)? else { return Ok(Vec::new()) };
    let mut consumers = Vec::new();
    for row in table.iter()? {
        let (place, bytes) = row?;
        let (incarnation, name) = place.value();
        let what = || format!("consumer {name:?} of incarnation {incarnation}");
        let consumer = ConsumerRecord::decode(bytes.value()).map_err(unbelievable(what))?;
        if (consumer.incarnation, consumer.name.as_str()) != (incarnation, name) {
            return Err(Unbelievable::Damaged(format!("{} stands in another's place", what())));
        }
        consumers.push(Arc::new(consumer));
    }
    Ok(consumers)
}

fn read_keys(transaction: &ReadTransaction) -> Result<Vec<Arc<KeyRecord>>, Unbelievable> {
    let Some(table) = open_if_there(transaction, KEYS)? else { return Ok(Vec::new()) };
    let (mut keys, mut names) = (Vec::new(), BTreeSet::new());
    for row in table.iter()? {
        let (id, bytes) = row?;
        let what = || format!("access key {:?}", id.value());
        let key = KeyRecord::decode(bytes.value()).map_err(unbelievable(what))?;
        if key.id != id.value() || !names.insert(key.name.as_str().to_owned()) {
            return Err(Unbelievable::Damaged(format!("{} stands in another's place", what())));
        }
        keys.push(Arc::new(key));
    }
    Ok(keys)
}

/// Nothing keeps them: who asks for steps has them read.
fn prove_steps(transaction: &ReadTransaction, live: &BTreeSet<u64>) -> Result<(), Unbelievable> {
    let Some(table) = open_if_there(transaction, SCALING)? else { return Ok(()) };
    for row in table.iter()? {
        let (place, bytes) = row?;
        let (incarnation, number) = place.value();
        let what = || format!("step {number} of incarnation {incarnation}");
        decode_step(bytes.value()).map_err(unbelievable(what))?;
        if !live.contains(&incarnation) {
            return Err(Unbelievable::Damaged(format!("{} is of no stream", what())));
        }
    }
    Ok(())
}

/// Nothing keeps them either.
fn prove_policies(
    transaction: &ReadTransaction,
    live: &BTreeSet<u64>,
    consumers: &[Arc<ConsumerRecord>],
) -> Result<(), Unbelievable> {
    let Some(table) = open_if_there(transaction, POLICIES)? else { return Ok(()) };
    let registered: BTreeSet<(u64, &str)> =
        consumers.iter().map(|consumer| (consumer.incarnation, consumer.name.as_str())).collect();
    for row in table.iter()? {
        let (place, bytes) = row?;
        let (incarnation, consumer) = place.value();
        let what = || format!("the resource policy of consumer {consumer:?} of incarnation {incarnation}");
        ResourcePolicy::decode(bytes.value()).map_err(unbelievable(what))?;
        let is_there = match consumer {
            "" => live.contains(&incarnation),
            consumer => registered.contains(&(incarnation, consumer)),
        };
        if !is_there {
            return Err(Unbelievable::Damaged(format!("{} is of nothing", what())));
        }
    }
    Ok(())
}

fn prove_commitments(transaction: &ReadTransaction) -> Result<(), Unbelievable> {
    let Some(table) = open_if_there(transaction, COMMITMENTS)? else { return Ok(()) };
    for row in table.iter()? {
        let (place, bytes) = row?;
        Commitment::decode(bytes.value())
            .map_err(unbelievable(|| format!("the commitment of account {:?}", place.value())))?;
    }
    Ok(())
}

/// A table that a catalog of an earlier release need not have.
fn open_if_there<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, Unbelievable> {
    match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

fn unbelievable(what: impl Fn() -> String) -> impl FnOnce(BadRecord) -> Unbelievable {
    move |error| match error {
        BadRecord::Newer { found, .. } => Unbelievable::Newer(found.into()),
        error => Unbelievable::Damaged(format!("{}: {error}", what())),
    }
}
