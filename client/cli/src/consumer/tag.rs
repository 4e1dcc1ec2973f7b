//! `rheos consumer tag` and `rheos consumer untag`

use clap::Args;
use rheos_client::Client;
use serde_json::json;

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::failure::Failure;
use crate::output;
use crate::tags::{self, parse_tag};

/// Set tags of a consumer, or show them
#[derive(Debug, Args)]
#[command(after_help = TAG_HELP)]
pub(crate) struct TagCommand {
    /// The stream
    stream: String,
    /// The consumer
    name: String,
    /// Keys and values; a tag that is there gets the new value, others stay. Without any, all are shown
    #[arg(value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

/// Remove tags of a consumer
#[derive(Debug, Args)]
#[command(after_help = UNTAG_HELP)]
pub(crate) struct UntagCommand {
    /// The stream
    stream: String,
    /// The consumer
    name: String,
    /// Keys; one that is not there is no error
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

const TAG_HELP: &str = "\
Examples:
  rheos consumer tag flights board team=airport
  rheos consumer tag flights board";

const UNTAG_HELP: &str = "\
Examples:
  rheos consumer untag flights board team";

pub(super) async fn tag(command: &TagCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let TagCommand { stream, name, tags } = command;
    if !tags.is_empty() {
        let tagged = client.tag_consumer(stream, name, tags.clone()).await;
        found(client, Named::Consumer { stream, name }, tagged).await?;
    }
    show(stream, name, client, how).await
}

pub(super) async fn untag(command: &UntagCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let UntagCommand { stream, name, keys } = command;
    let untagged = client.untag_consumer(stream, name, keys.clone()).await;
    found(client, Named::Consumer { stream, name }, untagged).await?;
    show(stream, name, client, how).await
}

async fn show(stream: &str, name: &str, client: &Client, how: Output) -> Result<(), Failure> {
    let tags = client.consumer_tags(stream, name).await;
    let tags = found(client, Named::Consumer { stream, name }, tags).await?;
    let text = format!("tags of consumer {name} of stream {stream}: {}", tags::show(&tags));
    output::one(how, &text, &json!({ "stream": stream, "name": name, "tags": tags::as_json(&tags) }))
}
