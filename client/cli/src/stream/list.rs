//! `rheos stream list`

use clap::Args;
use rheos_client::{Client, StreamFilter, StreamSummary};
use serde_json::{Value, json};

use super::mode::{bounds_as_json, word};
use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::tags::parse_wanted;
use crate::units::{show_duration_ms, show_time_ms};

/// List streams
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ListCommand {
    /// Only those whose name begins so
    #[arg(long, value_name = "TEXT", default_value = "")]
    name_prefix: String,
    /// Only those with this tag; given several times, with all of them
    #[arg(long = "tag", value_name = "KEY[=VALUE]", value_parser = parse_wanted)]
    tags: Vec<(String, Option<String>)>,
}

const AFTER_HELP: &str = "\
Examples:
  rheos stream list
  rheos stream list --name-prefix flights-
  rheos stream list --tag team=payments --tag env";

pub(super) async fn run(command: &ListCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let ListCommand { name_prefix, tags } = command;
    let filter = StreamFilter { name_prefix: name_prefix.clone(), tags: tags.clone() };
    let streams = client.list_streams_with(filter).await?;
    output::list(how, &streams, ["NAME", "SHARDS", "MODE", "RETENTION", "CREATED"], row, as_json)
}

fn row(stream: &StreamSummary) -> [String; 5] {
    [
        stream.name.clone(),
        stream.open_shards.to_string(),
        word(stream.mode).to_owned(),
        show_duration_ms(stream.retention_ms),
        show_time_ms(stream.created_ms),
    ]
}

fn as_json(stream: &StreamSummary) -> Value {
    json!({
        "name": stream.name,
        "incarnation": format!("{:016x}", stream.incarnation),
        "created_ms": stream.created_ms,
        "open_shards": stream.open_shards,
        "retention_ms": stream.retention_ms,
        "mode": word(stream.mode),
        "bounds": bounds_as_json(stream.mode),
    })
}
