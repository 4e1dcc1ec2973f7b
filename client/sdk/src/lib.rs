//! The native client of the rheos streaming broker.
//!
//! A [`Client`] keeps a QUIC connection to each lane of a broker that it needs, and makes it anew when it
//! breaks. A [`Producer`] puts records into a stream and gives a [`Ticket`] for each, which resolves once
//! the record is on the broker's disk; a [`Reader`] reads one shard in order; a [`Consumer`] that was
//! registered has every shard pushed to it. Everything runs on the program's own tokio runtime, one thread
//! or many; nothing here belongs to one operating system.
//!
//! ```
//! # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
//! use rheos_client::{Client, ConnectOptions, Outcome, Position, Record, StreamSpec};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let peer = peer::Peer::start();
//! # let url = peer.url();
//! // `rheos serve` writes the connection string to admin.url in its data directory.
//! let client = Client::connect(ConnectOptions::from_url(&url)?).await?;
//! client.create_stream(StreamSpec::new("flights", 4)).await?;
//!
//! // Records with one partition key go to one shard and keep their order.
//! let producer = client.producer("flights").await?;
//! let ticket = producer.put(Record::new("AA", "flight 1141 departed")).await?;
//! let Outcome::Acked { shard, sequence, .. } = ticket.await else {
//!     return Err("the record is not stored".into());
//! };
//!
//! let mut reader = client.reader("flights", shard, Position::AtSequence(sequence)).await?;
//! let read = reader.next().await?.expect("the client is open");
//! assert_eq!(&read.record.data[..], b"flight 1141 departed");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! What a put can come to is in [`Outcome`], what a request can fail with in [`Error`], and who is
//! trusted in [`ConnectOptions`].

#![forbid(unsafe_code)]

mod admin;
mod client;
mod consumer;
mod core;
mod error;
mod frames;
mod lanes;
mod lineage;
mod link;
mod listing;
mod modes;
mod options;
mod producer;
mod pushes;
mod random;
mod reader;
mod reshard;
mod session;
mod settings;
mod transport;
mod verifier;

pub use client::{Client, StreamSpec};
pub use consumer::{Consumer, ConsumerBuilder, Positions};
pub use error::Error;
pub use lineage::Lineage;
pub use options::ConnectOptions;
pub use producer::{Outcome, Producer, PutRefused, Ticket};
pub use reader::{ReadBatches, ReadRecord, Reader, RecordAt};
pub use session::quic_config_for_ca;

/// The protocol crate: batches, records, errors and limits.
pub use rheos_protocol as protocol;
pub use rheos_protocol::error::{ErrorCode, Retry, WireError};
pub use rheos_protocol::message::{
    Access, ConsumerDescription, ConsumerTerms, KeyDescription, KeyPolicy, Limit, LimitsUpdate, NewKey, Position,
    ScalingOutcome, ScalingReason, ScalingStep, ShardBounds, ShardDescription, StreamDescription, StreamFilter,
    StreamLimits, StreamMode, StreamSettings, StreamSummary, Tag, UpdateStream, Welcome,
};
pub use rheos_protocol::record::{Record, RecordView};
