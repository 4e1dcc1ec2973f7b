//! The Kinesis-compatible face of rheos: what AWS clients say, in the terms of rheos, and back.
#![forbid(unsafe_code)]

pub mod answer;
pub mod codec;
pub mod cross_origin;
pub mod error;
pub mod fuzz_bodies;
pub mod limits;
pub mod request;
pub mod shapes;
pub mod validate;
pub mod value;
