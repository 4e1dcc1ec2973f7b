//! Which broker a command talks to, and which name was meant when it knows none.

use rheos_client::{Client, ConnectOptions, Error, ErrorCode};

use crate::arguments::{Global, Place};
use crate::contexts::Contexts;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::near::suggestion;

/// The file in a data directory that says how to connect.
const ADMIN_URL: &str = "admin.url";

/// Connects to the broker that the options name.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    Ok(Client::connect(options(global)?).await?)
}

/// How to connect to the broker that the options name.
pub(crate) fn options(global: &Global) -> Result<ConnectOptions, Failure> {
    let name = concat!("rheos ", env!("CARGO_PKG_VERSION"));
    let options = match global.place {
        Place::Url => from_url(global.url.as_deref().unwrap_or_default())?,
        Place::Context => Contexts::open()?.options(global.context.as_deref().unwrap_or_default())?,
        Place::Data => from_data(global)?,
        Place::Unsaid => match current_context()? {
            Some(options) => options,
            None => from_data(global)?,
        },
    };
    Ok(options.name(name))
}

/// What a name on the command line is the name of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    Stream(&'a str),
    Consumer { stream: &'a str, name: &'a str },
    Key(&'a str),
}

/// The outcome of a request about `named`; where the broker knows no such name, the failure says which
/// one may have been meant.
pub(crate) async fn found<T>(client: &Client, named: Named<'_>, outcome: Result<T, Error>) -> Result<T, Failure> {
    let error = match outcome {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let code = match &error {
        Error::Broker(error) => error.code,
        Error::ConsumerNotFound { .. } => ErrorCode::ConsumerNotFound,
        _ => return Err(error.into()),
    };
    // A listing that fails takes nothing away from what there is to say.
    let (typed, names) = match (code, named) {
        (ErrorCode::StreamNotFound, Named::Stream(stream) | Named::Consumer { stream, .. }) => {
            let streams = client.list_streams().await.unwrap_or_default();
            (stream, streams.into_iter().map(|stream| stream.name).collect::<Vec<_>>())
        }
        (ErrorCode::ConsumerNotFound, Named::Consumer { stream, name }) => {
            let consumers = client.list_consumers(stream).await.unwrap_or_default();
            (name, consumers.into_iter().map(|consumer| consumer.name).collect())
        }
        (ErrorCode::KeyNotFound, Named::Key(key)) => {
            let keys = client.list_keys().await.unwrap_or_default();
            (key, keys.into_iter().flat_map(|key| [key.name, key.id]).collect())
        }
        _ => return Err(error.into()),
    };
    match suggestion(typed, names.iter().map(String::as_str)) {
        hint if hint.is_empty() => Err(error.into()),
        hint => Err(Failure::Told(Exit::of(&error), format!("{error}{hint}"))),
    }
}

fn from_url(url: &str) -> Result<ConnectOptions, Failure> {
    let Some(address) = url.strip_prefix("dev:") else { return Ok(ConnectOptions::from_url(url)?) };
    let address = address
        .parse()
        .map_err(|_| Failure::Usage(format!("dev:{address} names no address; it reads dev:127.0.0.1:4567")))?;
    Ok(ConnectOptions::dev(address)?)
}

fn current_context() -> Result<Option<ConnectOptions>, Failure> {
    // Without a home there are no contexts, and the data directory is good without one.
    let Ok(contexts) = Contexts::open() else { return Ok(None) };
    let Some(name) = contexts.current()? else { return Ok(None) };
    contexts.options(&name).map(Some).map_err(|failure| {
        failure.retold(|why| {
            format!("the context in use cannot be used: {why}; choose another with: rheos context use NAME")
        })
    })
}

fn from_data(global: &Global) -> Result<ConnectOptions, Failure> {
    let path = global.data.join(ADMIN_URL);
    if !path.exists() {
        let known = format!(
            "no broker is known: {} does not exist; give the data directory of a broker on this host with --data, a \
             connection string with --url or RHEOS_URL, or a context with --context",
            path.display()
        );
        return Err(Failure::Told(Exit::NotReached, known));
    }
    Ok(ConnectOptions::from_file(path)?)
}
