//! `rheos consumer reserve`

use clap::Args;
use rheos_client::{Client, ConsumerDescription, ConsumerTerms};

use super::as_json;
use crate::arguments::Output;
use crate::broker::{Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_byte_rate, show_bytes};

/// Change the bandwidth that is promised to a consumer, or take it back
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReserveCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// The consumer
    #[arg(value_name = "CONSUMER", add = completions::consumers())]
    name: String,
    /// Bytes a second, of all shards together, such as 8MiB/s; or none
    #[arg(value_name = "RATE", value_parser = parse_reservation)]
    rate: u64,
}

const AFTER_HELP: &str = "\
A reservation is divided evenly over the open shards of the stream. Its consumer is pushed so much before \
whoever has no reservation; when a lane cannot keep what it has promised, puts to it are refused until it \
can. A lane promises up to 60 % of its capacity (rheos calibrate); what would be more is refused.

Examples:
  rheos consumer reserve flights board 4MiB/s
  rheos consumer reserve flights board none";

/// A reservation: a rate, or none.
fn parse_reservation(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(0) } else { parse_byte_rate(text) }
}

pub(super) async fn run(command: &ReserveCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let ReserveCommand { stream, name, rate } = command;
    let updated = client.update_consumer(ConsumerTerms::of(stream, name).reserving(*rate)).await;
    let consumer = found(client, Named::Consumer { stream, name }, updated).await?;
    let text = format!("consumer {name} of stream {stream} {}", promised(&consumer));
    output::one(how, &text, &as_json(stream, &consumer))
}

/// What is promised to a consumer, as the end of a sentence.
pub(super) fn promised(consumer: &ConsumerDescription) -> String {
    match consumer.reserved_bytes {
        0 => "has no reservation".to_owned(),
        bytes => format!("has {}/s reserved", show_bytes(bytes)),
    }
}
