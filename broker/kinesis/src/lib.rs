//! The Kinesis-compatible face of rheos: what AWS clients say, in the terms of rheos, and back.
//!
//! ```
//! use rheos_kinesis::answer::Answer;
//! use rheos_kinesis::request::{Incoming, receive};
//! use rheos_kinesis::value::Value;
//!
//! let incoming = Incoming {
//!     method: "POST",
//!     content_type: Some("application/x-amz-json-1.1"),
//!     target: Some("Kinesis_20131202.ListTagsForStream"),
//!     body: br#"{"StreamName": "orders", "Limit": 10}"#,
//! };
//! // Whoever serves this proves the signature between these two.
//! let request = receive(&incoming).expect("it is a request");
//! let (operation, encoding) = (request.operation, request.encoding);
//! let input = request.input()?;
//! assert_eq!(input.optional::<&str>("StreamName"), Some("orders"));
//!
//! let output = operation.answer().with("Tags", Value::List(Vec::new())).with("HasMoreTags", false);
//! let answer = Answer::success(encoding, Some(&output));
//! assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"Tags":[],"HasMoreTags":false}"#[..]));
//! # Ok::<(), rheos_kinesis::error::Error>(())
//! ```
//!
//! What must hold: what a client is told is in AWS's words, in the encoding that it spoke; nothing that it says is
//! believed before it is proved by the table. This crate awaits, reads and draws nothing: the broker does what the
//! answers of [`operations`] say.

#![forbid(unsafe_code)]

pub mod answer;
pub mod answer_ids;
pub mod arn;
pub mod codec;
pub mod cross_origin;
pub mod error;
pub mod event_stream;
pub mod fuzz_bodies;
pub mod limits;
mod moment;
pub mod operations;
pub mod page_token;
pub mod records;
pub mod refusals;
pub mod request;
pub mod sequence_number;
pub mod shapes;
pub mod shard_id;
pub mod shard_iterator;
mod shard_view;
pub mod signature;
pub mod token;
pub mod validate;
pub mod value;
