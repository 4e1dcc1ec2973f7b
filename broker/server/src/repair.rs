//! Repair of a stream while no broker runs: its logs that take no puts take them again, at the price of what
//! cannot be read.
//!
//! ```text
//!   plan_repair ──► look at every log ──► plan (core) ──► read the log as it would be ──► RepairReport
//!                                                                                             │ accepted
//!   accept ◄──────────────────────────────────────────────────────────────────────────────────┘
//!     another history ──► for each log: number known to the catalog, footers, the new segment,
//!                         gap marks, the proof that it takes puts, losses written down
//! ```
//!
//! What must hold: nothing is changed before the loss is accepted, and then in an order in which a crash
//! leaves each log refused as before or repaired; what is planned has been read as a start would read it.
//! No file is removed, and no byte of one changed that may hold a record.

mod accepted;
mod error;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rheos_core::catalog::{LogRecord, StreamRecord};
use rheos_core::log::LogId;
use rheos_core::recovery::{Chore, LogOnDisk, Loss, Recovered, Repair, RepairChore, RepairPlan, RepairStep};
use rheos_protocol::message::StreamLimits;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::clock;
use crate::contents::{Contents, LostRecords, read_log};
use crate::directory::{DataDirectory, FILE_MODE, random_bytes};
use crate::durable;
use crate::files::write_footer;
use crate::lane::settings_of;
use crate::log_files::LogFiles;
use crate::recover::{Found, on_disk, recover_from, recover_log};
use crate::start_error::StartError;

pub(crate) use accepted::AcceptedLosses;
pub use error::RepairError;

/// What is wrong with a stream, and what a repair makes of it.
#[derive(Debug, Clone, Serialize)]
pub struct RepairReport {
    /// The stream.
    pub stream: String,
    /// Its logs.
    pub logs: Vec<LogRepair>,
}

/// What is wrong with a log, and what a repair makes of it.
#[derive(Debug, Clone, Serialize)]
pub struct LogRepair {
    /// Its number.
    pub log: u32,
    /// Why it takes no puts; none when it takes them.
    pub refused: Option<String>,
    /// Segments without a file.
    pub missing: Vec<u64>,
    /// Segments whose file cannot be told to be theirs. It stays where it is.
    pub unreadable: Vec<u64>,
    /// Segments that get a footer.
    pub sealed: Vec<u64>,
    /// The segment that is made for the log to go on from.
    pub new_segment: Option<u64>,
    /// Records that are there and stay readable.
    pub kept_records: u64,
    /// Bytes of their batches.
    pub kept_bytes: u64,
    /// Records that are lost and were not accepted as that before, by shard and in order.
    pub lost: Vec<LostRecords>,
    /// For shards of which it cannot be told how many records are lost, the first sequence in doubt: from
    /// there on at most so many are lost.
    pub doubted: BTreeMap<u32, u64>,
    /// The sequence from which each shard goes on, where the log takes no puts now.
    pub goes_on_at: BTreeMap<u32, u64>,
}

impl LogRepair {
    /// Whether there is something to repair or to accept.
    pub fn is_needed(&self) -> bool {
        self.refused.is_some() || !self.lost.is_empty()
    }
}

impl RepairReport {
    /// Whether there is something to repair or to accept.
    pub fn is_needed(&self) -> bool {
        self.logs.iter().any(LogRepair::is_needed)
    }
}

/// A repair that is planned. The data directory is ours for as long as it lives.
#[derive(Debug)]
pub struct StreamRepair {
    directory: DataDirectory,
    catalog: Catalog,
    report: RepairReport,
    steps: VecDeque<Step>,
}

/// One change, and it is on the disk when it is done.
#[derive(Debug)]
enum Step {
    History,
    WriteDown { log: LogId, refused: Option<String>, lost: Vec<LostRecords> },
    RaisePrepared { log: LogId, segment: u64 },
    Chore { log: LogId, chore: RepairChore },
    Prove(Box<LogOnDisk>),
}

/// Looks at every log of a stream and plans what a repair has to do; changes nothing. `progress` is told
/// bytes as they are read.
///
/// # Errors
///
/// When the directory is in use, is none of ours or another user's, its catalog is damaged, or there is no
/// such stream.
pub fn plan_repair(path: &Path, stream: &str, mut progress: impl FnMut(u64)) -> Result<StreamRepair, RepairError> {
    let directory = DataDirectory::open_existing(path)?;
    refuse_unless_owner(directory.layout().root())?;
    let (catalog, at_start) = Catalog::open(&directory)?;
    let Some(record) = at_start.streams.iter().find(|record| record.name.as_str() == stream) else {
        let streams = at_start.streams.iter().map(|record| record.name.to_string()).collect();
        return Err(RepairError::NoStream { stream: stream.to_owned(), streams });
    };
    let mut found = Found::list(directory.layout())?;
    let (mut logs, mut steps) = (Vec::new(), VecDeque::new());
    for log in 0..record.log_count {
        let id = LogId { incarnation: record.incarnation, log };
        let known = at_start.logs.get(&(id.incarnation, log)).copied().unwrap_or(LogRecord::NEW);
        let files = found.segments.remove(&id).unwrap_or_default();
        let on_disk = on_disk(&directory, record, log, known, files);
        let (report, changes) = plan_log(&directory, record, on_disk, &mut progress)?;
        logs.push(report);
        steps.extend(changes);
    }
    if !steps.is_empty() {
        steps.push_front(Step::History);
    }
    Ok(StreamRepair { directory, catalog, report: RepairReport { stream: stream.to_owned(), logs }, steps })
}

impl StreamRepair {
    /// What was found and what is planned.
    pub fn report(&self) -> &RepairReport {
        &self.report
    }

    /// Accepts the loss and repairs. What could be done without is returned, a sentence each.
    ///
    /// # Errors
    ///
    /// What the disk or the catalog refuses. What was done by then stays; another repair goes on from there.
    ///
    /// # Panics
    ///
    /// On a thread that runs async tasks.
    pub fn accept(mut self) -> Result<Vec<String>, RepairError> {
        let mut left_out = Vec::new();
        while let Some(outcome) = self.step() {
            left_out.extend(outcome?);
        }
        self.catalog.close();
        Ok(left_out)
    }

    /// Does the next of the changes that [`accept`](Self::accept) makes; `None` when all are done. Between
    /// any two of them the process may end. A change that could be done without is told as a sentence.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn step(&mut self) -> Option<Result<Option<String>, RepairError>> {
        let step = self.steps.pop_front()?;
        Some(self.perform(step))
    }

    fn perform(&mut self, step: Step) -> Result<Option<String>, RepairError> {
        match step {
            Step::History => self.directory.raise_history()?,
            Step::WriteDown { log, refused, lost } => {
                self.directory.create_log_dir(log.incarnation, log.log)?;
                let layout = self.directory.layout();
                let now_ms = clock::now().wall_ms;
                AcceptedLosses::read(layout, log)?.add(layout, log, now_ms, refused.as_deref(), &lost)?;
            }
            Step::RaisePrepared { log, segment } => {
                self.catalog.raise_highest_prepared_blocking(log.incarnation, log.log, segment)?;
            }
            Step::Chore { log, chore } => return self.chore(log, &chore),
            Step::Prove(log) => {
                let number = log.id.log;
                if let Some(why) = recover_log(&self.directory, *log)?.refused {
                    return Err(RepairError::StillRefused { log: number, why });
                }
            }
        }
        Ok(None)
    }

    fn chore(&self, log: LogId, chore: &RepairChore) -> Result<Option<String>, RepairError> {
        let path = self.directory.layout().segment_path(log.incarnation, log.log, chore.segment());
        match chore {
            RepairChore::Create { bytes, .. } => durable::create_file(&path, bytes, FILE_MODE)?,
            RepairChore::Seal { offset, footer, .. } => {
                if let Err(error) = write_footer(&path, self.directory.segment_flags(), *offset, footer) {
                    let path = path.display();
                    return Ok(Some(format!("{path} gets no footer and is slow to read without it: {error}")));
                }
            }
        }
        Ok(None)
    }
}

fn plan_log(
    directory: &DataDirectory,
    record: &StreamRecord,
    log: LogOnDisk,
    progress: &mut impl FnMut(u64),
) -> Result<(LogRepair, Vec<Step>), RepairError> {
    let id = log.id;
    let recovered = recover_log(directory, log.clone())?;
    let refused = recovered.refused.clone();
    let (repaired, contents) = match &refused {
        None => (None, read_as(directory, record, id, &[], recovered, progress)),
        Some(_) => {
            let (plan, chores, contents) = plan_refused(directory, record, log, &recovered, progress)?;
            (Some((plan, chores)), contents)
        }
    };
    let accepted = AcceptedLosses::read(directory.layout(), id)?;
    let Contents { records, bytes, lost, .. } = contents;
    let lost: Vec<LostRecords> = lost.into_iter().filter(|lost| !accepted.hold(&lost.loss())).collect();
    let mut report = LogRepair {
        log: id.log,
        refused,
        missing: Vec::new(),
        unreadable: Vec::new(),
        sealed: Vec::new(),
        new_segment: None,
        kept_records: records,
        kept_bytes: bytes,
        lost,
        doubted: BTreeMap::new(),
        goes_on_at: BTreeMap::new(),
    };
    let mut steps = Vec::new();
    if let Some((plan, chores)) = repaired {
        report.missing = plan.missing().to_vec();
        report.unreadable = plan.unreadable().to_vec();
        report.sealed = plan.sealed().collect();
        report.new_segment = Some(plan.next_segment());
        report.doubted = plan.doubted().clone();
        report.goes_on_at = plan.state().shards.iter().map(|shard| (shard.shard, shard.next_sequence)).collect();
        steps.push(Step::RaisePrepared { log: id, segment: plan.next_segment() });
        steps.extend(chores.into_iter().map(|chore| Step::Chore { log: id, chore }));
        steps.push(Step::Prove(Box::new(plan.repaired())));
    }
    if report.is_needed() {
        // Last, so that a repair that was not finished shows the loss again.
        steps.push(Step::WriteDown { log: id, refused: report.refused.clone(), lost: report.lost.clone() });
    }
    Ok((report, steps))
}

/// The plan for a log that is refused, its chores, and what is read of the log when they are done. A start
/// would take it: that is proved before anything is changed.
fn plan_refused(
    directory: &DataDirectory,
    record: &StreamRecord,
    log: LogOnDisk,
    recovered: &Recovered,
    progress: &mut impl FnMut(u64),
) -> Result<(RepairPlan, Vec<RepairChore>, Contents), RepairError> {
    let id = log.id;
    let mut plan = plan_of(&LogFiles::new(directory.layout(), id), log, recovered);
    let salt = u64::from_le_bytes(random_bytes("a segment's salt")?);
    let chores = with_older_seals(plan.chores(salt), recovered);
    let after = recover_after(directory, &plan, &chores)?;
    let contents = read_as(directory, record, id, &chores, after, progress);
    // Which puts are lost is known only now; it changes nothing of what is read.
    plan.forget_lost(&contents.lost.iter().map(LostRecords::loss).collect::<Vec<Loss>>());
    let chores = with_older_seals(plan.chores(salt), recovered);
    recover_after(directory, &plan, &chores)?;
    Ok((plan, chores, contents))
}

fn plan_of(files: &LogFiles<'_>, log: LogOnDisk, recovered: &Recovered) -> RepairPlan {
    let mut repair = Repair::new(log, recovered, clock::now().wall_ms);
    let mut step = repair.step(None);
    loop {
        match step {
            RepairStep::Done(plan) => return *plan,
            RepairStep::Read { segment } => {
                step = repair.step(Some(files.read_around(segment).map_err(|error| error.to_string())));
            }
        }
    }
}

/// Footers that recovery would have written, of segments before those that the repair seals, come first.
fn with_older_seals(chores: Vec<RepairChore>, recovered: &Recovered) -> Vec<RepairChore> {
    let planned: BTreeSet<u64> = chores.iter().map(RepairChore::segment).collect();
    let older = recovered.chores.iter().filter_map(|chore| match chore {
        Chore::Seal { segment, offset, footer } if !planned.contains(segment) => {
            Some(RepairChore::Seal { segment: *segment, offset: *offset, footer: footer.clone() })
        }
        _ => None,
    });
    older.chain(chores).collect()
}

/// What a start would find after the chores.
fn recover_after(
    directory: &DataDirectory,
    plan: &RepairPlan,
    chores: &[RepairChore],
) -> Result<Recovered, RepairError> {
    let log = plan.repaired();
    let (id, files) = (log.id, LogFiles::after(directory.layout(), log.id, chores));
    let recovered = recover_from(log, |segment, place| Ok::<_, Infallible>(files.read(segment, place)));
    let recovered = recovered.unwrap_or_else(|never| match never {});
    match &recovered.refused {
        Some(why) => Err(RepairError::NotRepairable { log: id.log, why: why.clone() }),
        None => Ok(recovered),
    }
}

fn read_as(
    directory: &DataDirectory,
    record: &StreamRecord,
    log: LogId,
    chores: &[RepairChore],
    recovered: Recovered,
    progress: &mut impl FnMut(u64),
) -> Contents {
    let files = LogFiles::after(directory.layout(), log, chores);
    read_log(
        &settings_of(record, log.log, StreamLimits::NONE),
        recovered,
        |segment, place| files.read(segment, place),
        progress,
    )
}

/// Files that another user makes could not be written by the broker.
fn refuse_unless_owner(root: &Path) -> Result<(), RepairError> {
    let owner = fs::metadata(root).map_err(StartError::io("look at", root))?.uid();
    match rustix::process::geteuid().as_raw() {
        user if user == owner => Ok(()),
        user => Err(RepairError::NotOwner { path: root.to_owned(), owner, user }),
    }
}
