//! Names that a broker does not know, and which were meant.

use rheos_client::{Client, Error, ErrorCode, WireError};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::near::suggestion_or;

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
        Error::Broker(WireError { code, .. }) => *code,
        Error::ConsumerNotFound { .. } => ErrorCode::ConsumerNotFound,
        _ => return Err(error.into()),
    };
    let (what, hint) = match (code, named) {
        (ErrorCode::StreamNotFound, Named::Stream(stream) | Named::Consumer { stream, .. }) => {
            no_stream(client, stream).await
        }
        (ErrorCode::ConsumerNotFound, Named::Consumer { stream, name }) => no_consumer(client, stream, name).await,
        (ErrorCode::KeyNotFound, Named::Key(key)) => no_key(client, key).await,
        _ => return Err(error.into()),
    };
    Err(Failure::Told(Exit::NotFound, format!("{what} (error {}){hint}", code.number())))
}

// Each says what is not there, and what to do. A listing that fails takes nothing away from that.

async fn no_stream(client: &Client, stream: &str) -> (String, String) {
    let streams = client.list_streams().await.unwrap_or_default();
    let names = streams.iter().map(|stream| stream.name.as_str());
    let hint = suggestion_or(stream, names, || match streams.is_empty() {
        true => format!("; make it: rheos stream create {stream}"),
        false => "; `rheos stream list` shows what there is".to_owned(),
    });
    (format!("there is no stream {stream}"), hint)
}

async fn no_consumer(client: &Client, stream: &str, name: &str) -> (String, String) {
    let consumers = client.list_consumers(stream).await.unwrap_or_default();
    let names = consumers.iter().map(|consumer| consumer.name.as_str());
    let hint = suggestion_or(name, names, || match consumers.is_empty() {
        true => format!("; register it: rheos consumer register {stream} {name}"),
        false => format!("; `rheos consumer list {stream}` shows what there is"),
    });
    (format!("stream {stream} has no registered consumer {name}"), hint)
}

async fn no_key(client: &Client, key: &str) -> (String, String) {
    let keys = client.list_keys().await.unwrap_or_default();
    let names = keys.iter().flat_map(|key| [key.name.as_str(), key.id.as_str()]);
    let hint = suggestion_or(key, names, || "; `rheos key list` shows what there is".to_owned());
    (format!("there is no access key of the id or name {key}"), hint)
}
