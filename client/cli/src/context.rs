//! `rheos context`: keeps connection strings under names.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rheos_client::ConnectOptions;
use serde_json::{Value, json};

use crate::arguments::{Global, Output};
use crate::completions;
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::output;

/// Keep connection strings under names, for this user
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    Add(AddCommand),
    Use(UseCommand),
    Rename(RenameCommand),
    List(ListCommand),
    Show(ShowCommand),
    Remove(RemoveCommand),
}

/// Keep a connection string under a name; it comes into use when no other is
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddCommand {
    /// 1 to 128 of a-z A-Z 0-9 _ . -
    name: String,
    /// Connection string, or - to read it from standard input (what is typed, others can see)
    #[arg(value_name = "URL", required_unless_present = "file", conflicts_with = "file")]
    connection: Option<String>,
    /// A file that holds the connection string, such as a copy of admin.url
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  rheos context add local --file /var/lib/rheos/admin.url
  ssh broker cat /var/lib/rheos/billing.url | rheos context add billing -";

/// Use a context wherever nothing else says which broker
#[derive(Debug, Args)]
#[command(after_help = USE_EXAMPLES)]
pub(crate) struct UseCommand {
    /// The context, or - for the one that was in use before
    #[arg(add = completions::contexts(), required_unless_present = "none", conflicts_with = "none")]
    name: Option<String>,
    /// Use none: the data directory ./rheos-data says which broker
    #[arg(long)]
    none: bool,
}

const USE_EXAMPLES: &str = "\
Examples:
  rheos context use production
  rheos context use -";

/// Give a context another name
#[derive(Debug, Args)]
pub(crate) struct RenameCommand {
    /// The context
    #[arg(add = completions::contexts())]
    name: String,
    /// What it is called from now on
    new_name: String,
}

/// List all contexts
#[derive(Debug, Args)]
pub(crate) struct ListCommand {}

/// Show a context, without its secret
#[derive(Debug, Args)]
pub(crate) struct ShowCommand {
    /// The context; the one in use when none is named
    #[arg(add = completions::contexts())]
    name: Option<String>,
    /// Show the whole connection string
    #[arg(long)]
    secret: bool,
}

/// Remove a context; the access key in it stays good
#[derive(Debug, Args)]
pub(crate) struct RemoveCommand {
    /// The context
    #[arg(add = completions::contexts())]
    name: String,
}

pub(crate) fn run(command: &ContextCommand, global: &Global) -> Result<(), Failure> {
    let (contexts, how) = (Contexts::open()?, global.output);
    match command {
        ContextCommand::Add(command) => add(command, &contexts, how),
        ContextCommand::Use(command) => choose(command, &contexts, how),
        ContextCommand::Rename(RenameCommand { name, new_name }) => {
            contexts.rename(name, new_name)?;
            let object = json!({ "name": new_name, "renamed_from": name });
            output::one(how, &format!("context {name} is called {new_name}"), &object)
        }
        ContextCommand::List(_) => list(&contexts, how),
        ContextCommand::Show(command) => show(command, &contexts, how),
        ContextCommand::Remove(command) => {
            contexts.remove(&command.name)?;
            told(how, &command.name, "removed", "removed")
        }
    }
}

fn choose(command: &UseCommand, contexts: &Contexts, how: Output) -> Result<(), Failure> {
    let name = match command.name.as_deref() {
        None => {
            contexts.choose_none()?;
            return output::one(how, "no context is in use", &json!({ "name": null, "in_use": false }));
        }
        Some("-") => contexts.previous()?,
        Some(name) => name.to_owned(),
    };
    contexts.choose(&name)?;
    told(how, &name, "in_use", "in use")
}

fn add(command: &AddCommand, contexts: &Contexts, how: Output) -> Result<(), Failure> {
    let url = match (&command.file, command.connection.as_deref()) {
        (Some(path), _) => read(path)?,
        (None, Some("-")) => read(Path::new("-"))?,
        (None, connection) => connection.unwrap_or_default().to_owned(),
    };
    if url.trim().starts_with("dev:") {
        return Err(Failure::Usage(
            "a context holds a key; for a broker in development mode set RHEOS_URL=dev:ADDRESS".into(),
        ));
    }
    ConnectOptions::from_url(&url)?;
    contexts.add(&command.name, url.trim())?;
    if contexts.current()?.is_some() {
        return told(how, &command.name, "added", "added");
    }
    contexts.choose(&command.name)?;
    told(how, &command.name, "in_use", "added and in use")
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().lock().take(URL_BYTES_MAX).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(URL_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(text)
}

fn list(contexts: &Contexts, how: Output) -> Result<(), Failure> {
    let current = contexts.current()?;
    let is_current = |name: &str| current.as_deref() == Some(name);
    let names = contexts.names()?;
    // One that cannot be used is listed too: with the reason it can be mended.
    let all: Vec<_> = names.iter().map(|name| (name, contexts.options(name))).collect();
    let row = |(name, options): &(&String, Result<ConnectOptions, Failure>)| {
        let (broker, key) = match options {
            Ok(options) => (options.address(), options.key_id().to_owned()),
            Err(failure) => ("-".to_owned(), failure.message().to_owned()),
        };
        [if is_current(name) { "*" } else { "" }.to_owned(), (*name).clone(), broker, key]
    };
    let object = |(name, options): &(&String, Result<ConnectOptions, Failure>)| {
        let described = match options {
            Ok(options) => described(name, options),
            Err(failure) => json!({ "name": name, "error": failure.message() }),
        };
        with(described, "current", is_current(name).into())
    };
    output::list(how, &all, ["USE", "NAME", "BROKER", "KEY"], row, object)
}

fn show(command: &ShowCommand, contexts: &Contexts, how: Output) -> Result<(), Failure> {
    let none = || Failure::new("no context is in use; name one (`rheos context list` shows what there is)");
    let name = match &command.name {
        Some(name) => name.clone(),
        None => contexts.current()?.ok_or_else(none)?,
    };
    let options = contexts.options(&name)?;
    let url = if command.secret { contexts.url(&name)? } else { options.url_without_secret()? };
    output::one(how, &url, &with(described(&name, &options), "url", url.as_str().into()))
}

fn described(name: &str, options: &ConnectOptions) -> Value {
    json!({ "name": name, "broker": options.address(), "key_id": options.key_id() })
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}

fn told(how: Output, name: &str, done: &str, said: &str) -> Result<(), Failure> {
    output::one(how, &format!("context {name} is {said}"), &with(json!({ "name": name }), done, true.into()))
}

/// More than any connection string has.
const URL_BYTES_MAX: u64 = 4096;
