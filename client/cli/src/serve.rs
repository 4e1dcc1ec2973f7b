//! `rheos serve`: runs the broker until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rheos_broker::{CertificateFiles, Ready, ServeOptions};
use rheos_client::StreamLimits;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Global, Output};
use crate::failure::{Failure, is_coloured, warn};
use crate::output::count;
use crate::units::show_duration_ms;

/// Run the broker, until it gets SIGTERM or SIGINT
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeCommand {
    /// Where to listen for QUIC (UDP)
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
    /// Limits of streams that set none of their own (see rheos stream limits): none, or those of Kinesis for
    /// each shard, 1 MiB and 1000 records a second in, 2 MiB and 5 reads out, 2 MiB to each consumer
    #[arg(long, value_name = "WHICH", default_value = "none")]
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    // Nothing is limited.
    None,
    // As Amazon Kinesis limits a shard.
    Kinesis,
}

impl From<Limits> for StreamLimits {
    fn from(limits: Limits) -> StreamLimits {
        match limits {
            Limits::None => StreamLimits::NONE,
            Limits::Kinesis => StreamLimits::kinesis(),
        }
    }
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
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(is_coloured())
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .init();
    let (how, dev) = (global.output, command.dev);
    let files = command.tls_cert.clone().zip(command.tls_key.clone());
    let certificate = files.map(|(chain, key)| CertificateFiles { chain, key });
    rheos_broker::serve(ServeOptions {
        data: global.data.clone(),
        listen: command.listen,
        dev,
        dev_anyone_on_the_network: command.dev_anyone_on_the_network,
        certificate,
        lanes: command.lanes.unwrap_or_else(|| lanes_of_cores(&command.cores)),
        mtu: command.mtu,
        cores: command.cores.clone(),
        limits: command.limits.into(),
        ready: Box::new(move |ready| announce(ready, dev, how)),
    })
    .map_err(|error| Failure::new(error.to_string()))
}

fn lanes_of_cores(cores: &[usize]) -> u16 {
    match cores.len() {
        0 => rheos_broker::default_lanes(),
        // More than there can be are refused as that.
        named => u16::try_from(named).unwrap_or(u16::MAX),
    }
}

/// Says where clients connect. The broker serves whether or not anybody reads it.
fn announce(ready: &Ready, dev: bool, how: Output) {
    ready.warnings.iter().for_each(|warning| warn(warning));
    let mut stdout = io::stdout().lock();
    let text = match how {
        Output::Json => json!({
            "event": "ready",
            "pid": std::process::id(),
            "address": ready.address.to_string(),
            "data": ready.data,
            "lanes": ready.lanes,
            "streams": ready.streams,
            "started_ms": ready.took.as_millis() as u64,
            "dev": dev,
            "warnings": ready.warnings,
        })
        .to_string(),
        Output::Text => banner(ready, dev, io::stdout().is_terminal()),
    };
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

fn banner(ready: &Ready, dev: bool, terminal: bool) -> String {
    let data = ready.data.display();
    let mut text = format!(
        "rheos {} serves {} from {data}{}, started in {}\n  {}  UDP  native protocol (QUIC), for rheos and rheos-client\n  {}",
        env!("CARGO_PKG_VERSION"),
        count(ready.streams as u64, "stream"),
        match ready.lanes {
            1 => String::new(),
            lanes => format!(" on {}", count(lanes.into(), "lane")),
        },
        show_duration_ms(ready.took.as_millis() as u64),
        ready.address,
        match (dev, ready.address.ip().is_loopback()) {
            (true, true) =>
                format!("development mode: any credential is accepted; rheos --url dev:{} stream list", ready.address),
            (true, false) => format!(
                "development mode: any credential is accepted, anyone's; on this host: rheos --data {data} stream list"
            ),
            (false, _) =>
                format!("on this host: rheos --data {data} stream list; elsewhere: the URL in {data}/admin.url"),
        },
    );
    if terminal {
        text.push_str("\n  stop with Ctrl-C");
    }
    text
}
