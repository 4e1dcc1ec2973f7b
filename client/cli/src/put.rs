//! `rheos put`: records from files or standard input into a stream.
//!
//! A thread of its own reads the input; one task puts; another waits for the outcomes in the order of
//! the input, so that what it reports is what was asked. What is in between is bounded by the
//! producer's bytes and by short channels.

mod acks;
mod progress;
mod rows;
mod source;
mod tally;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rheos_client::{Outcome, Producer, PutRefused, Record, Ticket};
use tokio::sync::mpsc;

use acks::Acks;
use progress::Progress;
use source::Source;
use tally::Tally;

pub(crate) use rows::Row;

use crate::arguments::Global;
use crate::broker::{self, Named, found};
use crate::failure::Failure;
use crate::units::parse_duration_ms;

/// Most chunks of rows that were read and not put yet. Each is what one read of 64 KiB brought.
const CHUNKS_MAX: usize = 16;
/// Most records that were put and whose outcome was not looked at yet.
const TICKETS_MAX: usize = 64 << 10;

/// Put records into a stream, one a line
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PutCommand {
    /// The stream
    stream: String,
    /// Files to read; standard input when there is none, or for -
    files: Vec<PathBuf>,
    /// One partition key for all records
    #[arg(long, value_name = "KEY", conflicts_with = "key_from", value_parser = parse_key)]
    key: Option<String>,
    /// Take the partition key from this field of each JSON line, or this column of a CSV file
    #[arg(long, value_name = "FIELD")]
    key_from: Option<String>,
    /// What the input is; by default what a file's name says (.json .jsonl .ndjson .csv), else lines.
    /// A CSV row after the header is a record, with the newlines in its quotes
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write LINE SHARD SEQUENCE for each record on the broker's disk, in the order of the input and as
    /// soon as it is known; LINE counts the records of all inputs from 1
    #[arg(long, value_name = "FILE")]
    acks: Option<PathBuf>,
    /// How long a record is tried to be delivered
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_timeout)]
    delivery_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // Each line is a record.
    Lines,
    // Each line is a record and a JSON object.
    Json,
    // Each row after the header is a record; rows may hold quoted newlines.
    Csv,
}

const AFTER_HELP: &str = "\
Each line is a record, an empty one too; a last line without newline counts. Records with the same key \
go to the same shard and keep their order. Without --key or --key-from each record gets a random key, \
which spreads the records over the shards.

The command ends when everything is on the broker's disk. It goes on over a broken connection and a \
restart of the broker. The exit code is 1 unless every record is known to be stored.

Examples:
  journalctl --follow | rheos put logs --key $(hostname)
  rheos put flights --key-from carrier flights.csv
  rheos put orders --key-from customer --acks acks.txt orders.jsonl";

/// A record on its way.
struct Pending {
    /// Which record of all inputs it is, from 1.
    number: u64,
    source: usize,
    line: u64,
    data_bytes: u64,
    read_bytes: u64,
    ticket: Result<Ticket, String>,
}

fn parse_key(text: &str) -> Result<String, String> {
    let view = rheos_client::RecordView { partition_key: text, explicit_hash_key: None, data: b"" };
    view.check(0).map(|()| text.to_owned()).map_err(|bad| bad.to_string())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let ms = NonZeroU64::new(parse_duration_ms(text)?).ok_or("a record needs some time to be delivered")?;
    Ok(Duration::from_millis(ms.get()))
}

pub(crate) async fn run(command: &PutCommand, global: &Global) -> Result<(), Failure> {
    let sources = source::open(&command.files, command.format, command.key_from.as_deref())?;
    let mut acks = command.acks.as_deref().map(Acks::create).transpose()?;
    let options = broker::options(global)?.delivery_timeout(command.delivery_timeout);
    let client = rheos_client::Client::connect(options).await?;
    let producer = found(&client, Named::Stream(&command.stream), client.producer(&command.stream).await).await?;

    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let progress = Progress::new(sources.iter().map(|source| source.bytes).sum());
    let begun = Instant::now();
    let rows = read_on_a_thread(sources, command.key_from.clone());
    let (tickets, pending) = mpsc::channel(TICKETS_MAX);
    let mut tally = Tally::new(command.stream.clone(), names);
    let (fed, settled) = tokio::join!(
        feed(rows, &producer, command.key.as_deref(), tickets),
        settle(pending, &mut tally, acks.as_mut(), &progress),
    );
    progress.end();
    client.close().await;
    settled?;
    tally.report(begun.elapsed(), global.output)?;
    fed?;
    tally.verdict()
}

/// The rows of one file, for another command that puts them.
pub(crate) fn rows_of(
    file: &Path,
    format: Option<Format>,
    key_from: Option<&str>,
) -> Result<mpsc::Receiver<Result<Vec<Row>, String>>, Failure> {
    let sources = source::open(&[file.to_owned()], format, key_from)?;
    Ok(read_on_a_thread(sources, key_from.map(str::to_owned)))
}

/// Starts the thread that reads; it ends when nobody takes its rows any more.
fn read_on_a_thread(sources: Vec<Source>, key_from: Option<String>) -> mpsc::Receiver<Result<Vec<Row>, String>> {
    let (chunks, rows) = mpsc::channel(CHUNKS_MAX);
    std::thread::spawn(move || rows::read_all(sources, key_from.as_deref(), &chunks));
    rows
}

/// Puts every row. A failure to read ends it, once what was read before is put.
async fn feed(
    mut rows: mpsc::Receiver<Result<Vec<Row>, String>>,
    producer: &Producer,
    key: Option<&str>,
    tickets: mpsc::Sender<Pending>,
) -> Result<(), Failure> {
    let mut random = RandomKeys::new();
    let mut number = 0;
    while let Some(chunk) = rows.recv().await {
        for row in chunk.map_err(Failure::new)? {
            number += 1;
            let Row { source, line, read_bytes, content } = row;
            let data_bytes = content.as_ref().map_or(0, |content| content.data.len() as u64);
            let ticket = match content {
                Ok(content) => {
                    let key = content.key.or(key.map(str::to_owned)).unwrap_or_else(|| random.next());
                    put(producer, Record::new(key, content.data)).await
                }
                Err(why) => Err(why),
            };
            let pending = Pending { number, source, line, data_bytes, read_bytes, ticket };
            if tickets.send(pending).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn put(producer: &Producer, record: Record) -> Result<Ticket, String> {
    producer.put(record).await.map_err(|refused: PutRefused| refused.to_string())
}

/// Looks at the outcomes in the order of the input.
async fn settle(
    mut pending: mpsc::Receiver<Pending>,
    tally: &mut Tally,
    mut acks: Option<&mut Acks>,
    progress: &Progress,
) -> Result<(), Failure> {
    while let Some(Pending { number, source, line, data_bytes, read_bytes, ticket }) = pending.recv().await {
        match ticket {
            Err(why) => tally.refused(source, line, &why),
            Ok(mut ticket) => {
                let known = std::future::poll_fn(|context| {
                    let poll = std::pin::Pin::new(&mut ticket).poll(context);
                    std::task::Poll::Ready(match poll {
                        std::task::Poll::Ready(outcome) => Some(outcome),
                        std::task::Poll::Pending => None,
                    })
                });
                let outcome = match known.await {
                    Some(outcome) => outcome,
                    None => {
                        // What is known goes to the file before anything is waited for.
                        acks.as_mut().map_or(Ok(()), |acks| acks.flush())?;
                        ticket.await
                    }
                };
                match outcome {
                    Outcome::Acked { shard, sequence, .. } => {
                        tally.acked(data_bytes);
                        acks.as_mut().map_or(Ok(()), |acks| acks.write(number, shard, sequence))?;
                    }
                    Outcome::Refused(why) => tally.refused(source, line, &why.to_string()),
                    Outcome::Indeterminate(why) => tally.indeterminate(source, line, &why),
                }
            }
        }
        progress.advance(read_bytes);
        if pending.is_empty() {
            acks.as_mut().map_or(Ok(()), |acks| acks.flush())?;
        }
    }
    acks.map_or(Ok(()), Acks::flush)
}

/// Keys for records that need none: different for each record and each run.
struct RandomKeys {
    hasher: std::hash::RandomState,
    number: u64,
}

impl RandomKeys {
    fn new() -> RandomKeys {
        RandomKeys { hasher: std::hash::RandomState::new(), number: 0 }
    }

    fn next(&mut self) -> String {
        use std::hash::BuildHasher;
        self.number += 1;
        format!("{:016x}", self.hasher.hash_one(self.number))
    }
}
