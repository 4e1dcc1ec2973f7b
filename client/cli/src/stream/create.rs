//! `rheos stream create`

use clap::Args;
use rheos_client::protocol::limits::SHARDS_MAX;
use rheos_client::{Client, StreamSpec};

use super::as_json;
use super::limits::parse_record_max;
use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_duration_ms, show_bytes, show_duration_ms};

/// Make a stream
#[derive(Debug, Args)]
pub(crate) struct CreateCommand {
    /// 1 to 128 of a-z A-Z 0-9 _ . -
    name: String,
    /// Shards: each is an ordered log of its own, and records are spread over them by their key
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards: u32,
    /// How long records are kept: 24h to 365d
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_duration_ms)]
    retention: u64,
    /// Largest record: 1MiB to 10MiB
    #[arg(long, default_value = "1MiB", value_name = "SIZE", value_parser = parse_record_max)]
    record_max: u32,
}

pub(super) async fn run(command: &CreateCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let spec = StreamSpec {
        name: command.name.clone(),
        shards: command.shards,
        retention_ms: command.retention,
        record_bytes_max: command.record_max,
    };
    let stream = client.create_stream(spec).await?;
    match how {
        Output::Json => output::json(&as_json(&stream)),
        Output::Text => output::line(&format!(
            "stream {} is made: {}, records up to {}, kept for {}",
            stream.name,
            output::count(stream.shards.len() as u64, "shard"),
            show_bytes(u64::from(stream.record_bytes_max)),
            show_duration_ms(stream.retention_ms),
        )),
    }
}
