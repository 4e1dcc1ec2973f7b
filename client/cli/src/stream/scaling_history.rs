//! `rheos stream scaling-history`

use clap::Args;
use rheos_client::{Client, ScalingOutcome, ScalingReason, ScalingStep};
use serde_json::{Value, json};

use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::units::show_time_ms;

/// Show the steps of an on-demand stream, and why each was taken
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ScalingHistoryCommand {
    /// The stream
    #[arg(value_name = "STREAM", add = completions::streams())]
    name: String,
}

const AFTER_HELP: &str = "\
The newest step comes first; the last 100 are kept, over restarts too. A step that was called for and could not be is \
there as well, with what stands against it: one key that alone is hot, or a stream with as many shards as it may have.

Examples:
  rheos stream scaling-history flights
  rheos stream scaling-history flights --output json";

pub(super) async fn run(command: &ScalingHistoryCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let name = &command.name;
    let steps = found(client, Named::Stream(name), client.scaling_history(name).await).await?;
    output::list(how, &steps, ["TIME", "FROM", "TO", "OUTCOME", "REASON"], row, as_json)
}

/// A step in one line.
pub(super) fn show(step: &ScalingStep) -> String {
    let (at, outcome) = (show_time_ms(step.begun_ms), outcome(step));
    let ScalingStep { from, to, reason, .. } = step;
    format!("{at}, {from} to {to}, {outcome}: {reason}")
}

fn row(step: &ScalingStep) -> [String; 5] {
    [
        show_time_ms(step.begun_ms),
        step.from.to_string(),
        step.to.to_string(),
        outcome(step).to_owned(),
        step.reason.to_string(),
    ]
}

pub(super) fn as_json(step: &ScalingStep) -> Value {
    let ended_ms = match step.outcome {
        ScalingOutcome::Done { ended_ms } | ScalingOutcome::Undone { ended_ms } => Some(ended_ms),
        ScalingOutcome::UnderWay | ScalingOutcome::NoStep => None,
    };
    let mut object = json!({
        "begun_ms": step.begun_ms,
        "ended_ms": ended_ms,
        "from": step.from,
        "to": step.to,
        "outcome": outcome(step).replace(' ', "_"),
        "reason": step.reason.name(),
        "message": step.reason.to_string(),
    });
    let mut set = |key: &str, value: Value| object[key] = value;
    match step.reason {
        ScalingReason::HotShard { shard, at, share_percent, .. } => {
            set("shard", shard.into());
            set("split_at", format!("{at:032x}").into());
            set("share_percent", share_percent.into());
        }
        ScalingReason::HotKey { shard, key, share_percent, .. } => {
            set("shard", shard.into());
            set("hash_key", format!("{key:032x}").into());
            set("share_percent", share_percent.into());
        }
        ScalingReason::QuietNeighbours { shard, adjacent, .. } => {
            set("shard", shard.into());
            set("adjacent", adjacent.into());
        }
        _ => {}
    }
    if let Some(load_milli) = step.reason.load_milli() {
        set("load_shards", (load_milli as f64 / 1_000.0).into());
    }
    object
}

fn outcome(step: &ScalingStep) -> &'static str {
    match step.outcome {
        ScalingOutcome::UnderWay => "under way",
        ScalingOutcome::Done { .. } => "done",
        ScalingOutcome::Undone { .. } => "undone",
        ScalingOutcome::NoStep => "no step",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_what_people_are() {
        let reason = ScalingReason::HotKey { shard: 3, key: 255, load_milli: 1_500, share_percent: 92 };
        let step = ScalingStep { begun_ms: 1_700_000_000_123, outcome: ScalingOutcome::NoStep, from: 4, to: 4, reason };
        let object = as_json(&step);
        assert_eq!((&object["outcome"], &object["reason"]), (&json!("no_step"), &json!("hot_key")));
        assert_eq!(object["hash_key"], json!("000000000000000000000000000000ff"));
        assert_eq!((&object["load_shards"], &object["ended_ms"]), (&json!(1.5), &Value::Null));
        assert_eq!(row(&step)[1..4], ["4".to_owned(), "4".to_owned(), "no step".to_owned()]);
    }
}
