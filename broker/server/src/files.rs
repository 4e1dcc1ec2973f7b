//! The file thread: makes segments, writes footers, removes what has expired.
//!
//! Everything here may block, so none of it is done on a lane. Segments are pre-written with zeros,
//! because a write into blocks that were never written costs a journal commit; at a bounded pace,
//! because commits want the same disk. All other jobs come before the next piece of pre-writing.
//!
//! What must hold: the catalog knows a segment's number before the file is there, and the lowest
//! number kept before a file goes; a segment has its final name only when its label is on the disk;
//! jobs that name the same segment are done in the order they were asked for.

mod ends;
mod prepare;
mod storage;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use rheos_core::commit::SegmentId;
use rheos_core::log::{Expiry, LogId, SegmentFacts};
use rheos_core::reader::ReadPlace;
use rheos_core::recovery::first_arrival_ms;
use rheos_core::segment::HEAD_BYTES;
use rheos_protocol::error::ErrorCode;
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::directory::DataDirectory;
use crate::durable;
use crate::faults::{Moment, reached};
use crate::lane::{Arrival, Inboxes, name};
use crate::recover::read_place;
use crate::stopping::Stopping;

pub(crate) use ends::write_footer;
use ends::{Ends, Footer};
use prepare::{Pace, Preparing, next_of};
pub(crate) use storage::LOW_BYTES;
use storage::StorageWatch;

/// How long the thread sleeps when nobody asks for anything.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// After a failure to give up expired segments, it is tried again after this long.
const TRIM_RETRY: Duration = Duration::from_secs(10);

/// Something for the file thread to do.
#[derive(Debug)]
pub(crate) enum FileJob {
    /// Make a segment; answered with [`Arrival::Prepared`].
    Prepare { log: LogId, segment: u64, ask: u64, bytes: u64, hurry: Arc<AtomicBool> },
    /// Remove a segment that was never used.
    Discard { log: LogId, segment: u64 },
    /// Write a footer and cut the file after it; answered with [`Arrival::Sealed`].
    Seal { log: LogId, segment: u64, offset: u64, footer: Bytes },
    /// Remove segments that have expired; answered with [`Arrival::Trimmed`].
    Trim { log: LogId, expiry: Expiry },
    /// Find out how long segments are; answered with [`Arrival::Measured`].
    Measure { log: LogId, segments: Range<u64> },
    /// Remove everything of a stream that was deleted.
    RemoveStream { incarnation: u64 },
    /// Move a segment that the catalog does not know out of the way.
    SetAside { log: LogId, segment: u64 },
    /// Remove what a run that was killed has left of a segment in the making.
    RemoveUnfinished { path: PathBuf },
}

/// A segment that can be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) segment: u64,
    pub(crate) salt: u64,
    pub(crate) bytes: u64,
    /// Open for commits and locked for as long as anything holds it, writes in flight included.
    pub(crate) file: Arc<File>,
}

/// The way to the file thread; every clone is the same thread, which ends when the last is dropped.
#[derive(Debug, Clone)]
pub(crate) struct FileThread {
    /// Not bounded by itself: a log has at most one preparation and a few footers outstanding.
    jobs: Sender<FileJob>,
}

impl FileThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        directory: Arc<DataDirectory>,
        catalog: Catalog,
        inboxes: Inboxes,
        stopping: Stopping,
    ) -> Result<(FileThread, JoinHandle<()>), crate::start_error::StartError> {
        let (jobs, waiting) = channel::unbounded();
        let storage = StorageWatch::new(&directory);
        let worker = Worker {
            pace: Pace::default(),
            preparing: VecDeque::new(),
            ends: Ends::default(),
            late_trims: VecDeque::new(),
            storage,
            directory: Arc::clone(&directory),
            catalog,
            inboxes,
            stopping,
        };
        let thread = thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || worker.run(&waiting))
            .map_err(crate::start_error::StartError::io("start the file thread for", directory.layout().root()))?;
        Ok((FileThread { jobs }, thread))
    }

    /// Asks for something.
    pub(crate) fn push(&self, job: FileJob) {
        // The thread ends only after the last sender; if it has panicked, the process is on its way down.
        drop(self.jobs.send(job));
    }
}

struct Worker {
    directory: Arc<DataDirectory>,
    catalog: Catalog,
    inboxes: Inboxes,
    stopping: Stopping,
    storage: StorageWatch,
    preparing: VecDeque<Preparing>,
    /// Footers that are to be written and spares that are to go, of the jobs at hand.
    ends: Ends,
    /// Expired segments that could not be given up, and when that is tried again.
    late_trims: VecDeque<(Instant, LogId, Expiry)>,
    pace: Pace,
}

impl Worker {
    fn run(mut self, waiting: &Receiver<FileJob>) {
        loop {
            let jobs = match waiting.recv_timeout(self.wait()) {
                Ok(job) => std::iter::once(job).chain(waiting.try_iter()).collect(),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return self.abandon(),
            };
            self.raise_prepared(&jobs);
            for job in jobs {
                self.perform(job);
            }
            self.ends.settle(&self.inboxes);
            self.trim_late();
            if let Some(low) = self.storage.look() {
                self.inboxes.all().for_each(|inbox| inbox.push(Arrival::StorageLow(low)));
            }
            self.prewrite();
        }
    }

    fn wait(&self) -> Duration {
        if self.preparing.is_empty() { IDLE_WAIT } else { self.pace.wait(&self.preparing) }
    }

    /// The catalog knows of all segments that are about to be made, in one transaction.
    fn raise_prepared(&mut self, jobs: &[FileJob]) {
        let raises: Vec<_> = jobs
            .iter()
            .filter_map(|job| match job {
                FileJob::Prepare { log, segment, .. } => Some((*log, *segment)),
                _ => None,
            })
            .collect();
        if raises.len() > 1 {
            // What fails here fails again, and is reported, when its own turn comes.
            drop(prepare::raise_all(&self.catalog, &raises));
        }
    }

    fn perform(&mut self, job: FileJob) {
        match job {
            FileJob::Prepare { log, ask, hurry, .. } if self.stopping.has_begun() && !hurry.load(Ordering::Relaxed) => {
                let why = "nobody waits for it, and the broker stops".to_owned();
                self.inboxes.of_log(log).push(Arrival::Prepared { log, ask, outcome: Err(why) });
            }
            FileJob::Prepare { log, segment, ask, bytes, hurry } => match self.begin(log, segment, ask, bytes, hurry) {
                Ok(preparing) => self.preparing.push_back(preparing),
                Err(why) => self.report(log, ask, Err(why)),
            },
            FileJob::Discard { log, segment } => {
                self.abandon_preparing(|preparing| preparing.is(log, segment));
                self.ends.discard(self.path(log, segment));
            }
            FileJob::Seal { log, segment, offset, footer } => {
                let (path, flags) = (self.path(log, segment), self.directory.segment_flags());
                self.ends.seal(Footer { log, segment, path, flags, offset, bytes: footer });
            }
            FileJob::Trim { log, expiry } => self.trim(log, expiry),
            FileJob::Measure { log, segments } => self.measure(log, segments),
            FileJob::RemoveStream { incarnation } => {
                self.ends.settle(&self.inboxes);
                self.remove_stream(incarnation);
            }
            FileJob::SetAside { log, segment } => self.set_aside(log, segment),
            FileJob::RemoveUnfinished { path } => {
                if let Err(error) = durable::remove_file(&path) {
                    warn!("cannot remove {}, which was left unfinished: {error}", path.display());
                }
            }
        }
    }

    fn abandon_preparing(&mut self, is_meant: impl Fn(&Preparing) -> bool) {
        let (meant, kept) = std::mem::take(&mut self.preparing).into_iter().partition(is_meant);
        let meant: VecDeque<Preparing> = meant;
        self.preparing = kept;
        meant.into_iter().for_each(Preparing::abandon);
    }

    fn begin(
        &mut self,
        log: LogId,
        segment: u64,
        ask: u64,
        bytes: u64,
        hurry: Arc<AtomicBool>,
    ) -> Result<Preparing, String> {
        let raise = || self.catalog.raise_highest_prepared_blocking(log.incarnation, log.log, segment);
        let raised = raise().or_else(|error| {
            // The ballast is there so that a full disk still takes what the catalog has to say.
            if self.storage.release_ballast() { raise() } else { Err(error) }
        });
        raised.map_err(|error| error.message)?;
        Preparing::begin(&self.directory, log, segment, ask, bytes, hurry).map_err(|error| error.to_string())
    }

    /// One piece of pre-writing, of the most urgent segment; all that are hurried are finished first.
    fn prewrite(&mut self) {
        while let Some(at) = next_of(&self.preparing) {
            let mut preparing = self.preparing.remove(at).expect("it was found there");
            if !preparing.is_done() {
                if !preparing.is_urgent() && !self.pace.allows() {
                    self.preparing.push_front(preparing);
                    return;
                }
                match preparing.write_piece() {
                    Ok(bytes) => self.pace.spend(bytes),
                    Err(error) => {
                        let (log, ask) = (preparing.log, preparing.ask);
                        preparing.abandon();
                        self.report(log, ask, Err(error.to_string()));
                        continue;
                    }
                }
            }
            if !preparing.is_done() {
                self.preparing.push_back(preparing);
                continue;
            }
            let (log, ask) = (preparing.log, preparing.ask);
            let outcome = preparing.finish(&self.directory).map_err(|error| error.to_string());
            self.report(log, ask, outcome);
        }
    }

    /// Tells the lane that serves the log, and the operator what failed.
    fn report(&self, log: LogId, ask: u64, outcome: Result<Prepared, String>) {
        if let Err(why) = &outcome {
            warn!(log = %name(log), "cannot make a segment: {why}");
        }
        self.inboxes.of_log(log).push(Arrival::Prepared { log, ask, outcome });
    }

    fn trim(&mut self, log: LogId, expiry: Expiry) {
        let facts = expiry.lowest_kept(|segment| self.facts(log, segment));
        let lowest = facts.segment;
        let raise = || prepare::raise_lowest(&self.catalog, log, lowest);
        // What makes room on a full disk may need a little of it.
        let raised = raise().or_else(|error| if self.storage.release_ballast() { raise() } else { Err(error) });
        match raised {
            Ok(()) => {}
            // The stream was deleted meanwhile; its files go as a whole.
            Err(error) if error.code == ErrorCode::StreamNotFound => return,
            Err(error) => {
                warn!(log = %name(log), lowest, "cannot give up expired segments yet: {}", error.message);
                return self.late_trims.push_back((Instant::now() + TRIM_RETRY, log, expiry));
            }
        }
        reached(Moment::SegmentsGivenUp);
        // The lane is told first: a read that then finds the file gone and begins anew does not ask for it again.
        self.inboxes.of_log(log).push(Arrival::Trimmed { log, lowest: facts });
        reached(Moment::SegmentsTold);
        for segment in expiry.from..lowest {
            self.remove_segment(log, segment);
            reached(Moment::SegmentRemoved);
        }
    }

    /// What is not there, because it has just expired, has no length.
    fn measure(&self, log: LogId, segments: Range<u64>) {
        let bytes_of = |segment| std::fs::metadata(self.path(log, segment)).ok().map(|file| (segment, file.len()));
        let sizes = segments.filter_map(bytes_of).collect();
        self.inboxes.of_log(log).push(Arrival::Measured { log, sizes });
    }

    fn trim_late(&mut self) {
        while self.late_trims.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
            let (_, log, expiry) = self.late_trims.pop_front().expect("it was just seen");
            self.trim(log, expiry);
        }
    }

    /// What is known of a segment; where its footer is lost, it expires with the first of a later one.
    fn facts(&self, log: LogId, segment: u64) -> SegmentFacts {
        let id = |segment| SegmentId { incarnation: log.incarnation, log: log.log, segment };
        let read = |segment, place| File::open(self.path(log, segment)).and_then(|file| read_place(&file, place));
        let (head, last_block) = (read(segment, HEAD).unwrap_or_default(), read(segment, ReadPlace::LastBlock));
        let facts = SegmentFacts::of(id(segment), &head, &last_block.unwrap_or_default());
        let mut later = segment + 1..=segment + SUCCESSORS_MAX;
        let first_of = |segment| first_arrival_ms(id(segment), &read(segment, HEAD).ok()?);
        let last_arrival_ms = facts.last_arrival_ms.or_else(|| later.find_map(first_of));
        SegmentFacts { last_arrival_ms, ..facts }
    }

    fn remove_segment(&self, log: LogId, segment: u64) {
        match durable::remove_file(&self.path(log, segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(log = %name(log), segment, "cannot remove a segment: {error}");
            }
            _ => {}
        }
    }

    fn remove_stream(&mut self, incarnation: u64) {
        self.abandon_preparing(|preparing| preparing.log.incarnation == incarnation);
        let path = self.directory.layout().incarnation_dir(incarnation);
        let removed = match durable::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => prepare::forget_condemned(&self.catalog, incarnation).map_err(|error| error.message),
        };
        match removed {
            Ok(()) => info!(incarnation = %format!("{incarnation:x}"), "removed the files of a deleted stream"),
            // Its incarnation stays condemned, so that the next start tries again.
            Err(why) => warn!("cannot remove the files of a deleted stream: {why}"),
        }
    }

    fn set_aside(&self, log: LogId, segment: u64) {
        let place = format!("{:016x}-{}-{segment}.segment", log.incarnation, log.log);
        set_aside(&self.directory, &self.path(log, segment), &place);
    }

    fn path(&self, log: LogId, segment: u64) -> PathBuf {
        self.directory.layout().segment_path(log.incarnation, log.log, segment)
    }

    /// Segments that are half made when the broker stops are of no use to the next one.
    fn abandon(self) {
        for preparing in self.preparing {
            preparing.abandon();
        }
    }
}

/// Moves something that the catalog does not know out of the way, and says so.
pub(crate) fn set_aside(directory: &DataDirectory, from: &Path, place: &str) {
    let aside = directory.layout().aside_dir();
    // The same thing may have been set aside before; the first free name is taken.
    let names = std::iter::once(place.to_owned()).chain((2..ASIDE_NAMES_MAX).map(|count| format!("{place}.{count}")));
    let Some(to) = names.map(|name| aside.join(name)).find(|path| !path.exists()) else {
        return warn!(
            "{} is not known to the catalog, and there are too many like it in {}",
            from.display(),
            aside.display()
        );
    };
    match durable::rename(from, &to) {
        Ok(()) => warn!("{} is not known to the catalog; it was set aside as {}", from.display(), to.display()),
        Err(error) => warn!("{} is not known to the catalog and cannot be set aside: {error}", from.display()),
    }
}

/// The head of a segment file.
const HEAD: ReadPlace = ReadPlace::At(0, HEAD_BYTES as usize);
/// How many segments after one without a footer are asked when its records came.
const SUCCESSORS_MAX: u64 = 64;
/// How many things of one name may be set aside.
const ASIDE_NAMES_MAX: usize = 1_000;
