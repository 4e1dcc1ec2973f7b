//! The Kinesis API as the rig speaks it: HTTP/1.1 with keep-alive and signed JSON, the same code to the face, to
//! others' servers and to the bare target.
//!
//! The client is a thin one, as that of the native protocol is: bodies are made and signed ahead, answers are read
//! whole and looked at for refusals.

pub(crate) mod connections;
pub(crate) mod endpoint;
pub(crate) mod puts;
pub(crate) mod subscription;
