//! `rheos key`: access keys and what they may do.

mod create;
mod list;

use clap::{Args, Subcommand};
use rheos_client::{Access, KeyPolicy};
use serde_json::json;

use crate::arguments::Global;
use crate::broker::{self, Named, found};
use crate::completions;
use crate::confirm::confirm;
use crate::contexts::Contexts;
use crate::failure::{Failure, note};
use crate::output;

/// Make, list and revoke access keys
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Create(create::CreateCommand),
    List(list::ListCommand),
    Revoke(RevokeCommand),
}

/// Revoke an access key: its connections end and it is accepted no more
#[derive(Debug, Args)]
pub(crate) struct RevokeCommand {
    /// The key
    #[arg(value_name = "ID_OR_NAME", add = completions::keys())]
    key: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(command: &KeyCommand, global: &Global) -> Result<(), Failure> {
    match command {
        KeyCommand::Create(command) => create::run(command, global).await,
        KeyCommand::List(_) => list::run(global).await,
        KeyCommand::Revoke(command) => revoke(command, global).await,
    }
}

async fn revoke(command: &RevokeCommand, global: &Global) -> Result<(), Failure> {
    let key = &command.key;
    let question = format!("Revoke key {key}? Its connections end, and it cannot be given back.");
    confirm(command.yes, &question, &format!("key {key} is not revoked"))?;
    let client = broker::connect(global).await?;
    let revoked = found(&client, Named::Key(key), client.revoke_key(key).await).await;
    client.close().await;
    revoked?;
    output::one(global.output, &format!("key {key} is revoked"), &json!({ "key": key, "revoked": true }))?;
    if let Some(context) = kept_in(key) {
        note(&format!("context {context} may still hold it: rheos context remove {context}"));
    }
    Ok(())
}

/// The context that holds a key of this id, or has its name.
fn kept_in(key: &str) -> Option<String> {
    let contexts = Contexts::open().ok()?;
    let holds = |name: &str| contexts.options(name).is_ok_and(|options| options.key_id() == key);
    contexts.names().ok()?.into_iter().find(|name| name == key || holds(name))
}

fn access_text(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::ReadOnly => "read-only",
        Access::ReadWrite => "read-write",
        Access::Admin => "admin",
    }
}

/// `read-only, orders=read-write`
fn policy_text(policy: &KeyPolicy) -> String {
    let everywhere = Some(access_text(policy.everywhere).to_owned());
    let everywhere = everywhere.filter(|_| policy.everywhere != Access::None || policy.streams.is_empty());
    let granted = policy.streams.iter().map(|(stream, access)| format!("{stream}={}", access_text(*access)));
    everywhere.into_iter().chain(granted).collect::<Vec<_>>().join(", ")
}
