//! What is said of a command line that makes no sense: which word was meant, and how the command is used.
//!
//! clap finds what is wrong; near names are this program's own everywhere, so that a slip in a subcommand
//! is mended like one in the name of a stream.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::near::nearest;

/// The same error as a person can use it best. `words` is the command line without the program.
pub(super) fn mended(mut error: Error, root: &mut Command, words: &[OsString]) -> Error {
    root.build();
    let command = innermost(root, words);
    let (wrong, meant) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidValue => (ContextKind::InvalidValue, ContextKind::SuggestedValue),
        _ => (ContextKind::Custom, ContextKind::Custom),
    };
    if error.kind() == ErrorKind::InvalidSubcommand {
        // Some of those that clap finds are far.
        error.remove(meant);
    }
    if let Some(ContextValue::String(typed)) = error.get(wrong)
        && let Some(name) = nearest(typed, names(command, &error).iter().map(String::as_str))
    {
        let name = match meant {
            ContextKind::SuggestedSubcommand => ContextValue::Strings(vec![name.to_owned()]),
            _ => ContextValue::String(name.to_owned()),
        };
        error.insert(meant, name);
    }
    if error.get(ContextKind::Usage).is_some() {
        // clap's own would name options that are not typed but in the environment.
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    error
}

/// The command that the words lead to.
fn innermost<'a>(root: &'a mut Command, words: &[OsString]) -> &'a mut Command {
    words.iter().filter_map(|word| word.to_str()).fold(root, |command, word| {
        match command.find_subcommand(word).map(|command| command.get_name().to_owned()) {
            Some(name) => command.find_subcommand_mut(name).expect("it was found before"),
            None => command,
        }
    })
}

/// What could stand where the wrong word stands.
fn names(command: &Command, error: &Error) -> Vec<String> {
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidSubcommand, _) => command.get_subcommands().map(|it| it.get_name().to_owned()).collect(),
        (ErrorKind::UnknownArgument, _) => {
            command.get_arguments().filter_map(|it| it.get_long()).map(|long| format!("--{long}")).collect()
        }
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) => values.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn said(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let mut root = command();
        let typed = std::iter::once(OsString::from("rheos")).chain(words.iter().cloned());
        let error = root.clone().try_get_matches_from(typed).expect_err("it is mistyped");
        mended(error, &mut root, &words).to_string()
    }

    #[test]
    fn the_near_word_is_named() {
        for (words, meant) in [
            (&["strem", "list"][..], "'stream'"),
            (&["Put", "x"], "'put'"),
            (&["stream", "craete", "x"], "'create'"),
            (&["consumer", "deregster"], "'deregister'"),
            (&["get", "orders", "--form", "5"], "'--from'"),
            (&["--outptu", "json", "stream", "list"], "'--output'"),
            (&["get", "orders", "--format", "rwa"], "'raw'"),
            (&["--output", "JSONN", "stream", "list"], "'json'"),
            (&["completions", "zhs"], "'zsh'"),
        ] {
            let said = said(words);
            assert!(said.contains("tip: ") && said.contains(meant), "{words:?}: {said}");
            assert_eq!(said.matches("tip: ").count(), 1, "{said}");
        }
        assert!(!said(&["elephant"]).contains("tip: "));
    }

    #[test]
    fn the_usage_is_that_of_the_command() {
        let said = said(&["stream", "create"]);
        assert!(said.contains("Usage: rheos stream create [OPTIONS] <NAME>"), "{said}");
    }
}
