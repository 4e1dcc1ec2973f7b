//! The Kinesis-compatible face of rheos: what AWS clients say, in the terms of rheos, and back.

#![forbid(unsafe_code)]

pub mod arn;
mod moment;
pub mod page_token;
pub mod refusal;
pub mod sequence_number;
pub mod shard_id;
pub mod shard_iterator;
pub mod signature;
pub mod token;
