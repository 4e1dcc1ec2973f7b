//! `rheos stream list`

use clap::Args;
use rheos_client::{Client, StreamSummary};
use serde_json::{Value, json};

use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::units::{show_duration_ms, show_time_ms};

/// List all streams
#[derive(Debug, Args)]
pub(crate) struct ListCommand {}

pub(super) async fn run(client: &Client, how: Output) -> Result<(), Failure> {
    let streams = client.list_streams().await?;
    output::list(how, &streams, ["NAME", "SHARDS", "RETENTION", "CREATED"], row, as_json)
}

fn row(stream: &StreamSummary) -> [String; 4] {
    [
        stream.name.clone(),
        stream.open_shards.to_string(),
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
    })
}
