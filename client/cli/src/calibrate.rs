//! `rheos calibrate`: what a lane of this machine can push, measured or set, and kept in the data directory for
//! the broker's next start.
//!
//! What must hold: nothing is kept but what was measured to the end or set; while a broker has the directory
//! nothing is measured or kept, because what a lane can push beside another broker is not what it can push.

mod load;
mod measure;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::start_error::StartError;
use rheos_broker::{Capacity, Found, capacity_of, keep_capacity};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::on_runtime;
use crate::output;
use crate::units::{parse_byte_rate, show_bytes, show_time_ms};

use measure::{Measured, measure};

/// Measure what one lane of this machine can push, for reservations (offline)
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CalibrateCommand {
    /// Set it by hand instead, to bytes a second such as 200MiB/s
    #[arg(long, value_name = "RATE", value_parser = parse_capacity, conflicts_with = "show")]
    set: Option<Capacity>,
    /// Only print it, with when and how it was found; a broker may run
    #[arg(long)]
    show: bool,
    /// Measure on any file system, as rheos serve --dev takes any
    #[arg(long)]
    dev: bool,
}

const AFTER_HELP: &str = "\
Starts a broker of its own with one lane in the data directory, puts records as fast as four consumers are \
pushed them, over the real path, and counts for some seconds what was pushed. That number is kept in the data \
directory, and counts from the broker's next start on: the lanes promise consumers up to 60 % of it (rheos \
consumer reserve). Without it 64 MiB/s are assumed. Run it as the broker's user, while no broker runs.

Examples:
  rheos calibrate --data /var/lib/rheos
  rheos calibrate --show
  rheos calibrate --set 200MiB/s";

fn parse_capacity(text: &str) -> Result<Capacity, String> {
    let bytes = parse_byte_rate(text)?;
    Capacity::new(bytes, Found::Set { at_ms: now_ms() }).map_err(|error| error.to_string())
}

pub(crate) fn run(command: &CalibrateCommand, global: &Global) -> Result<(), Failure> {
    if command.show {
        let capacity = capacity_of(&global.data).map_err(told)?;
        return output::one(global.output, &shown(&capacity), &as_json(&capacity));
    }
    let directory = DataDirectory::open(&global.data, DirectoryOptions { dev: command.dev }).map_err(told)?;
    let (capacity, measured) = match command.set {
        Some(capacity) => (capacity, None),
        None => {
            let measured = on_runtime(measure(&directory, command.dev))?;
            let found = Found::Measured { at_ms: now_ms() };
            let capacity = Capacity::new(measured.pushed_bytes, found).map_err(|error| {
                Failure::new(format!("nothing was kept: {error}; something else took this machine's time"))
            })?;
            (capacity, Some(measured))
        }
    };
    keep_capacity(&directory, &capacity).map_err(told)?;
    let mut object = as_json(&capacity);
    let mut text = shown(&capacity);
    if let Some(measured) = measured {
        object["lane_busy"] = json!(measured.lane_busy);
        object["put_bytes_per_second"] = json!(measured.put_bytes);
        text.push_str(&remarks(&measured));
    }
    output::one(global.output, &text, &object)
}

fn told(error: StartError) -> Failure {
    match error {
        StartError::InUse { .. } => Failure::new(format!(
            "nothing was measured or kept: {error}; rheos calibrate wants this machine for itself for some seconds"
        )),
        error => Failure::new(error.to_string()),
    }
}

fn shown(capacity: &Capacity) -> String {
    let found = match capacity.found() {
        Found::Assumed => "assumed, because nobody has measured or set it".to_owned(),
        Found::Measured { at_ms } => format!("measured {}", show_time_ms(at_ms)),
        Found::Set { at_ms } => format!("set {}", show_time_ms(at_ms)),
    };
    let [all, part] = [capacity.bytes_per_second(), capacity.promised_max()].map(show_bytes);
    format!("a lane pushes {all}/s ({found}); {part}/s of it may be reserved")
}

/// What there is to know of a measurement.
fn remarks(measured: &Measured) -> String {
    let (percent, put) = ((measured.lane_busy * 100.0).round(), show_bytes(measured.put_bytes));
    let mut text = format!("\nmeanwhile {put}/s were put, and the lane was {percent} % busy");
    if measured.lane_busy < BUSY {
        text.push_str(": the disk or this machine's consumers were the limit, so a lane may push more than that");
    }
    text
}

fn as_json(capacity: &Capacity) -> Value {
    let (found, at_ms) = match capacity.found() {
        Found::Assumed => ("assumed", None),
        Found::Measured { at_ms } => ("measured", Some(at_ms)),
        Found::Set { at_ms } => ("set", Some(at_ms)),
    };
    json!({
        "bytes_per_second": capacity.bytes_per_second(),
        "reservable_bytes_per_second": capacity.promised_max(),
        "found": found,
        "found_ms": at_ms,
    })
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A lane that is busier than this is the limit itself.
const BUSY: f64 = 0.9;
