//! `rheos key create`
//!
//! Whatever can be known to fail is looked at before the key is made: its secret is told once.

use clap::Args;
use rheos_client::protocol::limits::GRANTS_MAX;
use rheos_client::protocol::name::{AccountId, StreamName};
use rheos_client::{Access, Client, ConnectOptions, KeyPolicy};
use serde_json::json;

use super::policy_text;
use crate::arguments::Global;
use crate::broker;
use crate::contexts::Contexts;
use crate::failure::{Failure, note, warn};
use crate::near::suggestion;
use crate::output;

/// Make an access key and print its connection string, this once
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CreateCommand {
    /// What the key is for: 1 to 128 of a-z A-Z 0-9 _ . -
    name: String,
    /// It may do everything: make and delete streams, make and revoke keys
    #[arg(long, group = "access")]
    admin: bool,
    /// It may put into and read every stream, and register consumers (where nothing is said)
    #[arg(long, group = "access")]
    read_write: bool,
    /// It may read every stream
    #[arg(long, group = "access")]
    read_only: bool,
    /// It may do this with one stream: STREAM=read-write or STREAM=read-only; can be given again
    #[arg(long, value_name = "STREAM=ACCESS", value_parser = parse_grant)]
    grant: Vec<(String, Access)>,
    /// The account that it works for through the Kinesis face: 12 digits; the broker's own (see rheos serve
    /// --kinesis-account) where nothing is said
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// The address at which others reach the broker, when it is not the one that is used here
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Name of the context that keeps the connection string; the key's name where nothing is said
    #[arg(long, value_name = "NAME", conflicts_with = "no_context")]
    save_as: Option<String>,
    /// Keep the connection string in no context
    #[arg(long)]
    no_context: bool,
}

const AFTER_HELP: &str = "\
The connection string goes to standard output and holds the secret: it is not shown again. A context, a \
file that only you can read, keeps it (see rheos context).

Examples:
  rheos key create billing --grant orders=read-write
  rheos key create dashboard --read-only --address broker.example:4567 --no-context > dashboard.url
  rheos key create partner --account 123456789012 --grant 123456789012/eu-west-1/orders=read-write";

pub(super) async fn run(command: &CreateCommand, global: &Global) -> Result<(), Failure> {
    let policy = policy(command)?;
    let options = broker::options(global)?;
    let others = match &command.address {
        Some(address) => options.clone().at(address)?,
        None => options.clone(),
    };
    if others.url_without_secret().is_err() {
        return Err(Failure::new(
            "a development connection does not know the broker's CA, which a connection string names; give the data \
             directory of the broker with --data",
        ));
    }
    let keeper = keeper(command)?;

    let client = broker::connect_with(global, options).await?;
    warn_of_slips(&client, &policy).await;
    let created = client.create_key_of(command.account.as_ref(), &command.name, policy.clone()).await;
    client.close().await;
    let key = created?;
    let url = others.url_with(&key.id, &key.secret)?;
    // Printed before anything can fail: there is no second time.
    let object = json!({
        "id": key.id,
        "name": command.name,
        "url": url,
        "context": keeper.as_ref().map(|(_, name)| name),
        "account": command.account.as_ref().map(AccountId::as_str),
    });
    let printed = output::one(global.output, &url, &object);
    let kept = keeper.as_ref().map_or(Ok(()), |(contexts, name)| contexts.add(name, &url));
    printed.and(kept)?;
    if global.output.is_text() {
        tell(command, &key.id, &policy, keeper.as_ref().map(|(_, name)| *name), &others);
    }
    Ok(())
}

/// A grant may come before its stream, so a name that is not there is no error.
async fn warn_of_slips(client: &Client, policy: &KeyPolicy) {
    if policy.streams.is_empty() {
        return;
    }
    let Ok(streams) = client.list_streams().await else { return };
    let is_there = |name: &String| streams.iter().any(|stream| stream.name == *name);
    for (name, _) in policy.streams.iter().filter(|(name, _)| !is_there(name)) {
        let hint = suggestion(name, streams.iter().map(|stream| stream.name.as_str()));
        warn(&format!("no stream is named {name} yet{hint}"));
    }
}

fn policy(command: &CreateCommand) -> Result<KeyPolicy, Failure> {
    if command.grant.len() > GRANTS_MAX as usize {
        return Err(Failure::Usage(format!("a key is granted at most {GRANTS_MAX} streams by name")));
    }
    let everywhere = match command {
        CreateCommand { admin: true, .. } => Access::Admin,
        CreateCommand { read_only: true, .. } => Access::ReadOnly,
        CreateCommand { read_write: false, grant, .. } if !grant.is_empty() => Access::None,
        _ => Access::ReadWrite,
    };
    Ok(KeyPolicy { everywhere, streams: command.grant.clone() })
}

/// Where the connection string is to be kept, once that is known to be possible.
fn keeper(command: &CreateCommand) -> Result<Option<(Contexts, &str)>, Failure> {
    if command.no_context {
        return Ok(None);
    }
    let (contexts, name) = (Contexts::open()?, command.save_as.as_deref().unwrap_or(&command.name));
    let free = contexts.check_free(name).map_err(|failure| {
        failure.retold(|why| format!("no key is made: {why} (or choose with --save-as or --no-context)"))
    });
    free.map(|()| Some((contexts, name)))
}

fn tell(command: &CreateCommand, id: &str, policy: &KeyPolicy, context: Option<&str>, others: &ConnectOptions) {
    let of = command.account.as_ref().map_or(String::new(), |account| format!(" of account {account}"));
    let what = policy_text(policy);
    note(&format!("key {} is made{of}: id {id}, {what}; its secret is not shown again", command.name));
    if let Some(context) = context {
        note(&format!("context {context} keeps it: rheos --context {context} stream list"));
    }
    if others.is_loopback() && command.address.is_none() {
        note(&format!("it says {}, which is good on this host alone; for others add --address", others.address()));
    }
}

fn parse_grant(text: &str) -> Result<(String, Access), String> {
    let wrong = || format!("{text:?} is no grant; write STREAM=read-write or STREAM=read-only");
    let (stream, access) = text.split_once('=').ok_or_else(wrong)?;
    let stream = StreamName::new(stream).map_err(|bad| bad.to_string())?;
    let access = match access {
        "read-only" => Access::ReadOnly,
        "read-write" => Access::ReadWrite,
        other => return Err(wrong() + &suggestion(other, ["read-only", "read-write"])),
    };
    Ok((stream.as_str().to_owned(), access))
}
