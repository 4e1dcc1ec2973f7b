//! How far a consumer has come: for each shard the next sequence, as a value and as a text for a file.
//!
//! ```text
//!   incarnation 7
//!   shard 0 ended
//!   shard 1 next 4711
//! ```
//!
//! What must hold: reading what was written gives the same; a place goes back only where that is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rheos_protocol::limits::SHARDS_MAX;

use crate::error::Error;

/// Most shards that positions are read of: as many as a stream lists, those included that were split or merged.
const SHARDS_LISTED_MAX: usize = 4 * SHARDS_MAX as usize;

/// How far a consumer has come in each shard.
///
/// [`Consumer::positions`](crate::Consumer::positions) gives what the program has taken. A program that
/// finishes its records later keeps positions of its own and [acknowledges](Self::acknowledge) what is done;
/// what [resumes](crate::ConsumerBuilder::resume) from them gets everything that they do not cover, and
/// nothing that they do.
///
/// ```
/// use rheos_client::Positions;
///
/// let mut done = Positions::default();
/// done.acknowledge(3, 41);
/// assert_eq!(done.to_string(), "shard 3 next 42\n");
/// let read: Positions = done.to_string().parse()?;
/// assert_eq!((read.next(3), read.next(4)), (Some(42), None));
/// # Ok::<(), rheos_client::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// The life of the stream that they belong to, as far as it is known.
    pub(super) incarnation: Option<u64>,
    shards: BTreeMap<u32, Place>,
}

/// How far a shard was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Up to this sequence.
    Next(u64),
    /// To its end, after which its children follow.
    Ended,
}

impl Positions {
    /// Notes that everything in `shard` up to `sequence`, itself included, is finished. A lower sequence
    /// than before changes nothing.
    pub fn acknowledge(&mut self, shard: u32, sequence: u64) {
        self.set(shard, Place::Next(sequence.saturating_add(1)));
    }

    /// Goes back: `shard` is to be read again from `sequence` on, whatever was acknowledged of it.
    pub fn rewind(&mut self, shard: u32, sequence: u64) {
        self.replace(shard, Place::Next(sequence));
    }

    /// The first sequence of `shard` that is not covered; `None` for a shard that was not begun or was
    /// read to its end.
    pub fn next(&self, shard: u32) -> Option<u64> {
        match self.place(shard) {
            Some(Place::Next(sequence)) => Some(sequence),
            Some(Place::Ended) | None => None,
        }
    }

    /// The shards that were begun, those that were read to their end included.
    pub fn shards(&self) -> impl Iterator<Item = u32> {
        self.shards.keys().copied()
    }

    pub(super) fn place(&self, shard: u32) -> Option<Place> {
        self.shards.get(&shard).copied()
    }

    /// Moves a shard on; never back.
    pub(super) fn set(&mut self, shard: u32, place: Place) {
        let before = self.shards.entry(shard).or_insert(place);
        *before = place.max(*before);
    }

    /// Moves a shard to where the program really is, which may be before what it was handed.
    pub(super) fn replace(&mut self, shard: u32, place: Place) {
        self.shards.insert(shard, place);
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(incarnation) = self.incarnation {
            writeln!(f, "incarnation {incarnation}")?;
        }
        for (shard, place) in &self.shards {
            match place {
                Place::Next(sequence) => writeln!(f, "shard {shard} next {sequence}")?,
                Place::Ended => writeln!(f, "shard {shard} ended")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Positions, Error> {
        let mut positions = Positions::default();
        for (line, words) in text.lines().enumerate() {
            let bad = |why: &str| Error::BadPositions { line: line + 1, why: why.to_owned() };
            let words: Vec<&str> = words.split_whitespace().take(5).collect();
            let (shard, place) = match words[..] {
                [] => continue,
                ["incarnation", number] if line == 0 => {
                    positions.incarnation = Some(number.parse().map_err(|_| bad("its incarnation is no number"))?);
                    continue;
                }
                ["shard", shard, "next", sequence] => {
                    (shard, Place::Next(sequence.parse().map_err(|_| bad("its sequence is no number"))?))
                }
                ["shard", shard, "ended"] => (shard, Place::Ended),
                _ => return Err(bad("it is not \"shard NUMBER next SEQUENCE\" or \"shard NUMBER ended\"")),
            };
            let shard: u32 = shard.parse().map_err(|_| bad("its shard is no number"))?;
            if positions.shards.insert(shard, place).is_some() {
                return Err(bad("its shard has a line before"));
            }
            if positions.shards.len() > SHARDS_LISTED_MAX {
                return Err(bad("there are more shards than a stream has"));
            }
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut positions = Positions { incarnation: Some(7), ..Positions::default() };
        positions.acknowledge(3, 41);
        positions.acknowledge(3, 5);
        positions.acknowledge(9, u64::MAX);
        positions.set(4, Place::Ended);
        positions.acknowledge(4, 5);
        let text = positions.to_string();
        assert_eq!(text, format!("incarnation 7\nshard 3 next 42\nshard 4 ended\nshard 9 next {}\n", u64::MAX));
        assert_eq!(text.parse::<Positions>().unwrap(), positions);
        positions.rewind(4, 5);
        positions.rewind(3, 6);
        assert_eq!((positions.next(3), positions.next(4)), (Some(6), Some(5)));
        assert_eq!(Positions::default(), "".parse().unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, why) in [
            ("shard 1 next 2\nshard 1 ended\n", 2, "a line before"),
            ("shard x next 2", 1, "shard is no number"),
            ("incarnation 7\nshard 1 next -2", 2, "sequence is no number"),
            ("shard 1 next 2\nincarnation 7", 2, "is not"),
            ("shard 1 next 2 3", 1, "is not"),
            ("\n\nhello", 3, "is not"),
        ] {
            let error = text.parse::<Positions>().unwrap_err();
            assert!(matches!(&error, Error::BadPositions { line: found, .. } if *found == line), "{text}: {error}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
