//! `rheos put`: records from files, standard input or a template into a stream.
//!
//! A thread of its own reads the input; one task puts; another waits for the outcomes in the order of
//! the input, so that what it reports is what was asked. What is in between is bounded by the
//! producer's bytes and by short channels. Interrupted, it reads no more and waits for what it sent.

mod acks;
mod feed;
mod input;
mod made;
mod pace;
mod progress;
mod rows;
mod settle;
mod source;
mod tally;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rheos_client::Client;
use tokio::sync::mpsc;

use acks::Acks;
use feed::{Feed, Keys};
use input::Input;
use made::{MadeField, parse_made};
use pace::{Pace, Rate};
use progress::Progress;
use settle::settle;
use tally::Tally;

pub(crate) use input::rows_of;
pub(crate) use pace::parse_rate;
pub(crate) use rows::Row;

use crate::arguments::Global;
use crate::broker::{self, Named, Outage, found};
use crate::completions;
use crate::exit::Exit;
use crate::failure::{Failure, note, warn};
use crate::raw;
use crate::template::Template;
use crate::units::{parse_duration_ms, parse_hash_key, parse_number};

/// Most records that were put and whose outcome was not looked at yet.
const TICKETS_MAX: usize = 64 << 10;

/// Put records into a stream, one a line
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct PutCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// Files to read; standard input when there is none, or for -
    files: Vec<PathBuf>,
    /// One partition key for all records
    #[arg(long, value_name = "KEY", conflicts_with = "key_from", value_parser = parse_key)]
    key: Option<String>,
    /// Take the partition key from this field of each JSON line, or this column of a CSV file
    #[arg(long, value_name = "FIELD")]
    key_from: Option<String>,
    /// A place in the hash space, 0 to 2^128 - 1 (or 0x and hexadecimal digits), that decides the shard
    /// in place of the key
    #[arg(long, value_name = "NUMBER", value_parser = parse_hash_key)]
    explicit_hash_key: Option<u128>,
    /// What the input is; by default what a file's name says (.json .jsonl .ndjson .csv), else lines.
    /// A CSV row after the header is a record, with the newlines in its quotes; raw is told of below
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Make up records, in place of reading any: a text with {{number}} (1, 2, 3 ..),
    /// {{random}} (16 hexadecimal digits), {{time}} and {{time_ms}} in it
    #[arg(long, conflicts_with_all = ["files", "key_from", "format"], value_parser = parse_made)]
    template: Option<Template<MadeField>>,
    /// How many records to make up
    #[arg(long, value_name = "N", requires = "template", default_value = "1", hide_default_value = true)]
    #[arg(value_parser = parse_number::<u64>)]
    count: u64,
    /// Put so many records in a time, such as 10k/s or 30/m, each when it is due; one that is late goes at
    /// once, and the summary says how late the latest was. As fast as it goes where nothing is said
    #[arg(long, value_parser = parse_rate)]
    rate: Option<Rate>,
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
    // Lengths stand before keys and data.
    Raw,
}

fn after_help() -> String {
    format!("{RECORDS}\n\n{}\n\n{EXAMPLES}", raw::FORMAT)
}

const RECORDS: &str = "\
Each line is a record, an empty one too; a last line without newline counts. Records with the same key \
go to the same shard and keep their order. Without --key or --key-from each record gets a random key, \
which spreads the records over the shards.

The command ends when everything is on the broker's disk. It goes on over a broken connection and a \
restart of the broker. The exit code is not 0 unless every record is known to be stored: 6 when one may or may \
not be, else what the first that is not says. Ctrl-C ends the input and waits for what was sent.";

const EXAMPLES: &str = "\
Examples:
  journalctl --follow | rheos put logs --key $(hostname)
  rheos put flights --key-from carrier flights.csv
  rheos put orders --key-from customer --acks acks.txt orders.jsonl
  rheos put orders --template '{\"order\":{{number}},\"at\":\"{{time}}\"}' --count 1000 --rate 100/s
  rheos get orders --format raw | rheos put copy --format raw";

fn parse_key(text: &str) -> Result<String, String> {
    let view = rheos_client::RecordView { partition_key: text, explicit_hash_key: None, data: b"" };
    view.check(0).map(|()| text.to_owned()).map_err(|bad| bad.to_string())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let ms = NonZeroU64::new(parse_duration_ms(text)?).ok_or("a record needs some time to be delivered")?;
    Ok(Duration::from_millis(ms.get()))
}

pub(crate) async fn run(command: &PutCommand, global: &Global) -> Result<(), Failure> {
    let input = Input::open(command)?;
    let mut acks = command.acks.as_deref().map(Acks::create).transpose()?;
    let options = broker::options(global)?.delivery_timeout(command.delivery_timeout);
    let client = broker::connect_with(global, options).await?;
    let outcome = put(command, &client, input, acks.as_mut(), global).await;
    client.close().await;
    outcome
}

async fn put(
    command: &PutCommand,
    client: &Client,
    input: Input,
    acks: Option<&mut Acks>,
    global: &Global,
) -> Result<(), Failure> {
    let Input { records, progress, places } = input;
    let producer = found(client, Named::Stream(&command.stream), client.producer(&command.stream).await).await?;
    let begun = Instant::now();
    let (tickets, pending) = mpsc::channel(TICKETS_MAX);
    let keys = Keys::new(command.key.as_deref(), command.explicit_hash_key);
    let mut feed = Feed { producer: &producer, keys, pace: command.rate.map(Pace::new), pending: tickets };
    let mut tally = Tally::new(command.stream.clone(), places);
    let feeding = async {
        let fed = tokio::select! {
            fed = feed.put_all(records) => fed,
            failure = interrupted(&progress) => Err(failure),
        };
        // No more tickets come: what looks at them ends after the last.
        (fed, feed.into_late_max())
    };
    let putting = async { tokio::join!(feeding, settle(pending, &mut tally, acks, &progress)) };
    let ((fed, late_max), settled) = tokio::select! {
        ended = putting => ended,
        never = Outage::default().watch(client, |news| progress.aside(|| warn(news))) => never,
    };
    progress.end();
    settled?;
    tally.report(begun.elapsed(), late_max, global.output)?;
    let verdict = tally.verdict();
    if let (Err(_), Err(unread)) = (&verdict, &fed) {
        warn(unread.message());
    }
    verdict.and(fed)
}

/// Ends when Ctrl-C is pressed. Pressed again, it ends the process.
async fn interrupted(progress: &Progress) -> Failure {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    progress.aside(|| note("waiting for what was sent to be stored; Ctrl-C again ends at once"));
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    Failure::Told(Exit::Interrupted, "interrupted before the end of the input".to_owned())
}
