//! `rheos tls`: what clients of a broker trust.

use clap::{Args, Subcommand};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output;

/// Show what clients of a broker trust
#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    Ca(CaCommand),
}

/// Print the CA certificate of a data directory's broker, as PEM
#[derive(Debug, Args)]
#[command(after_help = CA_EXAMPLE)]
pub(crate) struct CaCommand {}

const CA_EXAMPLE: &str = "\
It is what connection strings name by its hash, and what AWS SDKs and HTTP clients want as a file.

Example:
  rheos tls ca --data /var/lib/rheos > rheos-ca.pem
  export AWS_CA_BUNDLE=$PWD/rheos-ca.pem";

pub(crate) fn run(command: &TlsCommand, global: &Global) -> Result<(), Failure> {
    let TlsCommand::Ca(CaCommand {}) = command;
    let authority = rheos_broker::authority_file(&global.data).map_err(|error| Failure::new(error.to_string()))?;
    let object = serde_json::json!({ "pem": authority.pem, "sha256": authority.sha256 });
    output::one(global.output, authority.pem.trim_end(), &object)
}
