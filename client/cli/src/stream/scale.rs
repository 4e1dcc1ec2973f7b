//! `rheos stream scale`

use clap::Args;
use rheos_client::Client;

use super::reshard;
use crate::arguments::Output;
use crate::failure::Failure;

/// Split and merge shards until so many are open
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ScaleCommand {
    /// The stream
    name: String,
    /// Open shards, 1 to 10000
    #[arg(value_name = "COUNT")]
    count: u32,
}

const AFTER_HELP: &str = "\
To have more, every shard is split in the middle; to have fewer, neighbours are merged. Shards of about the same width \
come of it when the count doubles or halves. Producers and consumers go on meanwhile: records of one key stay in their \
order.

Example:
  rheos stream scale flights 8";

pub(super) async fn run(command: &ScaleCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let ScaleCommand { name, count } = command;
    let change = client.scale_stream(name, *count);
    reshard::run(client, name, &format!("scaling to {}", crate::output::count((*count).into(), "shard")), change, how)
        .await
}
