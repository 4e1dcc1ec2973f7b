//! What a fuzzer runs over the Kinesis face: the bodies of rheos-kinesis, and, with the feature `signer`, requests
//! that the crate aws-sigv4 has signed.

#[cfg(feature = "signer")]
mod signed;

pub use rheos_kinesis::fuzz_bodies::*;
#[cfg(feature = "signer")]
pub use signed::signed;
