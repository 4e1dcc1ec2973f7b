//! The search: which segment a read begins in, and where in it.

use bytes::Bytes;
use rheos_protocol::wire::FieldReader;

use super::damage::trimmed;
use super::{HEAD, ReadPlace, ReadStep, ReadTask, State, Target, Window};
use crate::carry_over::{COUNTS_BYTES, SHARD_BYTES, ShardState, decode_shard};
use crate::commit::SegmentId;
use crate::footer::Trailer;
use crate::gap::GapMark;
use crate::index::{IndexEntry, entry_of_arrival, entry_of_sequence};
use crate::limits::BLOCK_BYTES;
use crate::planted::Bug;
use crate::recovery::rebuild;
use crate::segment::{HEAD_BYTES, Header, Label};

impl ReadTask {
    /// Looks for the last segment that the shard enters before the target, by halves. What the target
    /// is not before is the lowest: whether it is before that one too is asked there.
    pub(super) fn search(&mut self, low: u64, high: u64) -> ReadStep {
        if high <= low {
            return self.leave_sealed();
        }
        let sequence_wanted = matches!(self.target, Target::Sequence(_));
        if high - low == 1 && !(low == self.sealed.start && sequence_wanted) {
            return self.open(low);
        }
        let middle = low + (high - low) / 2;
        self.ask(State::SearchHead { low, high, middle }, middle, HEAD, true)
    }

    pub(super) fn search_head(&mut self, low: u64, high: u64, middle: u64, bytes: &[u8]) -> ReadStep {
        match head_of(self.segment(middle), bytes) {
            Some((header, salt)) => {
                let place = blocks(HEAD_BYTES, header.carry_over_len as usize);
                self.ask(State::SearchCarry { low, high, middle, header, salt }, middle, place, true)
            }
            None => self.search_beside(low, high, middle),
        }
    }

    pub(super) fn search_carry(
        &mut self,
        low: u64,
        high: u64,
        middle: u64,
        header: &Header,
        salt: u64,
        bytes: &[u8],
    ) -> ReadStep {
        let Some(entered) = carry_of(header, salt, bytes, self.shard) else {
            return self.search_beside(low, high, middle);
        };
        let before = match self.target {
            Target::Sequence(sequence) => entered.next_sequence <= sequence,
            Target::Arrival(arrival_ms) => entered.last_arrival_ms < arrival_ms,
        };
        if before && matches!(self.target, Target::Arrival(_)) {
            self.passed = Some(entered.next_sequence);
        }
        match (before, high - low) {
            (true, 1) => self.open(middle),
            (false, 1) => self.fail(trimmed(entered.next_sequence)),
            (true, _) => self.search(middle, high),
            (false, _) => self.search(low, middle),
        }
    }

    /// The head in the middle is damaged: the search goes on without it.
    pub(super) fn search_beside(&mut self, low: u64, high: u64, middle: u64) -> ReadStep {
        if middle + 1 < high {
            return self.ask(State::SearchHead { low, high, middle: middle + 1 }, middle + 1, HEAD, true);
        }
        if high - low == 1 {
            return self.open(low);
        }
        // All of them up to `high` are damaged: begin before them, and come to them in order.
        self.search(low, low + (high - low) / 2)
    }

    pub(super) fn open(&mut self, segment: u64) -> ReadStep {
        self.ask(State::OpenHead { segment }, segment, HEAD, true)
    }

    /// A trailer names a salt, which anybody can; the head says whether it is the segment's.
    pub(super) fn trailer(&mut self, segment: u64, head: &[u8], bytes: &[u8]) -> ReadStep {
        match Trailer::decode(bytes, self.segment(segment)) {
            Ok(trailer) if is_salt_of(self.segment(segment), head, trailer.salt) => {
                let (offset, len) = trailer.content();
                self.ask(State::Index { trailer }, segment, blocks(offset, len), true)
            }
            _ => self.rebuild(segment),
        }
    }

    pub(super) fn index(&mut self, trailer: &Trailer, bytes: &[u8]) -> ReadStep {
        let segment = trailer.segment.segment;
        match trailer.entries_of(bytes, self.shard) {
            Ok(entries) => self.enter_entries(segment, trailer.salt, trailer.end.offset, entries),
            Err(_) => self.rebuild(segment),
        }
    }

    /// Without its footer a segment is read whole, up to the end that its successor names.
    pub(super) fn rebuild(&mut self, segment: u64) -> ReadStep {
        // One that is not sealed may be a spare whose head is still to be written.
        let keep = segment + 1 < self.sealed.end;
        self.ask(State::Successor { segment }, segment + 1, HEAD, keep)
    }

    pub(super) fn successor(&mut self, segment: u64, bytes: &[u8]) -> ReadStep {
        let head = head_of(self.segment(segment + 1), bytes);
        let end = head.and_then(|(header, _)| header.predecessor).map(|predecessor| predecessor.end);
        self.ask(State::Whole { segment, end }, segment, ReadPlace::Whole, false)
    }

    pub(super) fn whole(&mut self, segment: u64, end: Option<u64>, bytes: &Bytes) -> ReadStep {
        match rebuild(self.segment(segment), bytes, end) {
            Some((salt, end, index)) => self.enter_entries(segment, salt, end, index.of_shard(self.shard).to_vec()),
            None if GapMark::decode(bytes).is_ok() => self.damage(segment, None, "their segment is lost"),
            None => self.damage(segment, None, "its label or head is damaged"),
        }
    }

    pub(super) fn enter_entries(&mut self, segment: u64, salt: u64, end: u64, entries: Vec<IndexEntry>) -> ReadStep {
        if entries.is_empty() {
            return self.next_segment(segment);
        }
        let at = match self.wanted() {
            Some(sequence) => entry_of_sequence(&entries, sequence).unwrap_or(0),
            None => match self.target {
                Target::Arrival(arrival_ms) => entry_of_arrival(&entries, arrival_ms),
                Target::Sequence(_) => 0,
            },
        };
        if at > 0 {
            // What stands before is not looked at.
            self.passed = None;
        }
        let entries = entries[at..].to_vec();
        let segment = self.segment(segment);
        self.enter(Window { segment, salt, end, begins_here: true, after: None, entries })
    }
}

/// The whole blocks that hold `len` bytes from `offset`, which begins a block.
pub(super) fn blocks(offset: u64, len: usize) -> ReadPlace {
    assert_eq!(offset % BLOCK_BYTES, 0, "what is read stands at the beginning of a block");
    ReadPlace::At(offset, len.next_multiple_of(BLOCK_BYTES as usize))
}

/// Whether a salt is the one of a segment: its label says so, or a header is proved by it.
pub(super) fn is_salt_of(segment: SegmentId, head: &[u8], salt: u64) -> bool {
    Label::decode(head).is_ok_and(|label| label.segment == segment && label.salt == salt)
        || Header::decode_either(head, segment, salt).is_ok()
}

pub(super) fn head_of(segment: SegmentId, bytes: &[u8]) -> Option<(Header, u64)> {
    let label = Label::decode(bytes).ok().filter(|label| label.segment == segment)?;
    Some((Header::decode_either(bytes, segment, label.salt).ok()?, label.salt))
}

/// A shard's place in a carry-over, whose checksum is proved; its producers are not looked at. One that is not listed
/// was opened later, and has stored nothing by then.
pub(super) fn carry_of(header: &Header, salt: u64, bytes: &[u8], shard: u32) -> Option<ShardState> {
    let bytes = bytes.get(..header.carry_over_len as usize)?;
    if xxhash_rust::xxh3::xxh3_64_with_seed(bytes, salt) != header.carry_over_checksum {
        return None;
    }
    let count = FieldReader::new("carry-over", bytes).u32().ok()? as usize;
    let table = bytes.get(COUNTS_BYTES..COUNTS_BYTES + count * SHARD_BYTES)?;
    let state = |at: usize| {
        decode_shard(&mut FieldReader::new("carry-over", &table[at * SHARD_BYTES..(at + 1) * SHARD_BYTES])).ok()
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = (low + high) / 2;
        let found = state(middle)?;
        match found.shard.cmp(&shard) {
            std::cmp::Ordering::Equal => return Some(found),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    (!Bug::ChildrenUnknown.is_planted()).then(|| ShardState::new(shard))
}
