//! Sequence numbers as AWS writes them, made of what rheos knows of a record.
//!
//! ```text
//! bits  185..184  2   constant: binary 10                   hex digit  0
//!       183..148 36   second in which the shard was created        1..9
//!       147..144  4   low nibble of the shard's number              10
//!       143.. 80 64   index: 0 at the shard's start,             11..26
//!                     sequence + 1 of a record, 2^63 - 1 at the shard's end
//!        79.. 72  8   mark: 0, or 1 for a place after a record   27..28
//!        71.. 36 36   second of arrival                          29..37
//!        35..  4 32   number of the shard                        38..45
//!         3..  0  4   version = 2                                    46
//! ```
//!
//! That is AWS's version 2, 47 hexadecimal digits, written in decimal. A number of a record is decoded without a
//! table, so a record's number never changes and costs nothing to keep. Numbers that belong to no record have
//! their place among the others, by the index and the mark; the second of arrival orders only places after
//! one record, and takes no part in where reading begins.
//!
//! What must hold: a [`SequenceNumber`] is of version 2 and of a shard that can be; it is ordered as the number it
//! is written as; a later record of a shard has a larger one. This never looks whether there is such a record.

mod decimal;
mod foreign;
mod start;

use std::fmt;

use crate::shard_id::ShardId;

pub use self::start::{UsedOn, check_ordering, starting_number};

use self::foreign::Foreign;

/// Shards were created before this second since 1970, or AWS does not take the number (it is in the year 2477).
pub const CREATED_S_END: u64 = 16_025_175_000;
/// The end of what 36 bits hold.
const SECONDS_END: u64 = 1 << 36;
/// The index of a closed shard's end.
const INDEX_AT_END: u64 = i64::MAX as u64;
/// The largest sequence that has a number.
pub const SEQUENCE_MAX: u64 = INDEX_AT_END - 2;
/// The first of the bytes: digit 0, and a blank one before it that makes the number of digits even.
const HEAD: u8 = 0x02;
const VERSION: u8 = 2;
const BYTES: usize = 24;

/// A sequence number of version 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    /// Big-endian, so that the order of the bytes is the order of the numbers.
    bytes: [u8; BYTES],
}

/// What a number says of its place in the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before every record of the shard: its StartingSequenceNumber.
    Start,
    /// The record with this sequence.
    Record(u64),
    /// After the record with the sequence before this one, and before the record with this sequence.
    Before(u64),
    /// After every record of a closed shard: its EndingSequenceNumber.
    End,
}

impl SequenceNumber {
    /// The number of a record.
    ///
    /// # Panics
    ///
    /// When the sequence is above [`SEQUENCE_MAX`] or a second is none that the layout has room for.
    pub fn of_record(shard: ShardId, created_s: u64, sequence: u64, arrival_s: u64) -> SequenceNumber {
        assert!(sequence <= SEQUENCE_MAX, "a shard has fewer records than that");
        SequenceNumber::new(shard, created_s, sequence + 1, 0, arrival_s)
    }

    /// The number of a shard's start, which belongs to no record.
    ///
    /// # Panics
    ///
    /// When the second is none that the layout has room for.
    pub fn of_start(shard: ShardId, created_s: u64) -> SequenceNumber {
        SequenceNumber::new(shard, created_s, 0, 0, created_s)
    }

    /// The number of a closed shard's end, larger than that of every record.
    ///
    /// # Panics
    ///
    /// When a second is none that the layout has room for.
    pub fn of_end(shard: ShardId, created_s: u64, closed_s: u64) -> SequenceNumber {
        SequenceNumber::new(shard, created_s, INDEX_AT_END, 0, closed_s)
    }

    /// The number of the place before the record with this sequence, whether there is one yet or not.
    ///
    /// It belongs to no record, and reading at it or after it begins at `sequence`: what a subscriber without a
    /// new record continues from. A later second gives a larger number of the same place.
    ///
    /// # Panics
    ///
    /// When the sequence is above [`SEQUENCE_MAX`] or a second is none that the layout has room for.
    pub fn of_place_before(shard: ShardId, created_s: u64, sequence: u64, now_s: u64) -> SequenceNumber {
        assert!(sequence <= SEQUENCE_MAX, "a shard has fewer records than that");
        SequenceNumber::new(shard, created_s, sequence, 1, now_s)
    }

    /// The shard that it is of.
    pub fn shard(&self) -> ShardId {
        ShardId::new(self.shard_number()).expect("only numbers of shards that can be are made")
    }

    /// The second since 1970 in which its shard was created.
    pub fn created_s(&self) -> u64 {
        self.created_and_nibble() >> 4
    }

    /// The second since 1970 of the record's arrival, of the shard's creation or close, or in which a place was named.
    pub fn arrival_s(&self) -> u64 {
        (self.tail() >> 36) as u64
    }

    /// Where in its shard it is.
    pub fn place(&self) -> Place {
        match (self.index(), self.mark()) {
            (INDEX_AT_END, _) => Place::End,
            (0, 0) => Place::Start,
            (index, 0) => Place::Record(index - 1),
            (index, _) => Place::Before(index),
        }
    }

    /// The sequence that reading **at** this number begins with. `u64::MAX` is beyond every record.
    pub fn first_at(&self) -> u64 {
        match self.place() {
            Place::Start => 0,
            Place::Record(sequence) | Place::Before(sequence) => sequence,
            Place::End => u64::MAX,
        }
    }

    /// The sequence that reading **after** this number begins with. `u64::MAX` is beyond every record.
    pub fn first_after(&self) -> u64 {
        match self.place() {
            Place::Record(sequence) => sequence + 1,
            Place::Start | Place::Before(_) | Place::End => self.first_at(),
        }
    }

    /// Reads the decimal text of a number of version 2, of any shard.
    pub fn parse(text: &str) -> Option<SequenceNumber> {
        match Foreign::read(text)? {
            Foreign::Current(number) => Some(number),
            Foreign::Old { .. } => None,
        }
    }

    fn new(shard: ShardId, created_s: u64, index: u64, mark: u8, arrival_s: u64) -> SequenceNumber {
        assert!(created_s < CREATED_S_END && arrival_s < SECONDS_END, "the layout has no room for that second");
        let number = shard.number();
        let created_and_nibble = created_s << 4 | u64::from(number & 0xf);
        let tail = u128::from(arrival_s) << 36 | u128::from(number) << 4 | u128::from(VERSION);
        let mut bytes = [0; BYTES];
        bytes[0] = HEAD;
        bytes[1..6].copy_from_slice(&created_and_nibble.to_be_bytes()[3..]);
        bytes[6..14].copy_from_slice(&index.to_be_bytes());
        bytes[14] = mark;
        bytes[15..].copy_from_slice(&tail.to_be_bytes()[7..]);
        SequenceNumber { bytes }
    }

    fn created_and_nibble(&self) -> u64 {
        self.bytes[1..6].iter().fold(0, |so_far, byte| so_far << 8 | u64::from(*byte))
    }

    fn index(&self) -> u64 {
        u64::from_be_bytes(self.bytes[6..14].try_into().expect("that is eight bytes"))
    }

    fn mark(&self) -> u8 {
        self.bytes[14]
    }

    /// Arrival, shard and version.
    fn tail(&self) -> u128 {
        self.bytes[15..].iter().fold(0, |so_far, byte| so_far << 8 | u128::from(*byte))
    }

    fn shard_number(&self) -> u32 {
        (self.tail() >> 4) as u32
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(decimal::Decimal::of(self.bytes).as_str())
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceNumber({self}: {:?} of {})", self.place(), self.shard())
    }
}

#[cfg(test)]
mod tests;
