//! What the tests of rheos share, and what its fuzzer runs.
//!
//! ```
//! // A body takes any bytes and asserts what must hold of them.
//! for (_name, body) in rheos_tests::fuzz_bodies::BODIES {
//!     body(b"anything at all");
//! }
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "book")]
pub mod book;
#[cfg(feature = "processes")]
pub mod broker_process;
pub mod checker;
#[cfg(feature = "processes")]
pub mod example;
pub mod fuzz_bodies;
pub mod fuzz_disk;
pub mod fuzz_face;
#[cfg(feature = "processes")]
pub mod ground;
#[cfg(feature = "processes")]
pub mod held_thread;
#[cfg(feature = "processes")]
pub mod http;
pub mod random;
#[cfg(feature = "processes")]
pub mod raw_client;
#[cfg(feature = "processes")]
pub mod relay;
pub mod rig;
#[cfg(feature = "signer")]
pub mod signed_request;
pub mod sim;
#[cfg(feature = "processes")]
pub mod subscriber;
pub mod tools;
#[cfg(feature = "processes")]
pub mod witness;

/// The programs of the book, compiled and run.
#[cfg(doctest)]
#[allow(rustdoc::invalid_codeblock_attributes, reason = "blocks of other languages say how they are run")]
mod programs_of_the_book {
    #[doc = include_str!("../../broker/docs/src/tutorial.md")]
    struct Tutorial;
    #[doc = include_str!("../../README.md")]
    struct Readme;
}
