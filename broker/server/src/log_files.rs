//! The files of a log for a tool that works while no broker runs: as they are, or as they would be after the
//! chores of a repair.
//!
//! Nothing is written here. What a repair would lead to is read in the same way as what it has led to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use rheos_core::limits::{BLOCK_BYTES, SEGMENT_FILE_BYTES_MAX};
use rheos_core::log::LogId;
use rheos_core::reader::ReadPlace;
use rheos_core::recovery::RepairChore;

use crate::directory::Layout;
use crate::recover::read_place;

/// The segments of one log.
#[derive(Debug)]
pub(crate) struct LogFiles<'a> {
    layout: &'a Layout,
    log: LogId,
    /// Chores that are taken as done, by segment.
    done: BTreeMap<u64, &'a RepairChore>,
}

impl<'a> LogFiles<'a> {
    /// The files as they are.
    pub(crate) fn new(layout: &'a Layout, log: LogId) -> LogFiles<'a> {
        LogFiles { layout, log, done: BTreeMap::new() }
    }

    /// The files as they would be.
    pub(crate) fn after(layout: &'a Layout, log: LogId, chores: &'a [RepairChore]) -> LogFiles<'a> {
        LogFiles { layout, log, done: chores.iter().map(|chore| (chore.segment(), chore)).collect() }
    }

    /// Reads; fewer bytes where the file ends.
    pub(crate) fn read(&self, segment: u64, place: ReadPlace) -> io::Result<Bytes> {
        match self.done.get(&segment) {
            None => read_place(&self.open(segment)?, place),
            Some(RepairChore::Create { bytes, .. }) => Ok(slice_of(bytes, place)),
            Some(RepairChore::Seal { offset, footer, .. }) => self.read_sealed(segment, place, *offset, footer),
        }
    }

    /// Reads a file whole; what the disk does not give back is filled with bytes that are nothing.
    pub(crate) fn read_around(&self, segment: u64) -> io::Result<Bytes> {
        let file = self.open(segment)?;
        match read_place(&file, ReadPlace::Whole) {
            Ok(bytes) => Ok(bytes),
            Err(_) => {
                let len = file.metadata()?.len().min(SEGMENT_FILE_BYTES_MAX) as usize;
                Ok(read_pieces(len, |offset, piece| file.read_exact_at(piece, offset)))
            }
        }
    }

    fn read_sealed(&self, segment: u64, place: ReadPlace, offset: u64, footer: &Bytes) -> io::Result<Bytes> {
        let (from, len) = match place {
            ReadPlace::At(from, len) => (from, len as u64),
            ReadPlace::LastBlock => return Ok(slice_of(footer, ReadPlace::LastBlock)),
            ReadPlace::Whole => (0, offset + footer.len() as u64),
        };
        let before = len.min(offset.saturating_sub(from));
        let mut bytes = BytesMut::from(&read_place(&self.open(segment)?, ReadPlace::At(from, before as usize))?[..]);
        // A file that ends before its footer is zeros up to there.
        bytes.resize(before as usize, 0);
        let rest = ReadPlace::At(from.max(offset) - offset, (len - before) as usize);
        bytes.extend_from_slice(&slice_of(footer, rest));
        Ok(bytes.freeze())
    }

    fn open(&self, segment: u64) -> io::Result<File> {
        File::open(self.layout.segment_path(self.log.incarnation, self.log.log, segment))
    }
}

fn slice_of(bytes: &Bytes, place: ReadPlace) -> Bytes {
    let (from, len) = match place {
        ReadPlace::At(from, len) => (from.min(bytes.len() as u64) as usize, len),
        ReadPlace::LastBlock => (bytes.len().saturating_sub(BLOCK_BYTES as usize), BLOCK_BYTES as usize),
        ReadPlace::Whole => (0, bytes.len()),
    };
    bytes.slice(from..from.saturating_add(len).min(bytes.len()))
}

/// Reads in pieces that are halved where one cannot be read, down to a block.
fn read_pieces(len: usize, mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> Bytes {
    let mut bytes = vec![0; len];
    let mut pieces: Vec<(usize, usize)> =
        (0..len).step_by(PIECE_BYTES).map(|from| (from, (from + PIECE_BYTES).min(len))).collect();
    while let Some((from, to)) = pieces.pop() {
        if read(from as u64, &mut bytes[from..to]).is_ok() {
            continue;
        }
        if to - from <= BLOCK_BYTES as usize {
            bytes[from..to].fill(UNREADABLE);
            continue;
        }
        let middle = from + ((to - from) / 2).next_multiple_of(BLOCK_BYTES as usize);
        pieces.extend([(from, middle), (middle, to)]);
    }
    bytes.into()
}

/// What is read at once of a file that cannot be read whole.
const PIECE_BYTES: usize = 1 << 20;
/// Stands for what cannot be read: it begins nothing that is looked for, and is not zero.
const UNREADABLE: u8 = 0xee;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_filled_and_the_rest_is_there() {
        let len = 2 * PIECE_BYTES + 5_000;
        let bad = [3usize, 300, len / 4096];
        let mut reads = 0;
        let bytes = read_pieces(len, |offset, piece| {
            reads += 1;
            let blocks = offset as usize / 4096..(offset as usize + piece.len()).div_ceil(4096);
            if bad.iter().any(|block| blocks.contains(block)) {
                return Err(io::Error::other("input/output error"));
            }
            piece.fill(7);
            Ok(())
        });
        assert_eq!(bytes.len(), len);
        for (block, bytes) in bytes.chunks(4096).enumerate() {
            let expected = if bad.contains(&block) { UNREADABLE } else { 7 };
            assert!(bytes.iter().all(|byte| *byte == expected), "block {block}");
        }
        assert!(reads < 100, "{reads} reads");
    }

    #[test]
    fn a_planned_file_is_read_as_a_real_one() {
        let scratch = tempfile::tempdir().expect("there is room");
        let layout = Layout::new(scratch.path());
        let log = LogId { incarnation: 1, log: 0 };
        std::fs::create_dir_all(layout.log_dir(1, 0)).expect("it is ours");
        let path = layout.segment_path(1, 0, 1);
        let file: Vec<u8> = (0..10 * 4096u32).map(|at| (at / 4096) as u8 + 1).collect();
        let footer = Bytes::from([[77u8; 4096], [78; 4096]].concat());
        for offset in [0, 4096, 5 * 4096, 10 * 4096, 12 * 4096] {
            let chore = RepairChore::Seal { segment: 1, offset, footer: footer.clone() };
            std::fs::write(&path, &file).expect("it is ours");
            let places =
                [ReadPlace::Whole, ReadPlace::LastBlock, ReadPlace::At(0, 8192), ReadPlace::At(16_384, 1 << 20)];
            let planned = places.map(|place| {
                LogFiles::after(&layout, log, std::slice::from_ref(&chore)).read(1, place).expect("it is there")
            });
            let real = std::fs::OpenOptions::new().write(true).open(&path).expect("it is there");
            real.write_all_at(&footer, offset).expect("it is ours");
            real.set_len(offset + 8192).expect("it is ours");
            let now = places.map(|place| LogFiles::new(&layout, log).read(1, place).expect("it is there"));
            assert_eq!(planned, now, "footer at {offset}");
        }
    }
}
