//! `rheos config print`: the settings that `rheos serve` would take with the same flags, environment and file.

use clap::Args;
use serde_json::{Value, json};

use super::layers::{Configured, Origin, Told};
use super::{misspelt_variables, schema};
use crate::arguments::{Global, Output};
use crate::failure::{Failure, warn};
use crate::output;
use crate::settings::name;

/// Print the settings of a broker, as a file that `rheos serve --config` takes
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PrintCommand {
    /// Say of each setting where it comes from: flag, environment, file and line, or default
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    pub(super) configured: Configured,
}

const AFTER_HELP: &str = "\
Takes the flags of `rheos serve`, and prints what it would do with them, the environment and the file.

Examples:
  rheos config print --origin
  rheos config print --config rheos.toml --lanes 4 --output json";

pub(super) fn run(command: &PrintCommand, global: &Global) -> Result<(), Failure> {
    misspelt_variables().iter().for_each(|warning| warn(warning));
    let Configured { settings, told, .. } = &command.configured;
    match global.output {
        Output::Text => lines(told, command.origin).iter().try_for_each(|line| output::line(line))?,
        how => output::objects(how, told, object)?,
    }
    settings.check()
}

fn object(Told { setting, values, origin }: &Told) -> Value {
    let mut object = json!({ "setting": name(setting), "value": schema::value(setting, values) });
    object["origin"] = match origin {
        Origin::Flag => "flag".into(),
        Origin::Environment(_) => "environment".into(),
        Origin::File { .. } => "file".into(),
        Origin::Default => "default".into(),
    };
    match origin {
        Origin::Environment(variable) => object["variable"] = variable.as_str().into(),
        Origin::File { path, line } => {
            object["file"] = path.to_string_lossy().into();
            object["line"] = (*line).into();
        }
        _ => {}
    }
    object
}

/// TOML; what is not set stands in a comment.
fn lines(told: &[Told], with_origin: bool) -> Vec<String> {
    let shown = |told: &Told| {
        let name = name(&told.setting);
        match schema::value(&told.setting, &told.values) {
            Value::Null => format!("# {name} is not set"),
            value => format!("{name} = {value}"),
        }
    };
    let shown: Vec<String> = told.iter().map(shown).collect();
    if !with_origin {
        return shown;
    }
    let width = shown.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    shown.iter().zip(told).map(|(line, told)| format!("{line:<width$}  # {}", told.origin)).collect()
}
