//! The rheos command line: everything that a user types.
//!
//! ```text
//! rheos serve &
//! rheos stream create flights --shards 4
//! echo 'flight 1141 departed' | rheos put flights --key AA
//! rheos get flights
//! ```
//!
//! Results go to standard output, everything else to standard error. The exit code is 0 when all was
//! done, 1 when something was not (one line says what and what to do), 2 when the command was mistyped, and
//! 130 when Ctrl-C ended a command that would have gone on.

#![forbid(unsafe_code)]

mod arguments;
mod broker;
mod confirm;
mod consumer;
mod context;
mod contexts;
mod demo;
mod failure;
mod get;
mod key;
mod near;
mod output;
mod parent;
mod printer;
mod put;
mod screen;
mod serve;
mod stop;
mod stream;
mod tail;
mod tls;
mod top;
mod units;
mod verify;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    match run(Arguments::read()) {
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
        Command::Context(command) => context::run(command, global),
        Command::Tls(command) => tls::run(command, global),
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
