//! `rheos get`: records of a stream on standard output.
//!
//! Without `--follow` the shards are read one after the other, each up to the tip it had when it was
//! first read. With it, all are read at once and records are printed as they come.

use std::time::Duration;

use clap::Args;
use rheos_client::{Client, Error, Lineage, Position, ReadBatches, Reader, StreamDescription};
use tokio::sync::mpsc;

use crate::arguments::Global;
use crate::broker::{self, Named, found};
use crate::failure::{Failure, warn};
use crate::printer::Printer;
use crate::units::parse_position;

/// Most reads that were made and not printed yet, over all shards.
const READS_MAX: usize = 4;
/// Wait before a broker that went away is looked for again.
const AWAY_WAIT: Duration = Duration::from_secs(1);

/// Print the records of a stream
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GetCommand {
    /// The stream
    stream: String,
    /// Only this shard; may be given several times
    #[arg(long = "shard", value_name = "N")]
    shards: Vec<u32>,
    /// Where to begin: trim-horizon (the first record that is kept), latest (what comes from now on), a
    /// sequence, or @TIME, such as @2026-11-24T20:15:00Z or @ and ms since 1970
    #[arg(long, value_name = "POSITION", default_value = "trim-horizon", value_parser = parse_position)]
    from: Position,
    /// Print at most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with what comes, until interrupted
    #[arg(long, short)]
    follow: bool,
}

const AFTER_HELP: &str = "\
Prints the data of each record on a line; with --output json an object with its shard, sequence, \
partition key and arrival (data that is no text is in data_base64). Records of one shard come in order. \
Without --follow it ends at the last record that is there.

Examples:
  rheos get flights --limit 10
  rheos get flights --shard 3 --from 1000
  rheos get flights --from latest --follow --output json";

pub(crate) async fn run(command: &GetCommand, global: &Global) -> Result<(), Failure> {
    let client = broker::connect(global).await?;
    let described = client.describe_stream(&command.stream).await;
    let stream = found(&client, Named::Stream(&command.stream), described).await?;
    let readers = readers(command, &client, &stream)?;
    let mut printer = Printer::new(global.output, command.limit);
    let outcome = match command.follow {
        true => follow(command, &client, stream, &mut printer).await,
        false => print_all(readers, &mut printer).await,
    };
    client.close().await;
    outcome
}

fn readers(command: &GetCommand, client: &Client, stream: &StreamDescription) -> Result<Vec<Reader>, Failure> {
    let mut shards = match command.shards.is_empty() {
        true => stream.shards.iter().map(|shard| shard.shard).collect(),
        false => command.shards.clone(),
    };
    shards.sort_unstable();
    shards.dedup();
    if let (Position::AtSequence(sequence), true) = (command.from, shards.len() > 1) {
        return Err(Failure::Usage(format!(
            "--from {sequence}: a sequence belongs to one shard, and stream {} has {}; add --shard",
            stream.name,
            stream.shards.len()
        )));
    }
    Ok(shards.into_iter().map(|shard| client.reader_of(stream, shard, command.from)).collect::<Result<_, _>>()?)
}

/// Prints each shard up to the tip it has when it is first read.
async fn print_all(readers: Vec<Reader>, printer: &mut Printer) -> Result<(), Failure> {
    for mut reader in readers {
        let mut end = None;
        while !printer.is_full() {
            let Some(read) = skipping_trimmed(&mut reader, async |reader| reader.read_once().await).await? else {
                continue;
            };
            let end = *end.get_or_insert(read.tip_sequence);
            printer.print(&read, end)?;
            if read.next_sequence >= end {
                break;
            }
        }
        printer.flush()?;
    }
    Ok(())
}

/// Prints what comes from all shards, for as long as somebody reads it. When one is split or merged, its children
/// follow once everything before them is printed.
async fn follow(
    command: &GetCommand,
    client: &Client,
    mut stream: StreamDescription,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let (reads, mut printed) = mpsc::channel(READS_MAX);
    let mut tasks = tokio::task::JoinSet::new();
    let mut lineage = match command.shards.is_empty() {
        true => Lineage::of_all(&stream),
        false => Lineage::of_some(&stream, command.shards.iter().copied()),
    };
    let begun: Vec<u32> = stream.shards.iter().map(|shard| shard.shard).collect();
    loop {
        for shard in lineage.ready() {
            let position = if begun.contains(&shard) { command.from } else { Position::TrimHorizon };
            let reader = client.reader_of(&stream, shard, position)?;
            // One of them speaks for all when the broker goes away.
            let speaks = tasks.is_empty();
            tasks.spawn(follow_shard(reader, reads.clone(), speaks));
        }
        let read = printed.recv().await.expect("this end sends nothing, and keeps it open")?;
        printer.print(&read, u64::MAX)?;
        if printed.is_empty() || printer.is_full() {
            printer.flush()?;
        }
        if printer.is_full() {
            return Ok(());
        }
        if read.children.is_some() {
            stream = client.describe_stream(&stream.name).await?;
            lineage.ended(read.shard);
            lineage.described(&stream);
        }
    }
}

async fn follow_shard(mut reader: Reader, reads: mpsc::Sender<Result<ReadBatches, Failure>>, speaks: bool) {
    let mut away = false;
    loop {
        let read = skipping_trimmed(&mut reader, async |reader| reader.next_batches().await).await;
        let read = match read {
            Ok(Some(read)) => Ok(read),
            Ok(None) => continue,
            Err(ReadFailure::Away(error)) => {
                if !std::mem::replace(&mut away, true) && speaks {
                    warn(&format!("{error}; waiting for it"));
                }
                tokio::time::sleep(AWAY_WAIT).await;
                continue;
            }
            Err(failure) => Err(Failure::from(failure)),
        };
        away = false;
        let ended = read.as_ref().map_or(true, |read| read.children.is_some());
        if reads.send(read).await.is_err() || ended {
            return;
        }
    }
}

/// Why a read failed.
enum ReadFailure {
    /// The broker is out of reach: it may come back.
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
        Err(error @ (Error::Lost { .. } | Error::Unanswered { .. } | Error::Connect { .. })) => {
            Err(ReadFailure::Away(error))
        }
        Err(error) => Err(ReadFailure::Lasting(error)),
    }
}
