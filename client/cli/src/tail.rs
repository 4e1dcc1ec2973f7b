//! `rheos tail`: what is pushed to a registered consumer, on standard output.
//!
//! What must hold: the file with the positions covers nothing that was not printed.

mod ends;
mod kept;

use std::future::{pending, ready};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use clap::Args;
use rheos_client::{Client, Consumer, Error, Position, Positions, ReadRecord, RecordAt};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::arguments::Global;
use crate::broker::{self, Named, Outage, found};
use crate::completions;
use crate::failure::{Failure, warn};
use crate::printer::{Printer, Printing, Span, about_templates};
use crate::units::{POSITIONS, parse_number, parse_position};
use crate::until::check;
use ends::Ends;
use kept::Kept;

/// How often what was printed is written to the file of positions.
const POSITIONS_EVERY: Duration = Duration::from_millis(200);

/// Print what is pushed to a registered consumer, as it comes
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct TailCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// The consumer; rheos consumer register STREAM NAME registers one
    #[arg(long, value_name = "NAME", add = completions::consumers())]
    consumer: String,
    /// Only these shards and their descendants: numbers with commas between them, or the option several times
    #[arg(long = "shard", value_name = "N", value_delimiter = ',', value_parser = parse_number::<u32>)]
    shards: Vec<u32>,
    /// Where to begin in shards that the file of positions does not name: a position
    #[arg(long, value_name = "POSITION", default_value = "latest", value_parser = parse_position)]
    #[arg(allow_hyphen_values = true)]
    from: Position,
    /// Where to end: a position; never where nothing is said
    #[arg(long, value_name = "POSITION", value_parser = parse_position, allow_hyphen_values = true)]
    until: Option<Position>,
    /// Begin where this file says, and keep it up to date with what was printed
    #[arg(long, value_name = "FILE")]
    positions: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

fn after_help() -> String {
    format!("{ABOUT}\n\n{POSITIONS}\n\n{}\n\n{EXAMPLES}", about_templates())
}

const ABOUT: &str = "\
Every shard is pushed by the broker, without polling; records of one shard come in order. It goes on over \
restarts of the broker, until it is interrupted or the end is reached. A second run under the same name takes \
over from the first.";

const EXAMPLES: &str = "\
Examples:
  rheos consumer register flights board
  rheos tail flights --consumer board
  rheos tail flights --consumer board --positions board.positions --output ndjson
  rheos tail flights --consumer board --from -15m --until latest
  rheos tail flights --consumer board --template '{{arrival_local}} {{key}}: {{data}}'";

pub(crate) async fn run(command: &TailCommand, global: &Global) -> Result<(), Failure> {
    check(command.from, command.until, command.shards.len())?;
    let resumed = command.positions.as_deref().map_or(Ok(Positions::default()), kept::read)?;
    let client = broker::connect(global).await?;
    let mut builder = client.consumer(&command.stream, &command.consumer).from(command.from).resume(&resumed);
    if !command.shards.is_empty() {
        builder = builder.shards(command.shards.iter().copied());
    }
    let named = Named::Consumer { stream: &command.stream, name: &command.consumer };
    let consumer = found(&client, named, builder.start().await).await?;
    let tailed = tail(command, global, &client, consumer).await;
    client.close().await;
    tailed
}

async fn tail(command: &TailCommand, global: &Global, client: &Client, consumer: Consumer) -> Result<(), Failure> {
    let mut ends = Ends::new(command.until)?;
    if command.until == Some(Position::Latest) {
        ends.end_at_tips(client, &command.stream).await?;
    }
    let mut tail = Tail {
        kept: Kept::new(command.positions.as_deref(), consumer.positions()),
        printer: command.printing.printer(global.output, Span::Endless),
        consumer,
        ends,
        outage: Outage::default(),
    };
    let printed = tail.print(client, &command.stream).await;
    // What was printed before something went wrong counts.
    let kept = tail.keep();
    printed?;
    kept?;
    tail.printer.end()
}

/// What is pushed, and where it goes.
struct Tail<'a> {
    consumer: Consumer,
    printer: Printer,
    kept: Kept<'a>,
    ends: Ends,
    outage: Outage,
}

/// What a tail waits for.
enum Event {
    Interrupted,
    /// The moment at which it ends has passed.
    Passed,
    /// The file of positions is to be brought up to date, and the broker looked for.
    Due,
    Pushed(Result<Option<ReadRecord>, Error>),
    /// Nothing of all this, at the moment.
    Idle,
}

impl Tail<'_> {
    /// Prints what comes until there is no more, there is enough, or it is interrupted.
    async fn print(&mut self, client: &Client, stream: &str) -> Result<(), Failure> {
        let mut waits = Waits::new(&self.ends);
        while !self.printer.is_full() {
            let event = match waits.next(&mut self.consumer, Patience::None).await {
                Event::Idle => {
                    self.printer.flush()?;
                    if self.are_ends_reached() {
                        return Ok(());
                    }
                    waits.next(&mut self.consumer, Patience::Any).await
                }
                event => event,
            };
            match event {
                Event::Interrupted | Event::Pushed(Ok(None)) => return Ok(()),
                Event::Passed => self.ends.end_at_tips(client, stream).await?,
                Event::Due if self.are_ends_reached() => return Ok(()),
                Event::Due => {
                    self.keep()?;
                    self.outage.news(client).iter().for_each(|news| warn(news));
                }
                Event::Pushed(Ok(Some(read))) => self.take(&read)?,
                Event::Pushed(Err(Error::Trimmed { shard, first_kept_sequence })) => warn(&format!(
                    "shard {shard}: records before sequence {first_kept_sequence} are no longer kept; going on there"
                )),
                Event::Pushed(Err(error)) => return Err(error.into()),
                Event::Idle => {}
            }
        }
        Ok(())
    }

    /// Prints a record, unless it is behind the end of its shard.
    fn take(&mut self, read: &ReadRecord) -> Result<(), Failure> {
        let at = RecordAt { sequence: read.sequence, arrival_ms: read.arrival_ms, record: read.record.view() };
        if self.ends.is_behind(read.shard, &at) {
            return Ok(());
        }
        self.printer.print(read.shard, &at)
    }

    fn are_ends_reached(&self) -> bool {
        self.ends.are_some() && self.ends.are_reached(&self.consumer.positions())
    }

    /// Writes down how far it has come, once that is printed.
    fn keep(&mut self) -> Result<(), Failure> {
        self.printer.flush()?;
        self.kept.keep(|| self.ends.hold_back(self.consumer.positions()))
    }
}

struct Waits {
    interrupted: Pin<Box<dyn Future<Output = ()>>>,
    passed: Pin<Box<dyn Future<Output = ()>>>,
    due: Interval,
}

/// How long to wait for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    Any,
}

impl Waits {
    fn new(ends: &Ends) -> Waits {
        let mut due = interval_at(Instant::now() + POSITIONS_EVERY, POSITIONS_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let interrupted = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
        let end = ends.end();
        Waits { interrupted: Box::pin(interrupted), passed: Box::pin(async move { end.passed().await }), due }
    }

    async fn next(&mut self, consumer: &mut Consumer, patience: Patience) -> Event {
        tokio::select! {
            biased;
            () = &mut self.interrupted => Event::Interrupted,
            () = &mut self.passed => {
                self.passed = Box::pin(pending());
                Event::Passed
            }
            _ = self.due.tick() => Event::Due,
            next = consumer.next() => Event::Pushed(next),
            () = ready(()), if patience == Patience::None => Event::Idle,
        }
    }
}
