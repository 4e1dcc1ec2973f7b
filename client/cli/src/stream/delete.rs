//! `rheos stream delete`

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use rheos_client::Client;
use serde_json::json;

use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;

/// Delete a stream and everything in it
#[derive(Debug, Args)]
pub(crate) struct DeleteCommand {
    /// The stream
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Asks on a terminal; elsewhere nobody can answer, and `--yes` is needed.
pub(super) fn confirm(command: &DeleteCommand) -> Result<(), Failure> {
    let name = &command.name;
    if command.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(format!(
            "stream {name} is not deleted: without a terminal to ask on, --yes is needed"
        )));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "Delete stream {name} and everything in it? [y/N] ");
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        (Ok(_), _) => Err(Failure::new(format!("stream {name} is not deleted"))),
        (Err(error), _) => Err(Failure::new(format!("stream {name} is not deleted: cannot ask: {error}"))),
    }
}

pub(super) async fn run(command: &DeleteCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    client.delete_stream(name).await?;
    match how {
        Output::Json => output::json(&json!({ "name": name, "deleted": true })),
        Output::Text => output::line(&format!("stream {name} is deleted")),
    }
}
