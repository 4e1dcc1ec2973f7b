//! `rheos stream list`

use clap::Args;
use rheos_client::Client;
use serde_json::json;

use crate::arguments::Output;
use crate::failure::Failure;
use crate::output;
use crate::units::{show_duration_ms, show_time_ms};

/// List all streams
#[derive(Debug, Args)]
pub(crate) struct ListCommand {}

pub(super) async fn run(client: &Client, how: Output) -> Result<(), Failure> {
    let streams = client.list_streams().await?;
    match how {
        Output::Json => streams.iter().try_for_each(|stream| {
            output::json(&json!({
                "name": stream.name,
                "incarnation": format!("{:016x}", stream.incarnation),
                "created_ms": stream.created_ms,
                "open_shards": stream.open_shards,
                "retention_ms": stream.retention_ms,
            }))
        }),
        Output::Text => {
            let rows: Vec<_> = streams
                .iter()
                .map(|stream| {
                    [
                        stream.name.clone(),
                        stream.open_shards.to_string(),
                        show_duration_ms(stream.retention_ms),
                        show_time_ms(stream.created_ms),
                    ]
                })
                .collect();
            output::table(["NAME", "SHARDS", "RETENTION", "CREATED"], &rows)
        }
    }
}
