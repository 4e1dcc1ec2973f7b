//! What can be set of a broker: one table, from which the flags, the environment, the file, the help, `rheos
//! config print` and the JSON Schema come.
//!
//! A new setting is one field of [`Settings`] and its line in [`Settings::options`]. Its long flag is its name: `--tls-cert` is
//! `RHEOS_TLS_CERT` and `tls-cert` in the file. The value name is its unit.
//!
//! What must hold: no setting holds a secret, because settings are printed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Args, Command, ValueEnum};
use rheos_broker::{CertificateFiles, KinesisSettings, Ready, ScalerPace, ServeOptions};
use rheos_client::StreamLimits;
use rheos_client::protocol::name::{AccountId, Region};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::units::{parse_bytes, parse_duration_ms};

/// The settings, beside the data directory, which is an option of every command.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Where to listen: for QUIC (UDP) and for HTTP (TCP, the same number), which tells of health and metrics
    #[arg(
        long,
        env = "RHEOS_LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:4567"
    )]
    pub(crate) listen: SocketAddr,
    /// Development mode: any credential is accepted and any file system will do; loopback only
    #[arg(long, env = "RHEOS_DEV", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    #[arg(default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub(crate) dev: bool,
    /// With --dev: on other addresses too. Whoever reaches the port may read and change everything
    #[arg(long, env = "RHEOS_DEV_ANYONE_ON_THE_NETWORK", hide_env_values = true, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    #[arg(default_value = "false", hide_default_value = true, hide_possible_values = true, action = ArgAction::Set)]
    dev_anyone_on_the_network: bool,
    /// Your own certificate in place of the broker's CA: PEM, the server's first, then each that signed
    /// the one before. Clients pin the last. With --tls-key
    #[arg(long, env = "RHEOS_TLS_CERT", hide_env_values = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert: PEM, readable by its owner alone
    #[arg(long, env = "RHEOS_TLS_KEY", hide_env_values = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Let whoever reaches the port read the metrics over HTTP, which name streams and consumers; otherwise
    /// only this host may
    #[arg(long, env = "RHEOS_METRICS_OPEN", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    #[arg(default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub(crate) metrics_open: bool,
    /// Lanes, each one core's worth of the broker: 1 to 256; by default as many as cores are named, or
    /// one less than this process may use
    #[arg(long, env = "RHEOS_LANES", hide_env_values = true, value_name = "N")]
    lanes: Option<u16>,
    /// Largest path MTU to look for, in bytes of UDP payload: 1200 to 6500
    #[arg(long, env = "RHEOS_MTU", hide_env_values = true, value_name = "BYTES", default_value = "1452", value_parser = parse_mtu)]
    mtu: u16,
    /// Cores to pin the lanes to, one for each; by default the last ones this process may use
    #[arg(long, env = "RHEOS_CORES", hide_env_values = true, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// Limits of streams that set none of their own (see rheos stream limits): none, or those of Kinesis for
    /// each shard, 1 MiB and 1000 records a second in, 2 MiB and 5 reads out, 2 MiB to each consumer
    #[arg(long, env = "RHEOS_LIMITS", hide_env_values = true, value_name = "WHICH", default_value = "none")]
    limits: Limits,
    /// The account that the Kinesis face shows: 12 digits. Streams with plain names are of it, and keys that were
    /// made for no other
    #[arg(long, env = "RHEOS_KINESIS_ACCOUNT", hide_env_values = true, value_name = "ACCOUNT")]
    #[arg(default_value = "000000000000")]
    pub(crate) kinesis_account: AccountId,
    /// The region that the Kinesis face shows; requests that are signed for another find its streams beside these
    #[arg(
        long,
        env = "RHEOS_KINESIS_REGION",
        hide_env_values = true,
        value_name = "REGION",
        default_value = "us-east-1"
    )]
    pub(crate) kinesis_region: Region,
    /// How long the Kinesis face shows a stream or consumer as being made, changed or deleted: 0ms to 1h. Kinesis
    /// itself takes seconds, which programs may count on
    #[arg(long, env = "RHEOS_KINESIS_STATE_DELAY", hide_env_values = true, value_name = "TIME", default_value = "0ms")]
    #[arg(value_parser = parse_state_delay)]
    kinesis_state_delay: Duration,
    /// How much is logged, on standard error
    #[arg(long, env = "RHEOS_LOG_LEVEL", hide_env_values = true, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,
    /// How it is logged: a line for people, or a JSON object a line
    #[arg(long, env = "RHEOS_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    // What has failed.
    Error,
    // And what somebody should look at.
    Warn,
    // And what the broker does.
    Info,
    // And why it closes connections.
    Debug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
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

impl Settings {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// Which do not, and what to do.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let needs =
            |what: &str, other: &str| Err(Failure::Usage(format!("{what} needs {other}: set both, or neither")));
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return needs("tls-cert", "tls-key"),
            (None, Some(_)) => return needs("tls-key", "tls-cert"),
            _ => {}
        }
        if self.dev_anyone_on_the_network && !self.dev {
            return needs("dev-anyone-on-the-network", "dev");
        }
        Ok(())
    }

    /// How many lanes the broker is to have.
    pub(crate) fn lanes(&self) -> u16 {
        self.lanes.unwrap_or_else(|| match self.cores.len() {
            0 => rheos_broker::default_lanes(),
            // More than there can be are refused as that.
            named => u16::try_from(named).unwrap_or(u16::MAX),
        })
    }

    /// The same for the broker.
    pub(crate) fn options(&self, data: &Path, ready: Box<dyn FnOnce(&Ready) + Send>) -> ServeOptions {
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        ServeOptions {
            data: data.to_owned(),
            listen: self.listen,
            dev: self.dev,
            dev_anyone_on_the_network: self.dev_anyone_on_the_network,
            certificate: files.map(|(chain, key)| CertificateFiles { chain, key }),
            lanes: self.lanes(),
            metrics_open: self.metrics_open,
            mtu: self.mtu,
            cores: self.cores.clone(),
            limits: self.limits.into(),
            kinesis: KinesisSettings {
                account: self.kinesis_account.clone(),
                region: self.kinesis_region.clone(),
                state_delay: self.kinesis_state_delay,
            },
            scaling: ScalerPace::default(),
            ready,
        }
    }
}

/// The table: every setting as clap knows it, the data directory first.
pub(crate) fn table() -> Command {
    let global = Global::augment_args(Command::new("rheos"));
    let data = global.get_arguments().find(|arg| arg.get_id() == "data").expect("it is an option of every command");
    Settings::augment_args(Command::new("rheos").arg(data.clone().global(false)))
}

/// The name of a setting: that of its flag, and its key in the file.
pub(crate) fn name(setting: &Arg) -> &str {
    setting.get_long().expect("a setting has a long flag")
}

fn parse_mtu(text: &str) -> Result<u16, String> {
    let bytes = parse_bytes(text)?;
    match u16::try_from(bytes) {
        Ok(mtu @ 1200..=6500) => Ok(mtu),
        _ => Err(format!("{bytes} is not in 1200 to 6500")),
    }
}

fn parse_state_delay(text: &str) -> Result<Duration, String> {
    match parse_duration_ms(text)? {
        ms if ms <= STATE_DELAY_MS_MAX => Ok(Duration::from_millis(ms)),
        _ => Err(format!("{text} is more than 1h")),
    }
}

/// Longest delay of a state: 1 hour.
const STATE_DELAY_MS_MAX: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_named_alike_everywhere() {
        let table = table();
        for setting in table.get_arguments() {
            let variable = format!("RHEOS_{}", name(setting).replace('-', "_").to_uppercase());
            assert_eq!(setting.get_env().and_then(|name| name.to_str()), Some(&*variable));
            assert!(
                setting.get_help().is_some() && setting.get_value_names().is_some(),
                "{variable} has a meaning and a unit"
            );
        }
        assert!(table.get_arguments().count() > 10);
    }
}
