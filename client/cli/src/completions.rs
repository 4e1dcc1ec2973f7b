//! `rheos completions`: what a shell needs to complete what is typed, and the answers to its questions.
//!
//! The script of a shell asks this binary at each completion, so it never falls behind it, and names of
//! streams, consumers, keys and contexts are completed too.

mod names;

use std::io;

use clap::{Args, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

pub(crate) use names::{consumers, contexts, keys, streams};

use crate::arguments::command;
use crate::failure::{Failure, not_written};

/// Print what a shell needs to complete commands, options and names
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionsCommand {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const AFTER_HELP: &str = "\
Names of streams, consumers, keys and contexts are completed as well, by asking the broker that the words \
typed so far, the environment and the context in use say.

Examples:
  echo 'source <(rheos completions bash)' >> ~/.bashrc
  echo 'source <(rheos completions zsh)' >> ~/.zshrc          # after compinit
  echo 'rheos completions fish | source' >> ~/.config/fish/config.fish";

/// The variable by which the script says which shell asks.
const ASKED_BY: &str = "RHEOS_COMPLETE";
const NAME: &str = "rheos";

pub(crate) fn run(command: &CompletionsCommand) -> Result<(), Failure> {
    let shell: &dyn EnvCompleter = match command.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    shell.write_registration(ASKED_BY, NAME, NAME, NAME, &mut io::stdout().lock()).map_err(not_written)
}

/// Where the script of a shell asks: answers and ends the process.
pub(crate) fn answer() {
    CompleteEnv::with_factory(command).var(ASKED_BY).complete();
}
