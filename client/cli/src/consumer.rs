//! `rheos consumer`: who is registered to have a stream pushed.

mod reserve;
mod tag;

use clap::{Args, Subcommand};
use rheos_client::{Client, ConsumerDescription, ConsumerTerms};
use serde_json::{Value, json};

use crate::arguments::{Global, Output};
use crate::broker::{self, Named, found};
use crate::completions;
use crate::failure::Failure;
use crate::output;
use crate::units::{parse_byte_rate, show_bytes, show_time_ms};

/// Register, list, tag and deregister consumers of a stream; reserve bandwidth for them
#[derive(Debug, Subcommand)]
pub(crate) enum ConsumerCommand {
    Register(RegisterCommand),
    List(ListCommand),
    Deregister(DeregisterCommand),
    Reserve(reserve::ReserveCommand),
    Tag(tag::TagCommand),
    Untag(tag::UntagCommand),
}

/// Register a consumer: every shard of the stream can be pushed to it
#[derive(Debug, Args)]
pub(crate) struct RegisterCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// 1 to 128 of a-z A-Z 0-9 _ . -
    name: String,
    /// Bytes a second that are promised to it, of all shards together, such as 8MiB/s (see rheos consumer reserve)
    #[arg(long, value_name = "RATE", value_parser = parse_byte_rate)]
    reserve: Option<u64>,
}

/// List the consumers of a stream
#[derive(Debug, Args)]
pub(crate) struct ListCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
}

/// Deregister a consumer: what is pushed to it ends
#[derive(Debug, Args)]
pub(crate) struct DeregisterCommand {
    /// The stream
    #[arg(add = completions::streams())]
    stream: String,
    /// The consumer
    #[arg(value_name = "CONSUMER", add = completions::consumers())]
    name: String,
}

pub(crate) async fn run(command: &ConsumerCommand, global: &Global) -> Result<(), Failure> {
    let client = broker::connect(global).await?;
    let outcome = match command {
        ConsumerCommand::Register(command) => register(command, &client, global.output).await,
        ConsumerCommand::List(command) => list(command, &client, global.output).await,
        ConsumerCommand::Deregister(command) => deregister(command, &client, global.output).await,
        ConsumerCommand::Reserve(command) => reserve::run(command, &client, global.output).await,
        ConsumerCommand::Tag(command) => tag::tag(command, &client, global.output).await,
        ConsumerCommand::Untag(command) => tag::untag(command, &client, global.output).await,
    };
    client.close().await;
    outcome
}

async fn register(command: &RegisterCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let RegisterCommand { stream, name, reserve } = command;
    let terms = ConsumerTerms::of(stream, name).reserving(reserve.unwrap_or(0));
    let consumer = found(client, Named::Stream(stream), client.register_consumer_with(terms).await).await?;
    let reserved = reserve.map_or_else(String::new, |_| format!(" and {}", reserve::promised(&consumer)));
    let text = format!("consumer {name} of stream {stream} is registered{reserved}");
    output::one(how, &text, &as_json(stream, &consumer))
}

async fn list(command: &ListCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let stream = &command.stream;
    let consumers = found(client, Named::Stream(stream), client.list_consumers(stream).await).await?;
    let row = |consumer: &ConsumerDescription| {
        let reserved = Some(consumer.reserved_bytes).filter(|bytes| *bytes > 0);
        let reserved = reserved.map_or_else(|| "-".to_owned(), |bytes| format!("{}/s", show_bytes(bytes)));
        [consumer.name.clone(), reserved, show_time_ms(consumer.created_ms)]
    };
    output::list(how, &consumers, ["NAME", "RESERVED", "REGISTERED"], row, |consumer| as_json(stream, consumer))
}

async fn deregister(command: &DeregisterCommand, client: &Client, how: Output) -> Result<(), Failure> {
    let DeregisterCommand { stream, name } = command;
    let deregistered = client.deregister_consumer(stream, name).await;
    found(client, Named::Consumer { stream, name }, deregistered).await?;
    let done = json!({ "stream": stream, "name": name, "deregistered": true });
    output::one(how, &format!("consumer {name} of stream {stream} is deregistered"), &done)
}

fn as_json(stream: &str, consumer: &ConsumerDescription) -> Value {
    json!({
        "stream": stream,
        "name": consumer.name,
        "incarnation": format!("{:016x}", consumer.incarnation),
        "created_ms": consumer.created_ms,
        "reserved_bytes": consumer.reserved_bytes,
    })
}
