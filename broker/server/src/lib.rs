//! The rheos broker: lanes, rings, files and sockets.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own"))]

pub mod directory;
pub mod disk;
pub mod durable;
pub mod identity;
pub mod start_error;
pub mod transport;
