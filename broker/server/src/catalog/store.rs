//! The catalog's file: opened and proved, changed in whole transactions, opened again after an I/O error.
//!
//! What must hold: the file appears whole or not at all; a transaction is on the disk before its
//! outcomes are returned; whether a transaction whose commit failed has happened is found out by
//! opening the file again and looking.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, Durability, ReadableDatabase};
use rheos_protocol::error::{ErrorCode, WireError};

use super::CatalogAtStart;
use super::read::{self, Unbelievable};
use super::tables::{Change, FORMAT, Outcome, Tables};
use crate::directory::{FILE_MODE, LOCK_POLL, Layout, refuse_if_open_to_others};
use crate::durable;
use crate::start_error::StartError;

/// Memory for pages of the catalog: more than the largest catalog takes.
const CACHE_BYTES: usize = 64 << 20;
/// How long a process that is just dying may keep the file locked.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// Wait that is told when a change failed on the disk, in ms.
const DISK_RETRY_MS: u32 = 1_000;

/// The file and what it holds.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// None after an I/O error, until it could be opened again.
    pub(super) database: Option<Database>,
    /// Shards of all streams.
    shards: u64,
}

/// A transaction that failed.
struct Failed {
    error: redb::Error,
    /// What it has led to if it has happened all the same; none when it was not committed.
    perhaps: Option<Box<Committed>>,
}

/// A transaction that was committed, or would have been.
struct Committed {
    outcomes: Vec<Outcome>,
    shards: u64,
    /// None when there was nothing to commit.
    number: Option<u64>,
}

impl Store {
    /// Opens the catalog, or makes one where nothing was stored yet.
    pub(super) fn open(layout: &Layout, directory_id: u64) -> Result<(Store, CatalogAtStart), StartError> {
        let path = layout.catalog_path();
        if !path.exists() {
            refuse_if_there_are_logs(layout)?;
            create_file(layout, directory_id)?;
        }
        // redb would take an empty file for a new one.
        if fs::metadata(&path).map_err(StartError::io("look at", &path))?.len() == 0 {
            return Err(StartError::CatalogDamaged { path, why: "it is empty".to_owned() });
        }
        let database = open_file(&path).map_err(|error| start_error(&path, error.into()))?;
        let transaction = database.begin_read().map_err(|error| start_error(&path, error.into()))?;
        let (at_start, shards) = read::read(&transaction, directory_id).map_err(|error| match error {
            Unbelievable::Newer(found) => StartError::CatalogNewer { path: path.clone(), found, known: FORMAT },
            Unbelievable::Damaged(why) => StartError::CatalogDamaged { path: path.clone(), why: one_line(&why) },
        })?;
        drop(transaction);
        if !at_start.keys.is_empty() {
            refuse_if_open_to_others(&path)?;
        }
        Ok((Store { path, database: Some(database), shards }, at_start))
    }

    /// Does these changes in one transaction; an outcome for each, in their order.
    pub(super) fn perform(&mut self, changes: &[Change]) -> Vec<Outcome> {
        match self.commit(changes) {
            Ok(outcomes) => outcomes,
            Err(refusal) if refusal.code == ErrorCode::StorageFull => self.perform_without_creates(changes, &refusal),
            Err(refusal) => vec![Err(refusal); changes.len()],
        }
    }

    /// What makes room on a full disk, or needs none, does not fail together with what takes room.
    fn perform_without_creates(&mut self, changes: &[Change], refusal: &WireError) -> Vec<Outcome> {
        let others: Vec<Change> = changes.iter().filter(|change| !change.is_create()).cloned().collect();
        if others.is_empty() || others.len() == changes.len() {
            return vec![Err(refusal.clone()); changes.len()];
        }
        let outcomes = self.commit(&others).unwrap_or_else(|refusal| vec![Err(refusal); others.len()]);
        let mut outcomes = outcomes.into_iter();
        let mut next = || outcomes.next().expect("every change has one outcome");
        changes.iter().map(|change| if change.is_create() { Err(refusal.clone()) } else { next() }).collect()
    }

    /// Does all of the changes, each with its outcome, or none of them.
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, WireError> {
        let committed = match self.attempt(changes) {
            Ok(committed) => committed,
            Err(Failed { error, perhaps }) => {
                tracing::error!("the catalog {} could not be changed: {error}", self.path.display());
                // redb takes no transaction after an I/O error.
                self.database = None;
                self.settle(&error, perhaps)?
            }
        };
        self.shards = committed.shards;
        Ok(committed.outcomes)
    }

    /// Shards of all streams.
    #[cfg(test)]
    pub(super) fn shards(&self) -> u64 {
        self.shards
    }

    /// Closes the file in order; the next start then has nothing to repair.
    pub(super) fn close(self) {
        if let Some(Err(error)) = self.database.map(Database::close) {
            tracing::warn!("the catalog {} was not closed in order: {error}", self.path.display());
        }
    }

    fn attempt(&mut self, changes: &[Change]) -> Result<Committed, Failed> {
        let before = |error: redb::Error| Failed { error, perhaps: None };
        if self.database.is_none() {
            self.open_again().map_err(before)?;
        }
        let database = self.database.as_ref().expect("it was just opened");
        let mut transaction = database.begin_write().map_err(|error| before(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| before(error.into()))?;
        transaction.set_quick_repair(true);

        let committed = self.fill(&transaction, changes).map_err(before)?;
        let ended = match committed.number {
            Some(_) => transaction.commit().map_err(redb::Error::from),
            None => transaction.abort().map_err(redb::Error::from),
        };
        match ended {
            Ok(()) => Ok(committed),
            Err(error) => Err(Failed { error, perhaps: Some(Box::new(committed)) }),
        }
    }

    fn fill(&self, transaction: &redb::WriteTransaction, changes: &[Change]) -> Result<Committed, redb::Error> {
        let mut tables = Tables::open(transaction, self.shards)?;
        let outcomes = changes.iter().map(|change| tables.perform(change)).collect::<Result<_, _>>()?;
        let (number, shards) = tables.finish()?;
        Ok(Committed { outcomes, shards, number })
    }

    /// After a transaction of unknown outcome the shards must be counted anew.
    fn open_again(&mut self) -> Result<(), redb::Error> {
        let database = open_file(&self.path)?;
        self.shards = read::shards(&database.begin_read()?)?;
        self.database = Some(database);
        Ok(())
    }

    /// After a transaction that failed: what it has led to all the same, or why it has led to nothing.
    fn settle(&mut self, error: &redb::Error, perhaps: Option<Box<Committed>>) -> Result<Committed, WireError> {
        let was_to_be_committed = perhaps.is_some();
        match self.find_out(perhaps) {
            Ok(Some(committed)) => Ok(*committed),
            Ok(None) => Err(self.refusal(error)),
            Err(again) => {
                tracing::error!("the catalog {} cannot be opened again: {again}", self.path.display());
                self.database = None;
                Err(if was_to_be_committed { self.indeterminate(error) } else { self.refusal(error) })
            }
        }
    }

    /// Opens the file again and looks whether a transaction whose commit failed has happened.
    fn find_out(&mut self, perhaps: Option<Box<Committed>>) -> Result<Option<Box<Committed>>, redb::Error> {
        self.open_again()?;
        let database = self.database.as_ref().expect("it was just opened");
        let Some(committed) = perhaps else { return Ok(None) };
        let Some(number) = committed.number else { return Ok(Some(committed)) };
        if read::transactions(&database.begin_read()?)? != number {
            return Ok(None);
        }
        // After a sync that failed it may be there in the kernel's memory alone. Another transaction
        // writes the file's head anew, and is not done before that is on the disk.
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        Tables::open(&transaction, self.shards)?.count_once_more()?;
        transaction.commit()?;
        Ok(Some(committed))
    }

    /// For a change that has not happened.
    fn refusal(&self, error: &redb::Error) -> WireError {
        let path = self.path.display();
        let code = match io_kind(error) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => ErrorCode::StorageFull,
            Some(io::ErrorKind::ReadOnlyFilesystem) => ErrorCode::ReadOnly,
            _ => ErrorCode::Internal,
        };
        let advice = match code {
            ErrorCode::StorageFull => "free some space on its disk",
            ErrorCode::ReadOnly => "its file system is read-only, look for disk errors in the kernel's log",
            _ => "the broker's log says more",
        };
        let message =
            one_line(&format!("nothing was changed: catalog {path} could not be written ({error}); {advice}"));
        WireError::retry_after(code, DISK_RETRY_MS, message)
    }

    fn indeterminate(&self, error: &redb::Error) -> WireError {
        let path = self.path.display();
        let message = format!(
            "this may or may not have happened: catalog {path} failed ({error}) and cannot be read again; look at its \
             disk and start the broker again"
        );
        WireError::new(ErrorCode::Indeterminate, one_line(&message))
    }
}

/// A catalog that is gone is not made anew beside logs: they would be taken for unknown ones, and their
/// incarnations be given again.
fn refuse_if_there_are_logs(layout: &Layout) -> Result<(), StartError> {
    let logs_dir = layout.logs_dir();
    let mut logs = match fs::read_dir(&logs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        logs => logs.map_err(StartError::io("list", &logs_dir))?,
    };
    match logs.next() {
        None => Ok(()),
        Some(_) => {
            let why = "it is missing, and there are logs".to_owned();
            Err(StartError::CatalogDamaged { path: layout.catalog_path(), why })
        }
    }
}

/// Makes the catalog under another name, so that it appears whole.
fn create_file(layout: &Layout, directory_id: u64) -> Result<(), StartError> {
    let unfinished = layout.catalog_unfinished_path();
    if unfinished.exists() {
        durable::remove_file(&unfinished)?;
    }
    drop(durable::create_empty(&unfinished, FILE_MODE)?);
    fill_file(&unfinished, directory_id).map_err(|error| start_error(&unfinished, error))?;
    Ok(durable::rename(&unfinished, &layout.catalog_path())?)
}

fn fill_file(path: &PathBuf, directory_id: u64) -> Result<(), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Tables::create(&transaction, directory_id)?;
    transaction.commit()?;
    Ok(database.close()?)
}

/// Opens the file and checks every page of it: nothing in it is believed that redb has not written.
fn open_file(path: &PathBuf) -> Result<Database, DatabaseError> {
    let began = Instant::now();
    loop {
        match Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(path) {
            // The directory is ours already, so its last owner is dead and about to let go.
            Err(DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < LOCK_WAIT_MAX => sleep(LOCK_POLL),
            opened => return opened,
        }
    }
}

fn start_error(path: &PathBuf, error: redb::Error) -> StartError {
    match error {
        redb::Error::Io(source) => match source.kind() {
            // What redb says of a file that is too short or no database.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                StartError::CatalogDamaged { path: path.clone(), why: one_line(&source.to_string()) }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StartError::NotWritable { path: path.clone(), source }
            }
            _ => StartError::io("open", path)(source),
        },
        redb::Error::DatabaseAlreadyOpen => {
            StartError::InUse { path: path.clone(), holder: "another process".to_owned() }
        }
        error => StartError::CatalogDamaged { path: path.clone(), why: one_line(&error.to_string()) },
    }
}

fn io_kind(error: &redb::Error) -> Option<io::ErrorKind> {
    match error {
        redb::Error::Io(error) => Some(error.kind()),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
