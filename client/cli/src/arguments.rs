//! What can be typed, and what `--help` says about it.

mod mistyped;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::calibrate::CalibrateCommand;
use crate::colours;
use crate::completions::{self, CompletionsCommand};
use crate::config::{self, ConfigCommand, Configured};
use crate::consumer::ConsumerCommand;
use crate::context::ContextCommand;
use crate::demo::DemoCommand;
use crate::doctor::DoctorCommand;
use crate::failure::Failure;
use crate::get::GetCommand;
use crate::help::{HelpCommand, grouped};
use crate::key::KeyCommand;
use crate::man::ManCommand;
use crate::ping::PingCommand;
use crate::put::PutCommand;
use crate::repair::RepairCommand;
use crate::serve::ServeCommand;
use crate::stream::StreamCommand;
use crate::tail::TailCommand;
use crate::tls::TlsCommand;
use crate::top::TopCommand;
use crate::verify::VerifyCommand;

/// Streams of records on one machine: durable, ordered, fast.
#[derive(Debug, Parser)]
#[command(name = "rheos", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const EXAMPLES: &str = "\
Begin with:
  rheos demo                                  # shows and proves what rheos promises, by itself
  rheos serve                                 # runs a broker here, in ./rheos-data
  rheos stream create flights --shards 4      # in another terminal, in the same directory
  rheos put flights --key-from carrier flights.csv
  rheos get flights --from -15m --follow
  rheos consumer register flights board && rheos tail flights --consumer board

rheos help COMMAND says more; COMMAND may be exit-codes, positions, templates or environment, too.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoCommand),
    Serve(ServeCommand),
    #[command(subcommand)]
    Stream(StreamCommand),
    Put(PutCommand),
    Get(GetCommand),
    Tail(TailCommand),
    Top(TopCommand),
    #[command(subcommand)]
    Consumer(ConsumerCommand),
    #[command(subcommand)]
    Key(KeyCommand),
    #[command(subcommand)]
    Context(ContextCommand),
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(subcommand)]
    Tls(TlsCommand),
    Ping(PingCommand),
    Verify(VerifyCommand),
    Repair(RepairCommand),
    Calibrate(CalibrateCommand),
    Doctor(DoctorCommand),
    Completions(CompletionsCommand),
    Man(ManCommand),
    Help(HelpCommand),
}

/// Where the broker is and how to print, for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Connection string of the broker, or dev:ADDRESS for one on this host in development mode; best in
    /// the environment, as others can see what is typed
    #[arg(long, global = true, env = "RHEOS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Data directory of a broker on this host
    #[arg(
        long,
        global = true,
        env = "RHEOS_DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "rheos-data"
    )]
    pub(crate) data: PathBuf,

    /// Context to use; rheos help environment says which of these is the strongest
    #[arg(long, global = true, env = "RHEOS_CONTEXT", hide_env_values = true, value_name = "NAME", add = completions::contexts())]
    pub(crate) context: Option<String>,

    /// How results are printed: text for people, json as one document (a list is an array), ndjson as
    /// one JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(crate) output: Output,

    /// Which of these says where the broker is.
    #[arg(skip)]
    pub(crate) place: Place,

    /// Whether that was typed, rather than found in the environment.
    #[arg(skip)]
    pub(crate) is_place_typed: bool,
}

/// What says where the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    Url,
    Data,
    Context,
    /// Nothing: the context in use, else the usual data directory.
    #[default]
    Unsaid,
}

/// What is typed is stronger than the environment.
const STRONGEST_FIRST: [(ValueSource, &str, Place); 6] = [
    (ValueSource::CommandLine, "url", Place::Url),
    (ValueSource::CommandLine, "data", Place::Data),
    (ValueSource::CommandLine, "context", Place::Context),
    (ValueSource::EnvVariable, "url", Place::Url),
    (ValueSource::EnvVariable, "context", Place::Context),
    (ValueSource::EnvVariable, "data", Place::Data),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // For people.
    Text,
    // For programs: one JSON document.
    Json,
    // For programs: one JSON object a line.
    Ndjson,
}

impl Output {
    /// Whether results are for people.
    pub(crate) fn is_text(self) -> bool {
        self == Output::Text
    }
}

impl Arguments {
    /// Reads the command line, and what else says how a broker is to be run. A mistyped command line ends
    /// the process with code 2.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn read() -> Result<Arguments, Failure> {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let mistyped = |error| mistyped::mended(error, &mut command(), &words).exit();
        let (matches, told) = config::read(command(), mistyped)?;
        let mut arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        arguments.global.place_said_by(innermost(&matches));
        if let Some(configured) = arguments.configured() {
            configured.told = told;
        }
        Ok(arguments)
    }

    fn configured(&mut self) -> Option<&mut Configured> {
        match &mut self.command {
            Command::Serve(command) => Some(&mut command.configured),
            Command::Doctor(command) => Some(&mut command.configured),
            Command::Config(command) => command.configured(),
            _ => None,
        }
    }
}

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    // Left to itself clap has reasons to colour that nothing else here has, such as the variable CI.
    let choice = if colours::wants_colours() { ColorChoice::Auto } else { ColorChoice::Never };
    grouped(Arguments::command()).color(choice)
}

impl Global {
    /// What was typed or is in the environment, of the innermost command.
    pub(crate) fn of(innermost: &ArgMatches) -> Result<Global, clap::Error> {
        let mut global = Global::from_arg_matches(innermost)?;
        global.place_said_by(innermost);
        Ok(global)
    }

    fn place_said_by(&mut self, innermost: &ArgMatches) {
        let strongest = strongest(innermost);
        self.place = strongest.map_or(Place::Unsaid, |(_, _, place)| place);
        self.is_place_typed = strongest.is_some_and(|(source, _, _)| source == ValueSource::CommandLine);
    }
}

/// What says where the broker is, if anything does.
fn strongest(matches: &ArgMatches) -> Option<(ValueSource, &'static str, Place)> {
    let is_empty = |name: &str| matches.get_raw(name).is_none_or(|mut values| values.all(|value| value.is_empty()));
    // An empty variable of the environment says nothing.
    let says = |source, name| {
        matches.value_source(name) == Some(source) && (source == ValueSource::CommandLine || !is_empty(name))
    };
    STRONGEST_FIRST.into_iter().find(|(source, name, _)| says(*source, name))
}

/// Global options arrive at the last subcommand, wherever they were typed.
pub(crate) fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        command().debug_assert();
    }
}
