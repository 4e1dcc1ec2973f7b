//! The control plane: what a call means in the terms of rheos, and what rheos knows in the terms of AWS.
//!
//! ```text
//! input ─► subject: which stream, consumer or resource ─► the broker looks it up ─► asked: checks, with AWS's texts
//!       ─► the broker does it ─► output
//! ```
//!
//! Every function here takes an input that the table has proved and what the broker knows, and gives what is to be
//! done, an output, or a refusal. What must hold: the names in outputs and messages are those of the account and
//! region that the caller means ([`StreamArn`](crate::arn::StreamArn)), never those of the catalog; `StreamId` is
//! never shown, and where a client sends one it is not looked at.
//!
//! What differs from AWS: a stream's mode and shard count may be changed as often as one likes; there is no warm
//! throughput, no distribution of records but by their keys, and no encryption, and each of these is refused in words
//! that say so. Resource policies are kept and given back and decide nothing: their principals are users and roles of
//! AWS, which no access key of rheos is; what a key may do, its grants say.

pub mod account;
pub mod consumers;
pub mod encryption;
pub mod monitoring;
pub mod policies;
pub mod shards;
pub mod status;
pub mod streams;
pub mod subject;
pub mod tags;

#[cfg(test)]
pub(crate) mod testing;
