//! The data plane: records put and read, in AWS's terms and in the broker's.
//!
//! ```text
//! PutRecord, PutRecords   input ─► Puts ─► batches of shards ─► outcomes ─► Puts ─► output
//! GetShardIterator        input ─► IteratorAsked ─► the shard's tip ─► output
//! GetRecords              input ─► ReadAsked ─► batches ─► output
//! SubscribeToShard        input ─► SubscriptionAsked ─► Subscription: batches ─► events
//! ```
//!
//! What must hold: every record that is put is answered for exactly once; every record that is read was stored, comes
//! once and in the order of its shard; at the end of a shard a reader is told its children and gets no place to go on,
//! and nowhere else. Nothing here waits, sends or asks the time.

mod children;
mod get;
mod iterator;
mod page;
mod put;
mod refusals;
mod start;
mod subscribe;

pub use crate::shard_view::ShardNumbers;
pub use get::{Issue, ReadAsked, Reading};
pub use iterator::IteratorAsked;
pub use page::Found;
pub use put::{Acked, Outgoing, Placement, PutTo, Puts};
pub use refusals::read_refused;
pub use start::Start;
pub use subscribe::{Subscription, SubscriptionAsked};

use rheos_core::catalog::{ShardRecord, ShardState};

use crate::error::Error;
use crate::value::Structure;

/// The place of a record's key for records that were put without one: a noncharacter of Unicode, which is kept for
/// uses like this. A record whose key is this is read without a key.
pub(crate) const NO_KEY: &str = "\u{10FFFF}";

/// The sequence after the last record of a closed shard.
fn end_of(shard: &ShardRecord) -> Option<u64> {
    match shard.state {
        ShardState::Open => None,
        ShardState::Closed { end_sequence, .. } => Some(end_sequence),
    }
}

/// Ends a call that has asked to be tried only. The last of the checks: all others were passed.
fn refuse_dry_run(input: &Structure) -> Result<(), Error> {
    match input.optional::<bool>("DryRun") {
        Some(true) => Err(refusals::dry_run()),
        _ => Ok(()),
    }
}
