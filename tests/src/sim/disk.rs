//! The simulated disk: the segment files of every log, and what the catalog has made durable.
//!
//! A file is whole blocks. A write lands block by block, in any order, and a crash may keep any of
//! the blocks of a write that was on its way; what was completed stays. What is here is what the
//! next start finds: there is no cache above it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rheos_core::limits::BLOCK_BYTES;
use rheos_core::reader::ReadPlace;

use crate::random::Random;

/// How much of a write lands that does not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// Nothing.
    None,
    /// Everything, late.
    All,
    /// The blocks from the first one on, up to some place.
    Prefix,
    /// Any of the blocks.
    Some,
}

impl Landing {
    /// Any of them.
    pub fn any(random: &mut Random) -> Landing {
        random.one_of(&[Landing::None, Landing::All, Landing::Prefix, Landing::Some, Landing::Some])
    }
}

/// The files of one log, and what the catalog says of it.
#[derive(Debug, Clone)]
pub struct LogFiles {
    /// The segments by number.
    pub segments: BTreeMap<u64, Vec<u8>>,
    /// Segments that recovery did not know, by number.
    pub set_aside: BTreeMap<u64, Vec<u8>>,
    /// Segments that the disk does not give back.
    pub unreadable: BTreeSet<u64>,
    /// Segments below this one have expired.
    pub lowest_kept: u64,
    /// No segment above this one was ever made.
    pub highest_prepared: u64,
}

impl Default for LogFiles {
    fn default() -> LogFiles {
        LogFiles {
            segments: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            lowest_kept: 1,
            highest_prepared: 0,
        }
    }
}

impl LogFiles {
    /// The numbers of the segment files.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.segments.keys().copied().collect()
    }

    /// Reads as the broker does: fewer bytes where the file ends.
    ///
    /// # Errors
    /// There is no such file, or it is unreadable.
    pub fn read(&self, segment: u64, place: ReadPlace) -> Result<Bytes, String> {
        let file = self.segments.get(&segment).ok_or_else(|| format!("segment {segment} does not exist"))?;
        if self.unreadable.contains(&segment) {
            return Err("input/output error".to_owned());
        }
        let (from, to) = match place {
            ReadPlace::At(offset, len) => {
                assert!(
                    offset.is_multiple_of(BLOCK_BYTES) && len.is_multiple_of(BLOCK_BYTES as usize),
                    "direct reads are whole blocks"
                );
                let from = (offset as usize).min(file.len());
                (from, from.saturating_add(len).min(file.len()))
            }
            ReadPlace::LastBlock => (file.len().saturating_sub(BLOCK_BYTES as usize), file.len()),
            ReadPlace::Whole => (0, file.len()),
        };
        Ok(Bytes::copy_from_slice(&file[from..to]))
    }

    /// Makes a segment file: its label, then zeros.
    pub fn make(&mut self, segment: u64, label: &[u8], bytes: u64) {
        let mut file = label.to_vec();
        file.resize((bytes as usize).max(label.len()), 0);
        self.segments.insert(segment, file);
    }

    /// A write that completes.
    pub fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) {
        for at in 0..bytes.len() / BLOCK_BYTES as usize {
            self.write_block(segment, offset, bytes, at);
        }
    }

    /// A write of which only some lands.
    pub fn land(&mut self, segment: u64, offset: u64, bytes: &[u8], landing: Landing, random: &mut Random) {
        let count = bytes.len() / BLOCK_BYTES as usize;
        let prefix = random.below(count as u64 + 1) as usize;
        let percent = random.within(1..100);
        for at in 0..count {
            let lands = match landing {
                Landing::None => false,
                Landing::All => true,
                Landing::Prefix => at < prefix,
                Landing::Some => random.below(100) < percent,
            };
            if lands {
                self.write_block(segment, offset, bytes, at);
            }
        }
    }

    /// Cuts a file.
    pub fn truncate(&mut self, segment: u64, len: u64) {
        self.file(segment).truncate(len as usize);
    }

    fn write_block(&mut self, segment: u64, offset: u64, bytes: &[u8], at: usize) {
        const BLOCK: usize = BLOCK_BYTES as usize;
        assert!(
            offset.is_multiple_of(BLOCK_BYTES) && bytes.len().is_multiple_of(BLOCK),
            "direct writes are whole blocks"
        );
        let from = offset as usize + at * BLOCK;
        let file = self.file(segment);
        if file.len() < from + BLOCK {
            file.resize(from + BLOCK, 0);
        }
        file[from..from + BLOCK].copy_from_slice(&bytes[at * BLOCK..(at + 1) * BLOCK]);
    }

    fn file(&mut self, segment: u64) -> &mut Vec<u8> {
        self.segments.get_mut(&segment).expect("what is written to was made")
    }
}
