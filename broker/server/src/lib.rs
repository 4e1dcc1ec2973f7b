//! The rheos broker: lanes, rings, files and sockets. It performs what [`rheos_core`] decides.
//!
//! ```
//! # if std::env::var_os("RHEOS_DOCTEST_SERVE").is_none() { return; }
//! use rheos_broker::{ServeOptions, serve};
//!
//! serve(ServeOptions {
//!     data: "rheos-data".into(),
//!     listen: "127.0.0.1:4567".parse().expect("it is an address"),
//!     dev: false,
//!     dev_anyone_on_the_network: false,
//!     certificate: None,
//!     lanes: 1,
//!     metrics_open: false,
//!     mtu: 1452,
//!     limits: rheos_protocol::message::StreamLimits::NONE,
//!     cores: Vec::new(),
//!     kinesis: rheos_broker::KinesisSettings::default(),
//!     scaling: rheos_broker::ScalerPace::default(),
//!     ready: Box::new(|ready| eprintln!("clients can connect to {}", ready.address)),
//! })
//! .expect("the message says why not");
//! ```
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own"))]

mod authority_file;
mod blocks;
mod broker;
mod capacity;
pub mod catalog;
mod clock;
mod connection_ids;
mod consumers;
mod contents;
mod cores;
pub mod directory;
pub mod disk;
mod dispatch;
mod doctor;
pub mod durable;
pub mod faults;
mod files;
mod finding;
mod http;
pub mod identity;
mod kinesis;
mod kinesis_settings;
mod lane;
mod lanes;
mod limits;
mod log_files;
mod mesh;
mod metrics;
mod net;
mod reading;
mod recover;
mod repair;
mod reservations;
mod reshard;
mod route;
mod scaling;
mod serve;
mod service;
mod signals;
mod sockets;
mod standing;
pub mod start_error;
mod steering;
mod stopping;
mod streams;
pub mod transport;
mod verify;

pub use authority_file::{AuthorityFile, authority_file};
pub use capacity::{capacity_of, keep_capacity};
pub use contents::LostRecords;
pub use cores::default_lanes;
pub use doctor::{DoctorOptions, examine};
pub use finding::{Finding, Grade};
pub use identity::CertificateFiles;
pub use kinesis_settings::KinesisSettings;
pub use repair::{LogRepair, RepairError, RepairReport, StreamRepair, plan_repair};
pub use rheos_core::scaler::ScalerPace;
pub use serve::{Ready, ServeError, ServeOptions, serve};
pub use stopping::Unfinished;
pub use verify::{LogReport, StreamReport, VerifyReport, verify};

/// What a lane can push, see [`capacity_of`].
pub use rheos_core::capacity::{Capacity, Found};
use rheos_protocol::error::{ErrorCode, WireError};

/// An error of the broker itself, as a client is told of it.
fn internal_error(why: &str) -> WireError {
    WireError::new(ErrorCode::Internal, why)
}
