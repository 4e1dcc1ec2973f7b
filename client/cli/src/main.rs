//! The rheos command line: everything that a user types.
//!
//! ```text
//! rheos serve &
//! rheos stream create flights --shards 4
//! echo 'flight 1141 departed' | rheos put flights --key AA
//! rheos get flights
//! ```
//!
//! Results go to standard output, everything else to standard error. What the exit code says is in [`exit`].

#![forbid(unsafe_code)]

mod arguments;
mod broker;
mod broker_process;
mod calibrate;
mod colours;
mod completions;
mod config;
mod confirm;
mod consumer;
mod context;
mod contexts;
mod demo;
mod doctor;
mod exit;
mod exposition;
mod failure;
mod get;
mod help;
mod key;
mod logging;
mod man;
mod near;
mod output;
mod parent;
mod ping;
mod printer;
mod put;
mod raw;
mod repair;
mod screen;
mod serve;
mod settings;
mod stop;
mod stream;
mod tags;
mod tail;
mod template;
mod tls;
mod top;
mod units;
mod until;
mod verify;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    completions::answer();
    match Arguments::read().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Demo(command) => demo::run(command, global),
        Command::Serve(command) => serve::run(command, global),
        Command::Verify(command) => verify::run(command, global),
        Command::Repair(command) => repair::run(command, global),
        Command::Calibrate(command) => calibrate::run(command, global),
        Command::Doctor(command) => doctor::run(command, global),
        Command::Context(command) => context::run(command, global),
        Command::Config(command) => config::run(command, global),
        Command::Tls(command) => tls::run(command, global),
        Command::Completions(command) => completions::run(command),
        Command::Man(command) => man::run(command),
        Command::Help(command) => help::run(command),
        Command::Ping(command) => on_runtime(ping::run(command, global)),
        Command::Stream(command) => on_runtime(stream::run(command, global)),
        Command::Put(command) => on_runtime(put::run(command, global)),
        Command::Get(command) => on_runtime(get::run(command, global)),
        Command::Top(command) => on_runtime(top::run(command, global)),
        Command::Tail(command) => on_runtime(tail::run(command, global)),
        Command::Consumer(command) => on_runtime(consumer::run(command, global)),
        Command::Key(command) => on_runtime(key::run(command, global)),
    }
}

fn on_runtime<T, E: From<Failure>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?.block_on(work)
}
