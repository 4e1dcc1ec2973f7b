//! What is changed of a stream: its retention, its mode, its largest record; and what rheos cannot give it.

use rheos_kinesis::error::Error;
use rheos_kinesis::operations::streams::{self, StreamView};
use rheos_kinesis::value::Structure;
use rheos_protocol::message::{Request, UpdateStream};

use crate::dispatch::Action;
use crate::kinesis::call::{Call, Outcome};

pub(super) async fn increase_retention(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    update(call, input, streams::increase_retention).await
}

pub(super) async fn decrease_retention(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    update(call, input, streams::decrease_retention).await
}

pub(super) async fn update_mode(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    update(call, input, streams::update_mode).await
}

pub(super) async fn update_max_record_size(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    update(call, input, streams::update_max_record_size).await
}

pub(super) async fn update_warm_throughput(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::UpdateStream).await?;
    Ok(streams::update_warm_throughput(input, &stream.view())?.into())
}

pub(super) async fn update_distribution(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::UpdateStream).await?;
    streams::update_distribution(input, &stream.view())?;
    Ok(Outcome::DONE)
}

type Asked = fn(&Structure, &StreamView<'_>) -> Result<UpdateStream, Error>;

async fn update(call: &Call<'_>, input: &Structure, asked: Asked) -> Result<Outcome, Error> {
    let stream = call.stream(input, Action::UpdateStream).await?;
    let update = asked(input, &stream.view())?;
    call.ask(Request::UpdateStream(update), &stream.subject).await?;
    call.kinesis.recent.changed(stream.record.incarnation, call.delay());
    Ok(Outcome::DONE)
}
