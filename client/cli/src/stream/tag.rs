//! `rheos stream tag` and `rheos stream untag`

use clap::Args;
use rheos_client::Client;
use serde_json::json;

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::tags::{self, parse_tag};

/// Set tags of a stream
#[derive(Debug, Args)]
#[command(after_help = TAG_HELP)]
pub(crate) struct TagCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// Keys and values; a tag that is there gets the new value, others stay
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

/// Remove tags of a stream
#[derive(Debug, Args)]
#[command(after_help = UNTAG_HELP)]
pub(crate) struct UntagCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// Keys; one that is not there is no error
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

const TAG_HELP: &str = "\
Up to 50 tags, with keys of 1 to 128 and values of up to 256 characters: letters, digits, white space \
and _ . : / = + - @. Keys that begin with aws: are reserved.

Examples:
  rheos stream tag flights team=payments env=prod
  rheos stream list --tag team=payments";

const UNTAG_HELP: &str = "\
Examples:
  rheos stream untag flights env";

pub(super) async fn tag(command: &TagCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    found(client, Named::Stream(name), client.tag_stream(name, command.tags.clone()).await).await?;
    show(name, client, how).await
}

pub(super) async fn untag(command: &UntagCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    found(client, Named::Stream(name), client.untag_stream(name, command.keys.clone()).await).await?;
    show(name, client, how).await
}

async fn show(name: &str, client: &Client, how: Output) -> Result<(), Failure> {
    let tags = client.stream_tags(name).await?;
    let text = format!("tags of stream {name}: {}", tags::show(&tags));
    output::one(how, &text, &json!({ "name": name, "tags": tags::as_json(&tags) }))
}
