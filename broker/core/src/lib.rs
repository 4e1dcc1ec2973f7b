//! The decisions of the rheos broker, as pure state machines.
//!
//! This crate has no clock, file, socket, thread, lock or randomness. What has happened goes in as
//! an event, what is to be done comes out as an effect, and whoever owns the log performs it.
//!
//! ```
//! use rheos_core::arrival::Now;
//! use rheos_core::budget::LaneBudget;
//! use rheos_core::catalog::StreamTerms;
//! use rheos_core::log::{Effect, Event, Log, LogId, LogSettings, LogShard};
//! use rheos_core::recovery::{LogOnDisk, Recovery, RecoveryStep};
//! use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
//! use rheos_protocol::hash::HashRange;
//! use rheos_protocol::record::Record;
//!
//! // A log that has no file yet.
//! let id = LogId { incarnation: 1, log: 0 };
//! let (ends, files) = Default::default();
//! let on_disk = LogOnDisk { id, directory: 7, shards: vec![0], ends, lowest_kept: 1, highest_prepared: 0, files };
//! let RecoveryStep::Done(recovered) = Recovery::new(on_disk).step(None) else { panic!("there is nothing to read") };
//! let shards = vec![LogShard { number: 0, range: HashRange::FULL, closed: None }];
//! let settings = LogSettings { id, shards, terms: StreamTerms::new(86_400_000, 1 << 20) };
//! let now = Now { boot_ms: 0, wall_ms: 1_700_000_000_000 };
//! let (mut log, mut lane, mut effects) = (Log::new(now, settings, *recovered), LaneBudget::default(), Vec::new());
//!
//! // A put is staged; the log asks for its first segment.
//! let mut builder = BatchBuilder::default();
//! builder.push(&Record::new("AA", "flight 1141").view(), 1 << 20)?;
//! let batch = PutBatch::parse(builder.finish(1, 0, ProducerStamp::default()))?;
//! log.step(now, Event::Put { token: 42, batch }, &mut lane, &mut effects);
//! log.step(now, Event::Flush, &mut lane, &mut effects);
//! let Some(Effect::Prepare { segment, ask, bytes }) = effects.pop() else { panic!("it has no segment") };
//!
//! // With the segment there, the commit is written; when that is durable, and only then, the put is acked.
//! log.step(now, Event::SegmentReady { segment, ask, salt: 99, bytes }, &mut lane, &mut effects);
//! log.step(now, Event::Flush, &mut lane, &mut effects);
//! assert!(matches!(effects.remove(0), Effect::Write(write) if write.segment == 1));
//! effects.clear();
//! log.step(now, Event::Durable, &mut lane, &mut effects);
//! assert!(matches!(&effects[0], Effect::Reply { token: 42, outcome: Ok(acked) } if acked.first_sequence == 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod arrival;
pub mod bucket;
pub mod budget;
pub mod capacity;
pub mod carry_over;
pub mod catalog;
pub mod commit;
pub mod counts;
pub mod fanout;
pub mod footer;
pub mod gap;
pub mod held_back;
pub mod index;
pub mod keys;
pub mod lanes;
pub mod limits;
pub mod log;
pub mod planted;
pub mod producer;
pub mod reader;
pub mod readiness;
pub mod recovery;
pub mod reservation;
pub mod reshard;
pub mod scaler;
pub mod segment;
pub mod tail;
