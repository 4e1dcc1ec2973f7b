//! Recovery of a log: what its files say after a stop of any kind.
//!
//! ```text
//!   file numbers ─► newest head ─► its carry-over ─► footer ─► last commits      (stopped cleanly)
//!        │              │                              └────► whole scan         (killed)
//!        │              └► no header: a spare, deleted; or rotten, refused
//!        └► missing: refused; unknown: set aside; expired: deleted
//! ```
//!
//! What must hold: nothing that was acknowledged is cut, and what cannot be told apart from it is
//! refused; a refusal is the log's own, the rest serves. It never appends to a segment of an earlier
//! run: the next commit begins a new one, whose header names the end found here.
//!
//! A state machine: it says what it needs to read and is given it.

mod older;
mod repair;
mod salvage;
mod scan;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use crate::carry_over::CarryOver;
use crate::commit::{Commit, SegmentId};
use crate::footer::{self, SegmentEnd, Trailer};
use crate::gap::GapMark;
use crate::index::SegmentIndex;
use crate::limits::BLOCK_BYTES;
use crate::log::{LogId, SegmentFacts};
use crate::reader::ReadPlace;
use crate::segment::{HEAD_BYTES, Header, Label, Predecessor};

pub use older::first_arrival_ms;
pub use repair::{Loss, Repair, RepairChore, RepairPlan, RepairStep};
pub use verdict::{Here, Named, Stop, Verdict, verdict};

use scan::{Head, Scanned, Start, commits_in, scan};

/// What is known of a log before its files are read.
#[derive(Debug, Clone)]
pub struct LogOnDisk {
    /// Which log.
    pub id: LogId,
    /// Identity of the data directory.
    pub directory: u64,
    /// Its shards.
    pub shards: Vec<u32>,
    /// Where its closed shards end, by the catalog.
    pub ends: BTreeMap<u32, u64>,
    /// Segments below this number have expired.
    pub lowest_kept: u64,
    /// No segment above this number was ever made.
    pub highest_prepared: u64,
    /// Numbers of the segment files that are there.
    pub files: BTreeSet<u64>,
}

/// What a log begins with.
#[derive(Debug)]
pub struct Recovered {
    /// Where every shard and producer stands.
    pub state: CarryOver,
    /// Its segments.
    pub segments: RecoveredSegments,
    /// Number of the next commit.
    pub next_commit: u64,
    /// Checksum of the last one.
    pub last_checksum: u64,
    /// Why the log takes no puts, if it does not.
    pub refused: Option<String>,
    /// What was torn and is cut, in the operator's words.
    pub cut: Option<String>,
    /// What is to be done before the log serves, in order.
    pub chores: Vec<Chore>,
    /// Where the chains of commits stopped that were scanned, newest segment first.
    pub stops: Vec<Stop>,
}

/// The segments of a recovered log.
#[derive(Debug, Default)]
pub struct RecoveredSegments {
    /// The lowest number that is kept.
    pub lowest: u64,
    /// The highest number that holds anything; `lowest - 1` when none does.
    pub newest: u64,
    /// Segments whose footer is not on the disk, oldest first.
    pub in_memory: Vec<RecoveredSegment>,
    /// Where the newest segment ends.
    pub end: Option<Predecessor>,
    /// What is known of the lowest.
    pub lowest_facts: Option<SegmentFacts>,
    /// Latest arrival in the log.
    pub last_arrival_ms: u64,
}

/// A segment whose index was made by scanning it.
#[derive(Debug)]
pub struct RecoveredSegment {
    /// Which segment.
    pub id: SegmentId,
    /// Its salt.
    pub salt: u64,
    /// Where it ends.
    pub end: SegmentEnd,
    /// Where its records are.
    pub index: SegmentIndex,
    /// Latest arrival in it, or inherited.
    pub last_arrival_ms: u64,
}

/// A change to the files of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chore {
    /// Remove a segment: it has expired, or is a spare of an earlier run.
    Remove(u64),
    /// Move a segment that the catalog does not know out of the way, and keep it.
    SetAside(u64),
    /// Write a footer and cut the file after it.
    Seal {
        /// The segment.
        segment: u64,
        /// Where the footer goes.
        offset: u64,
        /// Its bytes.
        footer: Bytes,
    },
}

/// What recovery needs next.
#[derive(Debug)]
pub enum RecoveryStep {
    /// Bytes of a segment; fewer when the file ends.
    Read {
        /// Its number.
        segment: u64,
        /// Which bytes.
        place: ReadPlace,
    },
    /// It is done.
    Done(Box<Recovered>),
}

/// A recovery in progress.
#[derive(Debug)]
pub struct Recovery {
    log: LogOnDisk,
    /// Segments that may hold something, oldest first.
    files: Vec<u64>,
    state: State,
    /// The state at the head of the newest segment, when its own copy is damaged.
    inherited: Option<CarryOver>,
    recovered: Recovered,
}

/// The newest segment while it is read.
#[derive(Debug, Clone, Copy)]
struct Newest {
    id: SegmentId,
    salt: u64,
    header: Header,
}

#[derive(Debug)]
enum State {
    Start,
    Head {
        segment: u64,
    },
    SpareStart {
        segment: u64,
        salt: u64,
    },
    Spare {
        segment: u64,
        salt: u64,
    },
    Carry(Newest),
    TornHead(Newest),
    /// What the damaged carry-over said is also at the end of the segment before it.
    InheritedTrailer(Newest),
    InheritedContent(Newest, Trailer),
    Trailer(Newest),
    Footer(Newest, Trailer),
    LastCommits(Newest, Trailer),
    Whole(Newest),
    /// Going back from the newest to the last segment with a footer; the end that its successor names.
    OlderTrailer {
        segment: u64,
        end: Predecessor,
    },
    OlderWhole {
        segment: u64,
        end: Predecessor,
    },
    LowestHead,
    LowestFacts {
        head: Bytes,
    },
    /// The head of a segment after the lowest, `at` places after the first file.
    LowestSuccessor {
        at: usize,
    },
    Over,
}

impl State {
    /// Whether what is read concerns segments before the newest alone.
    fn is_behind_the_end(&self) -> bool {
        matches!(
            self,
            State::InheritedTrailer(_)
                | State::InheritedContent(..)
                | State::OlderTrailer { .. }
                | State::OlderWhole { .. }
                | State::LowestHead
                | State::LowestFacts { .. }
                | State::LowestSuccessor { .. }
        )
    }
}

impl Recovery {
    /// Begins.
    pub fn new(log: LogOnDisk) -> Recovery {
        let recovered = Recovered {
            state: CarryOver::new(log.shards.iter().copied()),
            segments: RecoveredSegments {
                lowest: log.lowest_kept,
                newest: log.lowest_kept.saturating_sub(1),
                ..Default::default()
            },
            next_commit: 0,
            last_checksum: 0,
            refused: None,
            cut: None,
            chores: Vec::new(),
            stops: Vec::new(),
        };
        Recovery { log, files: Vec::new(), state: State::Start, inherited: None, recovered }
    }

    /// Begins, or goes on with the bytes that the last step asked for; `Err` when they could not be read.
    pub fn step(&mut self, input: Option<Result<Bytes, String>>) -> RecoveryStep {
        let state = std::mem::replace(&mut self.state, State::Over);
        let bytes = match input {
            Some(Ok(bytes)) => bytes,
            // What cannot be read there is as good as damaged: reading it says so, and the log goes on.
            Some(Err(_)) if state.is_behind_the_end() => Bytes::new(),
            Some(Err(why)) => {
                self.refuse(format!("a segment cannot be read: {why}"));
                return self.finish();
            }
            None => Bytes::new(),
        };
        match state {
            State::Start => self.start(),
            State::Head { segment } => self.head(segment, &bytes),
            State::SpareStart { segment, salt } => self.spare_start(segment, salt, &bytes),
            State::Spare { segment, salt } => self.spare(segment, salt, &bytes),
            State::Carry(newest) => self.carry(newest, &bytes),
            State::TornHead(newest) => self.torn_head(newest, &bytes),
            State::InheritedTrailer(newest) => self.inherited_trailer(newest, &bytes),
            State::InheritedContent(newest, trailer) => {
                self.inherited = trailer.decode_content(&bytes).ok().map(|(_, state)| state);
                self.ask(State::Trailer(newest), newest.id.segment, ReadPlace::LastBlock)
            }
            State::Trailer(newest) => self.trailer(newest, &bytes),
            State::Footer(newest, trailer) => self.footer(newest, trailer, &bytes),
            State::LastCommits(newest, trailer) => self.last_commits(newest, trailer, &bytes),
            State::Whole(newest) => self.whole(newest, &bytes),
            State::OlderTrailer { segment, end } => self.older_trailer(segment, end, &bytes),
            State::OlderWhole { segment, end } => self.older_whole(segment, end, &bytes),
            State::LowestHead => self.lowest_head(bytes),
            State::LowestFacts { head } => self.lowest_facts(&head, &bytes),
            State::LowestSuccessor { at } => self.lowest_successor(at, &bytes),
            State::Over => panic!("a recovery that is done is not stepped"),
        }
    }

    /// What the bytes are for that were asked for last: one of [`LOOKS_AT`].
    pub fn looks_at(&self) -> &'static str {
        match self.state {
            State::Start | State::Over => "nothing",
            State::Head { .. } => "head",
            State::SpareStart { .. } => "beginning of a spare",
            State::Spare { .. } => "whole spare",
            State::Carry(_) => "carry-over",
            State::TornHead(_) => "torn head",
            State::InheritedTrailer(_) => "trailer of the predecessor",
            State::InheritedContent(..) => "footer of the predecessor",
            State::Trailer(_) => "trailer",
            State::Footer(..) => "footer",
            State::LastCommits(..) => "last commits",
            State::Whole(_) => "whole newest segment",
            State::OlderTrailer { .. } => "older trailer",
            State::OlderWhole { .. } => "whole older segment",
            State::LowestHead => "lowest head",
            State::LowestFacts { .. } => "lowest trailer",
            State::LowestSuccessor { .. } => "head after the lowest",
        }
    }

    /// Judges the files by their numbers alone.
    fn start(&mut self) -> RecoveryStep {
        let (lowest, highest) = (self.log.lowest_kept, self.log.highest_prepared);
        for &number in &self.log.files {
            match number {
                _ if number < lowest => self.recovered.chores.push(Chore::Remove(number)),
                _ if number > highest => self.recovered.chores.push(Chore::SetAside(number)),
                _ => self.files.push(number),
            }
        }
        // The highest may not have been made when the broker stopped, or was a spare and deleted at
        // an earlier start. Each one below it was in use before the next was prepared.
        let missing: Vec<_> = (lowest..highest).filter(|number| !self.log.files.contains(number)).collect();
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            self.refuse(format!("segments {first} to {last} are missing"));
        }
        self.look_at_newest()
    }

    fn look_at_newest(&mut self) -> RecoveryStep {
        match self.files.last() {
            Some(&segment) => self.ask(State::Head { segment }, segment, ReadPlace::At(0, HEAD_BYTES as usize)),
            None => self.finish(),
        }
    }

    fn head(&mut self, segment: u64, bytes: &Bytes) -> RecoveryStep {
        let id = self.id(segment);
        let label = match Label::decode(bytes) {
            Ok(label) if label.segment == id && label.directory == self.log.directory => label,
            Err(_) if GapMark::decode(bytes).is_ok() => {
                return self.refuse_newest(segment, "is lost, and its repair was not finished");
            }
            // A file gets its name after its label is on the disk, so this is no leftover of a crash.
            Ok(_) => return self.refuse_newest(segment, "belongs to another log or data directory"),
            Err(bad) => return self.refuse_newest(segment, &format!("has no valid label ({bad})")),
        };
        match Header::decode_either(bytes, id, label.salt) {
            Ok(header) => {
                let place = ReadPlace::At(HEAD_BYTES, (header.first_offset() - HEAD_BYTES) as usize);
                self.ask(State::Carry(Newest { id, salt: label.salt, header }), segment, place)
            }
            Err(_) if segment < self.log.highest_prepared => {
                self.refuse_newest(segment, "was in use and has no valid header")
            }
            Err(_) => {
                let place = ReadPlace::At(0, SPARE_START_BYTES);
                self.ask(State::SpareStart { segment, salt: label.salt }, segment, place)
            }
        }
    }

    fn spare_start(&mut self, segment: u64, salt: u64, bytes: &Bytes) -> RecoveryStep {
        let untouched = bytes.get(BLOCK_BYTES as usize..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
        if untouched {
            return self.remove_spare(segment);
        }
        self.ask(State::Spare { segment, salt }, segment, ReadPlace::Whole)
    }

    /// No header, and something was written: the first write is torn, and then nothing else was
    /// written; or the head is rotten.
    fn spare(&mut self, segment: u64, salt: u64, bytes: &Bytes) -> RecoveryStep {
        if commits_in(self.id(segment), salt, bytes) > 1 {
            return self.refuse_newest(segment, "has commits and no valid header");
        }
        self.torn_first_write(segment)
    }

    fn remove_spare(&mut self, segment: u64) -> RecoveryStep {
        self.files.pop();
        self.recovered.chores.push(Chore::Remove(segment));
        self.look_at_newest()
    }

    fn refuse_newest(&mut self, segment: u64, why: &str) -> RecoveryStep {
        self.refuse(format!("segment {segment} {why}"));
        self.files.pop();
        self.look_at_newest()
    }

    fn carry(&mut self, newest: Newest, bytes: &Bytes) -> RecoveryStep {
        match newest.header.decode_carry_over(bytes, newest.salt) {
            Ok(state) => self.recovered.state = with_shards(state, &self.log.shards),
            Err(_) => return self.ask(State::TornHead(newest), newest.id.segment, ReadPlace::Whole),
        }
        self.ask(State::Trailer(newest), newest.id.segment, ReadPlace::LastBlock)
    }

    /// The header is there, and what it says of the carry-over is not: the first write is torn, or the
    /// head is rotten, which a second commit or a footer proves.
    fn torn_head(&mut self, newest: Newest, bytes: &Bytes) -> RecoveryStep {
        let segment = newest.id.segment;
        let in_use = segment < self.log.highest_prepared || own_trailer(newest, bytes).is_some();
        if !in_use && commits_in(newest.id, newest.salt, bytes) < 2 {
            return self.torn_first_write(segment);
        }
        self.refuse(format!("the carry-over at the head of segment {segment} is damaged"));
        if self.files.contains(&(segment - 1)) {
            return self.ask(State::InheritedTrailer(newest), segment - 1, ReadPlace::LastBlock);
        }
        self.ask(State::Trailer(newest), segment, ReadPlace::LastBlock)
    }

    fn inherited_trailer(&mut self, newest: Newest, bytes: &[u8]) -> RecoveryStep {
        let segment = newest.id.segment;
        match Trailer::decode(bytes, self.id(segment - 1)) {
            Ok(trailer) if is_end_of(&trailer, newest.header.predecessor) => {
                let (offset, len) = trailer.content();
                let place = ReadPlace::At(offset, len.next_multiple_of(BLOCK_BYTES as usize));
                self.ask(State::InheritedContent(newest, trailer), segment - 1, place)
            }
            _ => self.ask(State::Trailer(newest), segment, ReadPlace::LastBlock),
        }
    }

    fn torn_first_write(&mut self, segment: u64) -> RecoveryStep {
        self.recovered.cut =
            Some(format!("the first write of segment {segment} was torn; it held nothing acknowledged"));
        self.remove_spare(segment)
    }

    fn trailer(&mut self, newest: Newest, bytes: &Bytes) -> RecoveryStep {
        let segment = newest.id.segment;
        match Trailer::decode(bytes, newest.id) {
            Ok(trailer) if trailer.salt == newest.salt => {
                let (offset, len) = trailer.content();
                let place = ReadPlace::At(offset, len.next_multiple_of(BLOCK_BYTES as usize));
                self.ask(State::Footer(newest, trailer), segment, place)
            }
            _ => self.ask(State::Whole(newest), segment, ReadPlace::Whole),
        }
    }

    fn footer(&mut self, newest: Newest, trailer: Trailer, bytes: &Bytes) -> RecoveryStep {
        let segment = newest.id.segment;
        match trailer.decode_content(bytes) {
            Ok((_, state)) => {
                self.recovered.state = with_shards(state, &self.log.shards);
                let from = trailer.end.last_data_offset.max(newest.header.first_offset());
                let len = (trailer.end.offset.saturating_sub(from)) as usize;
                if len == 0 {
                    return self.ended_by_footer(newest, trailer);
                }
                self.ask(State::LastCommits(newest, trailer), segment, ReadPlace::At(from, len))
            }
            _ => self.ask(State::Whole(newest), segment, ReadPlace::Whole),
        }
    }

    /// The footer says where the segment ends. That the last commits are whole is looked at all the
    /// same: after a clean stop there is no later commit that could tell.
    fn last_commits(&mut self, newest: Newest, trailer: Trailer, bytes: &Bytes) -> RecoveryStep {
        let mut offset = trailer.end.last_data_offset.max(newest.header.first_offset());
        let from = offset;
        let mut checksum = 0;
        while offset < trailer.end.offset {
            let here = bytes.slice(((offset - from) as usize).min(bytes.len())..);
            match Commit::parse(&here, newest.id, offset, newest.salt) {
                Ok(commit) => (offset, checksum) = (commit.header.end(), commit.checksum),
                // The whole segment is read, to say what is lost and to keep the rest readable.
                Err(_) => return self.ask(State::Whole(newest), newest.id.segment, ReadPlace::Whole),
            }
        }
        if offset != trailer.end.offset || checksum != trailer.end.last_checksum {
            return self.ask(State::Whole(newest), newest.id.segment, ReadPlace::Whole);
        }
        self.ended_by_footer(newest, trailer)
    }

    fn ended_by_footer(&mut self, newest: Newest, trailer: Trailer) -> RecoveryStep {
        self.recovered.next_commit = trailer.end.next_commit;
        self.recovered.last_checksum = trailer.end.last_checksum;
        self.recovered.segments.newest = newest.id.segment;
        self.recovered.segments.end =
            Some(Predecessor { end: trailer.end.offset, last_checksum: trailer.end.last_checksum });
        self.recovered.segments.last_arrival_ms = trailer.last_arrival_ms;
        self.older(newest)
    }

    fn whole(&mut self, newest: Newest, bytes: &Bytes) -> RecoveryStep {
        let segment = newest.id.segment;
        let header = newest.header;
        // A valid trailer names the end as a successor does.
        let trailer = own_trailer(newest, bytes);
        let named = trailer.map(|trailer| trailer.end.offset);
        // The state may come from the footer by now; the scan begins at the head.
        let inherited =
            bytes.get(HEAD_BYTES as usize..).and_then(|rest| header.decode_carry_over(rest, newest.salt).ok());
        let head = if inherited.is_some() { Head::Whole } else { Head::NoCarryOver };
        let inherited = inherited.or(self.inherited.take()).unwrap_or_default();
        self.recovered.state = with_shards(inherited, &self.log.shards);
        let start = Start::after(&header, head);
        let scanned = scan(newest.id, newest.salt, start, bytes, named, &mut self.recovered.state);
        if let Some(why) = &scanned.refused {
            self.refuse(why.clone());
            // What is lost is lost, and its sequences are not given again.
            if let Some((_, end)) = trailer.and_then(|trailer| content_of(&trailer, bytes)) {
                self.recovered.state.raise(&end);
            }
        }
        if scanned.cut_bytes > 0 {
            self.recovered.cut = Some(format!(
                "cut {} bytes of a torn write at offset {} of segment {segment}; nothing in them was acknowledged",
                scanned.cut_bytes, scanned.end.offset
            ));
        }
        self.recovered.next_commit = scanned.end.next_commit;
        self.recovered.last_checksum = scanned.end.last_checksum;
        self.recovered.segments.newest = segment;
        self.recovered.segments.end =
            Some(Predecessor { end: scanned.end.offset, last_checksum: scanned.end.last_checksum });
        self.recovered.segments.last_arrival_ms = scanned.last_arrival_ms;
        if self.recovered.refused.is_none() {
            self.seal_chore(newest.id, newest.salt, &scanned, &self.recovered.state.clone());
        }
        self.keep_in_memory(newest.id, newest.salt, scanned);
        self.older(newest)
    }

    fn seal_chore(&mut self, id: SegmentId, salt: u64, scanned: &Scanned, state: &CarryOver) {
        let mut carry_out = BytesMut::new();
        state.encode(&mut carry_out);
        let footer = footer::encode(id, salt, scanned.end, &scanned.index, &carry_out, scanned.last_arrival_ms);
        self.recovered.chores.push(Chore::Seal { segment: id.segment, offset: scanned.end.offset, footer });
    }

    fn keep_in_memory(&mut self, id: SegmentId, salt: u64, scanned: Scanned) {
        let Scanned { end, index, last_arrival_ms, stop, .. } = scanned;
        self.recovered.stops.extend(stop);
        self.recovered.segments.in_memory.insert(0, RecoveredSegment { id, salt, end, index, last_arrival_ms });
    }

    fn refuse(&mut self, why: String) {
        self.recovered.refused.get_or_insert(why);
    }

    fn finish(&mut self) -> RecoveryStep {
        self.compare_ends();
        let empty = Recovered {
            state: CarryOver::default(),
            segments: RecoveredSegments::default(),
            next_commit: 0,
            last_checksum: 0,
            refused: None,
            cut: None,
            chores: Vec::new(),
            stops: Vec::new(),
        };
        RecoveryStep::Done(Box::new(std::mem::replace(&mut self.recovered, empty)))
    }

    /// What is closed was on the disk up to its end when the catalog closed it, and nothing has come since.
    fn compare_ends(&mut self) {
        let wrong = self.recovered.state.shards.iter().find_map(|found| {
            let (shard, next) = (found.shard, found.next_sequence);
            match self.log.ends.get(&shard) {
                Some(end) if *end == next => None,
                Some(end) => {
                    Some(format!("shard {shard} was closed at sequence {end}, and its records end before {next}"))
                }
                None if found.closed && self.log.shards.contains(&shard) => {
                    Some(format!("shard {shard} was closed at sequence {next}, and the catalog has it open"))
                }
                None => None,
            }
        });
        if let Some(why) = wrong {
            self.refuse(why);
        }
    }

    fn ask(&mut self, state: State, segment: u64, place: ReadPlace) -> RecoveryStep {
        self.state = state;
        RecoveryStep::Read { segment, place }
    }

    fn id(&self, segment: u64) -> SegmentId {
        SegmentId { incarnation: self.log.id.incarnation, log: self.log.id.log, segment }
    }
}

/// The index of a segment without a footer, from the whole file: its salt, its end and where its
/// records are. `None` when its label or head is damaged.
pub(crate) fn rebuild(segment: SegmentId, bytes: &Bytes, named_end: Option<u64>) -> Option<(u64, u64, SegmentIndex)> {
    let (salt, header, mut state) = open_whole(segment, bytes)?;
    let scanned = scan(segment, salt, Start::after(&header, Head::Whole), bytes, named_end, &mut state);
    Some((salt, scanned.end.offset, scanned.index))
}

fn open_whole(segment: SegmentId, bytes: &Bytes) -> Option<(u64, Header, CarryOver)> {
    let label = Label::decode(bytes).ok().filter(|label| label.segment == segment)?;
    let header = Header::decode_either(bytes, segment, label.salt).ok()?;
    let state = header.decode_carry_over(bytes.get(HEAD_BYTES as usize..)?, label.salt).ok()?;
    Some((label.salt, header, state))
}

/// Whether a trailer says what the successor does. Who does not know the salt cannot know the checksum either.
fn is_end_of(trailer: &Trailer, named: Option<Predecessor>) -> bool {
    named == Some(Predecessor { end: trailer.end.offset, last_checksum: trailer.end.last_checksum })
}

/// The trailer that ends a whole file, when it knows the salt; record data may imitate the rest of it.
fn own_trailer(newest: Newest, bytes: &[u8]) -> Option<Trailer> {
    let last_block = bytes.get(bytes.len().saturating_sub(BLOCK_BYTES as usize)..)?;
    Trailer::decode(last_block, newest.id).ok().filter(|trailer| trailer.salt == newest.salt)
}

fn content_of(trailer: &Trailer, bytes: &[u8]) -> Option<(SegmentIndex, CarryOver)> {
    trailer.decode_content(bytes.get(trailer.content().0 as usize..)?).ok()
}

/// The state with every shard that the catalog knows: one that was made later has stored nothing.
fn with_shards(mut state: CarryOver, shards: &[u32]) -> CarryOver {
    for shard in shards {
        state.shard_or_new(*shard);
    }
    state
}

/// Everything that a recovery may have to look at.
pub const LOOKS_AT: [&str; 16] = [
    "head",
    "beginning of a spare",
    "whole spare",
    "carry-over",
    "torn head",
    "trailer of the predecessor",
    "footer of the predecessor",
    "trailer",
    "footer",
    "last commits",
    "whole newest segment",
    "older trailer",
    "whole older segment",
    "lowest head",
    "lowest trailer",
    "head after the lowest",
];

/// Where a spare is looked at for signs of use: label, headers, and the beginning of what follows.
const SPARE_START_BYTES: usize = 64 << 10;
