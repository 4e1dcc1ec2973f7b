//! `rheos stream split`

use clap::Args;
use rheos_client::Client;

use super::reshard;
use crate::arguments::Output;
use crate::failure::Failure;
use crate::units::parse_hash_key;

/// Split a shard into two
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SplitCommand {
    /// The stream
    name: String,
    /// The shard
    #[arg(value_name = "SHARD")]
    shard: u32,
    /// First hash key of the second half, in decimal or after 0x in hexadecimal; the middle of the shard when it
    /// is left out
    #[arg(long, value_name = "HASH", value_parser = parse_hash_key)]
    at: Option<u128>,
}

const AFTER_HELP: &str = "\
Producers and consumers go on meanwhile: records of one key stay in their order. The shard stays readable until its \
records expire.

Examples:
  rheos stream split flights 0
  rheos stream split flights 3 --at 0xd0000000000000000000000000000000";

pub(super) async fn run(command: &SplitCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let SplitCommand { name, shard, at } = command;
    let change = client.split_shard(name, *shard, *at);
    reshard::run(client, name, &format!("splitting shard {shard}"), change, how).await
}
