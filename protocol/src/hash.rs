//! Where a record belongs: MD5 of the partition key, as in Kinesis.
//!
//! The hash space is 0 ..= 2^128 - 1. The open shards of a stream tile it without gap or overlap.

use md5::{Digest, Md5};

/// The place of `partition_key` in the hash space: its MD5 digest read as a big-endian number.
///
/// Source: the Kinesis API reference, `PutRecord`, "an MD5 hash function is used to map partition
/// keys to 128-bit integer values".
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// A stretch of the hash space, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashRange {
    /// First hash key of the range.
    pub first: u128,
    /// Last hash key of the range.
    pub last: u128,
}

impl HashRange {
    /// The whole hash space.
    pub const FULL: HashRange = HashRange { first: 0, last: u128::MAX };

    /// Whether `hash` lies in the range.
    pub fn contains(&self, hash: u128) -> bool {
        self.first <= hash && hash <= self.last
    }

    /// Where the range is divided when nothing else is asked for: the first hash key of its second half.
    /// `None` for a range of one hash key.
    pub fn middle(&self) -> Option<u128> {
        (self.last > self.first).then(|| self.first + (self.last - self.first) / 2 + 1)
    }

    /// Cuts the hash space into `count` ranges as Kinesis does: equal widths, the last takes the rest.
    ///
    /// # Panics
    /// When `count` is 0.
    pub fn even(count: u32) -> impl Iterator<Item = HashRange> {
        assert!(count > 0, "a stream has at least one shard");
        // floor(2^128 / count), computed without the 129th bit.
        let width = match count {
            1 => 0,
            n => {
                let n = u128::from(n);
                u128::MAX / n + u128::from(u128::MAX % n == n - 1)
            }
        };
        (0..count).map(move |i| HashRange {
            first: width * u128::from(i),
            last: if i + 1 == count { u128::MAX } else { width * u128::from(i + 1) - 1 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_like_kinesis() {
        // MD5 of "a" is published in RFC 1321, appendix A.5.
        assert_eq!(hash_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn even_ranges_tile_the_space() {
        for count in [1, 2, 3, 4, 7, 1000, 10_000] {
            let ranges: Vec<_> = HashRange::even(count).collect();
            assert_eq!(ranges.len(), count as usize);
            assert_eq!(ranges[0].first, 0);
            assert_eq!(ranges.last().unwrap().last, u128::MAX);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].last + 1, pair[1].first);
            }
        }
        // Two shards of Kinesis meet at 2^127.
        assert_eq!(HashRange::even(2).nth(1).unwrap().first, 1 << 127);
        assert_eq!(HashRange::even(4).nth(1).unwrap().first, 1 << 126);
    }
}
