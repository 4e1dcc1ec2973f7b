//! Values of any shape, and bytes, from a seed.

use bytes::Bytes;
use rheos_kinesis::shapes::{Members, Shape};
use rheos_kinesis::value::{Structure, TimestampMs, Value};

/// Numbers from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Any 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A structure of which about two members in three are there. Constraints are not respected, types are.
    pub(crate) fn structure(&mut self, members: Members) -> Structure {
        members.iter().fold(Structure::new(members), |structure, member| {
            let value = (self.below(3) > 0).then(|| self.value(member.shape));
            structure.with_some(member.name, value)
        })
    }

    fn value(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::Boolean => (self.below(2) == 0).into(),
            Shape::Integer(_) => (self.next() as i32 >> self.below(32)).into(),
            Shape::Long(_) => (self.next() as i64 >> self.below(64)).into(),
            // JSON's seconds are floats on the way in, which are exact to the millisecond for 100,000 years.
            Shape::Timestamp => TimestampMs(self.next() as i64 >> (12 + self.below(40))).into(),
            Shape::Text(_) => self.text().into(),
            Shape::Blob(_) => self.bytes(100).into(),
            Shape::List { item, .. } => (0..self.below(4)).map(|_| self.value(item)).collect(),
            Shape::Map { value, .. } => {
                Value::Map((0..self.below(4)).map(|_| (self.text(), self.value(value))).collect())
            }
            Shape::Structure { members, .. } => self.structure(members).into(),
        }
    }

    /// A text with what must be escaped and what is long in UTF-8 and UTF-16.
    fn text(&mut self) -> String {
        const CHARACTERS: [char; 12] = ['a', 'Z', '0', '.', '"', '\\', '\n', '\0', '\u{7f}', 'é', '€', '😀'];
        (0..self.below(30)).map(|_| CHARACTERS[self.below(CHARACTERS.len())]).collect()
    }

    /// Up to `end` bytes.
    pub(crate) fn bytes(&mut self, end: usize) -> Bytes {
        (0..self.below(end)).map(|_| self.next() as u8).collect()
    }
}
