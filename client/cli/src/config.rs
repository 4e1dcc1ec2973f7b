//! `rheos config`: what a broker's settings are, where they come from, and whether a file has good ones.

mod check;
#[cfg(test)]
mod example;
mod file;
mod layers;
mod print;
mod schema;
mod variables;

use std::env;

use clap::{Arg, ArgMatches, Command, Subcommand};

use crate::arguments::{self, Global};
use crate::failure::Failure;
use crate::settings;

pub(crate) use layers::{Configured, Told};

use check::CheckCommand;
use layers::{Layers, file_of};
use print::PrintCommand;
use variables::misspelt;

/// Look at the settings of a broker: flags, environment, file
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Print(Box<PrintCommand>),
    Check(CheckCommand),
    /// Print the JSON Schema of the file with settings, for editors
    Schema,
}

pub(crate) fn run(command: &ConfigCommand, global: &Global) -> Result<(), Failure> {
    match command {
        ConfigCommand::Print(command) => print::run(command, global),
        ConfigCommand::Check(command) => check::run(command, global),
        ConfigCommand::Schema => schema::run(),
    }
}

impl ConfigCommand {
    /// The settings that the command is about, to be told where they come from.
    pub(crate) fn configured(&mut self) -> Option<&mut Configured> {
        match self {
            ConfigCommand::Print(command) => Some(&mut command.configured),
            _ => None,
        }
    }
}

/// Reads the command line, with what environment and file say of settings where the command has them.
/// `mistyped` says what makes no sense and ends the process.
///
/// # Errors
/// What is wrong with the environment or the file.
pub(crate) fn read(
    command: Command,
    mistyped: impl Fn(clap::Error) -> ArgMatches,
) -> Result<(ArgMatches, Vec<Told>), Failure> {
    let command = WITH_SETTINGS.iter().fold(heard(command), |command, path| at(command, path, &heard));
    let bare = WITH_SETTINGS.iter().fold(command.clone(), |command, path| at(command, path, &flags_alone));
    // What is mistyped is said, and help given, by the command as it is.
    let matches = bare.try_get_matches().or_else(|_| command.clone().try_get_matches());
    let matches = matches.unwrap_or_else(&mistyped);
    let Some((path, inner)) = WITH_SETTINGS.iter().find_map(|path| Some((path, inside(&matches, path)?))) else {
        return Ok((matches, Vec::new()));
    };
    let layers = Layers::read(file_of(inner).as_deref(), |variable| env::var_os(variable)).map_err(first_of)?;
    let below = |command| layers.below(flags_alone(command));
    let command = at(below(command), path, &below);
    let matches = command.try_get_matches().unwrap_or_else(mistyped);
    let told = layers.told(inside(&matches, path).expect("the same was typed"));
    Ok((matches, told))
}

/// The commands that have settings.
const WITH_SETTINGS: [&[&str]; 3] = [&["serve"], &["config", "print"], &["doctor"]];

fn at(command: Command, path: &[&str], change: &impl Fn(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [first, rest @ ..] => command.mut_subcommand(first, |inner| at(inner, rest, change)),
    }
}

fn inside<'a>(matches: &'a ArgMatches, path: &[&str]) -> Option<&'a ArgMatches> {
    path.iter().try_fold(matches, |matches, name| matches.subcommand_matches(name))
}

/// Without the variables that are empty: they say nothing.
fn heard(command: Command) -> Command {
    let is_empty = |flag: &Arg| flag.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    command.mut_args(|flag| if is_empty(&flag) { flag.env(None) } else { flag })
}

/// Without the environment, which is read as a layer of its own.
fn flags_alone(command: Command) -> Command {
    let table = settings::table();
    let is_setting = |long: &str| table.get_arguments().any(|setting| settings::name(setting) == long);
    command.mut_args(|flag| if flag.get_long().is_some_and(is_setting) { flag.env(None) } else { flag })
}

/// A sentence for each variable of this process's environment that is probably misspelt.
pub(crate) fn misspelt_variables() -> Vec<String> {
    misspelt(&arguments::command(), env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn first_of(wrong: Vec<String>) -> Failure {
    let more = match wrong.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more: `rheos config check FILE` has them all)", count - 1),
    };
    Failure::Usage(format!("{}{more}", wrong.first().map_or("", String::as_str)))
}
