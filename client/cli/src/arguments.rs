//! What can be typed, and what `--help` says about it.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::get::GetCommand;
use crate::put::PutCommand;
use crate::serve::ServeCommand;
use crate::stream::StreamCommand;
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
Examples:
  rheos serve
  rheos stream create flights --shards 4
  rheos put flights --key-from carrier flights.csv
  rheos get flights --from latest --follow";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeCommand),
    #[command(subcommand)]
    Stream(StreamCommand),
    Put(PutCommand),
    Get(GetCommand),
    Verify(VerifyCommand),
}

/// Where the broker is and how to print, for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Connection string: rheos://ID:SECRET@HOST:4567?ca=sha256:HEX, or dev:ADDRESS for a broker on this
    /// host in development mode (best in the environment: what is typed, others can see)
    #[arg(long, global = true, env = "RHEOS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Data directory of the broker; on this host, its admin.url says how to connect
    #[arg(
        long,
        global = true,
        env = "RHEOS_DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "rheos-data"
    )]
    pub(crate) data: PathBuf,

    /// How results are printed: for people, or as one JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,

    /// Whether `--data` was typed: then it is stronger than RHEOS_URL.
    #[arg(skip)]
    pub(crate) data_was_typed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // For people.
    Text,
    // For programs: one JSON object a line.
    Json,
}

impl Arguments {
    /// Reads the command line; a mistyped one ends the process with code 2.
    pub(crate) fn read() -> Arguments {
        let matches = Arguments::command().get_matches();
        let mut arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let source = |name| innermost(&matches).value_source(name);
        let typed = |name| source(name) == Some(ValueSource::CommandLine);
        arguments.global.data_was_typed = typed("data") && !typed("url");
        arguments
    }
}

/// Global options arrive at the last subcommand, wherever they were typed.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
