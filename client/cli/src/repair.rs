//! `rheos repair`: has a stream take puts again that takes none because of damage, while no broker runs.

use clap::Args;
use rheos_broker::{LogRepair, LostRecords, RepairError, RepairReport, StreamRepair, plan_repair};
use serde_json::json;

use crate::arguments::{Global, Output};
use crate::confirm::confirm;
use crate::exit::Exit;
use crate::failure::{Failure, warn};
use crate::near::suggestion_or;
use crate::output::{self, count};
use crate::units::show_bytes;
use crate::verify;

/// Have a damaged stream take puts again, at the price of what cannot be read; while no broker runs
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RepairCommand {
    /// The stream
    stream: String,
    /// Give up for lost what cannot be read, and repair; without it nothing is changed
    #[arg(long)]
    accept_loss: bool,
    /// Do not ask
    #[arg(long, short, requires = "accept_loss")]
    yes: bool,
}

const AFTER_HELP: &str = "\
Says for each log what is damaged, which records are lost and what is kept. No sequence is given twice: puts \
go on after all that can have been acknowledged. What is before and after the damage stays readable, and \
whoever reads over it is told which records are missing. Damaged files are left as they are.

The exit code is 0 when there is nothing to repair or it is repaired, 1 when there is something.

Examples:
  rheos repair flights --data /var/lib/rheos
  rheos repair flights --accept-loss";

pub(crate) fn run(command: &RepairCommand, global: &Global) -> Result<(), Failure> {
    let progress = verify::progress();
    let planned = plan_repair(&global.data, &command.stream, |bytes| progress.inc(bytes));
    progress.finish_and_clear();
    let planned = planned.map_err(told)?;
    let needed = planned.report().is_needed();
    let report = planned.report().clone();
    if global.output == Output::Text {
        print(&report)?;
    }
    let repaired = needed && command.accept_loss;
    if repaired {
        accept(planned, command)?;
    }
    if global.output != Output::Text {
        let mut object = serde_json::to_value(&report).map_err(|error| Failure::new(error.to_string()))?;
        object["needed"] = json!(needed);
        object["repaired"] = json!(repaired);
        output::json(&object)?;
    } else if repaired {
        output::line(&format!("stream {} is repaired", report.stream))?;
    }
    match needed && !repaired {
        true => Err(Failure::new(format!(
            "nothing was changed; to accept this and repair: rheos repair {} --accept-loss",
            report.stream
        ))),
        false => Ok(()),
    }
}

fn accept(planned: StreamRepair, command: &RepairCommand) -> Result<(), Failure> {
    let stream = &command.stream;
    let question = match planned.report().logs.iter().all(|log| log.lost.is_empty()) {
        true => format!("Repair stream {stream}?"),
        false => format!("Give these records of stream {stream} up for lost?"),
    };
    confirm(command.yes, &question, &format!("stream {stream} is not repaired"))?;
    planned.accept().map_err(told)?.iter().for_each(|left_out| warn(left_out));
    Ok(())
}

fn told(error: RepairError) -> Failure {
    match &error {
        RepairError::NoStream { stream, streams } => {
            let names = streams.iter().map(String::as_str);
            let hint = suggestion_or(stream, names, || "; `rheos verify` shows what there is".to_owned());
            Failure::Told(Exit::NotFound, format!("{error}{hint}"))
        }
        _ => Failure::new(error.to_string()),
    }
}

fn print(report: &RepairReport) -> Result<(), Failure> {
    let broken: Vec<&LogRepair> = report.logs.iter().filter(|log| log.is_needed()).collect();
    if broken.is_empty() {
        return output::line(&format!("stream {} has nothing to repair", report.stream));
    }
    let whole = report.logs.len() - broken.len();
    let rest = if whole > 0 { format!(" ({} whole)", count(whole as u64, "other log")) } else { String::new() };
    output::line(&format!("stream {}: {} damaged{rest}", report.stream, count(broken.len() as u64, "log")))?;
    broken.into_iter().flat_map(lines).try_for_each(|(title, text)| output::line(&format!("  {title:<8}  {text}")))
}

/// What is said of a log, each line with its title.
fn lines(log: &LogRepair) -> Vec<(&'static str, String)> {
    let puts = log
        .refused
        .as_ref()
        .map_or_else(|| "takes puts; older records are damaged".to_owned(), |why| format!("takes no puts: {why}"));
    let mut lines = vec![("log", format!("{} {puts}", log.log))];
    let lost = log.lost.iter().take(LINES_MAX).map(|lost| lost_line(log, lost));
    lines.extend(lost.map(|line| ("lost", line)));
    lines.extend(more(log.lost.len(), "stretch of records", "stretches of records").map(|line| ("", line)));
    if log.lost.is_empty() {
        lines.push(("lost", "nothing".to_owned()));
    }
    lines.push(("kept", format!("{}, {}", count(log.kept_records, "record"), show_bytes(log.kept_bytes))));
    if log.refused.is_some() {
        lines.push(("goes on", goes_on(log)));
        lines.push(("files", files(log)));
    }
    lines
}

fn lost_line(log: &LogRepair, lost: &LostRecords) -> String {
    let LostRecords { shard, first_sequence, last_sequence, .. } = lost;
    let all = count(lost.count(), "record");
    let place = match lost.count() {
        1 => format!("shard {shard}: {first_sequence}"),
        _ => format!("shard {shard}: {first_sequence} to {last_sequence}"),
    };
    match log.doubted.get(shard) {
        Some(first) if first <= last_sequence => {
            format!("{place}, at most {all} (how many there were cannot be told)")
        }
        _ => format!("{place}, {all}"),
    }
}

fn goes_on(log: &LogRepair) -> String {
    let shards = log.goes_on_at.iter().take(LINES_MAX).map(|(shard, sequence)| format!("shard {shard} at {sequence}"));
    let rest = more(log.goes_on_at.len(), "shard", "shards").into_iter();
    shards.chain(rest).collect::<Vec<_>>().join(", ")
}

fn files(log: &LogRepair) -> String {
    let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let part = |numbers: &[u64], one: &str, many: &str| match numbers {
        [] => None,
        [number] => Some(format!("segment {number} {one}")),
        numbers => Some(format!("segments {} {many}", list(numbers))),
    };
    let new: Vec<u64> = log.new_segment.into_iter().collect();
    let parts = [
        part(&log.missing, "is missing and gets a mark", "are missing and get a mark"),
        part(&log.unreadable, "cannot be read and stays as it is", "cannot be read and stay as they are"),
        part(&log.sealed, "gets a footer", "get a footer"),
        part(&new, "is made to go on from", ""),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn more(count: usize, one: &str, many: &str) -> Option<String> {
    let more = count.checked_sub(LINES_MAX).filter(|more| *more > 0)?;
    Some(format!("and {more} more {}", if more == 1 { one } else { many }))
}

/// Most lines of one kind for people; `--output json` has all.
const LINES_MAX: usize = 20;
