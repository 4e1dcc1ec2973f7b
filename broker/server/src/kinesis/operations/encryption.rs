//! Encryption, which rheos does not do and says so.

use rheos_kinesis::error::Error;
use rheos_kinesis::operations::encryption;
use rheos_kinesis::value::Structure;

use crate::dispatch::Action;
use crate::kinesis::call::{Call, Outcome};

pub(super) async fn start(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::UpdateStream).await?;
    Err(encryption::start(input, &stream.view()))
}

pub(super) async fn stop(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::UpdateStream).await?;
    encryption::stop(input, &stream.view())?;
    Ok(Outcome::DONE)
}
