//! `rheos stream delete`

use clap::Args;
use rheos_client::Client;
use serde_json::json;

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output;

/// Delete a stream and everything in it
#[derive(Debug, Args)]
pub(crate) struct DeleteCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn ask(command: &DeleteCommand) -> Result<(), Failure> {
    let name = &command.name;
    let question = format!("Delete stream {name} and everything in it?");
    confirm(command.yes, &question, &format!("stream {name} is not deleted"))
}

pub(super) async fn run(command: &DeleteCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    found(client, Named::Stream(name), client.delete_stream(name).await).await?;
    output::one(how, &format!("stream {name} is deleted"), &json!({ "name": name, "deleted": true }))
}
