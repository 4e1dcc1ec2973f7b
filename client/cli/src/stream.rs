//! `rheos stream`: makes, lists, describes, changes, reshards and deletes streams.

mod create;
mod delete;
mod describe;
mod limits;
mod list;
mod merge;
mod mode;
mod reshard;
mod retention;
mod scale;
mod scaling_history;
mod split;
mod tag;
mod tree;

use clap::Subcommand;
use rheos_client::StreamDescription;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::broker;
use crate::failure::Failure;

/// Make, list, describe, change, reshard and delete streams
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    Create(create::CreateCommand),
    List(list::ListCommand),
    Describe(describe::DescribeCommand),
    Delete(delete::DeleteCommand),
    Split(split::SplitCommand),
    Merge(merge::MergeCommand),
    Scale(scale::ScaleCommand),
    Mode(mode::ModeCommand),
    ScalingHistory(scaling_history::ScalingHistoryCommand),
    Retention(retention::RetentionCommand),
    Limits(limits::LimitsCommand),
    Tag(tag::TagCommand),
    Untag(tag::UntagCommand),
}

pub(crate) async fn run(command: &StreamCommand, global: &Global) -> Result<(), Failure> {
    if let StreamCommand::Delete(command) = command {
        delete::ask(command)?;
    }
    let client = broker::connect(global).await?;
    let outcome = match command {
        StreamCommand::Create(command) => create::run(command, &client, global.output).await,
        StreamCommand::List(command) => list::run(command, &client, global.output).await,
        StreamCommand::Describe(command) => describe::run(command, &client, global.output).await,
        StreamCommand::Delete(command) => delete::run(command, &client, global.output).await,
        StreamCommand::Split(command) => split::run(command, &client, global.output).await,
        StreamCommand::Merge(command) => merge::run(command, &client, global.output).await,
        StreamCommand::Scale(command) => scale::run(command, &client, global.output).await,
        StreamCommand::Mode(command) => mode::run(command, &client, global.output).await,
        StreamCommand::ScalingHistory(command) => scaling_history::run(command, &client, global.output).await,
        StreamCommand::Retention(command) => retention::run(command, &client, global.output).await,
        StreamCommand::Limits(command) => limits::run(command, &client, global.output).await,
        StreamCommand::Tag(command) => tag::tag(command, &client, global.output).await,
        StreamCommand::Untag(command) => tag::untag(command, &client, global.output).await,
    };
    client.close().await;
    outcome
}

fn as_json(stream: &StreamDescription) -> Value {
    let shards: Vec<Value> = stream
        .shards
        .iter()
        .map(|shard| {
            json!({
                "shard": shard.shard,
                "open": shard.open,
                "first_hash": format!("{:032x}", shard.range.first),
                "last_hash": format!("{:032x}", shard.range.last),
                "parent": shard.parent,
                "adjacent_parent": shard.adjacent_parent,
                "log": shard.log,
                "lane": shard.lane,
            })
        })
        .collect();
    json!({
        "name": stream.name,
        "incarnation": format!("{:016x}", stream.incarnation),
        "created_ms": stream.created_ms,
        "retention_ms": stream.retention_ms,
        "retention_bytes": retention::bound(stream),
        "record_bytes_max": stream.record_bytes_max,
        "limits": limits::as_json(stream),
        "mode": mode::word(stream.settings.mode),
        "bounds": mode::bounds_as_json(stream.settings.mode),
        "shards": shards,
    })
}
