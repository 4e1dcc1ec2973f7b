//! The operations, by what they are about.

mod account;
mod consumers;
mod monitoring;
mod records;
mod shards;
mod streams;
mod tags;

use super::{Members, Shape};
use crate::value::Structure;

/// One operation of the API.
#[derive(Debug)]
pub struct Operation {
    /// What follows the dot of `X-Amz-Target`.
    pub name: &'static str,
    /// The members of a request.
    pub input: Members,
    /// What a successful answer carries.
    pub output: Output,
}

impl Operation {
    /// The structure of a successful answer, with no member set yet.
    ///
    /// # Panics
    /// If this operation's answer carries none.
    pub fn answer(&self) -> Structure {
        let Output::Body(members) = self.output else { panic!("{} answers with no structure", self.name) };
        Structure::new(members)
    }
}

/// What a successful answer carries.
#[derive(Debug)]
pub enum Output {
    /// Nothing: the body has no byte, not even `{}`.
    Empty,
    /// A structure with these members.
    Body(Members),
    /// A stream of events, each a structure of this shape.
    Events(&'static Shape),
}

/// Every operation, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Operation> + Clone {
    GROUPS.iter().copied().flatten()
}

/// The operation of this name.
pub fn find(name: &str) -> Option<&'static Operation> {
    all().find(|operation| operation.name == name)
}

static GROUPS: [&[Operation]; 7] = [
    &streams::OPERATIONS,
    &shards::OPERATIONS,
    &records::OPERATIONS,
    &consumers::OPERATIONS,
    &monitoring::OPERATIONS,
    &tags::OPERATIONS,
    &account::OPERATIONS,
];
