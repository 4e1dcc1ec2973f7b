//! `rheos serve`: runs the broker until it is told to stop.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use rheos_broker::Ready;
use serde_json::json;
use tracing::{debug, error, info, warn};

use crate::arguments::{Global, Output};
use crate::config::{Configured, misspelt_variables};
use crate::failure::Failure;
use crate::logging::{self, Limit};
use crate::output::count;
use crate::parent;
use crate::settings::{LogFormat, name};
use crate::units::show_duration_ms;

/// Run the broker, until it gets SIGTERM or SIGINT
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// End when this process ends, which must be the one that started the broker
    #[arg(long, value_name = "PID", hide = true)]
    end_with: Option<u32>,
}

const AFTER_HELP: &str = "\
The first start makes the data directory with its keys and certificates. Clients connect with the \
connection string in its admin.url, which only its owner can read.

Examples:
  rheos serve --data /var/lib/rheos --listen 0.0.0.0:4567
  rheos serve --tls-cert chain.pem --tls-key key.pem
  rheos serve --lanes 4 --cores 4,5,6,7
  rheos serve --limits kinesis
  rheos serve --dev --data /tmp/rheos";

pub(crate) fn run(command: &ServeCommand, global: &Global) -> Result<(), Failure> {
    command.end_with.map_or(Ok(()), parent::end_with)?;
    let Configured { settings, told, .. } = &command.configured;
    settings.check()?;
    let limit = logging::begin(settings.log_level, settings.log_format);
    misspelt_variables().iter().for_each(|warning| warn!("{warning}"));
    for told in told {
        debug!(setting = name(&told.setting), origin = %told.origin, "{}", told.values.join(","));
    }
    let how = global.output;
    let run = Run {
        dev: settings.dev,
        metrics_open: settings.metrics_open,
        region: settings.kinesis_region.to_string(),
        account: settings.kinesis_account.to_string(),
    };
    let ready = Box::new(move |ready: &Ready| announce(ready, &run, how, &limit));
    rheos_broker::serve(settings.options(&global.data, ready)).map_err(|error| match settings.log_format {
        LogFormat::Text if !logging::is_journal() => Failure::new(error.to_string()),
        _ => {
            error!("{error}");
            Failure::Said
        }
    })
}

/// How the broker was told to run, as far as it is said when it does.
struct Run {
    dev: bool,
    metrics_open: bool,
    /// Of the streams with plain names, as AWS's clients see them.
    region: String,
    account: String,
}

/// Says where clients connect. The broker serves whether or not anybody reads it.
fn announce(ready: &Ready, run: &Run, how: Output, limit: &Limit) {
    ready.warnings.iter().for_each(|warning| warn!("{warning}"));
    if !(io::stdout().is_terminal() && io::stderr().is_terminal() && how.is_text()) {
        info!(
            address = %ready.address,
            data = %ready.data.display(),
            durability = durability(ready),
            lanes = ready.lanes,
            streams = ready.streams,
            started_ms = ready.took.as_millis() as u64,
            "rheos {} serves",
            env!("CARGO_PKG_VERSION"),
        );
    }
    limit.begin();
    // In the journal that line is enough.
    if how.is_text() && logging::is_journal() {
        return;
    }
    let mut stdout = io::stdout().lock();
    let text = match how {
        Output::Json | Output::Ndjson => json!({
            "event": "ready",
            "pid": std::process::id(),
            "address": ready.address.to_string(),
            "http": format!("http://{}", ready.address),
            "data": ready.data,
            "durability": durability(ready),
            "lanes": ready.lanes,
            "streams": ready.streams,
            "started_ms": ready.took.as_millis() as u64,
            "dev": run.dev,
            "warnings": ready.warnings,
        })
        .to_string(),
        Output::Text => banner(ready, run, io::stdout().is_terminal()),
    };
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// What an acknowledgement stands for.
fn durability(ready: &Ready) -> &'static str {
    match ready.direct {
        true => "acked once on the disk (O_DIRECT and O_DSYNC)",
        false => "acked once on the disk (O_DSYNC, through the page cache)",
    }
}

fn banner(ready: &Ready, run: &Run, terminal: bool) -> String {
    let (data, address) = (ready.data.display(), ready.address);
    let lanes = match ready.lanes {
        1 => String::new(),
        lanes => format!(" on {}", count(lanes.into(), "lane")),
    };
    let Run { region, account, .. } = run;
    let metrics = if run.metrics_open { "" } else { " (to this host alone)" };
    let connect = match (run.dev, address.ip().is_loopback()) {
        (true, true) => format!("development mode: any credential is accepted; rheos --url dev:{address} stream list"),
        (true, false) => {
            format!(
                "development mode: any credential is accepted, anyone's; on this host: rheos --data {data} stream list"
            )
        }
        (false, _) => format!("on this host: rheos --data {data} stream list; elsewhere: the URL in {data}/admin.url"),
    };
    let mut lines = vec![
        format!(
            "rheos {} serves {} from {data}{lanes}, started in {}",
            env!("CARGO_PKG_VERSION"),
            count(ready.streams as u64, "stream"),
            show_duration_ms(ready.took.as_millis() as u64),
        ),
        format!("  {address}  UDP  native protocol (QUIC), for rheos and rheos-client"),
        format!("  {address}  TCP  HTTP and HTTPS: /health, /ready, /metrics{metrics}"),
        format!("  {address}  TCP  the API of Kinesis, for AWS's SDKs and CLI (region {region}, account {account})"),
        format!("  {connect}"),
    ];
    if terminal {
        lines.push("  stop with Ctrl-C".to_owned());
    }
    lines.join("\n")
}
