//! `rheos stream mode`

use clap::{Args, ValueEnum};
use rheos_client::protocol::limits::{ON_DEMAND_SHARDS_MAX, ON_DEMAND_SHARDS_MIN, SHARDS_MAX};
use rheos_client::{Client, ShardBounds, StreamMode};
use serde_json::{Value, json};

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;

/// Have a stream scaled by the broker, or by you alone
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ModeCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
    /// Who decides how many shards it has: you, or the broker by what is put
    #[arg(value_name = "MODE")]
    mode: Mode,
    #[command(flatten)]
    bounds: Bounds,
}

const AFTER_HELP: &str = "\
On demand, a stream has twice the shards that its load needs: a shard is for 1 MiB or 1,000 records a second of puts. \
When it is busy for a minute, shards are added; a shard that alone is hot is split at the median of its keys; what was \
quiet for three days is merged. rheos stream scaling-history says why. Splitting, merging and scaling by hand is then \
refused. The number of shards stays when the mode changes, and comes into its bounds by itself.

Examples:
  rheos stream mode flights on-demand
  rheos stream mode flights on-demand --shards-min 2 --shards-max 32
  rheos stream mode flights provisioned";

/// Who decides how many shards a stream has: whoever administers it, or the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    Provisioned,
    OnDemand,
}

/// The bounds of an on-demand stream.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Bounds {
    /// Fewest shards of an on-demand stream, 4 unless said [1 to 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards_min: Option<u32>,
    /// Most shards of an on-demand stream, 200 unless said [1 to 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards_max: Option<u32>,
}

impl Bounds {
    /// The mode with these bounds.
    pub(super) fn of(self, mode: Mode) -> Result<StreamMode, Failure> {
        match (mode, self) {
            (Mode::Provisioned, Bounds { shards_min: None, shards_max: None }) => Ok(StreamMode::Provisioned),
            (Mode::Provisioned, _) => Err(Failure::Usage("only an on-demand stream has bounds of shards".to_owned())),
            (Mode::OnDemand, Bounds { shards_min, shards_max }) => {
                // A bound that is named moves the other one where that would be beyond it.
                let min = shards_min.unwrap_or_else(|| ON_DEMAND_SHARDS_MIN.min(shards_max.unwrap_or(u32::MAX)));
                let max = shards_max.unwrap_or_else(|| ON_DEMAND_SHARDS_MAX.max(min));
                match min <= max {
                    true => Ok(StreamMode::OnDemand(ShardBounds { min, max })),
                    false => Err(Failure::Usage(format!("--shards-min {min} is more than --shards-max {max}"))),
                }
            }
        }
    }
}

pub(super) async fn run(command: &ModeCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    let mode = command.bounds.of(command.mode)?;
    let stream = found(client, Named::Stream(name), client.set_stream_mode(name, mode).await).await?;
    let mode = stream.settings.mode;
    let open = output::count(stream.shards.iter().filter(|shard| shard.open).count() as u64, "open shard");
    let object = json!({ "name": name, "mode": word(mode), "bounds": bounds_as_json(mode) });
    output::one(how, &format!("stream {name} is {mode}; {open} now"), &object)
}

/// The mode in one word, as it is written.
pub(super) fn word(mode: StreamMode) -> &'static str {
    match mode {
        StreamMode::Provisioned => "provisioned",
        StreamMode::OnDemand(_) => "on-demand",
    }
}

/// Nothing for a provisioned stream.
pub(super) fn bounds_as_json(mode: StreamMode) -> Value {
    mode.bounds().map_or(Value::Null, |bounds| json!({ "shards_min": bounds.min, "shards_max": bounds.max }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_named_moves_the_other() {
        let of = |shards_min, shards_max| Bounds { shards_min, shards_max }.of(Mode::OnDemand);
        let is = |of: Result<StreamMode, Failure>| of.expect("they can be").bounds().map(|it| (it.min, it.max));
        assert_eq!(is(of(None, None)), Some((4, 200)));
        assert_eq!(is(of(None, Some(2))), Some((2, 2)));
        assert_eq!(is(of(Some(300), None)), Some((300, 300)));
        assert_eq!(is(of(Some(1), Some(1))), Some((1, 1)));
        assert!(of(Some(3), Some(2)).is_err());
        assert!(Bounds { shards_min: Some(1), shards_max: None }.of(Mode::Provisioned).is_err());
    }
}
