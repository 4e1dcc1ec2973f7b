//! `rheos help`, and how the page of `rheos --help` is laid out: its commands by what they are for.

use std::fmt::Write;

use clap::{Args, Command};

use crate::arguments::command;
use crate::exit::EXITS;
use crate::failure::Failure;
use crate::near::suggestion_or;
use crate::output;
use crate::printer::about_templates;
use crate::units::POSITIONS;

/// Explain a command, or exit-codes, positions, templates, environment
#[derive(Debug, Args)]
pub(crate) struct HelpCommand {
    /// A command, such as stream create, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

pub(crate) fn run(typed: &HelpCommand) -> Result<(), Failure> {
    if let [word] = typed.words.as_slice()
        && let Some((_, text)) = topics().into_iter().find(|(name, _)| name == word)
    {
        return output::line(text.trim_end());
    }
    let mut root = command();
    root.build();
    let mut explained = &root;
    for word in &typed.words {
        explained = explained.find_subcommand(word).ok_or_else(|| unknown(explained, word))?;
    }
    let words = typed.words.iter().map(String::as_str);
    let asked = ["rheos"].into_iter().chain(words).chain(["--help"]);
    command().try_get_matches_from(asked).map_or_else(|page| page.exit(), |_| Ok(()))
}

fn unknown(parent: &Command, word: &str) -> Failure {
    let (topics, commands) = (topics(), parent.get_subcommands().map(Command::get_name));
    let names = commands.chain(topics.iter().map(|(name, _)| *name));
    let page = parent.get_bin_name().unwrap_or("rheos");
    let hint = suggestion_or(word, names, || format!("; `{page} --help` shows all"));
    Failure::Usage(format!("{page} has no command or topic {word:?}{hint}"))
}

fn topics() -> [(&'static str, String); 4] {
    [
        ("exit-codes", exit_codes()),
        ("positions", POSITIONS.to_owned()),
        ("templates", about_templates()),
        ("environment", ENVIRONMENT.to_owned()),
    ]
}

fn exit_codes() -> String {
    EXITS
        .iter()
        .fold("Exit codes:\n".to_owned(), |text, (exit, meaning)| format!("{text}  {:>3}  {meaning}\n", *exit as u8))
}

/// What the environment says.
pub(crate) const ENVIRONMENT: &str = "\
Environment:
  RHEOS_URL         as --url: rheos://ID:SECRET@HOST:4567?ca=sha256:HEX, or dev:ADDRESS
  RHEOS_CONTEXT     as --context: a context to use
  RHEOS_DATA        as --data: the data directory of a broker on this host
  RHEOS_CONFIG      as --config of rheos serve, whose other settings have variables too: rheos serve --help
  RHEOS_CONFIG_DIR  where contexts are kept; else $XDG_CONFIG_HOME/rheos, else ~/.config/rheos
  NO_COLOR          when it is not empty, nothing is coloured

Which broker is meant, strongest first: --url, --data, --context, RHEOS_URL, RHEOS_CONTEXT, RHEOS_DATA, the
context in use, the data directory ./rheos-data.";

/// The commands by what they are for.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Serve", &["serve", "demo", "config"]),
    ("Streams", &["stream", "consumer"]),
    ("Records", &["put", "get", "tail"]),
    ("Access", &["key", "context", "tls"]),
    ("Operate", &["ping", "top", "verify", "repair", "calibrate", "doctor"]),
    ("Shell", &["completions", "man", "help"]),
];

/// Lays out the page of the whole command line.
pub(crate) fn grouped(command: Command) -> Command {
    let styles = command.get_styles().clone();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut page = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        let _ = writeln!(page, "\n{header}{title}:{header:#}");
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(page, "  {literal}{:<12}{literal:#} {about}", command.get_name());
        }
    }
    let _ = write!(page, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    command.help_template(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for command in command().get_subcommands() {
            let name = command.get_name();
            assert_eq!(grouped.iter().filter(|grouped| **grouped == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn topics_say_what_they_are_about() {
        assert!(exit_codes().contains("    0  all was done\n") && exit_codes().lines().count() == 10);
        assert!(topics().iter().all(|(name, text)| command().find_subcommand(name).is_none() && text.contains(":\n")));
    }
}
