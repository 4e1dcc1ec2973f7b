//! What the tests of rheos share, and what its fuzzer runs.
//!
//! ```
//! // A body takes any bytes and asserts what must hold of them.
//! for (_name, body) in rheos_tests::fuzz_bodies::BODIES {
//!     body(b"anything at all");
//! }
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "processes")]
pub mod broker_process;
pub mod checker;
pub mod fuzz_bodies;
pub mod fuzz_disk;
#[cfg(feature = "processes")]
pub mod ground;
#[cfg(feature = "processes")]
pub mod http;
pub mod random;
#[cfg(feature = "processes")]
pub mod raw_client;
#[cfg(feature = "processes")]
pub mod relay;
pub mod rig;
pub mod sim;
#[cfg(feature = "processes")]
pub mod subscriber;
pub mod tools;
#[cfg(feature = "processes")]
pub mod witness;
