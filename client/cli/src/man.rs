//! `rheos man`: manual pages, one for each command, made from the same words as `--help`.

mod page;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};

use crate::arguments::command;
use crate::failure::{Failure, not_written};
use crate::output::count;

/// Write manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ManCommand {
    /// Where to write the pages; the page of rheos alone goes to standard output when it is not given
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  rheos man | man -l -
  rheos man ~/.local/share/man/man1 && man rheos-put";

pub(crate) fn run(typed: &ManCommand) -> Result<(), Failure> {
    let mut root = command();
    root.build();
    let Some(directory) = &typed.directory else {
        return io::stdout().lock().write_all(&page::render(&root)).map_err(not_written);
    };
    let failed = |path: &PathBuf, error| Failure::new(format!("cannot write {}: {error}", path.display()));
    if directory.is_file() {
        return Err(Failure::new(format!("{} is no directory; name one to write the pages to", directory.display())));
    }
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let pages = all(&root);
    for command in &pages {
        let path = directory.join(page::file_name(command));
        fs::write(&path, page::render(command)).map_err(|error| failed(&path, error))?;
    }
    crate::failure::note(&format!("{} written to {}", count(pages.len() as u64, "page"), directory.display()));
    Ok(())
}

/// A command and all that are below it.
fn all(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set()).flat_map(all);
    std::iter::once(command).chain(below).collect()
}
