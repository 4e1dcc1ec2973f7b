//! The latency rig of rheos: what the machine can do, and how near rheos comes to it.
//!
//! `floor` measures the machine's pieces and the *bare target*: the same QUIC settings, bytes, file
//! preparation, core and disk write as rheos, with no broker around them. `walk` measures a real broker
//! against it, in one run, `reshard` streams whose shards change against streams at rest, and `kinesis` the
//! Kinesis face against a bare HTTP server and others' servers. Everything the rig writes is under `--dir` and gone
//! at the end; every process it starts ends with it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal: results to stdout, errors to stderr"
)]

mod bare;
mod broker;
mod byte_stream;
mod deliveries;
mod drive;
mod floor;
mod http;
mod latency;
mod load;
mod machine;
mod peers;
mod pieces;
mod put_stream;
mod report;
mod scratch;
mod walk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What went wrong, in words for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The latency rig of rheos.
#[derive(Debug, Parser)]
#[command(name = "rheos-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the machine's pieces and the bare target
    Floor(floor::FloorArguments),
    /// Measure a broker against the bare target
    Walk(walk::WalkArguments),
    /// Measure streams whose shards change, or are very many, against streams at rest
    Reshard(walk::ReshardArguments),
    /// Measure the Kinesis face against a bare HTTP server, the native protocol, and others' servers
    Kinesis(walk::KinesisArguments),
    /// Be the bare target: prints its address and certificate, serves until stdin closes
    #[command(hide = true)]
    BareTarget(bare::target::TargetArguments),
    /// Be the bare target for HTTP: prints its address, serves until stdin closes
    #[command(hide = true)]
    BareHttpTarget(bare::http::HttpTargetArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Floor(arguments) => floor::run(&arguments),
        Command::Walk(arguments) => walk::run(&arguments),
        Command::Reshard(arguments) => walk::run_reshard(&arguments),
        Command::Kinesis(arguments) => walk::run_kinesis(&arguments),
        Command::BareHttpTarget(arguments) => bare::http::run(&arguments),
        Command::BareTarget(arguments) => bare::target::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rheos-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
