//! `rheos serve`: runs the broker until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use rheos_broker::{CertificateFiles, Ready, ServeOptions};
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Global, Output};
use crate::colours::is_coloured;
use crate::failure::{Failure, warn};
use crate::output::count;
use crate::parent;
use crate::units::show_duration_ms;

/// Run the broker, until it gets SIGTERM or SIGINT
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeCommand {
    /// Where to listen: for QUIC (UDP) and for HTTP (TCP, the same number), which tells of health and metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4567")]
    listen: SocketAddr,
    /// Development mode: any credential is accepted and any file system will do; loopback only
    #[arg(long)]
    dev: bool,
    /// With --dev: on other addresses too. Whoever reaches the port may read and change everything
    #[arg(long, requires = "dev")]
    dev_anyone_on_the_network: bool,
    /// Your own certificate in place of the broker's CA: PEM, the server's first, then each that signed
    /// the one before. Clients pin the last
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert: PEM, readable by its owner alone
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let whoever reaches the port read the metrics over HTTP, which name streams and consumers; otherwise
    /// only this host may
    #[arg(long)]
    metrics_open: bool,
    /// Lanes, each one core's worth of the broker: 1 to 256; by default as many as cores are named, or
    /// one less than this process may use
    #[arg(long, value_name = "N")]
    lanes: Option<u16>,
    /// Largest path MTU to look for, in bytes of UDP payload: 1200 to 6500
    #[arg(long, value_name = "BYTES", default_value_t = 1452, value_parser = clap::value_parser!(u16).range(1200..=6500))]
    mtu: u16,
    /// Cores to pin the lanes to, one for each; by default the last ones this process may use
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
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
  rheos serve --dev --data /tmp/rheos";

pub(crate) fn run(command: &ServeCommand, global: &Global) -> Result<(), Failure> {
    command.end_with.map_or(Ok(()), parent::end_with)?;
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(is_coloured(&io::stderr()))
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .init();
    let (how, run) = (global.output, Run { dev: command.dev, metrics_open: command.metrics_open });
    let files = command.tls_cert.clone().zip(command.tls_key.clone());
    let certificate = files.map(|(chain, key)| CertificateFiles { chain, key });
    rheos_broker::serve(ServeOptions {
        data: global.data.clone(),
        listen: command.listen,
        dev: command.dev,
        dev_anyone_on_the_network: command.dev_anyone_on_the_network,
        certificate,
        lanes: command.lanes.unwrap_or_else(|| lanes_of_cores(&command.cores)),
        metrics_open: command.metrics_open,
        mtu: command.mtu,
        cores: command.cores.clone(),
        ready: Box::new(move |ready| announce(ready, &run, how)),
    })
    .map_err(|error| Failure::new(error.to_string()))
}

/// Lanes of a broker that is told its cores and no number of lanes.
pub(crate) fn lanes_of_cores(cores: &[usize]) -> u16 {
    match cores.len() {
        0 => rheos_broker::default_lanes(),
        // More than there can be are refused as that.
        named => u16::try_from(named).unwrap_or(u16::MAX),
    }
}

/// How the broker was told to run, as far as it is said when it does.
struct Run {
    dev: bool,
    metrics_open: bool,
}

/// Says where clients connect. The broker serves whether or not anybody reads it.
fn announce(ready: &Ready, run: &Run, how: Output) {
    ready.warnings.iter().for_each(|warning| warn(warning));
    let mut stdout = io::stdout().lock();
    let text = match how {
        Output::Json | Output::Ndjson => json!({
            "event": "ready",
            "pid": std::process::id(),
            "address": ready.address.to_string(),
            "http": format!("http://{}", ready.address),
            "data": ready.data,
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

fn banner(ready: &Ready, run: &Run, terminal: bool) -> String {
    let (data, address) = (ready.data.display(), ready.address);
    let lanes = match ready.lanes {
        1 => String::new(),
        lanes => format!(" on {}", count(lanes.into(), "lane")),
    };
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
        format!("  {connect}"),
    ];
    if terminal {
        lines.push("  stop with Ctrl-C".to_owned());
    }
    lines.join("\n")
}
