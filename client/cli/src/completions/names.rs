//! Names that a broker or this user's contexts know, for a shell that completes one.
//!
//! Nobody is told what goes wrong: a completion that has nothing to say says nothing, and soon.

use std::ffi::OsString;
use std::time::Duration;

use clap::ArgMatches;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use rheos_client::{Client, Error};

use crate::arguments::{Global, command, innermost};
use crate::broker;
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::on_runtime;

/// Longest wait of somebody who pressed a key.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Streams of the broker.
pub(crate) fn streams() -> ArgValueCandidates {
    named(|| asked(async |client, _| Ok(client.list_streams().await?.into_iter().map(|stream| stream.name).collect())))
}

/// Consumers of the stream that was typed before.
pub(crate) fn consumers() -> ArgValueCandidates {
    named(|| {
        asked(async |client, matches| {
            let Ok(Some(stream)) = matches.try_get_one::<String>("stream") else { return Ok(Vec::new()) };
            Ok(client.list_consumers(stream).await?.into_iter().map(|consumer| consumer.name).collect())
        })
    })
}

/// Access keys by their names.
pub(crate) fn keys() -> ArgValueCandidates {
    named(|| asked(async |client, _| Ok(client.list_keys().await?.into_iter().map(|key| key.name).collect())))
}

/// Contexts of this user.
pub(crate) fn contexts() -> ArgValueCandidates {
    named(|| Contexts::open().and_then(|contexts| contexts.names()).unwrap_or_default())
}

fn named(names: impl Fn() -> Vec<String> + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || names().into_iter().map(CompletionCandidate::new).collect::<Vec<_>>())
}

/// Asks the broker that the words on the command line name.
fn asked(names: impl AsyncFnOnce(&Client, &ArgMatches) -> Result<Vec<String>, Error>) -> Vec<String> {
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let Ok(matches) = command().ignore_errors(true).try_get_matches_from(words) else { return Vec::new() };
    let matches = innermost(&matches);
    let mut found = Vec::new();
    let asking = async {
        let global = Global::of(matches).map_err(|error| Failure::new(error.to_string()))?;
        let client = broker::connect(&global).await?;
        found = names(&client, matches).await?;
        client.close().await;
        Ok::<(), Failure>(())
    };
    let _ = on_runtime(async { tokio::time::timeout(ANSWER_MAX, asking).await.unwrap_or(Ok(())) });
    found
}
