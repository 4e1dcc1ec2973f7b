//! `rheos tail`: what is pushed to a registered consumer, on standard output.
//!
//! What must hold: the file with the positions covers nothing that was not printed; it is replaced whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use rheos_client::{Consumer, Error, Position, Positions, RecordAt};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::arguments::Global;
use crate::broker::{self, Named, found};
use crate::completions;
use crate::failure::{Failure, warn};
use crate::printer::Printer;
use crate::units::parse_position;

/// How often what was printed is written to the file of positions.
const POSITIONS_EVERY: Duration = Duration::from_millis(200);

/// Print what is pushed to a registered consumer, as it comes
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TailCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// The consumer; rheos consumer register STREAM NAME registers one
    #[arg(long, value_name = "NAME", add = completions::consumers())]
    consumer: String,
    /// Only this shard; may be given several times
    #[arg(long = "shard", value_name = "N")]
    shards: Vec<u32>,
    /// Where to begin in shards that the positions do not name: latest (what comes from now on),
    /// trim-horizon (the first record that is kept), a sequence (with one --shard), or @TIME
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, default_value = "latest", value_parser = parse_position)]
    from: Position,
    /// Begin where this file says, and keep it up to date with what was printed
    #[arg(long, value_name = "FILE")]
    positions: Option<PathBuf>,
    /// Print at most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

const AFTER_HELP: &str = "\
Every shard is pushed by the broker, without polling; records of one shard come in order. It goes on over \
restarts of the broker, until interrupted. A second run under the same name takes over from the first.

Examples:
  rheos consumer register flights board
  rheos tail flights --consumer board
  rheos tail flights --consumer board --positions board.positions --output json";

pub(crate) async fn run(command: &TailCommand, global: &Global) -> Result<(), Failure> {
    if let (Position::AtSequence(sequence), false) = (command.from, command.shards.len() == 1) {
        return Err(Failure::Usage(format!("--from {sequence}: a sequence belongs to one shard; add one --shard")));
    }
    let resumed = command.positions.as_deref().map_or(Ok(Positions::default()), read)?;
    let client = broker::connect(global).await?;
    let mut builder = client.consumer(&command.stream, &command.consumer).from(command.from).resume(&resumed);
    if !command.shards.is_empty() {
        builder = builder.shards(command.shards.iter().copied());
    }
    let named = Named::Consumer { stream: &command.stream, name: &command.consumer };
    let mut consumer = found(&client, named, builder.start().await).await?;
    let mut printer = Printer::new(global.output, command.limit);
    let printed = print(&mut consumer, &mut printer, command.positions.as_deref()).await;
    drop(consumer);
    client.close().await;
    printed
}

/// Prints what comes until there is no more, there is enough, or it is interrupted.
async fn print(consumer: &mut Consumer, printer: &mut Printer, file: Option<&Path>) -> Result<(), Failure> {
    let mut due = interval_at(Instant::now() + POSITIONS_EVERY, POSITIONS_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut kept = Kept { file, positions: consumer.positions() };
    let outcome = loop {
        if printer.is_full() {
            break Ok(());
        }
        let at_hand = tokio::select! {
            biased;
            _ = &mut interrupted => break Ok(()),
            _ = due.tick() => {
                printer.flush()?;
                kept.keep(consumer)?;
                continue;
            }
            next = consumer.next() => Some(next),
            () = std::future::ready(()) => None,
        };
        let next = match at_hand {
            Some(next) => next,
            None => {
                printer.flush()?;
                tokio::select! {
                    next = consumer.next() => next,
                    _ = due.tick() => {
                        kept.keep(consumer)?;
                        continue;
                    }
                    _ = &mut interrupted => break Ok(()),
                }
            }
        };
        match next {
            Ok(Some(read)) => {
                let (sequence, arrival_ms) = (read.sequence, read.arrival_ms);
                printer.print_one(read.shard, &RecordAt { sequence, arrival_ms, record: read.record.view() })?;
            }
            Ok(None) => break Ok(()),
            Err(Error::Trimmed { shard, first_kept_sequence }) => warn(&format!(
                "shard {shard}: records before sequence {first_kept_sequence} are no longer kept; going on there"
            )),
            Err(error) => break Err(Failure::from(error)),
        }
    };
    printer.flush()?;
    kept.keep(consumer)?;
    outcome
}

/// The file of positions, and what it says.
struct Kept<'a> {
    file: Option<&'a Path>,
    positions: Positions,
}

impl Kept<'_> {
    /// Writes down how far the consumer has come, which is printed and flushed, unless that is known.
    fn keep(&mut self, consumer: &Consumer) -> Result<(), Failure> {
        let Some(file) = self.file else { return Ok(()) };
        let positions = consumer.positions();
        if positions == self.positions && file.exists() {
            return Ok(());
        }
        let unfinished = file.with_added_extension("new");
        let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
        fs::write(&unfinished, positions.to_string()).map_err(failed)?;
        fs::rename(&unfinished, file).map_err(failed)?;
        self.positions = positions;
        Ok(())
    }
}

/// What a file of positions says; nothing when there is none yet.
fn read(file: &Path) -> Result<Positions, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => text.parse().map_err(|error| Failure::new(format!("{}: {error}", file.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Positions::default()),
        Err(error) => Err(Failure::new(format!("cannot read {}: {error}", file.display()))),
    }
}
