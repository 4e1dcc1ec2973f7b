//! Any number that AWS has written, as far as the refusals of AWS look into it.
//!
//! ```text
//! version 2  47 hex digits, drawn in the parent
//! version 1  2 | created 9 | nibble 1 | byte 2 | arrival 9 | random 14 | index 2 | shard 8 | 1
//! version 0  1 | created 9 | byte 2 | random 16 | shard 4; numbers below 2^124 mean 2^124 more
//! ```
//!
//! What must hold: what is none of these is none, and a number of version 2 whose shard rheos cannot have is taken
//! for a foreign one, never for a [`SequenceNumber`].

use super::{BYTES, CREATED_S_END, HEAD, INDEX_AT_END, SequenceNumber, VERSION, decimal};
use crate::shard_id::ShardId;

/// A number that was decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Of today's version, of a shard that can be.
    Current(SequenceNumber),
    /// Of a version or a shard that rheos never had.
    Old { version: u8, shard: EncodedShard },
}

/// The shard in a number, which need not be one that can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EncodedShard {
    pub(super) negative: bool,
    pub(super) number: u32,
}

impl Foreign {
    pub(super) fn read(text: &str) -> Option<Foreign> {
        let bytes = decimal::read(text)?;
        let above = |from: usize| bytes[..from].iter().any(|byte| *byte != 0);
        // 2^125 is the lowest bit of the upper nibble of the byte with 2^120 to 2^127.
        if !above(8) && bytes[8] < 0x20 { Foreign::version_0(bytes) } else { Foreign::later_version(bytes) }
    }

    fn version_0(mut bytes: [u8; BYTES]) -> Option<Foreign> {
        bytes[8] |= 0x10;
        let created_s = u64_of(&bytes[8..13]) & 0xf_ffff_ffff;
        let shard = EncodedShard { negative: false, number: u64_of(&bytes[22..]) as u32 };
        (created_s < CREATED_S_END).then_some(Foreign::Old { version: 0, shard })
    }

    fn later_version(bytes: [u8; BYTES]) -> Option<Foreign> {
        let number = SequenceNumber { bytes };
        let version = bytes[BYTES - 1] & 0xf;
        if bytes[0] != HEAD {
            return None;
        }
        match version {
            1 => Some(Foreign::Old { version, shard: EncodedShard { negative: false, number: number.shard_number() } }),
            VERSION if number.index() <= INDEX_AT_END && number.created_s() < CREATED_S_END => {
                Some(Foreign::version_2(number))
            }
            _ => None,
        }
    }

    fn version_2(number: SequenceNumber) -> Foreign {
        let encoded = number.shard_number();
        let nibble_fits = number.created_and_nibble() & 0xf == u64::from(encoded & 0xf);
        match ShardId::new(encoded) {
            Some(_) if nibble_fits => Foreign::Current(number),
            can_be => Foreign::Old { version: 2, shard: EncodedShard { negative: can_be.is_none(), number: encoded } },
        }
    }
}

impl std::fmt::Display for EncodedShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // AWS's text of a negative number has a digit less.
        if self.negative { write!(f, "shardId--{:011}", self.number) } else { write!(f, "shardId-{:012}", self.number) }
    }
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |so_far, byte| so_far << 8 | u64::from(*byte))
}
