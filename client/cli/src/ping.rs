//! `rheos ping`: how long the broker takes to answer.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use rheos_client::{Client, Welcome};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::{Global, Output};
use crate::broker;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, count};
use crate::units::{parse_duration_ms, parse_number};

/// Measure how long the broker takes to answer
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PingCommand {
    /// How many pings; 0 goes on until interrupted
    #[arg(long, short, value_name = "N", default_value = "5", value_parser = parse_number::<u64>)]
    count: u64,
    /// Time from one ping to the next; one that is not answered by then delays the next
    #[arg(long, short, value_name = "TIME", default_value = "200ms", value_parser = parse_duration_ms)]
    interval: u64,
}

const AFTER_HELP: &str = "\
A ping goes to the broker over the connection that stands, and back: no disk takes part in it. On a \
terminal each is shown as it comes, elsewhere the summary alone; --output ndjson prints both.

Examples:
  rheos ping
  rheos ping --count 1 && echo the broker answers
  rheos ping --count 1000 --interval 10ms --output json";

pub(crate) async fn run(command: &PingCommand, global: &Global) -> Result<(), Failure> {
    let options = broker::options(global)?;
    let address = options.address();
    let begun = Instant::now();
    let client = broker::connect_with(global, options).await?;
    let connected = begun.elapsed();
    let report = Report { address, welcome: client.welcome(), connected, how: global.output };
    report.begin()?;
    let pings = send(command, &client, &report).await;
    client.close().await;
    let pings = pings?;
    report.end(&pings)?;
    pings.verdict()
}

/// What became of the pings so far.
struct Pings {
    sent: u64,
    nanoseconds: Histogram<u64>,
    last_failure: Option<String>,
}

async fn send(command: &PingCommand, client: &Client, report: &Report) -> Result<Pings, Failure> {
    let nanoseconds = Histogram::new_with_max(SLOWEST.as_nanos() as u64, 3).expect("the bounds are in order");
    let mut pings = Pings { sent: 0, nanoseconds, last_failure: None };
    let mut due = interval(Duration::from_millis(command.interval.max(1)));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    while command.count == 0 || pings.sent < command.count {
        let answer = tokio::select! {
            biased;
            _ = &mut interrupted => break,
            answer = async { due.tick().await; ping(client).await } => answer,
        };
        let answer = match answer {
            // A broker that is away may come back; what it refuses, it refuses again.
            Err(failure) if failure.exit() != Exit::NotReached => return Err(failure),
            answer => answer.map_err(|failure| failure.message().to_owned()),
        };
        pings.note(&answer);
        report.ping(pings.sent, &answer)?;
    }
    Ok(pings)
}

/// One ping. A broker that is gone says nothing: it is not waited for long.
async fn ping(client: &Client) -> Result<Duration, Failure> {
    match tokio::time::timeout(ANSWER_MAX, client.ping()).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Told(Exit::NotReached, format!("no answer within {} s", ANSWER_MAX.as_secs()))),
    }
}

/// Longest wait for the answer to a ping, connecting again included.
const ANSWER_MAX: Duration = Duration::from_secs(3);

impl Pings {
    fn note(&mut self, answer: &Result<Duration, String>) {
        self.sent += 1;
        match answer {
            Ok(took) => self.nanoseconds.saturating_record(took.as_nanos() as u64),
            Err(why) => self.last_failure = Some(why.clone()),
        }
    }

    fn answered(&self) -> u64 {
        self.nanoseconds.len()
    }

    /// An error unless all were answered.
    fn verdict(&self) -> Result<(), Failure> {
        let Some(why) = &self.last_failure else { return Ok(()) };
        let lost = self.sent - self.answered();
        let said = format!("{lost} of {} not answered: {why}", count(self.sent, "ping"));
        Err(Failure::Told(Exit::NotReached, said))
    }

    /// Least, median, 99 of 100, most; in ms.
    fn percentiles(&self) -> [(&'static str, f64); 4] {
        let at = |quantile| self.nanoseconds.value_at_quantile(quantile) as f64 / 1e6;
        [("min", self.nanoseconds.min() as f64 / 1e6), ("p50", at(0.5)), ("p99", at(0.99)), ("max", at(1.0))]
    }
}

/// Says what happens.
struct Report {
    address: String,
    welcome: Welcome,
    connected: Duration,
    how: Output,
}

impl Report {
    fn begin(&self) -> Result<(), Failure> {
        let Report { address, welcome, connected, .. } = self;
        match self.how {
            Output::Text => output::line(&format!(
                "{} at {address}, {}, connected in {:.3} ms",
                welcome.broker,
                count(welcome.lanes.into(), "lane"),
                ms(*connected)
            )),
            Output::Json | Output::Ndjson => Ok(()),
        }
    }

    fn ping(&self, number: u64, answer: &Result<Duration, String>) -> Result<(), Failure> {
        match (self.how, answer) {
            (Output::Text, _) if !io::stdout().is_terminal() => Ok(()),
            (Output::Text, Ok(took)) => output::line(&format!("{number:>5}  {:.3} ms", ms(*took))),
            (Output::Text, Err(why)) => output::line(&format!("{number:>5}  {why}")),
            (Output::Ndjson, Ok(took)) => output::json(&json!({ "ping": number, "ms": ms(*took) })),
            (Output::Ndjson, Err(why)) => output::json(&json!({ "ping": number, "error": why })),
            (Output::Json, _) => Ok(()),
        }
    }

    fn end(&self, pings: &Pings) -> Result<(), Failure> {
        let (sent, answered) = (pings.sent, pings.answered());
        let times = pings.percentiles();
        let shown = match answered {
            0 => String::new(),
            _ => times.iter().fold(":".to_owned(), |text, (name, ms)| format!("{text} {name} {ms:.3} ms ")),
        };
        let text = format!("{answered} of {} answered{}", count(sent, "ping"), shown.trim_end());
        output::one(self.how, &text, &self.as_json(pings))
    }

    fn as_json(&self, pings: &Pings) -> Value {
        let Report { address, welcome, connected, .. } = self;
        let mut object = json!({
            "address": address,
            "broker": welcome.broker,
            "protocol": welcome.version,
            "lanes": welcome.lanes,
            "connect_ms": ms(*connected),
            "sent": pings.sent,
            "answered": pings.answered(),
        });
        for (name, ms) in pings.percentiles() {
            object[format!("{name}_ms")] = if pings.answered() == 0 { Value::Null } else { ms.into() };
        }
        object
    }
}

fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// Longer answers count as this.
const SLOWEST: Duration = Duration::from_secs(60);
