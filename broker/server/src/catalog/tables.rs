//! The tables of the catalog, and each change as it is done to them.
//!
//! ```text
//! streams     name                    -> stream record (its bytes are drawn in rheos_core::catalog)
//! logs        incarnation, log        -> lowest kept, highest prepared; a row for every log of a stream
//! condemned   incarnation             -> its number of logs: deleted, files still to be removed
//! names       name                    -> creation second of its last deleted life, for a few seconds
//! meta        format, directory, next incarnation, newest creation second gone from names, transactions
//! ```
//!
//! What must hold: a change that is refused has written nothing; everything read back is proved
//! before it is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use rheos_core::catalog::{
    BadRecord, LogRecord, StreamRecord, admit_shards, creation_second, plan_stream, stream_exists, stream_not_found,
    tombstone_may_go,
};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::CreateStream;
use rheos_protocol::name::StreamName;

use super::CatalogAtStart;

/// The newest format that this release reads and writes.
pub(super) const FORMAT: u64 = 1;

const STREAMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("streams");
const LOGS: TableDefinition<'_, (u64, u32), (u64, u64)> = TableDefinition::new("logs");
const CONDEMNED: TableDefinition<'_, u64, u32> = TableDefinition::new("condemned");
const NAMES: TableDefinition<'_, &str, u64> = TableDefinition::new("names");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const META_FORMAT: &str = "format";
const META_DIRECTORY: &str = "directory";
const META_NEXT_INCARNATION: &str = "next incarnation";
const META_NEWEST_GONE: &str = "newest creation second gone from names";
const META_TRANSACTIONS: &str = "transactions";

/// Something that is asked of the catalog.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Make a stream.
    Create { create: CreateStream, now_ms: u64, lanes: u16 },
    /// Delete a stream.
    Delete { name: StreamName },
    /// Raise a number of a log.
    Raise { incarnation: u64, log: u32, raise: Raise },
    /// Forget a condemned incarnation.
    Forget { incarnation: u64 },
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
    /// This stream was made or deleted.
    Stream(Arc<StreamRecord>),
    /// It was done.
    Done,
}

/// What a change has led to, or why it was refused.
pub(super) type Outcome = Result<Changed, WireError>;

impl Change {
    /// Whether it makes the catalog larger.
    pub(super) fn is_create(&self) -> bool {
        matches!(self, Change::Create { .. })
    }
}

impl Changed {
    /// The stream of a change that makes or deletes one.
    pub(super) fn into_stream(self) -> Arc<StreamRecord> {
        match self {
            Changed::Stream(stream) => stream,
            Changed::Done => panic!("a stream that was made or deleted is answered with its record"),
        }
    }
}

/// Why what was read cannot be believed.
#[derive(Debug)]
pub(super) enum Unbelievable {
    /// A later release has written it.
    Newer(u64),
    /// It cannot be.
    Damaged(String),
}

impl From<redb::TableError> for Unbelievable {
    fn from(error: redb::TableError) -> Unbelievable {
        Unbelievable::Damaged(error.to_string())
    }
}

impl From<redb::StorageError> for Unbelievable {
    fn from(error: redb::StorageError) -> Unbelievable {
        Unbelievable::Damaged(error.to_string())
    }
}

/// The tables in a transaction that changes them.
pub(super) struct Tables<'txn> {
    streams: Table<'txn, &'static str, &'static [u8]>,
    logs: Table<'txn, (u64, u32), (u64, u64)>,
    condemned: Table<'txn, u64, u32>,
    names: Table<'txn, &'static str, u64>,
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
            meta: transaction.open_table(META)?,
            shards,
            has_changed: false,
        })
    }

    /// Does one change, or refuses it.
    pub(super) fn perform(&mut self, change: &Change) -> Result<Outcome, redb::Error> {
        match change {
            Change::Create { create, now_ms, lanes } => self.create_stream(create, *now_ms, *lanes),
            Change::Delete { name } => self.delete_stream(name),
            Change::Raise { incarnation, log, raise } => self.raise((*incarnation, *log), *raise),
            Change::Forget { incarnation } => {
                self.has_changed |= self.condemned.remove(*incarnation)?.is_some();
                Ok(Ok(Changed::Done))
            }
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

    fn create_stream(&mut self, create: &CreateStream, now_ms: u64, lanes: u16) -> Result<Outcome, redb::Error> {
        let incarnation = self.meta(META_NEXT_INCARNATION)?.unwrap_or(1);
        let tombstone = self.names.get(create.name.as_str())?.map(|second| second.value());
        let last_created_second = creation_second(tombstone, self.meta(META_NEWEST_GONE)?);
        let stream = match plan_stream(create, now_ms, incarnation, lanes, last_created_second) {
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
        let Some(decoded) = self.streams.get(name.as_str())?.map(|bytes| StreamRecord::decode(bytes.value())) else {
            return Ok(Err(stream_not_found(name)));
        };
        let stream = match decoded {
            Ok(stream) => stream,
            Err(error) => {
                return Ok(Err(internal(format!("the catalog's record of stream {name} is damaged: {error}"))));
            }
        };

        self.has_changed = true;
        self.shards = self.shards.saturating_sub(stream.shards.len() as u64);
        self.streams.remove(name.as_str())?;
        for log in 0..stream.log_count {
            self.logs.remove((stream.incarnation, log))?;
        }
        self.condemned.insert(stream.incarnation, stream.log_count)?;
        self.names.insert(name.as_str(), stream.created_second())?;
        Ok(Ok(Changed::Stream(Arc::new(stream))))
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
    let shards = streams.iter().map(|stream| stream.shards.len() as u64).sum();
    Ok((CatalogAtStart { streams, logs, condemned }, shards))
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
        let stream = StreamRecord::decode(bytes.value()).map_err(|error| match error {
            BadRecord::Newer { found, .. } => Unbelievable::Newer(found.into()),
            error => Unbelievable::Damaged(format!("stream {:?}: {error}", name.value())),
        })?;
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

fn internal(message: String) -> WireError {
    WireError::new(ErrorCode::Internal, message)
}
