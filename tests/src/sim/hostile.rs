//! Record data that imitates the disk format, as well as a producer can who knows everything but the
//! salts: at every block boundary of the file stands a label, a header, a commit or a trailer.

use bytes::{BufMut, BytesMut};
use rheos_core::carry_over::CarryOver;
use rheos_core::commit::{COMMIT_HEADER_BYTES, CommitHeader, SegmentId};
use rheos_core::footer::{self, SegmentEnd};
use rheos_core::index::SegmentIndex;
use rheos_core::limits::BLOCK_BYTES;
use rheos_core::segment::{Header, Label, Predecessor, encode_head};
use rheos_protocol::batch::HEADER_BYTES;

use crate::random::Random;

/// What a producer can guess of the place where its data will stand.
#[derive(Debug, Clone, Copy)]
pub struct Guess {
    /// The segment.
    pub segment: SegmentId,
    /// Where the commit will stand.
    pub offset: u64,
    /// Number of the commit.
    pub commit: u64,
    /// The data directory.
    pub directory: u64,
    /// A salt, which is not the right one.
    pub salt: u64,
}

/// Data of `len` bytes for the first record of a commit, with imitations where blocks begin.
pub fn data(guess: &Guess, key_len: usize, len: usize, random: &mut Random) -> Vec<u8> {
    let before = COMMIT_HEADER_BYTES + HEADER_BYTES + 8 + key_len;
    let mut out = vec![0xa5; BLOCK_BYTES as usize - before % BLOCK_BYTES as usize];
    while out.len() < len {
        let at = guess.offset + (before + out.len()) as u64;
        out.extend_from_slice(&block(guess, at, random));
    }
    out.truncate(len);
    out
}

/// One block that looks like something that stands at `offset`.
pub fn block(guess: &Guess, offset: u64, random: &mut Random) -> Vec<u8> {
    let Guess { segment, commit, directory, salt, .. } = *guess;
    let number = commit + random.below(3);
    let mut out = match random.below(5) {
        0 => Label { directory, segment, salt }.encode(),
        1 => {
            let predecessor = Some(Predecessor { end: offset, last_checksum: random.draw() });
            let header = Header {
                segment,
                carry_over_len: 0,
                carry_over_checksum: 0,
                first_commit: number,
                predecessor,
                first_arrival_ms: 1,
            };
            encode_head(&header, &[], salt)[..BLOCK_BYTES as usize].to_vec()
        }
        2 | 3 => {
            let header = CommitHeader {
                segment,
                number,
                offset,
                payload_len: 0,
                batch_count: 0,
                digest: 0x2d06_8005_38d3_94c2,
                durable: number,
                previous_checksum: random.draw(),
            };
            header.encode(salt).0.to_vec()
        }
        _ => trailer(guess, offset - offset.min(BLOCK_BYTES * random.below(20))),
    };
    out.resize(BLOCK_BYTES as usize, 0);
    out
}

/// A trailer that says that its segment ends at `end`.
pub fn trailer(guess: &Guess, end: u64) -> Vec<u8> {
    let mut carry_out = BytesMut::new();
    CarryOver::new([0]).encode(&mut carry_out);
    carry_out.put_u8(0);
    let end = SegmentEnd { offset: end, next_commit: guess.commit, last_checksum: 1, last_data_offset: 0 };
    let footer = footer::encode(guess.segment, guess.salt, end, &SegmentIndex::default(), &carry_out, 1);
    footer[footer.len() - BLOCK_BYTES as usize..].to_vec()
}
