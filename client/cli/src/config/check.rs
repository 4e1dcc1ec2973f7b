//! `rheos config check FILE`.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};
use serde_json::json;

use super::file::ConfigFile;
use super::layers::Layers;
use crate::arguments::{Global, Output};
use crate::failure::Failure;
use crate::output::{self, count};
use crate::settings::{self, Settings};

/// Say what is wrong with a file with settings, if anything
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CheckCommand {
    /// The file (TOML)
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

const AFTER_HELP: &str = "\
The exit code is 1 when something is wrong. What lies outside the file, certificates or addresses, is \
looked at when the broker starts.

Example:
  rheos config check /etc/rheos/rheos.toml";

pub(super) fn run(command: &CheckCommand, global: &Global) -> Result<(), Failure> {
    let file = command.file.display();
    let (settings, wrong) = match ConfigFile::read(&command.file) {
        Ok(read) => (read.entries.len(), alone(read).err().map_or_else(Vec::new, |why| vec![format!("{file}: {why}")])),
        Err(wrong) => (0, wrong),
    };
    match global.output {
        Output::Text => wrong.iter().try_for_each(|line| output::line(line))?,
        _ => output::json(&json!({ "file": file.to_string(), "settings": settings, "wrong": wrong }))?,
    }
    match wrong.len() {
        0 if global.output == Output::Text => {
            output::line(&format!("{file} is good: {}", count(settings as u64, "setting")))
        }
        0 => Ok(()),
        mistakes => Err(Failure::new(format!("{file} has {}; they stand above", count(mistakes as u64, "mistake")))),
    }
}

/// Whether the settings of the file go together with nothing said elsewhere.
fn alone(file: ConfigFile) -> Result<(), String> {
    let command = Layers::of_file(file).below(settings::table().mut_args(|flag| flag.env(None)));
    let matches = command.try_get_matches_from(["rheos"]).map_err(|error| error.to_string())?;
    let settings = Settings::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    settings.check().map_err(|failure| failure.message().to_owned())
}
