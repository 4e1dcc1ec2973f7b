//! The book held to its word: its layouts are the bytes that the code makes, its tables what the code says, its
//! links lead somewhere.
//!
//! Its commands are run where the binary is: `client/cli/tests/book`.

mod codes;
mod dashboard;
#[path = "../../../broker/core/tests/golden/dump.rs"]
mod dump;
mod layouts;
mod limits;
mod links;
mod metrics;
mod monitoring;
mod night;
