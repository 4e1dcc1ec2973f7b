//! One log in hand: a test says what happens to it, step by step, and looks at its files in between.
//!
//! The rig performs what the log asks for over [`LogFiles`], at once and without fault unless the test
//! takes a step itself.
//!
//! ```
//! use rheos_tests::rig::Rig;
//!
//! let mut rig = Rig::new(2);
//! assert_eq!(rig.put(0, &["one", "two"]), 0);
//! rig.kill();
//! assert_eq!(rig.start(), Ok(None));
//! assert_eq!(rig.put(0, &["three"]), 2);
//! assert_eq!(rig.read_all(0), Ok(vec!["one".to_owned(), "two".into(), "three".into()]));
//! ```

use std::collections::VecDeque;

use rheos_core::arrival::Now;
use rheos_core::budget::LaneBudget;
use rheos_core::catalog::StreamTerms;
use rheos_core::commit::SegmentId;
use rheos_core::log::{
    Acked, ClosedShard, Effect, Event, Expiry, Log, LogId, LogSettings, LogShard, ReadStart, SegmentFacts, Write,
};
use rheos_core::reader::{ReadOutcome, ReadPlace, ReadStep};
use rheos_core::recovery::{
    Chore, LogOnDisk, Loss, Recovered, Recovery, RecoveryStep, Repair, RepairChore, RepairPlan, RepairStep,
};
use rheos_core::segment::Label;
use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::hash::HashRange;
use rheos_protocol::message::Position;
use rheos_protocol::record::Record;

use crate::sim::disk::LogFiles;

/// A log, its files and its clock.
#[derive(Debug)]
pub struct Rig {
    /// What the catalog says.
    pub settings: LogSettings,
    /// The files; a test may do anything to them while the log is down.
    pub files: LogFiles,
    /// The clocks.
    pub now: Now,
    /// Commits are completed as they come.
    pub completes: bool,
    /// Segments are made as they are asked for.
    pub makes: bool,
    /// Footers are written as they come.
    pub seals: bool,
    /// Segments that have expired are given up as it is asked for.
    pub trims: bool,
    /// What has expired and was not given up.
    pub expiries: VecDeque<Expiry>,
    /// The lane's budget.
    pub lane: LaneBudget,
    /// Writes that wait to be completed, when they are not completed as they come.
    pub writes: VecDeque<Write>,
    /// Segments that were asked for and not made: number, ask, bytes.
    pub asked: VecDeque<(u64, u64, u64)>,
    /// Answers in the order they came, by token.
    pub replies: VecDeque<(u64, Result<Acked, WireError>)>,
    /// Whether the log has said that it has stopped.
    pub stopped: bool,
    /// Why the log has said that it takes no puts.
    pub read_only: Option<String>,
    /// Where the log has said that shards end which are to be closed.
    pub drained: VecDeque<Result<Vec<(u32, u64)>, WireError>>,
    /// Watched shards of which the log has said that there is news.
    pub advanced: VecDeque<u32>,
    /// Bytes of the next segments, whatever is asked for.
    pub segment_bytes: Option<u64>,
    log: Option<Log>,
    next_token: u64,
}

impl Rig {
    /// A new log with shards 0 to `shards`, started.
    pub fn new(shards: u32) -> Rig {
        let id = LogId { incarnation: 77, log: 3 };
        let mut rig = Rig {
            settings: LogSettings {
                id,
                shards: (0..shards).map(whole).collect(),
                terms: StreamTerms::new(86_400_000, 10 << 20),
            },
            files: LogFiles::default(),
            now: Now { boot_ms: 1_000, wall_ms: 1_700_000_000_000 },
            completes: true,
            makes: true,
            seals: true,
            trims: true,
            expiries: VecDeque::new(),
            lane: LaneBudget::default(),
            writes: VecDeque::new(),
            asked: VecDeque::new(),
            replies: VecDeque::new(),
            stopped: false,
            read_only: None,
            drained: VecDeque::new(),
            advanced: VecDeque::new(),
            segment_bytes: None,
            log: None,
            next_token: 1,
        };
        rig.start().expect("a new log is not refused");
        rig
    }

    /// A log that is down, with the files of another.
    pub fn with_files(shards: u32, files: &LogFiles) -> Rig {
        let mut rig = Rig::new(shards);
        rig.kill();
        rig.files = files.clone();
        rig
    }

    /// The log.
    ///
    /// # Panics
    /// When it is down.
    pub fn log(&self) -> &Log {
        self.log.as_ref().expect("the log is up")
    }

    /// The log, to be asked what changes it.
    ///
    /// # Panics
    /// When it is down.
    pub fn log_mut(&mut self) -> &mut Log {
        self.log.as_mut().expect("the log is up")
    }

    /// Hands the log out to somebody who lends it to others; it comes back with [`give_log`](Self::give_log).
    ///
    /// # Panics
    /// When it is down.
    pub fn take_log(&mut self) -> Log {
        self.log.take().expect("the log is up")
    }

    /// Takes the log back.
    pub fn give_log(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// The identity of a segment.
    pub fn segment(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.settings.id.incarnation, log: self.settings.id.log, segment }
    }

    /// The salt that the rig gives to a segment.
    pub fn salt(&self, segment: u64) -> u64 {
        0x5a17_0000_0000_0000 + segment
    }

    /// Lets time pass, in one step, and ticks.
    pub fn wait(&mut self, ms: u64) {
        self.now.boot_ms += ms;
        self.now.wall_ms += ms;
        self.tell(Event::Tick);
    }

    /// Tells the log what happened and performs what it asks for.
    pub fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            let Some(log) = &mut self.log else { return };
            log.step(self.now, event, &mut self.lane, &mut effects);
            if log.wants_commit() {
                log.step(self.now, Event::Flush, &mut self.lane, &mut effects);
            }
            events.extend(effects.into_iter().filter_map(|effect| self.perform(effect)));
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Reply { token, outcome } => self.replies.push_back((token, outcome)),
            Effect::Write(write) if self.completes => {
                self.files.write(write.segment, write.offset, &bytes_of(&write));
                return Some(Event::Durable);
            }
            Effect::Write(write) => self.writes.push_back(write),
            Effect::Prepare { segment, ask, bytes } => {
                let bytes = self.segment_bytes.unwrap_or(bytes);
                self.asked.push_back((segment, ask, bytes));
                return if self.makes { Some(self.made()) } else { None };
            }
            Effect::Hurry { .. } => {}
            Effect::Discard { segment } => drop(self.files.segments.remove(&segment)),
            Effect::Seal { segment, offset, footer } if self.seals => {
                self.files.write(segment, offset, &footer);
                self.files.truncate(segment, offset + footer.len() as u64);
                return Some(Event::Sealed { segment });
            }
            Effect::Seal { .. } => {}
            Effect::Trim(expiry) if self.trims => return Some(self.trim(expiry)),
            Effect::Trim(expiry) => self.expiries.push_back(expiry),
            Effect::Measure { segments } => {
                let in_range = self.files.segments.range(segments);
                let sizes = in_range.map(|(number, file)| (*number, file.len() as u64)).collect();
                return Some(Event::Measured { sizes });
            }
            Effect::ReadOnly { why } => self.read_only = Some(why),
            Effect::Stopped => self.stopped = true,
            Effect::Drained { ends } => self.drained.push_back(ends),
            Effect::Advanced { shard } => self.advanced.push_back(shard),
        }
        None
    }

    /// Gives segments up, as the file thread does, and says what the log is told then.
    pub fn trim(&mut self, expiry: Expiry) -> Event {
        let lowest = self.lowest_kept(expiry);
        self.files.lowest_kept = lowest.segment;
        self.files.segments.retain(|number, _| *number >= lowest.segment);
        Event::Trimmed { lowest }
    }

    /// What is known of the lowest segment that is kept when others have expired.
    pub fn lowest_kept(&self, expiry: Expiry) -> SegmentFacts {
        expiry.lowest_kept(|segment| {
            let read = |place| self.files.read(segment, place).unwrap_or_default();
            SegmentFacts::of(self.segment(segment), &read(ReadPlace::At(0, 4096)), &read(ReadPlace::LastBlock))
        })
    }

    /// The catalog has changed the stream's terms.
    pub fn set_terms(&mut self, terms: StreamTerms) {
        self.settings.terms = terms;
        self.tell(Event::Terms { terms });
    }

    fn made(&mut self) -> Event {
        let (segment, ask, bytes) = self.asked.pop_front().expect("a segment was asked for");
        let label = Label { directory: DIRECTORY, segment: self.segment(segment), salt: self.salt(segment) };
        self.files.highest_prepared = self.files.highest_prepared.max(segment);
        assert!(!self.files.segments.contains_key(&segment), "a segment that is made does not exist");
        self.files.make(segment, &label.encode(), bytes.min(FILE_BYTES_MAX));
        Event::SegmentReady { segment, ask, salt: self.salt(segment), bytes }
    }

    /// Makes the segment that was asked for.
    pub fn make(&mut self) {
        let made = self.made();
        self.tell(made);
    }

    /// Fails to make the segment that was asked for.
    pub fn fail_to_make(&mut self) {
        let (segment, ask, _) = self.asked.pop_front().expect("a segment was asked for");
        self.files.highest_prepared = self.files.highest_prepared.max(segment);
        self.tell(Event::SegmentFailed { ask, why: "no space left on device".into() });
    }

    /// Completes the write in flight.
    pub fn complete(&mut self) {
        let write = self.writes.pop_front().expect("a write is in flight");
        self.files.write(write.segment, write.offset, &bytes_of(&write));
        self.tell(Event::Durable);
    }

    /// Fails the write in flight, of which the blocks that `lands` names have landed.
    pub fn fail_write(&mut self, lands: impl Fn(usize) -> bool) {
        let write = self.writes.pop_front().expect("a write is in flight");
        self.land(&write, lands);
        self.tell(Event::WriteFailed { why: "input/output error".into() });
    }

    /// Lets the blocks of a write land that `lands` names.
    pub fn land(&mut self, write: &Write, lands: impl Fn(usize) -> bool) {
        for (at, block) in bytes_of(write).chunks(4096).enumerate() {
            if lands(at) {
                self.files.write(write.segment, write.offset + 4096 * at as u64, block);
            }
        }
    }

    /// A batch of records whose data are these texts.
    pub fn batch(&self, shard: u32, producer: ProducerStamp, texts: &[&str]) -> PutBatch {
        let mut builder = BatchBuilder::default();
        for text in texts {
            builder
                .push(&Record::new("key", text.to_string()).view(), 10 << 20)
                .expect("the record is within the limits");
        }
        PutBatch::parse(builder.finish(self.settings.id.incarnation, shard, producer)).expect("it is a batch")
    }

    /// Sends a put; the answer comes when it comes.
    pub fn send(&mut self, shard: u32, producer: ProducerStamp, texts: &[&str]) -> u64 {
        let batch = self.batch(shard, producer, texts);
        let token = self.next_token;
        self.next_token += 1;
        self.tell(Event::Put { token, batch });
        token
    }

    /// Puts records and returns the sequence of the first.
    ///
    /// # Panics
    /// When the put is not acked at once.
    pub fn put(&mut self, shard: u32, texts: &[&str]) -> u64 {
        let token = self.send(shard, ProducerStamp::default(), texts);
        match self.replies.pop_back() {
            Some((answered, Ok(acked))) if answered == token => acked.first_sequence,
            other => panic!("the put is answered {other:?}"),
        }
    }

    /// Splits a shard into two of these numbers, as far as its log has to do with it: the catalog is the settings.
    ///
    /// # Panics
    /// When what was put to the shard is not on the disk.
    pub fn split(&mut self, shard: u32, children: [u32; 2]) {
        self.tell(Event::Close { shards: vec![shard] });
        let ends = self.drained.pop_front().expect("everything is on the disk").expect("the log takes puts");
        assert_eq!(ends.len(), 1);
        self.commit_split(ends[0], children);
        self.tell(Event::Resharded { shards: self.settings.shards.clone() });
    }

    /// The catalog closes a shard at its end and opens two others.
    pub fn commit_split(&mut self, (shard, end_sequence): (u32, u64), children: [u32; 2]) {
        let closed = ClosedShard { end_sequence, closed_ms: self.now.wall_ms, children: children.to_vec() };
        let said = self.settings.shards.iter_mut().find(|said| said.number == shard).expect("it is of this log");
        said.closed = Some(closed);
        self.settings.shards.extend(children.map(whole));
    }

    /// The answer to a put, if it has come.
    pub fn answer(&mut self, token: u64) -> Option<Result<Acked, WireError>> {
        let at = self.replies.iter().position(|(answered, _)| *answered == token)?;
        self.replies.remove(at).map(|(_, outcome)| outcome)
    }

    /// Stops the log as a broker does that ends.
    ///
    /// # Panics
    /// When it does not stop at once.
    pub fn stop(&mut self) {
        self.tell(Event::Stop);
        assert!(self.stopped, "the log stops");
        self.kill();
    }

    /// The log is gone; what was in flight has not landed.
    pub fn kill(&mut self) {
        (self.log, self.stopped, self.read_only) = (None, false, None);
        self.lane = LaneBudget::default();
        self.writes.clear();
        self.asked.clear();
        self.replies.clear();
        self.drained.clear();
        self.advanced.clear();
        self.expiries.clear();
    }

    /// What is known of the log before its files are read.
    pub fn on_disk(&self) -> LogOnDisk {
        LogOnDisk {
            id: self.settings.id,
            directory: DIRECTORY,
            shards: self.settings.shard_numbers().collect(),
            ends: self.settings.ends(),
            lowest_kept: self.files.lowest_kept,
            highest_prepared: self.files.highest_prepared,
            files: self.files.numbers(),
        }
    }

    /// How the log, which is down, can take puts again.
    pub fn plan_repair(&self) -> RepairPlan {
        let mut repair = Repair::new(self.on_disk(), &self.recover(), self.now.wall_ms);
        let mut input = None;
        loop {
            match repair.step(input.take()) {
                RepairStep::Read { segment } => input = Some(self.files.read(segment, ReadPlace::Whole)),
                RepairStep::Done(plan) => return *plan,
            }
        }
    }

    /// The chores of a repair in which these losses are accepted.
    pub fn repair_chores(&self, losses: &[Loss]) -> Vec<RepairChore> {
        let mut plan = self.plan_repair();
        plan.forget_lost(losses);
        plan.chores(self.salt(plan.next_segment()))
    }

    /// Does one of them.
    pub fn do_repair_chore(&mut self, chore: &RepairChore) {
        match chore {
            RepairChore::Seal { segment, offset, footer } => {
                self.files.write(*segment, *offset, footer);
                self.files.truncate(*segment, offset + footer.len() as u64);
            }
            RepairChore::Create { segment, bytes } => {
                self.files.highest_prepared = self.files.highest_prepared.max(*segment);
                self.files.segments.insert(*segment, bytes.to_vec());
            }
        }
    }

    /// What recovery finds, before anything is done about it.
    pub fn recover(&self) -> Recovered {
        let mut recovery = Recovery::new(self.on_disk());
        let mut input = None;
        loop {
            match recovery.step(input.take()) {
                RecoveryStep::Read { segment, place } => input = Some(self.files.read(segment, place)),
                RecoveryStep::Done(recovered) => return *recovered,
            }
        }
    }

    /// Recovers the log, does the chores and starts it.
    ///
    /// # Errors
    /// Why the log takes no puts; it is up all the same. What was cut is the answer where it takes them.
    pub fn start(&mut self) -> Result<Option<String>, String> {
        let recovered = self.recover();
        for chore in &recovered.chores {
            match chore {
                Chore::Remove(segment) => drop(self.files.segments.remove(segment)),
                Chore::SetAside(segment) => {
                    let file = self.files.segments.remove(segment).expect("it is there");
                    self.files.set_aside.insert(*segment, file);
                }
                Chore::Seal { segment, offset, footer } => {
                    self.files.write(*segment, *offset, footer);
                    self.files.truncate(*segment, offset + footer.len() as u64);
                }
            }
        }
        let (refused, cut) = (recovered.refused.clone(), recovered.cut.clone());
        self.log = Some(Log::new(self.now, self.settings.clone(), recovered));
        refused.map_or(Ok(cut), Err)
    }

    /// Kills and starts.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<Option<String>, String> {
        self.kill();
        self.start()
    }

    /// One read.
    ///
    /// # Errors
    /// What the log answers.
    pub fn read(&self, shard: u32, position: Position, bytes_max: usize) -> Result<ReadOutcome, WireError> {
        let mut task = match self.log().read(self.now, shard, position, bytes_max)? {
            ReadStart::Ready(outcome) => return Ok(outcome),
            ReadStart::Disk(task) => task,
        };
        let mut input = None;
        loop {
            match task.step(input.take()) {
                ReadStep::Read { segment, place, .. } => input = Some(self.files.read(segment, place)),
                ReadStep::Done(result) => return result,
            }
        }
    }

    /// The data of all records of a shard, read a batch or so at a time.
    ///
    /// # Errors
    /// What the log answers to the first read that fails.
    pub fn read_all(&self, shard: u32) -> Result<Vec<String>, WireError> {
        self.read_from(shard, 0)
    }

    /// The data of all records from a sequence on.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub fn read_from(&self, shard: u32, sequence: u64) -> Result<Vec<String>, WireError> {
        let (mut texts, mut at) = (Vec::new(), sequence);
        let tip = self.tip(shard);
        while at < tip {
            let outcome = self.read(shard, Position::AtSequence(at), 1 << 20)?;
            assert!(outcome.start_sequence == at && outcome.next_sequence > at, "a read gets on");
            for batch in &outcome.batches {
                let first = batch.header().first_sequence;
                let wanted = (first..).zip(batch.records()).filter(|(sequence, _)| *sequence >= at);
                texts.extend(wanted.map(|(_, record)| String::from_utf8_lossy(record.data).into_owned()));
            }
            at = outcome.next_sequence;
        }
        Ok(texts)
    }

    /// What of a shard is readable, as sequence and text, and what is lost; of a log that has expired nothing.
    ///
    /// # Panics
    /// When a read is answered with another error, or does not get on.
    pub fn read_around(&self, shard: u32) -> (Vec<(u64, String)>, Vec<Loss>) {
        let (mut texts, mut losses, mut at) = (Vec::new(), Vec::new(), 0);
        while at < self.tip(shard) {
            // Whoever begins at the horizon is told of what is lost there, too.
            let position = if at == 0 { Position::TrimHorizon } else { Position::AtSequence(at) };
            match self.read(shard, position, 1 << 20) {
                Ok(outcome) => {
                    let begins = outcome.start_sequence == at || (at == 0 && self.files.lowest_kept > 1);
                    assert!(begins && outcome.next_sequence > at, "shard {shard} at {at}: {outcome:?}");
                    for batch in &outcome.batches {
                        let records = (batch.header().first_sequence..).zip(batch.records());
                        let wanted = records.filter(|(sequence, _)| *sequence >= at);
                        texts
                            .extend(wanted.map(|(at, record)| (at, String::from_utf8_lossy(record.data).into_owned())));
                    }
                    at = outcome.next_sequence;
                }
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Damaged, "{error:?}");
                    assert!(error.detail >= at && error.detail_2 >= error.detail, "{error:?} at {at}");
                    losses.push(Loss { shard, first_sequence: error.detail, last_sequence: error.detail_2 });
                    at = error.detail_2 + 1;
                }
            }
        }
        (texts, losses)
    }

    /// Everything before it is durable.
    pub fn tip(&self, shard: u32) -> u64 {
        self.log().tip(shard).expect("the shard is of this log").durable_sequence
    }
}

/// The bytes that a write puts on the disk.
pub fn bytes_of(write: &Write) -> Vec<u8> {
    let mut bytes = [&write.head[..], &write.header[..]].concat();
    write.batches.iter().for_each(|batch| bytes.extend_from_slice(batch));
    bytes.resize(write.len, 0);
    bytes
}

/// A numbered put.
pub fn numbered(id: u64, number: u64) -> ProducerStamp {
    ProducerStamp { id, epoch: 0, number }
}

/// Identity of the rig's data directory.
pub const DIRECTORY: u64 = 0xd1ec;
/// Files are not made longer than this in memory, whatever the log is told; they grow as they are written.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// An open shard that takes every hash key: which record belongs where is looked at elsewhere.
pub fn whole(number: u32) -> LogShard {
    LogShard { number, range: HashRange::FULL, closed: None }
}
