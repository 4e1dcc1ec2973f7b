//! `rheos stream merge`

use clap::Args;
use rheos_client::Client;

use super::reshard;
use crate::arguments::Output;
use crate::failure::Failure;

/// Merge two shards that lie side by side
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct MergeCommand {
    /// The stream
    name: String,
    /// One of the shards
    #[arg(value_name = "SHARD")]
    shard: u32,
    /// The other
    #[arg(value_name = "ADJACENT")]
    adjacent: u32,
}

const AFTER_HELP: &str = "\
Shards lie side by side when the hash keys of one begin where those of the other end: rheos stream describe shows them. \
Producers and consumers go on meanwhile: records of one key stay in their order.

Example:
  rheos stream merge flights 4 5";

pub(super) async fn run(command: &MergeCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let MergeCommand { name, shard, adjacent } = command;
    let change = client.merge_shards(name, *shard, *adjacent);
    reshard::run(client, name, &format!("merging shards {shard} and {adjacent}"), change, how).await
}
