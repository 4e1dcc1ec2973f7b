//! The Kinesis-compatible face of rheos: what AWS clients say, in the terms of rheos, and back.

#![forbid(unsafe_code)]

pub mod answer;
pub mod arn;
pub mod codec;
pub mod cross_origin;
pub mod error;
pub mod fuzz_bodies;
pub mod limits;
mod moment;
pub mod page_token;
pub mod records;
pub mod refusal;
pub mod request;
pub mod sequence_number;
pub mod shapes;
pub mod shard_id;
pub mod shard_iterator;
pub mod signature;
pub mod token;
pub mod validate;
pub mod value;
