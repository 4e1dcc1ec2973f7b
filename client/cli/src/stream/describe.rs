//! `rheos stream describe`

use clap::Args;
use rheos_client::{Client, ShardDescription};
use serde_json::Value;

use super::limits::show_limits;
use super::retention::show_retention;
use super::{as_json, scaling_history, tree};
use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::tags;
use crate::units::{show_bytes, show_time_ms};

/// Describe a stream and its shards
#[derive(Debug, Args)]
pub(crate) struct DescribeCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
}

pub(super) async fn run(command: &DescribeCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let described = client.describe_stream(&command.name).await;
    let stream = found(client, Named::Stream(&command.name), described).await?;
    let tags = client.stream_tags(&command.name).await?;
    let scaled = client.scaling_history(&command.name).await?;
    if !how.is_text() {
        let mut described = as_json(&stream);
        described["tags"] = tags::as_json(&tags);
        described["scaled"] = scaled.first().map_or(Value::Null, scaling_history::as_json);
        return output::json(&described);
    }
    let open = stream.shards.iter().filter(|shard| shard.open).count();
    for (title, value) in [
        ("name", stream.name.clone()),
        ("created", show_time_ms(stream.created_ms)),
        ("retention", show_retention(&stream)),
        ("record max", show_bytes(u64::from(stream.record_bytes_max))),
        ("limits", show_limits(&stream)),
        ("tags", tags::show(&tags)),
        ("mode", stream.settings.mode.to_string()),
        ("shards", format!("{open} open, {} closed", stream.shards.len() - open)),
    ]
    .into_iter()
    .chain(scaled.first().map(|step| ("scaled", scaling_history::show(step))))
    {
        output::line(&format!("{title:<12}{value}"))?;
    }
    output::line("")?;
    let rows: Vec<_> = stream.shards.iter().map(row).collect();
    output::table(["SHARD", "STATE", "FIRST HASH", "LAST HASH", "LOG", "LANE", "PARENTS"], &rows)?;
    if open < stream.shards.len() {
        output::line("")?;
        tree::draw(&stream.shards).iter().try_for_each(|line| output::line(line))?;
    }
    Ok(())
}

fn row(shard: &ShardDescription) -> [String; 7] {
    let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
    [
        shard.shard.to_string(),
        if shard.open { "open" } else { "closed" }.to_owned(),
        format!("0x{:032x}", shard.range.first),
        format!("0x{:032x}", shard.range.last),
        shard.log.to_string(),
        shard.lane.to_string(),
        parents.map(|parent| parent.to_string()).collect::<Vec<_>>().join(" "),
    ]
}
