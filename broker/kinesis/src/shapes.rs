//! The one table of the Kinesis API: every operation, its members, and what holds of each.
//!
//! Decoding, validation, encoding and the typed views all walk this table, so a new operation is an
//! entry in `operations/` and, where it brings new types, one in `named` or `structures`. Names are
//! the wire's. What a type demands beyond this (that two members exclude each other, that a stream
//! exists) is the operation's affair and never stands here.
//!
//! The table leaves three things of AWS's model out: the 12 operations on queues, the 5 on channels,
//! and `StreamId` in the description of a stream (a client that is shown one turns to AWS with it).

mod constraint;
pub mod named;
pub mod operations;
pub mod structures;

pub use constraint::{Bounds, Pattern, Text};
pub use operations::{Operation, Output};

/// The members of a structure, in the order in which they are encoded.
pub type Members = &'static [Member];

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The name on the wire.
    pub name: &'static str,
    /// What its value must be.
    pub shape: &'static Shape,
    /// Whether a structure without it is refused.
    pub required: bool,
}

/// What a value must be.
#[derive(Debug)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// 32 bits, signed.
    Integer(Bounds),
    /// 64 bits, signed.
    Long(Bounds),
    /// A string, or one of an enumeration.
    Text(Text),
    /// Bytes, with a bounded length in bytes: Base64 in JSON.
    Blob(Bounds),
    /// Milliseconds of the epoch; (fractional) seconds in JSON.
    Timestamp,
    /// Values of one shape.
    List {
        /// The shape of each.
        item: &'static Shape,
        /// How many there may be.
        length: Bounds,
    },
    /// Values by name.
    Map {
        /// The shape of each name, a text.
        key: &'static Shape,
        /// The shape of each value.
        value: &'static Shape,
        /// How many there may be.
        length: Bounds,
    },
    /// Named members.
    Structure {
        /// The structure's own name, which only messages show.
        name: &'static str,
        /// Its members.
        members: Members,
    },
}

/// A member that must be there.
pub const fn required(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, shape, required: true }
}

/// A member that may be absent.
pub const fn optional(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, shape, required: false }
}

/// The place of a member in its structure.
pub fn position(members: Members, name: &str) -> Option<usize> {
    members.iter().position(|member| member.name == name)
}
