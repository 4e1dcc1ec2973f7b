//! `rheos stream retention`

use clap::{ArgGroup, Args};
use rheos_client::{Client, StreamDescription, UpdateStream};
use serde_json::json;

use super::create::parse_retention_ms;
use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_bytes, show_bytes, show_duration_ms};

/// Change how long, and how much of, a stream is kept
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["time", "bytes"]))]
#[command(override_usage = "rheos stream retention [OPTIONS] <STREAM> [TIME]", after_help = AFTER_HELP)]
pub(crate) struct RetentionCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// How long records are kept: 24h to 365d
    #[arg(value_name = "TIME", value_parser = parse_retention_ms)]
    time: Option<u64>,
    /// Most bytes on the disk, or none for no such bound: then the oldest records go first, whatever their age
    #[arg(long, value_name = "SIZE", value_parser = parse_bound)]
    bytes: Option<u64>,
    /// Do not ask before records go
    #[arg(long, short)]
    yes: bool,
}

const AFTER_HELP: &str = "\
It holds at once. Records that have expired do not come back when retention is raised; their files go \
within a minute. A bound of bytes is shared evenly by the logs of the stream (as many as it had shards or \
the broker lanes when it was made), each keeps its newest segment whatever it is, and what comes within a \
minute may be on the disk beyond it.

Examples:
  rheos stream retention flights 7d
  rheos stream retention flights --bytes 100GiB
  rheos stream retention flights 24h --bytes none --yes";

fn parse_bound(text: &str) -> Result<u64, String> {
    match text {
        "none" => Ok(0),
        text => match parse_bytes(text) {
            Ok(0) => Err("0 keeps nothing; write none for no bound".to_owned()),
            parsed => parsed,
        },
    }
}

pub(super) async fn run(command: &RetentionCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    let before = found(client, Named::Stream(name), client.describe_stream(name).await).await?;
    if removes(command, &before) {
        let question = format!("Remove the records of stream {name} that are then beyond its retention?");
        confirm(command.yes, &question, &format!("the retention of stream {name} is not changed"))?;
    }
    let update =
        UpdateStream { retention_ms: command.time, retention_bytes: command.bytes, ..UpdateStream::of(name.as_str()) };
    let stream = found(client, Named::Stream(name), client.update_stream(update).await).await?;
    let text = format!("stream {name} is kept for {}", show_retention(&stream));
    let (retention_ms, retention_bytes) = (stream.retention_ms, bound(&stream));
    output::one(how, &text, &json!({ "name": name, "retention_ms": retention_ms, "retention_bytes": retention_bytes }))
}

/// Whether records may go by it that would have stayed.
fn removes(command: &RetentionCommand, before: &StreamDescription) -> bool {
    let bytes = command.bytes.unwrap_or(0);
    let bound = before.settings.retention_bytes;
    command.time.is_some_and(|ms| ms < before.retention_ms) || (bytes > 0 && (bound == 0 || bytes < bound))
}

/// The bound of bytes, if there is one.
pub(super) fn bound(stream: &StreamDescription) -> Option<u64> {
    Some(stream.settings.retention_bytes).filter(|bytes| *bytes > 0)
}

pub(super) fn show_retention(stream: &StreamDescription) -> String {
    let time = show_duration_ms(stream.retention_ms);
    match bound(stream) {
        Some(bytes) => format!("{time}, at most {}", show_bytes(bytes)),
        None => time,
    }
}
