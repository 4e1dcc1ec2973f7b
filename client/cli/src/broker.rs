//! Which broker a command talks to, and the connection to it.

mod found;
mod outage;

use std::io;
use std::path::Path;

use rheos_client::{Client, ConnectOptions};

pub(crate) use found::{Named, found};
pub(crate) use outage::Outage;

use crate::arguments::{Global, Place};
use crate::contexts::Contexts;
use crate::exit::Exit;
use crate::failure::Failure;

/// The file in a data directory that says how to connect.
const ADMIN_URL: &str = "admin.url";

/// Connects to the broker that the options name.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    connect_with(global, options(global)?).await
}

/// Connects with these options, which were made from those of the command line.
pub(crate) async fn connect_with(global: &Global, options: ConnectOptions) -> Result<Client, Failure> {
    Client::connect(options).await.map_err(|error| {
        let failure = Failure::from(error);
        // Who reaches another broker than was meant, or none, needs to know where it was named.
        match failure.exit() {
            Exit::NotReached | Exit::NotAllowed => failure.retold(|why| format!("{why}; {}", origin(global))),
            _ => failure,
        }
    })
}

/// How to connect to the broker that the options name.
pub(crate) fn options(global: &Global) -> Result<ConnectOptions, Failure> {
    let name = concat!("rheos ", env!("CARGO_PKG_VERSION"));
    let options = match global.place {
        Place::Url => from_url(global.url.as_deref().unwrap_or_default())?,
        Place::Context => Contexts::open()?.options(global.context.as_deref().unwrap_or_default())?,
        Place::Data => from_data(&global.data)?,
        Place::Unsaid => match current_context()? {
            Some(name) => in_use(&name)?,
            None => from_data(&global.data)?,
        },
    };
    Ok(options.name(name))
}

/// What named the broker, and what to do when it is not there.
fn origin(global: &Global) -> String {
    let context = |name: &str| format!("the address is from context {name} (rheos context show {name})");
    match global.place {
        Place::Url => "the address is from --url or RHEOS_URL".to_owned(),
        Place::Context => context(global.context.as_deref().unwrap_or_default()),
        Place::Unsaid if let Ok(Some(name)) = current_context() => context(&name),
        Place::Data | Place::Unsaid => {
            let data = global.data.display();
            format!("the address is from {data}/{ADMIN_URL}; rheos serve --data {data} starts that broker")
        }
    }
}

fn from_url(url: &str) -> Result<ConnectOptions, Failure> {
    let Some(address) = url.strip_prefix("dev:") else { return Ok(ConnectOptions::from_url(url)?) };
    let address = address
        .parse()
        .map_err(|_| Failure::Usage(format!("dev:{address} names no address; it reads dev:127.0.0.1:4567")))?;
    Ok(ConnectOptions::dev(address)?)
}

fn current_context() -> Result<Option<String>, Failure> {
    // Without a home there are no contexts, and the data directory is good without one.
    Contexts::open().map_or(Ok(None), |contexts| contexts.current())
}

fn in_use(name: &str) -> Result<ConnectOptions, Failure> {
    Contexts::open()?.options(name).map_err(|failure| {
        failure.retold(|why| {
            format!("the context in use cannot be used: {why}; choose another with: rheos context use NAME")
        })
    })
}

fn from_data(data: &Path) -> Result<ConnectOptions, Failure> {
    let path = data.join(ADMIN_URL);
    let known = match path.metadata() {
        Ok(_) => return Ok(ConnectOptions::from_file(path)?),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => format!(
            "{} cannot be read by this user: {error}; its owner can make a key for you: rheos key create NAME",
            path.display()
        ),
        Err(_) => format!(
            "no broker is known: {} does not exist; start one here with rheos serve, or give the data directory of one on \
             this host with --data, a connection string with --url or RHEOS_URL, or a context with --context",
            path.display()
        ),
    };
    Err(Failure::Told(Exit::NotReached, known))
}
