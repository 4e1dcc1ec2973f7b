//! `rheos demo`: what rheos promises, shown and proved in half a minute, with nothing else running.
//!
//! ```text
//!   load -> producer ->  broker, a process of its own  -> two registered consumers
//!                        killed and started again      -> readers, at the end
//!            ledger   ->         proof                 <- witnesses
//! ```
//!
//! What must hold: the exit code is 0 only when every acknowledged record came back once, in order and
//! unchanged; the broker and its data are gone afterwards, unless they are evidence or wanted. It touches no
//! broker and no data of anybody else.

mod board;
mod consumers;
mod course;
mod display;
mod ledger;
mod load;
mod place;
mod proof;
mod records;
mod report;
mod screen;
mod timing;
mod trades;
mod view;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::{Notify, watch};

use board::{Board, SharedBoard};
use course::{Ended, Finish, Plan};
use display::Display;
use place::Place;
use records::Records;
use report::Report;
use view::Sampler;

use crate::arguments::{Global, Output};
use crate::colours::{BOLD_GREEN, RESET, is_coloured};
use crate::failure::{Failure, warn};
use crate::output;
use crate::put::{self, Format};
use crate::stop::stop_signal;

/// Most records of one demo: all that is known of them is kept in memory, about 200 bytes each.
const RECORDS_MAX: u64 = 5_000_000;

/// Most records a second. Far more than a demo on one machine puts.
const RATE_MAX: f64 = 500_000.0;
/// The signal that Ctrl-C stands for.
const INTERRUPT: u8 = 2;

/// See it at work: put, push, kill the broker, recover, and prove that nothing is lost
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoCommand {
    /// How many records to put, such as 20k/s: 1 to 500,000 a second
    #[arg(long, value_name = "RATE", default_value = "5k/s", value_parser = parse_rate)]
    rate: u64,
    /// How long it takes, about
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u64).range(4..=3_600))]
    seconds: u64,
    /// Put the rows of this file, again and again, in place of made-up stock trades
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Take the partition key from this field of each JSON line, or this column of a CSV file; without it the
    /// rows are spread
    #[arg(long, value_name = "FIELD", requires = "input")]
    key_from: Option<String>,
    /// What the file is; by default what its name says (.json .jsonl .ndjson .csv), else lines
    #[arg(long, value_enum, requires = "input")]
    format: Option<Format>,
    /// The directory to make for the broker's data; by default rheos-demo in this one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the data there
    #[arg(long)]
    keep: bool,
}

const AFTER_HELP: &str = "\
Nothing needs to run and nothing is left behind. A broker is started in a process of its own, on a port of \
loopback that is free, and a stream of 4 shards is made. Stock trades are put (the ticker is the key); two \
registered consumers are pushed all of them, one of which is slow. In the middle the broker is killed with \
SIGKILL and started again. At the end everything that was acknowledged is held against what each consumer was \
pushed and what polling readers read: once, in order, unchanged. The exit code is 0 only if that is proved.

Examples:
  rheos demo
  rheos demo --rate 20k/s --seconds 60
  rheos demo --input flights.csv --key-from carrier
  rheos demo --keep --output json";

fn parse_rate(text: &str) -> Result<u64, String> {
    let rate = put::parse_rate(text)?.per_second().round();
    match (1.0..=RATE_MAX).contains(&rate) {
        true => Ok(rate as u64),
        false => Err(format!("{text} is not 1 to {RATE_MAX} a second")),
    }
}

pub(crate) fn run(command: &DemoCommand, global: &Global) -> Result<(), Failure> {
    if global.is_place_typed {
        return Err(Failure::Usage(
            "rheos demo runs a broker of its own, so --url, --data and --context say nothing to it; --dir chooses \
             where its data lies"
                .to_owned(),
        ));
    }
    let plan = Plan { rate: command.rate, total: Duration::from_secs(command.seconds) };
    if plan.rate * command.seconds > RECORDS_MAX {
        return Err(Failure::Usage(format!(
            "{} records a second for {} s are more than {RECORDS_MAX}, which one demo keeps in mind; lower --rate or --seconds",
            command.rate, command.seconds
        )));
    }
    let records = Records::open(command.input.as_deref(), command.format, command.key_from.as_deref())?;
    let what = records.what();
    let place = Place::make(command.dir.as_deref())?;
    let board = SharedBoard::new(Board::new(course::SHARDS as usize, &consumers::NAMES));
    let outcome = crate::on_runtime(perform(&place, plan, records, &board, global.output.is_text()));
    let finish = match outcome {
        Ok(finish) => finish,
        Err(Ended::Fault(failure)) => return Err(with_evidence(&failure, &place)),
        Err(Ended::Input(failure)) => {
            leave(place, command.keep);
            return Err(failure);
        }
        Err(Ended::Told(signal)) => {
            leave(place, command.keep);
            return Err(Failure::Stopped(signal));
        }
    };
    let mut report = Report::new(&board.lock(), &finish, what);
    report.kept = (command.keep || !report.proof.holds()).then(|| place.data());
    let told = tell(&report, global.output);
    if !report.proof.holds() {
        return Err(with_evidence(&Failure::new(format!("it is not proved: {}", report.fault())), &place));
    }
    leave(place, command.keep);
    told
}

/// Runs the demo and shows it, until it ends or is told to.
async fn perform(
    place: &Place,
    plan: Plan,
    records: Records,
    board: &SharedBoard,
    live: bool,
) -> Result<Finish, Ended> {
    let mut sampler = Sampler::new(board, plan);
    let (views, seen) = watch::channel(sampler.sample());
    let stop = Arc::new(Notify::new());
    let display = Display::start(seen, live, Arc::clone(&stop));
    let outcome = tokio::select! {
        outcome = course::run(place, plan, records, board) => outcome,
        signal = told_to_stop(&stop) => Err(signal.map_or_else(Ended::Fault, Ended::Told)),
        never = sampler.run(&views) => match never {},
    };
    views.send_replace(sampler.sample());
    drop(views);
    display.end();
    outcome
}

/// Waits until a signal or a key tells the demo to stop, and gives the signal's number.
async fn told_to_stop(stop: &Notify) -> Result<u8, Failure> {
    tokio::select! {
        signal = stop_signal() => signal,
        () = stop.notified() => Ok(INTERRUPT),
    }
}

fn tell(report: &Report, how: Output) -> Result<(), Failure> {
    if !how.is_text() {
        return output::json(&report.as_json());
    }
    output::line(&format!("\nProof\n{}\n{}", report.as_text().trim_end(), report.about_data()))?;
    match report.proof.holds() {
        true => output::line(&format!(
            "\n{}: every acknowledged record came back once, in order, unchanged",
            good("PROVED")
        )),
        // What is wrong is told as the error.
        false => Ok(()),
    }
}

/// Removes what was made, unless it is to be kept.
fn leave(place: Place, keep: bool) {
    if let Some(failure) = (!keep).then(|| place.remove().err()).flatten() {
        warn(failure.message());
    }
}

/// What went wrong, and where its traces are.
fn with_evidence(failure: &Failure, place: &Place) -> Failure {
    Failure::new(format!("{} (kept for a look: {})", failure.message(), place.root().display()))
}

fn good(text: &str) -> String {
    let (colour, plain) = if is_coloured(&std::io::stdout()) { (BOLD_GREEN, RESET) } else { ("", "") };
    format!("{colour}{text}{plain}")
}
