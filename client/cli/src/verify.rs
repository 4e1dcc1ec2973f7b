//! `rheos verify`: proves a data directory while no broker runs.

use std::io::IsTerminal;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rheos_broker::{StreamReport, VerifyReport};

use crate::arguments::{Global, Output};
use crate::failure::Failure;
use crate::output::{self, count};
use crate::units::show_bytes;

/// Read a whole data directory and prove every record, while no broker runs
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyCommand {}

const AFTER_HELP: &str = "\
Changes nothing. The exit code is 1 when acknowledged records are damaged or a log takes no puts. What was \
accepted as lost in a repair is said and is no damage any more.

Example:
  rheos verify --data /var/lib/rheos";

pub(crate) fn run(_command: &VerifyCommand, global: &Global) -> Result<(), Failure> {
    let progress = progress();
    let report = rheos_broker::verify(&global.data, |bytes| progress.inc(bytes));
    progress.finish_and_clear();
    let report = report.map_err(|error| Failure::new(error.to_string()))?;
    match global.output {
        Output::Text => print(&report)?,
        Output::Json | Output::Ndjson => {
            output::line(&serde_json::to_string(&report).map_err(|error| Failure::new(error.to_string()))?)?
        }
    }
    match report.is_whole() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} is damaged; what is lost stands above, and `rheos repair STREAM` says what can be done",
            global.data.display()
        ))),
    }
}

/// How far reading has come, on a terminal.
pub(crate) fn progress() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{spinner} {bytes} read  {bytes_per_sec}");
    ProgressBar::with_draw_target(None, target).with_style(style.expect("the template is well formed"))
}

fn print(report: &VerifyReport) -> Result<(), Failure> {
    let rows: Vec<_> = report.streams.iter().map(row).collect();
    output::table(["STREAM", "LOGS", "SEGMENTS", "BATCHES", "RECORDS", "BYTES", "STATE"], &rows)?;
    for stream in &report.streams {
        for log in &stream.logs {
            let place = format!("stream {} log {}", stream.name, log.log);
            let torn = log.torn.iter().map(|torn| format!("{place}: torn, nothing acknowledged is lost: {torn}"));
            let refused = log.refused.iter().map(|why| format!("{place}: takes no puts: {why}"));
            let damaged = log.damaged.iter().map(|lost| format!("{place}: damaged: {lost}"));
            let accepted = log.accepted.iter().map(|lost| format!("{place}: accepted as lost: {lost}"));
            torn.chain(refused).chain(damaged).chain(accepted).try_for_each(|line| output::line(&line))?;
        }
    }
    report.unknown.iter().try_for_each(|name| output::line(&format!("not known to the catalog: {name}")))
}

fn row(stream: &StreamReport) -> [String; 7] {
    let sum = |number: fn(&rheos_broker::LogReport) -> u64| stream.logs.iter().map(number).sum::<u64>();
    let damaged = stream.logs.iter().filter(|log| log.refused.is_some() || !log.damaged.is_empty()).count();
    let state = match damaged {
        0 => "whole".to_owned(),
        damaged => format!("{} damaged", count(damaged as u64, "log")),
    };
    [
        stream.name.clone(),
        stream.logs.len().to_string(),
        sum(|log| log.segments as u64).to_string(),
        sum(|log| log.batches).to_string(),
        sum(|log| log.records).to_string(),
        show_bytes(sum(|log| log.bytes)),
        state,
    ]
}
