//! `rheos stream limits`

use clap::{ArgGroup, Args};
use rheos_client::{Client, Limit, LimitsUpdate, StreamDescription, StreamLimits, UpdateStream};
use serde_json::{Value, json};

use super::create::parse_record_max;
use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_bytes, show_bytes};

/// Change how fast each shard of a stream may be used, and its largest record
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true)
    .args(["in_bytes", "records", "out_bytes", "reads", "push", "record_max", "inherit"]))]
#[command(override_usage = "rheos stream limits [OPTIONS] <STREAM>", after_help = AFTER_HELP)]
pub(crate) struct LimitsCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// Bytes of data and keys that are put, such as 5MiB/s
    #[arg(long = "in", value_name = "RATE", value_parser = parse_byte_rate)]
    in_bytes: Option<Limit>,
    /// Records that are put, such as 5000/s
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    records: Option<Limit>,
    /// Bytes that are read, by all who read the shard together
    #[arg(long = "out", value_name = "RATE", value_parser = parse_byte_rate)]
    out_bytes: Option<Limit>,
    /// Reads, of all who read the shard together
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    reads: Option<Limit>,
    /// Bytes that are pushed to each registered consumer
    #[arg(long, value_name = "RATE", value_parser = parse_byte_rate)]
    push: Option<Limit>,
    /// Largest record that is put from now on: 1MiB to 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_record_max)]
    record_max: Option<u32>,
    /// Let every limit that is not named be the broker's (see rheos serve --limits)
    #[arg(long)]
    inherit: bool,
}

const AFTER_HELP: &str = "\
A limit is a ceiling for one shard; a second's worth may be used at once. What is over it is refused with \
the time to wait, which producers and readers of the client crate do by themselves; a push only comes \
later. It holds at once. RATE is a number with /s, unlimited for none whatever the broker's is, or \
inherit for the broker's.

Examples:
  rheos stream limits flights --in 5MiB/s --records 5000/s
  rheos stream limits flights --out 10MiB/s --push unlimited
  rheos stream limits flights --record-max 4MiB
  rheos stream limits flights --inherit";

fn parse_byte_rate(text: &str) -> Result<Limit, String> {
    parse_limit(text, "5MiB/s", |rate| parse_bytes(rate).ok())
}

fn parse_rate(text: &str) -> Result<Limit, String> {
    parse_limit(text, "5000/s", |rate| {
        let is_digits = !rate.is_empty() && rate.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then(|| rate.parse().ok()).flatten()
    })
}

fn parse_limit(text: &str, example: &str, parse: impl Fn(&str) -> Option<u64>) -> Result<Limit, String> {
    match text {
        "unlimited" => return Ok(Limit::Unlimited),
        "inherit" => return Ok(Limit::Inherit),
        _ => {}
    }
    let rate = text.strip_suffix("/s").and_then(|rate| parse(rate.trim_end()));
    match rate {
        Some(0) => Err("0 a second lets nothing through; a limit is at least 1".to_owned()),
        Some(rate) => Ok(Limit::of(rate)),
        None => Err(format!("{text:?} is no limit; write such as {example}, unlimited or inherit")),
    }
}

pub(super) async fn run(command: &LimitsCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    let update = UpdateStream {
        record_bytes_max: command.record_max,
        limits: changes(command),
        ..UpdateStream::of(name.as_str())
    };
    let stream = found(client, Named::Stream(name), client.update_stream(update).await).await?;
    let record_max = stream.record_bytes_max;
    let (limits, largest) = (show_limits(&stream), show_bytes(u64::from(record_max)));
    let text = format!("each shard of stream {name}: {limits}; records up to {largest}");
    output::one(how, &text, &json!({ "name": name, "record_bytes_max": record_max, "limits": as_json(&stream) }))
}

fn changes(command: &LimitsCommand) -> LimitsUpdate {
    let rest = command.inherit.then_some(Limit::Inherit);
    LimitsUpdate {
        in_bytes: command.in_bytes.or(rest),
        in_records: command.records.or(rest),
        out_bytes: command.out_bytes.or(rest),
        out_reads: command.reads.or(rest),
        push_bytes: command.push.or(rest),
    }
}

/// The limits in force, on one line.
pub(super) fn show_limits(stream: &StreamDescription) -> String {
    let StreamLimits { in_bytes, in_records, out_bytes, out_reads, push_bytes } = stream.settings.limits_in_force;
    let bytes = |name: &str, limit: Limit| Some(format!("{name} {}/s", show_bytes(limit.per_second()?.get())));
    let count = |name: &str, limit: Limit| Some(format!("{name} {}/s", limit.per_second()?));
    let shown = [
        bytes("in", in_bytes),
        count("records", in_records),
        bytes("out", out_bytes),
        count("reads", out_reads),
        bytes("push", push_bytes),
    ];
    match shown.into_iter().flatten().collect::<Vec<_>>() {
        none if none.is_empty() => "unlimited".to_owned(),
        some => some.join(", "),
    }
}

/// For programs: each limit in force, a second, `null` where there is none; and which of them are the stream's own.
pub(super) fn as_json(stream: &StreamDescription) -> Value {
    let own = stream.settings.limits.named().map(|(_, limit)| limit != Limit::Inherit);
    let in_force = stream.settings.limits_in_force.named().map(|(_, limit)| limit.per_second());
    let names = ["in_bytes", "in_records", "out_bytes", "out_reads", "push_bytes"];
    let limits = names.into_iter().zip(in_force).zip(own);
    limits.map(|((name, limit), own)| (name.to_owned(), json!({ "per_second": limit, "own": own }))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        for (text, limit) in [
            ("5MiB/s", Limit::of(5 << 20)),
            ("1500/s", Limit::of(1_500)),
            ("2 MB/s", Limit::of(2_000_000)),
            ("unlimited", Limit::Unlimited),
            ("inherit", Limit::Inherit),
        ] {
            assert_eq!(parse_byte_rate(text), Ok(limit), "{text}");
        }
        assert_eq!(parse_rate("5000/s"), Ok(Limit::of(5_000)));
        for text in ["", "5MiB", "/s", "0/s", "-1/s", "5 /m", "1.5MiB/s", "none"] {
            assert!(parse_byte_rate(text).is_err(), "{text}");
        }
        for text in ["5MiB/s", "5000", "0/s", "+5/s"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
