//! `rheos stream create`

use clap::Args;
use rheos_client::protocol::limits::{
    RECORD_BYTES_LEAST, RECORD_BYTES_MAX, RETENTION_MS_LEAST, RETENTION_MS_MAX, SHARDS_MAX,
};
use rheos_client::{Client, StreamMode, StreamSpec};

use super::as_json;
use super::mode::{Bounds, Mode};
use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_bytes, parse_duration_ms, show_bytes, show_duration_ms};

/// Make a stream
#[derive(Debug, Args)]
pub(crate) struct CreateCommand {
    /// 1 to 128 of a-z A-Z 0-9 _ . -; of another account or region than the broker's own ACCOUNT/REGION/NAME, as
    /// everywhere: 123456789012/eu-west-1/orders
    name: String,
    /// Shards: each is an ordered log of its own, and records are spread over them by their key; 1 unless said, of an
    /// on-demand stream its fewest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u32>,
    /// Who decides how many shards it has later: you, or the broker by what is put
    #[arg(long, value_name = "MODE", default_value = "provisioned")]
    mode: Mode,
    #[command(flatten)]
    bounds: Bounds,
    /// How long records are kept: 24h to 365d
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_retention_ms)]
    retention: u64,
    /// Largest record: 1MiB to 10MiB
    #[arg(long, default_value = "1MiB", value_name = "SIZE", value_parser = parse_record_max)]
    record_max: u32,
}

pub(super) fn parse_retention_ms(text: &str) -> Result<u64, String> {
    let ms = parse_duration_ms(text)?;
    match (RETENTION_MS_LEAST..=RETENTION_MS_MAX).contains(&ms) {
        true => Ok(ms),
        false => Err("records are kept for 24h to 365d".to_owned()),
    }
}

pub(super) fn parse_record_max(text: &str) -> Result<u32, String> {
    let bytes = u32::try_from(parse_bytes(text)?).unwrap_or(u32::MAX);
    match (RECORD_BYTES_LEAST..=RECORD_BYTES_MAX).contains(&bytes) {
        true => Ok(bytes),
        false => Err("the largest record of a stream is 1MiB to 10MiB".to_owned()),
    }
}

const _: () = assert!(RETENTION_MS_LEAST == 24 * 3_600_000 && RETENTION_MS_MAX == 365 * 86_400_000);
const _: () = assert!(RECORD_BYTES_LEAST == 1 << 20 && RECORD_BYTES_MAX == 10 << 20);

pub(super) async fn run(command: &CreateCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let mode = command.bounds.of(command.mode)?;
    let spec = StreamSpec {
        name: command.name.clone(),
        shards: command.shards.unwrap_or(mode.bounds().map_or(1, |bounds| bounds.min)),
        retention_ms: command.retention,
        record_bytes_max: command.record_max,
        mode,
    };
    let stream = client.create_stream(spec).await?;
    let scaled = match stream.settings.mode {
        StreamMode::Provisioned => String::new(),
        mode => format!("; {mode}"),
    };
    let made = format!(
        "stream {} is made: {}, records up to {}, kept for {}{scaled}",
        stream.name,
        output::count(stream.shards.len() as u64, "shard"),
        show_bytes(u64::from(stream.record_bytes_max)),
        show_duration_ms(stream.retention_ms),
    );
    output::one(how, &made, &as_json(&stream))
}
