//! `rheos get`: records of a stream on standard output.
//!
//! Without `--follow` the shards are read one after the other, each up to the tip it had when it was
//! first read. With it, all are read at once and records are printed as they come.

mod follow;

use clap::Args;
use rheos_client::{Client, Error, Lineage, Position, ReadBatches, Reader, StreamDescription};

use crate::arguments::Global;
use crate::broker::{self, Named, found};
use crate::completions;
use crate::failure::{Failure, warn};
use crate::printer::{Printer, Printing, Span, about_templates};
use crate::units::{POSITIONS, parse_number, parse_position};
use crate::until::{End, check};
use follow::Following;

/// Print the records of a stream
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct GetCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// Only these shards: numbers with commas between them, or the option several times
    #[arg(long = "shard", value_name = "N", value_delimiter = ',', value_parser = parse_number::<u32>)]
    shards: Vec<u32>,
    /// Where to begin: a position
    #[arg(long, value_name = "POSITION", default_value = "trim-horizon", value_parser = parse_position)]
    #[arg(allow_hyphen_values = true)]
    from: Position,
    /// Where to end: a position; latest where nothing is said, and never with --follow
    #[arg(long, value_name = "POSITION", value_parser = parse_position, allow_hyphen_values = true)]
    until: Option<Position>,
    #[command(flatten)]
    printing: Printing,
    /// Go on with what comes, until it is interrupted or the end is reached
    #[arg(long, short)]
    follow: bool,
}

fn after_help() -> String {
    format!("{ABOUT}\n\n{POSITIONS}\n\n{}\n\n{EXAMPLES}", about_templates())
}

const ABOUT: &str = "\
Prints the data of each record on a line; with --output json or ndjson an object with its shard, sequence, \
partition key and arrival (data that is no text is in data_base64). Records of one shard come in order. \
Without --follow it ends at the last record that is there.";

const EXAMPLES: &str = "\
Examples:
  rheos get flights --limit 10
  rheos get flights --from -15m --follow
  rheos get flights --from 2026-11-24T20:15:00Z --until 2026-11-24T20:30:00Z --output json
  rheos get flights --shard 3 --from 1000 --until after:1010
  rheos get flights --template '{{shard}} {{sequence}} {{arrival_local}} {{key}}\\t{{data}}'
  rheos get flights --format raw > flights.raw";

pub(crate) async fn run(command: &GetCommand, global: &Global) -> Result<(), Failure> {
    let end = End::at(command.until)?;
    let client = broker::connect(global).await?;
    let described = client.describe_stream(&command.stream).await;
    let stream = found(&client, Named::Stream(&command.stream), described).await?;
    // What ends at the last record that is there need not be followed.
    let follows = command.follow && command.until != Some(Position::Latest);
    let span = if follows { Span::Endless } else { Span::Bounded };
    let mut printer = command.printing.printer(global.output, span);
    let outcome = match shards(command, &stream) {
        Err(failure) => Err(failure),
        Ok(shards) if follows => {
            let lineage = match command.shards.is_empty() {
                true => Lineage::of_all(&stream),
                false => Lineage::of_some(&stream, shards),
            };
            Following::new(&client, stream, lineage, command.from, end).print_all(&mut printer).await
        }
        Ok(shards) => {
            let readers = readers(&client, &stream, shards.into_iter().map(|shard| (shard, command.from)));
            print_all(readers?, end, &mut printer).await
        }
    };
    client.close().await;
    outcome.and_then(|()| printer.end())
}

/// The shards to read, in their order.
fn shards(command: &GetCommand, stream: &StreamDescription) -> Result<Vec<u32>, Failure> {
    let mut shards = match command.shards.is_empty() {
        true => stream.shards.iter().map(|shard| shard.shard).collect(),
        false => command.shards.clone(),
    };
    shards.sort_unstable();
    shards.dedup();
    check(command.from, command.until, shards.len())?;
    Ok(shards)
}

fn readers(
    client: &Client,
    stream: &StreamDescription,
    shards: impl IntoIterator<Item = (u32, Position)>,
) -> Result<Vec<Reader>, Failure> {
    let reader = |(shard, position)| client.reader_of(stream, shard, position);
    Ok(shards.into_iter().map(reader).collect::<Result<_, _>>()?)
}

/// Prints each shard up to its end, or the tip it has when it is first read.
async fn print_all(readers: Vec<Reader>, end: End, printer: &mut Printer) -> Result<(), Failure> {
    for mut reader in readers {
        let mut tip = None;
        while !printer.is_full() {
            let Some(read) = skipping_trimmed(&mut reader, async |reader| reader.read_once().await).await? else {
                continue;
            };
            let end = end.or_at(*tip.get_or_insert(read.tip_sequence));
            if print(&read, end, printer)? == Progress::AtEnd {
                break;
            }
        }
        printer.flush()?;
    }
    Ok(())
}

/// Whether a shard goes on behind what was printed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    GoesOn,
    AtEnd,
}

/// Prints what was read, up to the end of the shard.
fn print(read: &ReadBatches, end: End, printer: &mut Printer) -> Result<Progress, Failure> {
    for at in read.records() {
        if end.is_before(&at) {
            return Ok(Progress::AtEnd);
        }
        printer.print(read.shard, &at)?;
    }
    Ok(if end.is_reached(read.next_sequence) { Progress::AtEnd } else { Progress::GoesOn })
}

/// Why a read failed.
enum ReadFailure {
    /// See [`is_away`].
    Away(Error),
    /// Trying again does not help.
    Lasting(Error),
}

impl From<ReadFailure> for Failure {
    fn from(failure: ReadFailure) -> Failure {
        let (ReadFailure::Away(error) | ReadFailure::Lasting(error)) = failure;
        error.into()
    }
}

/// Whether the broker is out of reach: it may come back.
fn is_away(error: &Error) -> bool {
    matches!(error, Error::Lost { .. } | Error::Unanswered { .. } | Error::Connect { .. })
}

/// Reads; where records are no longer kept it says so and goes on behind them (`None`).
async fn skipping_trimmed(
    reader: &mut Reader,
    read: impl AsyncFnOnce(&mut Reader) -> Result<ReadBatches, Error>,
) -> Result<Option<ReadBatches>, ReadFailure> {
    match read(reader).await {
        Ok(read) => Ok(Some(read)),
        Err(Error::Trimmed { shard, first_kept_sequence }) => {
            warn(&format!(
                "shard {shard}: records before sequence {first_kept_sequence} are no longer kept; going on there"
            ));
            reader.skip_to(Position::AtSequence(first_kept_sequence));
            Ok(None)
        }
        Err(error) if is_away(&error) => Err(ReadFailure::Away(error)),
        Err(error) => Err(ReadFailure::Lasting(error)),
    }
}
