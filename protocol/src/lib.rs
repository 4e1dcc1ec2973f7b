//! The language of rheos: what travels between a client and the broker, and what lies on the disk.
//!
//! This crate is pure. It has no clock, file, socket, thread or lock; bytes go in, values that cannot
//! be wrong come out. It has nothing that belongs to one operating system.
//!
//! ```
//! use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
//! use rheos_protocol::record::Record;
//!
//! // A producer gathers records of one shard ...
//! let mut builder = BatchBuilder::default();
//! builder.push(&Record::new("AA", "flight 1141").view(), 1 << 20)?;
//! let producer = ProducerStamp { id: 42, epoch: 0, number: 0 };
//! let bytes = builder.finish(7, 0, producer);
//!
//! // ... and the broker proves every checksum and length before it looks at anything.
//! let batch = PutBatch::parse(bytes)?.stamp(1_000, 1_700_000_000_000);
//! assert_eq!(batch.next_sequence(), 1_001);
//! assert_eq!(batch.records().next().unwrap().partition_key, "AA");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod batch;
pub mod error;
pub mod frame;
pub mod hash;
pub mod limits;
pub mod message;
pub mod name;
pub mod record;
pub mod wire;
